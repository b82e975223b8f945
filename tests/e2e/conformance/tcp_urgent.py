"""What the socket interface says about TCP's urgent data: one line per check, `name: answer`.

Run on the host's kernel and in the sandbox; the two outputs should be equal. Without arguments both ends are here, on 127.0.0.1.
`serve [PORT]` prints a port, is the host's end of one connection after the other, and does what it is told; `ADDRESS PORT` talks to one.
"""

import array
import errno
import fcntl
import os
import select
import signal
import socket
import struct
import sys
import time

FIOSETOWN, SIOCSPGRP, FIOGETOWN, SIOCGPGRP, SIOCATMARK = range(0x8901, 0x8906)
NAMES = ((1, "IN"), (2, "PRI"), (4, "OUT"), (8, "ERR"), (16, "HUP"), (0x2000, "RDHUP"))
PATIENCE = 5.0
CHECKS = []


def check(function):
    CHECKS.append(function)
    return function


def attempt(call, *args):
    try:
        return call(*args)
    except OSError as error:
        return errno.errorcode.get(error.errno, str(error))


def events(sock):
    poll = select.poll()
    poll.register(sock, 1 | 2 | 4 | 0x2000)
    found = poll.poll(0)
    return "|".join(name for bit, name in NAMES if found and found[0][1] & bit) or "none"


def waiting(sock):
    count = array.array("i", [0])
    fcntl.ioctl(sock, 0x541B, count)
    return count[0]


def marked(sock):
    mark = array.array("i", [0])
    fcntl.ioctl(sock, SIOCATMARK, mark)
    return mark[0]


def settle(condition):
    """Waits for what the other end has caused."""
    end = time.monotonic() + PATIENCE
    while not condition() and time.monotonic() < end:
        time.sleep(0.002)


def urgent(sock):
    settle(lambda: "PRI" in events(sock))


class Here:
    """The other end is in this process."""

    def __init__(self):
        self.listener = socket.create_server(("127.0.0.1", 0))

    def connect(self):
        sock = socket.create_connection(self.listener.getsockname())
        self.peer, _ = self.listener.accept()
        return sock

    def send(self, data, flags=0):
        self.peer.sendall(data, flags)

    def close(self):
        self.peer.close()

    def told(self, length):
        return read_marked(self.peer, length)


class There:
    """The other end is a `serve` of this program: a second connection tells it what to do."""

    def __init__(self, address, port):
        self.address = (address, port)
        self.control = socket.create_connection(self.address).makefile("rw")

    def connect(self):
        sock = socket.create_connection(self.address)
        self.ask("accept")
        return sock

    def ask(self, *words):
        print(*words, file=self.control, flush=True)
        return self.control.readline().strip()

    def send(self, data, flags=0):
        self.ask("send", data.hex(), flags)

    def close(self):
        self.ask("close")

    def told(self, length):
        return eval(self.ask("told", length))


def serve(port=0):
    listener = socket.create_server(("0.0.0.0", port))
    print(listener.getsockname()[1], flush=True)
    control = listener.accept()[0].makefile("rw")
    peer = None
    for line in control:
        word, *rest = line.split()
        answer = "done"
        if word == "accept":
            peer, _ = listener.accept()
        elif word == "send":
            peer.sendall(bytes.fromhex(rest[0]), int(rest[1]))
        elif word == "close":
            peer.close()
        elif word == "told":
            answer = repr(read_marked(peer, int(rest[0])))
        print(answer, file=control, flush=True)


