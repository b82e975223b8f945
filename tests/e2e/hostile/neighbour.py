"""Somebody on the same wire as a guest of the uplink `device`: neighbour.py INTERFACE quiet|flood OURS THEIRS OURS6 THEIRS6"""

import random
import socket
import struct
import sys

from wire import *

interface, task, ours, theirs, ours6, theirs6 = sys.argv[1:7]
raw = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))
raw.bind((interface, 3))
raw.setsockopt(263, 23, 1)
raw.settimeout(5)
MAC = raw.getsockname()[4]
BROADCAST = b"\xff" * 6


def send(to, kind, payload):
    raw.send(to + MAC + struct.pack(">H", kind) + payload)


def until(matches):
    """Every frame up to the first one that matches."""
    frames = []
    while True:
        frame = raw.recv(65535)
        frames.append(frame)
        if matches(frame):
            return frames


def is_echo_reply(frame):
    return frame[12:14] == b"\x08\0" and frame[23] == 1 and frame[34] == 0


def is_arp_reply(frame):
    return frame[12:14] == b"\x08\x06" and frame[20:22] == b"\0\2" and frame[28:32] == packed(theirs)


def is_reset(frame):
    return frame[12:14] == b"\x08\0" and frame[23] == 6 and frame[47] & RST != 0


def is_reset6(frame):
    return frame[12:14] == b"\x86\xdd" and frame[20] == 6 and frame[67] & RST != 0


def echo(mac):
    send(mac, 0x800, ip4(ours, theirs, 1, icmp(8, 0, b"\0\7\0\1", b"marker")))


def quiet():
    """Each question is answered once: a kernel below would have answered before, as it needs no turn of a loop."""
    send(BROADCAST, 0x806, arp(1, MAC, ours, b"\0" * 6, theirs))
    guest = until(is_arp_reply)[-1][6:12]
    send(BROADCAST, 0x806, arp(1, MAC, ours, b"\0" * 6, theirs))
    send(guest, 0x800, ip4(ours, theirs, 6, tcp(ours, 4000, theirs, 4001, SYN)))
    send(guest, 0x86DD, ip6(ours6, theirs6, 6, tcp(ours6, 4000, theirs6, 4001, SYN)))
    send(guest, 0x800, ip4(ours, theirs, 17, udp(ours, 4000, theirs, 4002, b"hello")))
    echo(guest)
    frames = until(is_echo_reply)
    # The answer over IPv6 may have to wait for a question about us, which this host's kernel answers.
    if not any(map(is_reset6, frames)):
        frames += until(is_reset6)
    kinds = (("arp", is_arp_reply), ("reset", is_reset), ("reset6", is_reset6), ("echo", is_echo_reply))
    unreachable = lambda frame: frame[12:14] == b"\x08\0" and frame[23] == 1 and frame[34] == 3
    counts = {name: sum(map(test, frames)) for name, test in kinds} | {"unreachable": sum(map(unreachable, frames))}
    print(" ".join(f"{name}={count}" for name, count in sorted(counts.items())))


def flood():
    """Nonsense of many kinds; then an ordinary question, which must be answered."""
    seed = int(sys.argv[7])
    rng = random.Random(seed)
    send(BROADCAST, 0x806, arp(1, MAC, ours, b"\0" * 6, theirs))
    guest = until(is_arp_reply)[-1][6:12]
    good = [
        (0x806, arp(1, MAC, ours, b"\0" * 6, theirs)),
        (0x800, ip4(ours, theirs, 6, tcp(ours, 9, theirs, 9, SYN, options=b"\2\4\5\xb4"))),
        (0x800, ip4(ours, theirs, 17, udp(ours, 9, theirs, 9, rng.randbytes(40)), flags=1)),
        (0x800, ip4(ours, theirs, 1, icmp(3, 4, b"\0\0\2\0", ip4(theirs, ours, 6, tcp(theirs, 9, ours, 9, ACK))))),
        (0x86DD, ip6(ours6, theirs6, 58, icmp6(ours6, theirs6, 135, 0, b"\0" * 4, packed(theirs6) + b"\1\1" + MAC), hops=255)),
        (0x86DD, ip6(ours6, theirs6, 44, bytes([17, 0, 0, 1, 0, 0, 0, 9]) + udp(ours6, 1, theirs6, 2, rng.randbytes(40)))),
    ]
    for kind, packet in good:
        for length in range(len(packet)):
            send(guest, kind, packet[:length])
        for _ in range(200):
            bad = bytearray(packet)
            for _ in range(rng.randint(1, 4)):
                bad[rng.randrange(len(bad))] = rng.randrange(256)
            send(guest, kind, bytes(bad))
    for _ in range(300):
        send(rng.choice((guest, BROADCAST)), rng.choice((0x800, 0x86DD, 0x806, 0x8100, 0x88CC)), rng.randbytes(rng.randrange(1500)))
    # Martians, and frames that say of themselves that they are ours.
    for source in ("127.0.0.1", "0.0.0.0", "224.0.0.1", "255.255.255.255", theirs, "240.1.2.3"):
        send(guest, 0x800, ip4(source, theirs, 6, tcp(source, 9, theirs, 9, SYN)))
    # Everybody on the link claims to be somebody, us included.
    for i in range(2000):
        mac = b"\2\0" + struct.pack(">I", i)
        send(BROADCAST, 0x806, arp(rng.choice((1, 2)), mac, f"{ours.rsplit('.', 1)[0]}.{i % 250 + 3}", b"\0" * 6, theirs))
        claimed = f"{theirs6.rsplit(':', 1)[0]}:{i + 16:x}"
        ask = icmp6(claimed, theirs6, 135, 0, b"\0" * 4, packed(theirs6) + b"\1\1" + mac)
        send(guest, 0x86DD, ip6(claimed, theirs6, 58, ask, hops=255))
    for _ in range(50):
        send(BROADCAST, 0x806, arp(2, MAC, theirs, guest, theirs))
    # The queue of the guest's device may have been full: ask until there is an answer.
    for _ in range(20):
        echo(guest)
        raw.settimeout(0.5)
        try:
            until(is_echo_reply)
            print("alive")
            return
        except TimeoutError:
            pass
    print("dead")


{"quiet": quiet, "flood": flood}[task]()
