"""A seeded mix of socket calls by a guest that administers its network, for `scripts/bench/mix.ts`.

    mix.py SEED ROUNDS CALLS [KIND…]

After each round everything of it is closed and taken back, and a line with the calls of each kind is printed: what the
supervisor keeps then, it has kept for nothing. Errors are expected: most of the calls make no sense.
"""

import os, random, select, socket, struct, sys

SEED, ROUNDS, CALLS = (int(a) for a in sys.argv[1:4])
rnd = random.Random(SEED)
AF = {4: socket.AF_INET, 6: socket.AF_INET6}
held, done = [], {}


def attribute(kind, value):
    return struct.pack("=HH", 4 + len(value), kind) + value + bytes(-len(value) % 4)


class Rtnetlink:
    """Requests, each acknowledged."""

    def __init__(self):
        self.socket = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 0)
        self.socket.bind((0, 0))
        self.sequence = 0

    def ask(self, kind, flags, body):
        self.sequence += 1
        head = struct.pack("=IHHII", 16 + len(body), kind, 1 | flags, self.sequence, 0)
        self.socket.send(head + body)
        for _ in range(64):
            data = self.socket.recv(1 << 16)
            # NLMSG_ERROR, which is the acknowledgement, or NLMSG_DONE.
            if struct.unpack("=H", data[4:6])[0] in (2, 3) or b"\3\0" == data[-16:-14]:
                return
            if not flags & 0x300 and not flags & 4:
                return


link = Rtnetlink()
NEW, ACK, DUMP = 0x600, 4, 0x300


def index():
    return rnd.randrange(1, 6)


def four():
    return bytes([10, 99, rnd.randrange(4), rnd.randrange(1, 255)])


def address():
    add = rnd.random() < 0.5
    if rnd.random() < 0.7:
        a = four()
        body = struct.pack("=BBBBI", 2, rnd.choice([8, 24, 32]), 0, 0, index()) + attribute(2, a) + attribute(1, a)
    else:
        a = b"\xfd\x99" + bytes(13) + bytes([rnd.randrange(1, 255)])
        body = struct.pack("=BBBBI", 10, 64, 2, 0, index()) + attribute(1, a)
    link.ask(20 if add else 21, ACK | (NEW if add else 0), body)


def interface():
    choice = rnd.randrange(4)
    name = b"d%d\0" % rnd.randrange(6)
    if choice == 0:
        link.ask(16, ACK | NEW, struct.pack("=BBHiII", 0, 0, 0, 0, 0, 0) + attribute(3, name) + attribute(18, attribute(1, b"dummy")))
    elif choice == 1:
        link.ask(17, ACK, struct.pack("=BBHiII", 0, 0, 0, 0, 0, 0) + attribute(3, name))
    elif choice == 2:
        up = rnd.randrange(2)
        link.ask(16, ACK, struct.pack("=BBHiII", 0, 0, 0, 0, up, 1) + attribute(3, name))
    else:
        link.ask(16, ACK, struct.pack("=BBHiII", 0, 0, 0, 0, 0, 0) + attribute(3, name) + attribute(4, struct.pack("=I", rnd.randrange(68, 65000))))


def way():
    add = rnd.random() < 0.5
    body = struct.pack("=BBBBBBBBI", 2, 24, 0, 0, 254, 4, 253, 1, 0) + attribute(1, four()[:3] + b"\0") + attribute(4, struct.pack("=I", index()))
    link.ask(24 if add else 25, ACK | (NEW if add else 0), body)


def neighbour():
    add = rnd.random() < 0.5
    body = struct.pack("=BBHiHBB", 2, 0, 0, index(), 0x80, 0, 0) + attribute(1, four()) + attribute(2, rnd.randbytes(6))
    link.ask(28 if add else 29, ACK | (NEW if add else 0), body)


def dump():
    link.ask(rnd.choice([18, 22, 26, 30]), DUMP, struct.pack("=BBHiII", 0, 0, 0, 0, 0, 0))


