"""TCP with bad manners."""

import errno
import hashlib
import os
import select
import socket
import struct
import sys
import time

from wire import *


def syn_flood(arena):
    """SYNs from every address of the link, to a port that is open and to a host that swallows them."""
    wire, rng = Wire(burst=300), arena.rng
    count = 0
    open_port = arena.ports["echo"]
    for i in range(100_000):
        source = f"10.0.2.{rng.randrange(101, 254)}" if i % 8 else f"203.0.113.{rng.randrange(1, 255)}"
        target, port = (arena.host, open_port) if i % 4 == 0 else ("198.51.100.77", rng.randrange(1, 65536))
        wire.send(ip4(source, target, 6, tcp(source, rng.randrange(1024, 65536), target, port, SYN, seq=i * 7919)))
        count += 1
        if arena.over():
            break
    return {"sent": count}


def storms(arena):
    """ACKs, data, SYNs and resets for live connections, in and out of the window, and for none at all."""
    wire, rng, host = Wire(receive=True), arena.rng, arena.host
    puppet = Puppet(wire, arena.ports["echo"], target=host, rng=rng)
    puppet.raw(PSH | ACK, data=b"hello")
    puppet.seq += 5
    heard = b""
    while len(heard) < 5 and (more := puppet.take(3)) is not None:
        heard += more
    live = [line.split()[1].split(":")[1] for line in list(open("/proc/net/tcp"))[1:]]
    for i in range(30_000):
        flags = rng.choice((ACK, ACK, PSH | ACK, SYN, SYN | ACK, RST, FIN | ACK, URG | ACK, 0, FIN | SYN | RST, 255))
        away = rng.choice((-1, 1)) * rng.randrange(1 << 26, 1 << 31)
        puppet.raw(flags, seq=puppet.seq + away, ack=puppet.ack + rng.randrange(-(1 << 31), 1 << 31), data=b"z" * rng.choice((0, 1, 1000)))
        # The innocent's own ports, with numbers that are only guesses.
        port = int(rng.choice(live), 16)
        guess = tcp(GUEST, port, host, arena.ports[rng.choice(("echo", "blob"))], rng.choice((RST, SYN, ACK)), seq=rng.getrandbits(32), ack=rng.getrandbits(32))
        wire.send(ip4(GUEST, host, 6, guess))
        stray = tcp(GUEST, rng.randrange(65536), host, rng.randrange(65536), rng.choice((ACK, FIN, RST, 0)), seq=i)
        wire.send(ip4(GUEST, host, 6, stray))
        if arena.over():
            break
    # After all that, the connection still works.
    while puppet.next(0.3) is not None:
        pass
    puppet.raw(PSH | ACK, data=b"still")
    puppet.seq += 5
    after = b""
    until = time.monotonic() + 5
    while len(after) < 5 and time.monotonic() < until:
        after += puppet.take(1) or b""
    puppet.raw(RST | ACK)
    return {"heard": heard.decode(), "after": after.decode()}


def windows(arena):
    """Readers that take one byte at a time, or none, for ever; acknowledgements of what was never sent."""
    wire, rng, host = Wire(receive=True), arena.rng, arena.host
    flood = arena.ports["flood"]
    scale = b"\x02\x04\x05\xb4\x01\x03\x03\x0e"
    ones = [Puppet(wire, flood, target=host, window=1, rng=rng) for _ in range(10)]
    zeros = [Puppet(wire, flood, target=host, window=0, rng=rng, options=scale) for _ in range(200)]
    tiny = [Puppet(wire, flood, target=host, window=2000, rng=rng, options=b"\x02\x04\0\0") for _ in range(10)]
    greedy = Puppet(wire, flood, target=host, rng=rng, options=scale)
    until = time.monotonic() + 3
    while time.monotonic() < until:
        for puppet in ones:
            puppet.ack += 1
            puppet.raw(ACK, window=1)
        for puppet in rng.sample(zeros, 5):
            puppet.raw(ACK, window=0)
        for puppet in tiny:
            puppet.ack += 1
            puppet.raw(ACK, window=rng.choice((0, 1, 2000)))
        # Optimistic: it acknowledges ahead of what came, with the largest window there is.
        greedy.ack += rng.choice((1448, 65535, 1 << 20))
        greedy.raw(ACK, window=65535)
        select.select([wire.socket], [], [], 0.001)
        try:
            while wire.socket.recv(70_000):
                pass
        except BlockingIOError:
            pass
    return {"connections": len(ones) + len(zeros) + len(tiny) + 1}


