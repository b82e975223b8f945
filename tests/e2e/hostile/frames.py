"""Frames that mean nothing, or more than they should."""

import socket
import struct
import time

from wire import *


def good_frames(arena):
    """One valid packet of every kind."""
    data = arena.rng.randbytes(40)
    options = b"\x02\x04\x05\xb4\x04\x02\x08\x0a" + b"\0" * 8 + b"\x01\x03\x03\x07"
    host = arena.host
    quoted = ip4(host, GUEST, 6, tcp(host, 80, GUEST, 40000, ACK, data=data))
    quoted6 = ip6(GATEWAY6, GUEST6, 17, udp(GATEWAY6, 53, GUEST6, 4000, data))
    yield arp(1, b"\x02\0\0\0\0\x01", "10.0.2.77", b"\0" * 6, GATEWAY), 0x806
    yield ip4(GUEST, host, 6, tcp(GUEST, 9, host, 9, SYN, options=options)), None
    yield ip4(GUEST, host, 6, tcp(GUEST, 9, host, 9, ACK, data=data), options=b"\x07\x0b\x04" + b"\0" * 9, ihl=8), None
    yield ip4(GUEST, DNS, 17, udp(GUEST, 4000, DNS, 53, b"\0\x01\x01\0\0\x01\0\0\0\0\0\0\x01a\0\0\x01\0\x01")), None
    yield ip4(GUEST, host, 17, udp(GUEST, 4000, host, 9, data), flags=1), None
    yield ip4(GUEST, GATEWAY, 1, icmp(8, 0, b"\0\1\0\1", data)), None
    yield ip4(GUEST, GATEWAY, 1, icmp(3, 4, b"\0\0\2\0", quoted)), None
    yield ip4(GUEST, GATEWAY, 2, data), None
    yield ip6(GUEST6, GATEWAY6, 58, icmp6(GUEST6, GATEWAY6, 128, 0, b"\0\1\0\1", data)), None
    yield ip6(GUEST6, GATEWAY6, 58, icmp6(GUEST6, GATEWAY6, 2, 0, b"\0\0\5\0", quoted6)), None
    yield ip6(GUEST6, GATEWAY6, 6, tcp(GUEST6, 9, GATEWAY6, 9, SYN, options=options)), None
    nested = bytes([43, 0, 1, 4, 0, 0, 0, 0]) + bytes([60, 0, 0, 0, 0, 0, 0, 1]) + bytes([44, 0, 1, 4, 0, 0, 0, 0])
    yield ip6(GUEST6, GATEWAY6, 0, nested + bytes([17, 0, 0, 1, 0, 0, 0, 9]) + udp(GUEST6, 1, GATEWAY6, 2, data)), None
    solicitation = icmp6(GUEST6, GATEWAY6, 135, 0, b"\0" * 4, packed(GATEWAY6) + b"\1\1\2\0\0\0\0\1")
    yield ip6(GUEST6, GATEWAY6, 58, solicitation, hops=255), None


def truncated(arena):
    """Every kind of packet cut at every length, with the length field as it was, and trimmed to fit."""
    wire = Wire()
    for packet, kind in good_frames(arena):
        for length in range(len(packet)):
            cut = packet[:length]
            wire.send(cut, kind or (0x86DD if packet[0] >> 4 == 6 else 0x800))
            if kind is None and packet[0] >> 4 == 4 and length >= 20:
                head = cut[:2] + struct.pack(">H", length) + cut[4:10] + b"\0\0" + cut[12:20]
                wire.send(head[:10] + struct.pack(">H", total(head)) + head[12:] + cut[20:])
            if kind is None and packet[0] >> 4 == 6 and length >= 40:
                wire.send(cut[:4] + struct.pack(">H", length - 40) + cut[6:])
    return {"sent": wire.sent}