def ear():
    s = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 0)
    held.append(s)
    s.bind((0, rnd.getrandbits(12)))


def packet():
    s = socket.socket(socket.AF_PACKET, rnd.choice([socket.SOCK_RAW, socket.SOCK_DGRAM]), socket.htons(3))
    held.append(s)
    s.setblocking(False)
    if rnd.random() < 0.8:
        s.bind((rnd.choice(["lo", "eth0", "d0", "d1"]), 3))
    s.send(rnd.randbytes(14 + rnd.randrange(1500)))


def raw():
    family = rnd.choice([4, 6])
    s = socket.socket(AF[family], socket.SOCK_RAW, rnd.randrange(1, 256))
    held.append(s)
    s.setblocking(False)
    s.sendto(rnd.randbytes(rnd.randrange(1, 1500)), ("127.0.0.1" if family == 4 else "::1", 0))
    if rnd.random() < 0.3:
        s.recv(4096)


def datagram():
    family = rnd.choice([4, 6])
    s = socket.socket(AF[family], socket.SOCK_DGRAM)
    held.append(s)
    s.setblocking(False)
    home = "127.0.0.1" if family == 4 else "::1"
    s.bind((home, 0))
    if rnd.random() < 0.5:
        s.connect((home, rnd.randrange(1, 65536)))
        s.send(rnd.randbytes(rnd.randrange(1, 2000)))
    else:
        s.sendto(rnd.randbytes(rnd.randrange(1, 2000)), s.getsockname())
    if rnd.random() < 0.5:
        s.recv(4096)


def stream():
    family = rnd.choice([4, 6])
    server = socket.socket(AF[family], socket.SOCK_STREAM)
    held.append(server)
    server.bind(("127.0.0.1" if family == 4 else "::1", 0))
    server.listen(rnd.randrange(1, 10))
    client = socket.socket(AF[family], socket.SOCK_STREAM)
    held.append(client)
    client.settimeout(1)
    client.connect(server.getsockname()[:2])
    if rnd.random() < 0.8:
        client.send(rnd.randbytes(rnd.randrange(1, 20000)))
    if rnd.random() < 0.8:
        server.settimeout(1)
        other, _ = server.accept()
        held.append(other)
        other.setblocking(False)
        other.recv(1 << 16)


def option():
    if held:
        s = rnd.choice(held)
        level, name = rnd.choice([0, 1, 6, 17, 41, 263, 270]), rnd.randrange(80)
        if rnd.random() < 0.5:
            s.getsockopt(level, name, rnd.randrange(200))
        else:
            s.setsockopt(level, name, rnd.randbytes(rnd.choice([1, 4, 8, 16, 40])))


def shut():
    if held:
        held.pop(rnd.randrange(len(held))).close()


def waiting():
    if held:
        select.select(held[:8], held[:8], [], 0)


def passed():
    if held:
        a, b = socket.socketpair()
        with a, b:
            socket.send_fds(a, [b"x"], [rnd.choice(held).fileno()])
            _, fds, _, _ = socket.recv_fds(b, 16, 4)
            for fd in fds:
                os.close(fd)


KINDS = [address, interface, way, neighbour, dump, ear, packet, raw, datagram, stream, option, shut, waiting, passed]
if len(sys.argv) > 4:
    KINDS = [kind for kind in KINDS if kind.__name__ in sys.argv[4:]]

for n in range(ROUNDS):
    for _ in range(CALLS):
        kind = rnd.choice(KINDS)
        try:
            kind()
            done[kind.__name__] = done.get(kind.__name__, 0) + 1
        except OSError:
            pass
        if len(held) > 200:
            held.pop(0).close()
    while held:
        held.pop().close()
    print(n, " ".join(f"{name}={count}" for name, count in sorted(done.items())), flush=True)
    sys.stdin.readline()