def out_of_order(arena):
    """A stream in pieces of a byte, backwards, with holes, twice, and with contradictions: only the first counts."""
    wire, rng, host = Wire(receive=True), arena.rng, arena.host
    puppet = Puppet(wire, arena.ports["sink"], target=host, rng=rng)
    data = rng.randbytes(6_000)
    base = puppet.seq
    order = [at for at in range(1, len(data), 2)]
    rng.shuffle(order)
    for at in order:
        puppet.raw(ACK, seq=base + at, data=data[at:at + 1])
        puppet.raw(ACK, seq=base + at, data=bytes([data[at] ^ 255]))
    for at in range(len(data) - 2, -2, -2):
        puppet.raw(ACK, seq=base + at, data=data[at:at + 1])
    # What was thrown away (or lost on this queue) comes again, in order.
    for _ in range(20):
        for at in range(0, len(data), 500):
            puppet.raw(ACK, seq=base + at, data=data[at:at + 500])
        puppet.raw(FIN | ACK, seq=base + len(data))
        digest = b""
        while len(digest) < 32 and (more := puppet.take(0.5)) is not None:
            digest += more
        if digest:
            break
    # Gaps that are never filled, on many connections.
    for _ in range(50):
        gappy = Puppet(wire, arena.ports["sink"], target=host, rng=rng)
        for i in range(200):
            gappy.raw(ACK, seq=gappy.seq + 1 + i * 2, data=b"g")
    want = hashlib.sha256(data).digest()
    return {"whole": digest == want}


def ends(arena):
    """FINs and resets in every order, and connections left in the middle of everything."""
    wire, rng, host = Wire(receive=True), arena.rng, arena.host
    for i in range(400):
        try:
            puppet = Puppet(wire, arena.ports[rng.choice(("echo", "half", "blob", "drip", "reset", "sink"))], target=host, rng=rng)
        except OSError:  # the server's reset came first
            continue
        for _ in range(rng.randrange(6)):
            flags = rng.choice((FIN | ACK, FIN, RST, RST | ACK, SYN, SYN | ACK, ACK, FIN | RST | ACK, FIN | PSH | URG))
            puppet.raw(flags, seq=puppet.seq + rng.choice((0, 0, 1, -1, 65535)), ack=puppet.ack + rng.choice((0, 1, -1, 100_000)), window=rng.choice((0, 65535)))
            if flags & FIN:
                puppet.seq += 1
        if arena.over():
            break
    return {"connections": i + 1}


def scan(arena):
    """All ports of a host, by the guest's own kernel."""
    poll, waiting = select.epoll(), {}
    results = {"open": [], "refused": 0, "other": 0}

    def judge(port, error):
        if error in (0, errno.ECONNRESET):  # open, and reset since
            results["open"].append(port)
        else:
            results["refused" if error == errno.ECONNREFUSED else "other"] += 1

    def settle(patience):
        for fd, _ in poll.poll(patience):
            s, port = waiting.pop(fd)
            judge(port, s.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR))
            s.close()

    for port in range(1, 65536):
        s = socket.socket()
        s.setblocking(False)
        s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        error = s.connect_ex((arena.host, port))
        if error != errno.EINPROGRESS:
            judge(port, error)
            s.close()
        else:
            waiting[s.fileno()] = s, port
            poll.register(s, select.EPOLLOUT)
        settle(1 if len(waiting) >= 200 else 0)
    until = time.monotonic() + 20
    while waiting and time.monotonic() < until:
        settle(1)
    names = {port: name for name, port in arena.ports.items()}
    return {**results, "open": sorted(names.get(port, str(port)) for port in results["open"]), "unanswered": len(waiting)}


def host_manners(arena):
    """Servers that reset, drip, never read, half-close; dozens of each."""
    def open_to(name):
        s = socket.create_connection((arena.host, arena.ports[name]), 10)
        s.settimeout(10)
        return s

    outcome = {"reset": 0, "drip": 0, "half": 0, "deaf": 0}
    deaf = []
    for _ in range(40):
        try:
            s = open_to("reset")
            while s.recv(65536):
                pass
        except (ConnectionResetError, ConnectionRefusedError):  # refused: it came before the dial was over
            outcome["reset"] += 1
        s = open_to("half")
        if s.recv(1) == b"":
            s.sendall(b"y" * 100_000)
            outcome["half"] += 1
        s.close()
        s = open_to("deaf")
        s.setblocking(False)
        sent = 0
        try:
            while sent < 64 << 20:
                sent += s.send(b"z" * 65536)
        except BlockingIOError:
            outcome["deaf"] += 1
        deaf.append(s)
    drips = [open_to("drip") for _ in range(20)]
    for s in drips:
        outcome["drip"] += len(b"".join(iter(lambda: s.recv(65536), b""))) == 5_000
    return outcome


def hoard(arena):
    """As many connections and datagrams to as many places as several processes can have, all kept."""
    kept, children = [], []
    for part in range(4):
        if (child := os.fork()) == 0:
            for i in range(300):
                s = socket.socket()
                s.setblocking(False)
                s.connect_ex((arena.host, arena.ports["echo"]))
                d = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
                d.setblocking(False)
                d.sendto(b"x", (arena.host, 1 + part * 300 + i))
                kept += (s, d)
            time.sleep(60)
            os._exit(0)
        children.append(child)
    time.sleep(2)
    print("hoarded", flush=True)
    sys.stdin.readline()
    for child in children:
        os.kill(child, 9)
        os.waitpid(child, 0)