def forged(arena):
    """Lengths and offsets that lie, options that never end, chains of headers."""
    wire, host = Wire(), arena.host
    data = b"x" * 64
    segment = tcp(GUEST, 9, host, 9, ACK, data=data)
    for length in (0, 1, 19, 20, 21, 39, 40, 1500, 65535):
        wire.send(ip4(GUEST, host, 6, segment, length=length))
        wire.send(ip6(GUEST6, GATEWAY6, 6, tcp(GUEST6, 9, GATEWAY6, 9, SYN), length=length))
        wire.send(ip4(GUEST, host, 17, udp(GUEST, 9, host, 9, data, length=length)))
        wire.send(ip6(GUEST6, GATEWAY6, 17, udp(GUEST6, 9, GATEWAY6, 9, data, length=length)))
    for ihl in range(16):
        wire.send(ip4(GUEST, host, 6, segment, ihl=ihl))
        wire.send(ip4(GUEST, host, 6, tcp(GUEST, 9, host, 9, SYN, words=ihl)))
        wire.send(ip4(GUEST, host, 6, segment, version=ihl), kind=0x800)
    for option in range(256):  # length 0, length 1, and beyond the header
        for size in (0, 1, 2, 3, 255):
            wire.send(ip4(GUEST, host, 6, tcp(GUEST, 9, host, 9, SYN, options=bytes([option, size, 1, 1]))))
            wire.send(ip4(GUEST, host, 17, udp(GUEST, 9, host, 9), options=bytes([option, size, 1, 1]), ihl=6))
    for flags in range(256):
        wire.send(ip4(GUEST, host, 6, tcp(GUEST, 9, host, 9, flags)))
        wire.send(ip4(GUEST, host, flags, data))
        wire.send(ip6(GUEST6, GATEWAY6, flags, data))
    for header in (0, 43, 44, 51, 60, 135, 139, 140, 253):
        for count in (1, 8, 9, 100, 8000):  # as long a chain as the packet takes
            wire.send(ip6(GUEST6, GATEWAY6, header, bytes([header, 0, 1, 4, 0, 0, 0, 0]) * count + data))
        wire.send(ip6(GUEST6, GATEWAY6, header, bytes([6, 255, 1, 0]) + b"\0" * 2044 + segment))
        wire.send(ip6(GUEST6, GATEWAY6, header, bytes([header, 255, 0, 0]) * 500))
    # SYNs behind 60 KB of options each: what they quote must not be kept.
    padding = (bytes([60, 255]) + b"\0" * 2046) * 29
    for port in range(1000):
        syn = tcp(GUEST6, port + 1, "2001:db8:1::77", 9, SYN)
        wire.send(ip6(GUEST6, "2001:db8:1::77", 60, padding[:-2048] + bytes([6]) + padding[-2047:] + syn))
    return {"sent": wire.sent}


def mutated(arena):
    """Valid packets with random damage, checksums of IP repaired half of the time."""
    wire, rng = Wire(), arena.rng
    frames = list(good_frames(arena))
    for _ in range(20_000):
        packet, kind = rng.choice(frames)
        damaged = bytearray(packet)
        for _ in range(rng.randrange(1, 5)):
            damaged[rng.randrange(len(damaged))] = rng.randrange(256)
        if kind is None and rng.random() < 0.5 and damaged[0] >> 4 == 4:
            damaged[10:12] = b"\0\0"
            damaged[10:12] = struct.pack(">H", total(bytes(damaged[:20])))
        wire.send(bytes(damaged), kind or (0x86DD if packet[0] >> 4 == 6 else 0x800))
    for _ in range(2_000):
        wire.frame(GATEWAY_MAC + wire.mac + rng.randbytes(rng.choice((2, 3, 20, 60, 1500, 9000))))
    return {"sent": wire.sent}