def read_marked(sock, length):
    """What a program with SO_OOBINLINE reads: pieces that end at marks. A byte at a mark is urgent."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_OOBINLINE, 1)
    sock.settimeout(PATIENCE)
    found, plain = [], 0
    while length > 0:
        # What is urgent is known before it is there, or the byte before it would be.
        sock.recv(1, socket.MSG_PEEK)
        at = marked(sock)
        piece = sock.recv(1 if at else length)
        if not piece:
            found.append("end")
            break
        length -= len(piece)
        if at:
            found += [plain, piece]
            plain = 0
        else:
            plain += len(piece)
    return found + [plain]


def opened(there, inline=False):
    sock = there.connect()
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_OOBINLINE, inline)
    # Not python's own time-out: that polls first, and an urgent byte alone is nothing to read.
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, struct.pack("ll", int(PATIENCE), 0))
    return sock


# ── receiving ────────────────────────────────────────────────────────────────────────────────────────────────────


@check
def out_of_band(there):
    sock = opened(there)
    yield "nothing urgent", attempt(sock.recv, 1, socket.MSG_OOB), marked(sock), events(sock)
    there.send(b"abc")
    there.send(b"X", socket.MSG_OOB)
    there.send(b"def")
    urgent(sock)
    yield "urgent", "PRI" in events(sock), marked(sock)
    yield "reads end at the mark", attempt(sock.recv, 10)
    yield "there", marked(sock), "PRI" in events(sock)
    yield "peeked", attempt(sock.recv, 10, socket.MSG_OOB | socket.MSG_PEEK)
    yield "taken", attempt(sock.recv, 10, socket.MSG_OOB), "PRI" in events(sock), marked(sock)
    yield "taken again", attempt(sock.recv, 10, socket.MSG_OOB)
    yield "the rest", attempt(sock.recv, 3, socket.MSG_WAITALL), marked(sock), events(sock)
    yield "nothing", attempt(sock.recv, 10, socket.MSG_DONTWAIT)


@check
def missed(there):
    sock = opened(there)
    there.send(b"abc")
    there.send(b"X", socket.MSG_OOB)
    there.send(b"def")
    urgent(sock)
    yield "before", attempt(sock.recv, 10)
    yield "behind, without the urgent one", attempt(sock.recv, 3, socket.MSG_WAITALL), events(sock)
    yield "too late", attempt(sock.recv, 1, socket.MSG_OOB)


@check
def in_line(there):
    sock = opened(there, True)
    yield "option", sock.getsockopt(socket.SOL_SOCKET, socket.SO_OOBINLINE)
    there.send(b"abc")
    there.send(b"X", socket.MSG_OOB)
    there.send(b"def")
    urgent(sock)
    settle(lambda: waiting(sock) >= 7)
    yield "waiting", waiting(sock), marked(sock)
    yield "out of band", attempt(sock.recv, 1, socket.MSG_OOB)
    yield "before", attempt(sock.recv, 10), marked(sock), events(sock)
    yield "from the mark on", attempt(sock.recv, 10), marked(sock), events(sock)


@check
def two_marks(there):
    sock = opened(there)
    there.send(b"12!", socket.MSG_OOB)
    urgent(sock)
    there.send(b"345", socket.MSG_OOB)
    settle(lambda: attempt(sock.recv, 1, socket.MSG_OOB | socket.MSG_PEEK) == b"5")
    yield "the first is data", attempt(sock.recv, 10), marked(sock)
    yield "the second is urgent", attempt(sock.recv, 10, socket.MSG_OOB)
    yield "nothing", attempt(sock.recv, 10, socket.MSG_DONTWAIT)


@check
def to_the_mark(there):
    """What ftpd and rlogin do: throw everything away up to the mark."""
    sock = opened(there)
    there.send(b"." * 40_000)
    there.send(b"!", socket.MSG_OOB)
    there.send(b"go on")
    urgent(sock)
    thrown = 0
    while not marked(sock):
        thrown += len(sock.recv(7_777))
    yield "thrown away", thrown
    yield "urgent", sock.recv(1, socket.MSG_OOB)
    yield "then", sock.recv(5, socket.MSG_WAITALL)


@check
def watched(there):
    sock = opened(there)
    there.send(b"a")
    poller = select.epoll()
    poller.register(sock, select.EPOLLPRI)
    yield "epoll without", poller.poll(0)
    yield "select without", [len(part) for part in select.select([], [], [sock], 0)]
    there.send(b"!", socket.MSG_OOB)
    yield "epoll", [found for _, found in poller.poll(PATIENCE)]
    yield "select", [len(part) for part in select.select([], [], [sock], PATIENCE)]
    sock.recv(1, socket.MSG_OOB)
    yield "and after it was read", poller.poll(0), [len(part) for part in select.select([], [], [sock], 0)]


@check
def signalled(there):
    for name, owner, own in (
        ("F_SETOWN", os.getpid(), lambda sock: fcntl.fcntl(sock, fcntl.F_SETOWN, owner)),
        ("FIOSETOWN", os.getpid(), lambda sock: fcntl.ioctl(sock, FIOSETOWN, struct.pack("i", owner))),
        ("SIOCSPGRP", -os.getpgrp(), lambda sock: fcntl.ioctl(sock, SIOCSPGRP, struct.pack("i", owner))),
    ):
        sock = opened(there)
        heard = []
        before = signal.signal(signal.SIGURG, lambda *_: heard.append(sock.recv(1, socket.MSG_OOB)))
        own(sock)
        there.send(b"data")
        there.send(b"!", socket.MSG_OOB)
        settle(lambda: heard)
        yield name, heard
        for how in FIOGETOWN, SIOCGPGRP:
            yield f"{name} is told", struct.unpack("i", fcntl.ioctl(sock, how, b"1234"))[0] == owner
        signal.signal(signal.SIGURG, before)


@check
def messages(there):
    sock = opened(there)
    there.send(b"a")
    there.send(b"!", socket.MSG_OOB)
    urgent(sock)
    data, _, flags, _ = sock.recvmsg(10, 0, socket.MSG_OOB)
    yield "recvmsg", data, flags & socket.MSG_OOB != 0
    yield "before", sock.recv(5)
    there.send(b"?", socket.MSG_OOB)
    urgent(sock)
    yield "recvfrom", sock.recvfrom(10, socket.MSG_OOB)[0]


@check
def then_closed(there):
    sock = opened(there)
    there.send(b"bye")
    there.send(b"!", socket.MSG_OOB)
    there.close()
    settle(lambda: "RDHUP" in events(sock))
    yield "events", events(sock)
    yield "before", sock.recv(10)
    yield "urgent", sock.recv(10, socket.MSG_OOB)
    yield "end", sock.recv(10), events(sock)


# ── sending ──────────────────────────────────────────────────────────────────────────────────────────────────────


@check
def sent(there):
    sock = there.connect()
    sock.sendall(b"abc")
    yield "returns", sock.send(b"X", socket.MSG_OOB)
    sock.sendall(b"def")
    yield "arrives", there.told(7)
    yield "the last of several", sock.send(b"12345", socket.MSG_OOB)
    yield "arrives", there.told(5)
    yield "by sendmsg", sock.sendmsg([b"6", b"7"], [], socket.MSG_OOB)
    yield "arrives", there.told(2)
    yield "by sendto", sock.sendto(b"8", socket.MSG_OOB, ("192.0.2.1", 9))
    yield "arrives", there.told(1)


@check
def sent_in_bulk(there):
    sock = there.connect()
    for i in range(5):
        sock.sendall(bytes(30_000 + i))
        sock.send(b"!", socket.MSG_OOB)
        yield f"mark {i}", there.told(30_001 + i)


@check
def sent_last(there):
    sock = there.connect()
    sock.send(b"the end!", socket.MSG_OOB)
    sock.close()
    yield "arrives", there.told(100)


# A signal to the group is for this program alone.
os.setpgrp()
if sys.argv[1:2] == ["serve"]:
    serve(*map(int, sys.argv[2:]))
else:
    end = There(sys.argv[1], int(sys.argv[2])) if sys.argv[1:] else Here()
    for function in CHECKS:
        try:
            for name, *values in function(end):
                print(f"{function.__name__}: {name}: {values[0] if len(values) == 1 else values}", flush=True)
        except Exception as error:  # a check that breaks must not hide the others
            print(f"{function.__name__}: broke: {type(error).__name__} {error}", flush=True)
