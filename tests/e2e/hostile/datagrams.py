"""Datagrams to everywhere and from nobody, and questions that are none."""

import socket
import struct
import sys
import time

from wire import *


def udp_flood(arena):
    """50 000 destinations, and sources that do not exist."""
    wire, rng = Wire(burst=300), arena.rng
    s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    s.bind(("", 0))
    refused = 0
    for i in range(50_000):
        try:
            s.sendto(b"x" * rng.choice((0, 1, 1000)), (rng.choice((arena.host, "198.51.100.2", "198.51.100.77")), 1 + i))
        except OSError:  # the port unreachable of an earlier one
            refused += 1
        if i % 2 == 0:
            source = rng.choice((f"10.0.2.{rng.randrange(101, 254)}", f"203.0.113.{rng.randrange(255)}", "0.0.0.0", "127.0.0.1", "255.255.255.255", "224.0.0.1", GATEWAY, "10.0.2.255"))
            wire.send(ip4(source, "198.51.100.77", 17, udp(source, rng.randrange(65536), "198.51.100.77", rng.randrange(65536), b"y")))
        if arena.over():
            break
    return {"sent": i + 1}


QUESTION = b"\x01\0\0\x01\0\0\0\0\0\0\x07example\x03com\0\0\x01\0\x01"


def names(arena):
    """DNS: garbage, compression that loops, floods; over TCP lengths that lie, pipelines, and half of a question."""
    rng = arena.rng
    s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    s.settimeout(3)
    s.connect((DNS, 53))
    for _ in range(3_000):
        s.send(rng.randbytes(rng.randrange(0, 600)))
        s.send(struct.pack(">H", rng.getrandbits(16)) + b"\x01\0\0\x01\0\0\0\0\0\0\xc0\x0c\0\x01\0\x01")  # a name that is itself
        s.send(struct.pack(">H", rng.getrandbits(16)) + b"\x81\x80" + QUESTION[2:])  # an answer nobody asked for
        s.send(struct.pack(">H", rng.getrandbits(16)) + b"\x01\0\xff\xff\xff\xff\xff\xff\xff\xff" + b"\x3f" * 100)
    s.send(rng.randbytes(60_000))
    streams = []
    for i in range(100):
        t = socket.create_connection((DNS, 53), 5)
        t.settimeout(5)
        streams.append(t)
        t.sendall(rng.choice((b"\0", b"\xff\xff" + rng.randbytes(100), b"\0\0" * 100, b"\0\x1c\0", rng.randbytes(50))))
    # Sixty questions at once, in pieces of one byte at first.
    t = socket.create_connection((DNS, 53), 5)
    t.settimeout(5)
    t.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    for byte in (message := struct.pack(">HH", len(QUESTION) + 2, 7) + QUESTION):
        t.send(bytes([byte]))
    t.sendall(message * 59)
    got = b""
    while len(got) < len(message) * 60 and (more := t.recv(65536)):
        got += more
    # And a question like any other, with patience: answers to the garbage come first.
    fresh = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    fresh.settimeout(2)
    fresh.connect((DNS, 53))
    answered = False
    for _ in range(5):
        fresh.send(b"\x12\x34" + QUESTION)
        try:
            answered = fresh.recv(2000)[:2] == b"\x12\x34"
            break
        except TimeoutError:
            pass
    return {"pipelined": len(got) // len(message), "answered": answered}


def reach(arena):
    """What must be out of reach, in all the forms that it has. Every destination that answers is named in the report."""
    wire, reached = Wire(receive=True), []
    forbidden = ["127.0.0.1", "127.1.2.3", "0.0.0.0", "0.0.0.1", "255.255.255.255", "224.0.0.1", "169.254.169.254", "10.0.2.255", "240.0.0.1"]
    forbidden6 = ["::1", "::", "::ffff:127.0.0.1", "::ffff:198.51.100.1", "::127.0.0.1", "fe80::1", "ff02::1"]
    ports = (7777, 53, arena.ports["echo"])
    for _ in range(2):
        for address in forbidden + forbidden6:
            source = GUEST6.replace("64", "77") if ":" in address else "10.0.2.77"
            for port in ports:
                wire.send(ip(source, address, 6, tcp(source, 3333, address, port, SYN)))
                wire.send(ip(source, address, 17, udp(source, 3334, address, port, b"?" * 12)))
        for address in (GATEWAY, DNS):
            for port in ports[:1] + ports[2:] + ((53,) if address == GATEWAY else ()):
                wire.send(ip4("10.0.2.77", address, 6, tcp("10.0.2.77", 3333, address, port, SYN)))
                wire.send(ip4("10.0.2.77", address, 17, udp("10.0.2.77", 3334, address, port, b"?" * 12)))
        # Claims to be who it cannot be: the gateway itself, the host's loopback.
        for source in (GATEWAY, DNS, "127.0.0.1", "0.0.0.0"):
            wire.send(ip4(source, arena.host, 6, tcp(source, 3333, arena.host, arena.ports["echo"], SYN)))
            wire.send(ip4(source, arena.host, 17, udp(source, 3334, arena.host, arena.ports["mirror"], b"?" * 12)))
        # By source route.
        route = b"\x83\x07\x04\x7f\0\0\x01\0"
        wire.send(ip4("10.0.2.77", arena.host, 17, udp("10.0.2.77", 3334, arena.host, 7777, b"?"), options=route, ihl=7))
        hop = bytes([17, 2, 0, 1, 0, 0, 0, 0]) + packed("::1")
        wire.send(ip6("fd00::77", GATEWAY6, 43, hop + udp("fd00::77", 3334, GATEWAY6, 7777, b"?")))
    until = time.monotonic() + 1.5
    while (left := until - time.monotonic()) > 0:
        wire.socket.setblocking(True)
        wire.socket.settimeout(left)
        try:
            frame = wire.socket.recv(70_000)
        except TimeoutError:
            break
        if frame[6:12] != GATEWAY_MAC:
            continue
        if frame[12:14] == b"\x08\0" and (frame[23] == 17 or frame[23] == 6 and frame[47] & (SYN | RST) == SYN):
            if frame[36:38] in (b"\x0d\x05", b"\x0d\x06"):
                reached.append(f"{socket.inet_ntoa(frame[26:30])}:{int.from_bytes(frame[34:36], 'big')}/{frame[23]}")
        if frame[12:14] == b"\x86\xdd" and (frame[20] == 17 or frame[20] == 6 and frame[67] & (SYN | RST) == SYN):
            if frame[56:58] in (b"\x0d\x05", b"\x0d\x06"):
                reached.append(socket.inet_ntop(socket.AF_INET6, frame[22:38]))
    return {"reached": sorted(set(reached))}


def published(arena):
    """Listens on published ports and never accepts; accepts and never reads. Clients of the host come by themselves."""
    never = socket.socket()
    never.bind(("", 9001))
    never.listen(1)
    mute = socket.socket()
    mute.bind(("", 9002))
    mute.listen(1000)
    mute.settimeout(6)
    print("listening", flush=True)
    held = []
    try:
        while len(held) < 100:
            held.append(mute.accept()[0])
    except TimeoutError:
        pass
    time.sleep(2)
    return {"held": len(held)}


def idle(_arena):
    """Nothing: what happens comes from outside."""
    sys.stdin.readline()