def fragments(arena):
    """Teardrop, overlaps, gaps, a tiny first fragment, ends that move, floods of first fragments only."""
    wire, rng, host = Wire(), arena.rng, arena.host
    whole = udp(GUEST, 4000, host, arena.ports["mirror"], rng.randbytes(4000))

    def piece(ident, offset, data, more=True, protocol=17):
        wire.send(ip4(GUEST, host, protocol, data, ident=ident, flags=1 if more else 0, offset=offset // 8))

    for ident in range(200):
        piece(ident, 0, whole[:1480])  # teardrop: the second lies inside the first
        piece(ident, 24, whole[24:48], more=False)
    for ident in range(200, 400):  # the overlap says something else
        piece(ident, 0, whole[:1480])
        piece(ident, 1472, rng.randbytes(1480))
        piece(ident, 2952, whole[2952:], more=False)
    for ident in range(400, 500):  # beyond 64 KiB: the ping of death
        piece(ident, 65528, rng.randbytes(1400), more=False)
        piece(ident, 0, rng.randbytes(8), protocol=1)
    for ident in range(500, 600):  # every other fragment of eight bytes
        for offset in range(0, 1600, 16):
            piece(ident, offset, b"12345678")
    for ident in range(600, 700):  # two ends, and none of any length
        piece(ident, 800, whole[800:1600], more=False)
        piece(ident, 1600, whole[1600:], more=False)
        piece(ident, 0, b"")
    segment = tcp(GUEST, 4000, host, arena.ports["echo"], SYN)
    for ident in range(700, 800):  # RFC 1858: the flags come in the second fragment
        piece(ident, 0, segment[:8], protocol=6)
        piece(ident, 8, segment[8:], more=False, protocol=6)
    big = rng.randbytes(60_000)
    for ident in range(6_000):  # first fragments only, as large as they can be
        wire.send(ip4(f"10.0.2.{rng.randrange(101, 200)}", host, 17, big[:rng.choice((8, 1480, 60_000))], ident=ident, flags=1))
        fragment = bytes([17, 0, 0, 1]) + struct.pack(">I", rng.getrandbits(32))
        wire.send(ip6(GUEST6, GATEWAY6, 44, fragment + big[:rng.choice((8, 1480))]))
    return {"sent": wire.sent}


def offload(arena):
    """What PACKET_VNET_HDR lets through: checksums to complete anywhere, super-packets that are none."""
    wire, rng, host = Wire(), arena.rng, arena.host
    wire.socket.setsockopt(263, 15, 1)  # SOL_PACKET, PACKET_VNET_HDR
    segment = tcp(GUEST, 9, host, 9, ACK, data=rng.randbytes(3000))
    packets = [ip4(GUEST, host, 6, segment), ip4(GUEST, host, 17, udp(GUEST, 9, host, 9, b"x" * 3000)),
               ip6(GUEST6, GATEWAY6, 6, tcp(GUEST6, 9, GATEWAY6, 9, ACK, data=b"y" * 3000)),
               ip4(GUEST, GATEWAY, 1, icmp(8, 0, b"\0\1\0\1", b"z" * 3000))]
    taken = 0
    for _ in range(8_000):
        packet = rng.choice(packets)[:rng.choice((20, 21, 40, 54, 60, 9000))]
        header = struct.pack("<BBHHHH", rng.choice((0, 1, 2, 3)), rng.choice((0, 1, 3, 4, 5, 0x81)),
                             rng.choice((0, 14, 54, 66, 65535)), rng.choice((0, 1, 8, 100, 1448, 65535)),
                             rng.choice((0, 13, 14, 20, 34, 54, 74, 3000, 65535)), rng.choice((0, 6, 16, 2, 3000, 65535)))
        kind = b"\x86\xdd" if packet[0] >> 4 == 6 else b"\x08\0"
        if wire.frame(header + GATEWAY_MAC + wire.mac + kind + packet):
            taken += 1
    return {"sent": wire.sent, "taken": taken}


def neighbours(arena):
    """ARP and NDP: floods of neighbours, and the gateway's address claimed by everybody."""
    wire, rng = Wire(burst=300), arena.rng
    everybody = b"\xff" * 6
    for i in range(10_000):
        mac = b"\x02" + rng.randbytes(5)
        other = f"10.0.2.{rng.randrange(101, 254)}"
        wire.send(arp(1, mac, other, b"\0" * 6, GATEWAY), 0x806, everybody, mac)
        wire.send(arp(2, mac, GATEWAY, everybody, GATEWAY), 0x806, rng.choice((everybody, GATEWAY_MAC)), mac)
        wire.send(arp(rng.choice((1, 2)), mac, DNS, mac, other), 0x806, GATEWAY_MAC, mac)
        six = "fd00::" + ":".join(f"{rng.getrandbits(16):x}" for _ in range(4))
        option = b"\1\1" + mac
        solicitation = icmp6(six, GATEWAY6, 135, 0, b"\0" * 4, packed(GATEWAY6) + option)
        wire.send(ip6(six, GATEWAY6, 58, solicitation, hops=255), source=mac)
        claim = icmp6(GATEWAY6, "ff02::1", 136, 0, b"\xa0\0\0\0", packed(GATEWAY6) + b"\2\1" + mac)
        wire.send(ip6(GATEWAY6, "ff02::1", 58, claim, hops=255), destination=b"\x33\x33\0\0\0\1", source=mac)
        router = icmp6("fe80::1", "ff02::1", 134, 0, b"\x40\0\x07\x08" + b"\0" * 8)
        wire.send(ip6("fe80::1", "ff02::1", 58, router, hops=255), destination=b"\x33\x33\0\0\0\1", source=mac)
        if arena.over():
            break
    return {"sent": wire.sent}


def control(arena):
    """ICMP: a flood of pings, and errors that quote the connections of others."""
    wire, rng, host = Wire(burst=300), arena.rng, arena.host
    live = [int(line.split()[1].split(":")[1], 16) for line in list(open("/proc/net/tcp"))[1:]]
    for i in range(15_000):
        to = rng.choice((host, GATEWAY, "198.51.100.2", "198.51.100.77"))
        wire.send(ip4(GUEST, to, 1, icmp(8, 0, struct.pack(">HH", i & 0x3FF, i & 0xFFFF), b"x" * rng.choice((0, 56, 1400)))))
        # As from a router on the way: unreachable of every kind, MTU of nothing, for live ports and random numbers.
        server = arena.ports[rng.choice(("echo", "blob"))]
        quote = ip4(host, GUEST, 6, tcp(host, server, GUEST, rng.choice(live), ACK, seq=rng.getrandbits(32)))
        kind, code, rest = rng.choice(((3, 1, b"\0" * 4), (3, 3, b"\0" * 4), (3, 4, b"\0\0\0\x44"), (3, 4, b"\0\0\0\0"), (5, 1, packed(GUEST)), (11, 0, b"\0" * 4), (12, 0, b"\0" * 4), (4, 0, b"\0" * 4)))
        wire.send(ip4("10.0.2.88", GATEWAY, 1, icmp(kind, code, rest, quote[:28])))
        if arena.over():
            break
    return {"sent": wire.sent}
