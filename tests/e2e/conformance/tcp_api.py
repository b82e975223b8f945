"""What the socket interface says about TCP: one line per check, `name: answer`.

Run on the host's kernel and in the sandbox; the two outputs should be equal. Answers are errno names, event names and
values that do not depend on the machine: no ports, no times, no sizes that the kernel tunes. Everything happens on
127.0.0.1 and ::1, in one process with a few threads, so it needs no network and no privilege.
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
import termios
import threading
import time

CHECKS = []
NAMES = ((1, "IN"), (2, "PRI"), (4, "OUT"), (8, "ERR"), (16, "HUP"), (0x2000, "RDHUP"))
ALL = 1 | 2 | 4 | 0x2000
WAIT = 2000


def check(function):
    CHECKS.append(function)
    return function


def code(number):
    return "EOPNOTSUPP" if number == errno.EOPNOTSUPP else errno.errorcode.get(number, str(number))


def attempt(call, *args):
    try:
        return call(*args)
    except OSError as error:
        return code(error.errno) if error.errno else "timeout"


def events(sock, wait=0, mask=ALL):
    poll = select.poll()
    poll.register(sock, mask)
    found = poll.poll(wait)
    return show(found[0][1]) if found else "none"


def show(mask):
    return "|".join(name for bit, name in NAMES if mask & bit) or "none"


def until(sock, wanted, limit=2.0):
    """Events once all of `wanted` are there, or after `limit` seconds."""
    end = time.monotonic() + limit
    while True:
        now = events(sock)
        if all(name in now.split("|") for name in wanted.split("|")) or time.monotonic() > end:
            return now
        time.sleep(0.005)


def listener(family=socket.AF_INET, backlog=16, address=None):
    sock = socket.socket(family, socket.SOCK_STREAM)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    sock.bind((address or ("127.0.0.1" if family == socket.AF_INET else "::1"), 0))
    sock.listen(backlog)
    return sock


def connected(family=socket.AF_INET):
    """A client, its server and the listener."""
    server = listener(family)
    client = socket.socket(family, socket.SOCK_STREAM)
    client.connect(server.getsockname())
    peer, _ = server.accept()
    return client, peer, server


def free_port(family=socket.AF_INET):
    """A port where nobody listens."""
    sock = socket.socket(family, socket.SOCK_STREAM)
    sock.bind(("127.0.0.1" if family == socket.AF_INET else "::1", 0))
    port = sock.getsockname()[1]
    sock.close()
    return port


def received(sock, length):
    data = b""
    while len(data) < length:
        piece = sock.recv(length - len(data))
        if not piece:
            break
        data += piece
    return data


def is_port(number):
    return "port" if 0 < number < 65536 else str(number)


# ── creation ─────────────────────────────────────────────────────────────────────────────────────────────────────


@check
def create():
    for family in (socket.AF_INET, socket.AF_INET6):
        for kind, protocol in ((1, 0), (1, 6), (1, 17), (1, 255), (1, 132), (4, 0), (9, 0), (11, 0), (1, -1), (1, 256 * 6)):
            yield f"socket {family} {kind} {protocol}", created(family, kind, protocol)
    yield "socket nonblock flag", created(2, 1 | socket.SOCK_NONBLOCK, 0)
    yield "socket bad flag", created(2, 1 | 0x100, 0)


def created(family, kind, protocol):
    try:
        socket.socket(family, kind, protocol).close()
        return "ok"
    except OSError as error:
        return code(error.errno)


@check
def fresh():
    sock = socket.socket()
    yield "getsockname of a new socket", sock.getsockname()
    yield "getpeername of a new socket", attempt(sock.getpeername)
    yield "getsockname of a new v6 socket", socket.socket(socket.AF_INET6).getsockname()
    yield "listen without bind", attempt(sock.listen)
    yield "its address", sock.getsockname()[0]
    yield "its port", is_port(sock.getsockname()[1])
    yield "accept without listen", attempt(socket.socket().accept)
    yield "shutdown without connection", attempt(socket.socket().shutdown, 2)
    yield "shutdown with a bad direction", attempt(socket.socket().shutdown, 7)
    yield "send without connection", sigpipe_free(socket.socket())
    yield "blocking flag of an accepted socket", accepted_flags()


def sigpipe_free(sock):
    sock.setblocking(False)
    # recvmsg with room for a name is a call that both kernels see.
    return attempt(sock.recvfrom, 10)


def accepted_flags():
    client, peer, server = connected()
    flags = fcntl.fcntl(peer, fcntl.F_GETFL) & os.O_NONBLOCK
    cloexec = fcntl.fcntl(peer, fcntl.F_GETFD)
    return flags, cloexec


@check
def accept4_flags():
    server = listener()
    socket.create_connection(server.getsockname())
    fd, _ = server._accept()
    yield "accept4 cloexec", fcntl.fcntl(fd, fcntl.F_GETFD)
    os.close(fd)


# ── bind ─────────────────────────────────────────────────────────────────────────────────────────────────────────


@check
def bind():
    sock = socket.socket()
    yield "bind to a foreign address", attempt(sock.bind, ("192.0.2.1", 0))
    yield "bind to loopback", attempt(sock.bind, ("127.0.0.1", 0))
    yield "bind twice", attempt(sock.bind, ("127.0.0.1", 0))
    port = sock.getsockname()[1]
    yield "bind port 0 gives", is_port(port)
    yield "bind to a taken port", attempt(socket.socket().bind, ("127.0.0.1", port))
    yield "bind to the same port elsewhere", attempt(socket.socket().bind, ("127.0.0.2", port))
    yield "bind any to a taken port", attempt(socket.socket().bind, ("0.0.0.0", port))
    yield "bind all of 127/8", attempt(socket.socket().bind, ("127.8.8.8", 0))
    reuse = socket.socket()
    reuse.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    yield "bind with one-sided SO_REUSEADDR", attempt(reuse.bind, ("127.0.0.1", port))
    yield "bind multicast", attempt(socket.socket().bind, ("224.0.0.1", 0))
    yield "bind broadcast", attempt(socket.socket().bind, ("255.255.255.255", 0))
    yield "bind v6 loopback", attempt(socket.socket(socket.AF_INET6).bind, ("::1", 0))
    yield "bind v6 foreign", attempt(socket.socket(socket.AF_INET6).bind, ("2001:db8::1", 0))
    yield "bind v6 multicast", attempt(socket.socket(socket.AF_INET6).bind, ("ff02::1", 0))
    yield "bind v6 link-local without scope", attempt(socket.socket(socket.AF_INET6).bind, ("fe80::1", 0))
    yield "bind v6 mapped", attempt(socket.socket(socket.AF_INET6).bind, ("::ffff:127.0.0.1", 0))
    only = socket.socket(socket.AF_INET6)
    only.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
    yield "bind v6only mapped", attempt(only.bind, ("::ffff:127.0.0.1", 0))


@check
def bind_reuse():
    for option in ("SO_REUSEADDR", "SO_REUSEPORT"):
        one, two = socket.socket(), socket.socket()
        for sock in (one, two):
            sock.setsockopt(socket.SOL_SOCKET, getattr(socket, option), 1)
        one.bind(("127.0.0.1", 0))
        yield f"{option} bind twice", attempt(two.bind, one.getsockname())
        yield f"{option} first listen", attempt(one.listen)
        yield f"{option} second listen", attempt(two.listen)
        three = socket.socket()
        three.setsockopt(socket.SOL_SOCKET, getattr(socket, option), 1)
        yield f"{option} bind beside a listener", attempt(three.bind, one.getsockname())


@check
def bind_dual_stack():
    for v6only in (0, 1):
        six = socket.socket(socket.AF_INET6)
        six.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, v6only)
        six.bind(("::", 0))
        port = six.getsockname()[1]
        yield f"0.0.0.0 beside :: v6only={v6only}", attempt(socket.socket().bind, ("0.0.0.0", port))
        yield f"127.0.0.1 beside :: v6only={v6only}", attempt(socket.socket().bind, ("127.0.0.1", port))
        yield f"V6ONLY after bind v6only={v6only}", attempt(six.setsockopt, socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)


@check
def bind_time_wait():
    server = listener()
    address = server.getsockname()
    client = socket.create_connection(address)
    peer, _ = server.accept()
    peer.close()  # the active close is the server's: TIME-WAIT holds its port
    client.recv(1)
    client.close()
    server.close()
    time.sleep(0.05)
    yield "bind to a port in TIME-WAIT", attempt(socket.socket().bind, address)
    reuse = socket.socket()
    reuse.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    yield "bind with SO_REUSEADDR to a port in TIME-WAIT", attempt(reuse.bind, address)


# ── connect ──────────────────────────────────────────────────────────────────────────────────────────────────────


@check
def connect_blocking():
    server = listener()
    client = socket.socket()
    yield "connect", attempt(client.connect, server.getsockname())
    yield "connect again", attempt(client.connect, server.getsockname())
    yield "listen on a connected socket", attempt(client.listen)
    yield "bind a connected socket", attempt(client.bind, ("127.0.0.1", 0))
    yield "peer is the listener", client.getpeername() == server.getsockname()
    peer, address = server.accept()
    yield "accept's address is the client's", address == client.getsockname()
    yield "getpeername agrees", peer.getpeername() == client.getsockname()
    yield "getsockname agrees", peer.getsockname() == client.getpeername()
    yield "events of a connection", events(client)
    refused = socket.socket()
    port = free_port()
    yield "connect refused", attempt(refused.connect, ("127.0.0.1", port))
    yield "SO_ERROR after a blocking refusal", refused.getsockopt(1, socket.SO_ERROR)
    yield "refused again", attempt(refused.connect, ("127.0.0.1", port))
    yield "same socket, listening port", attempt(refused.connect, server.getsockname())
    yield "connect a listener", attempt(server.connect, server.getsockname())
    yield "connect a v4 socket to v6", attempt(connect_raw, socket.socket(), struct.pack("<HHI16sI", 10, 0, 0, b"\0" * 15 + b"\1", 0))
    yield "connect with a short address", attempt(connect_raw, socket.socket(), struct.pack("<H", 2) + b"\0" * 10)
    yield "connect with one byte", attempt(connect_raw, socket.socket(), b"\2")
    yield "connect to 0.0.0.0", attempt(socket.socket().connect, ("0.0.0.0", server.getsockname()[1]))
    yield "connect to multicast", attempt(socket.socket().connect, ("224.0.0.1", 80))
    yield "connect to broadcast", attempt(socket.socket().connect, ("255.255.255.255", 80))
    bound = socket.socket()
    bound.bind(("127.0.0.3", 0))
    name = bound.getsockname()
    yield "connect from a bound address", attempt(bound.connect, server.getsockname())
    yield "keeps its name", bound.getsockname() == name


LIBC = None


def connect_raw(sock, address):
    return libc_call("connect", sock.fileno(), address, len(address))


def libc_call(name, *args):
    global LIBC
    import ctypes

    if LIBC is None:
        LIBC = ctypes.CDLL(None, use_errno=True)
    result = getattr(LIBC, name)(*args)
    if result < 0:
        raise OSError(ctypes.get_errno(), name)
    return result


@check
def connect_nonblocking():
    server = listener()
    client = socket.socket()
    client.setblocking(False)
    yield "connect", code(client.connect_ex(server.getsockname()))
    yield "becomes writable", until(client, "OUT")
    yield "SO_ERROR", client.getsockopt(1, socket.SO_ERROR)
    yield "first connect afterwards", client.connect_ex(server.getsockname())
    yield "second connect afterwards", code(client.connect_ex(server.getsockname()))
    yield "peer", client.getpeername() == server.getsockname()


@check
def connect_nonblocking_refused():
    client = socket.socket()
    client.setblocking(False)
    port = free_port()
    yield "connect", code(client.connect_ex(("127.0.0.1", port)))
    yield "fails with", until(client, "ERR|HUP")
    yield "SO_ERROR", code(client.getsockopt(1, socket.SO_ERROR))
    yield "SO_ERROR again", client.getsockopt(1, socket.SO_ERROR)
    yield "getpeername", attempt(client.getpeername)
    server = listener()
    client.connect_ex(server.getsockname())
    result = code(client.connect_ex(server.getsockname()))
    yield "another connect succeeds", until(client, "OUT") if result else ""
    yield "its SO_ERROR", client.getsockopt(1, socket.SO_ERROR)
    other = socket.socket()
    other.setblocking(False)
    other.connect_ex(("127.0.0.1", port))
    until(other, "ERR|HUP")
    yield "the next connect tells the error", code(other.connect_ex(("127.0.0.1", port)))


@check
def connect_epoll_refused():
    client = socket.socket()
    client.setblocking(False)
    client.connect_ex(("127.0.0.1", free_port()))
    epoll = select.epoll()
    epoll.register(client, select.EPOLLIN | select.EPOLLOUT | select.EPOLLRDHUP | select.EPOLLET)
    found = epoll.poll(2)
    yield "edge", show(found[0][1]) if found else "none"
    yield "recv", attempt(client.recv, 1)


@check
def connect_unspec():
    client, peer, server = connected()
    unspec = struct.pack("<H", 0) + b"\0" * 14
    yield "connect AF_UNSPEC", attempt(connect_raw, client, unspec)
    yield "getpeername afterwards", attempt(client.getpeername)
    yield "the other end reads", attempt(peer.recv, 1)
    yield "connects again", attempt(client.connect, server.getsockname())
    again, _ = server.accept()
    client.sendall(b"again")
    yield "and works", received(again, 5)


@check
def connect_thread():
    """A blocking connect and accept in two threads."""
    server = listener()
    result = []
    thread = threading.Thread(target=lambda: result.append(server.accept()[0].recv(10)))
    thread.start()
    time.sleep(0.02)
    client = socket.create_connection(server.getsockname())
    client.sendall(b"hello")
    client.close()
    thread.join(5)
    yield "received", result


@check
def connect_timeout():
    server = listener(backlog=0)
    others = []
    for _ in range(2):
        sock = socket.socket()
        sock.setblocking(False)
        sock.connect_ex(server.getsockname())
        others.append(sock)
    time.sleep(0.05)
    client = socket.socket()
    client.setsockopt(1, socket.SO_SNDTIMEO, struct.pack("ll", 0, 200_000))
    yield "blocking connect with SO_SNDTIMEO to a full backlog", attempt(client.connect, server.getsockname())


# ── accept ───────────────────────────────────────────────────────────────────────────────────────────────────────


@check
def accept():
    server = listener()
    server.setblocking(False)
    yield "events of a listener", events(server)
    yield "nobody waits", attempt(server.accept)
    clients = [socket.create_connection(server.getsockname()) for _ in range(3)]
    yield "events", until(server, "IN")
    names = [server.accept()[1] for _ in range(3)]
    yield "in order", names == [client.getsockname() for client in clients]
    yield "events afterwards", events(server)
    yield "nobody waits any more", attempt(server.accept)
    yield "SO_ACCEPTCONN", server.getsockopt(1, socket.SO_ACCEPTCONN), clients[0].getsockopt(1, socket.SO_ACCEPTCONN)
    yield "getpeername of a listener", attempt(server.getpeername)
    yield "recv from a listener", attempt(server.recvfrom, 1)
    yield "listen again", attempt(server.listen, 5)


@check
def accept_edges():
    server = listener()
    server.setblocking(False)
    epoll = select.epoll()
    epoll.register(server, select.EPOLLIN | select.EPOLLET)
    edges = []
    clients = []
    for _ in range(3):
        clients.append(socket.create_connection(server.getsockname()))
        found = epoll.poll(2)
        edges.append(show(found[0][1]) if found else "none")
    yield "an edge per arrival", edges
    yield "no more", epoll.poll(0)
    for _ in range(3):
        server.accept()
    clients.append(socket.create_connection(server.getsockname()))
    found = epoll.poll(2)
    yield "an edge after all were accepted", show(found[0][1]) if found else "none"


@check
def accept_reset():
    server = listener()
    client = socket.create_connection(server.getsockname())
    client.setsockopt(1, socket.SO_LINGER, struct.pack("ii", 1, 0))
    client.close()
    time.sleep(0.05)
    peer, _ = server.accept()
    yield "accepted although reset", until(peer, "IN")
    yield "recv", attempt(peer.recv, 1)


@check
def accept_timeout():
    server = listener()
    server.setsockopt(1, socket.SO_RCVTIMEO, struct.pack("ll", 0, 50_000))
    yield "accept with SO_RCVTIMEO", attempt(server.accept)


@check
def accept_shutdown():
    server = listener()
    result = []
    thread = threading.Thread(target=lambda: result.append(attempt(server.accept)))
    thread.start()
    time.sleep(0.05)
    yield "shutdown a listener", attempt(server.shutdown, socket.SHUT_RDWR)
    thread.join(5)
    yield "its accept", result


@check
def accept_inherits():
    server = socket.socket()
    server.setsockopt(6, socket.TCP_NODELAY, 1)
    server.setsockopt(1, socket.SO_KEEPALIVE, 1)
    server.setsockopt(6, socket.TCP_KEEPIDLE, 77)
    server.setsockopt(1, socket.SO_LINGER, struct.pack("ii", 1, 5))
    server.bind(("127.0.0.1", 0))
    server.listen()
    client = socket.create_connection(server.getsockname())
    peer, _ = server.accept()
    yield "TCP_NODELAY", peer.getsockopt(6, socket.TCP_NODELAY)
    yield "SO_KEEPALIVE", peer.getsockopt(1, socket.SO_KEEPALIVE)
    yield "TCP_KEEPIDLE", peer.getsockopt(6, socket.TCP_KEEPIDLE)
    yield "SO_LINGER", struct.unpack("ii", peer.getsockopt(1, socket.SO_LINGER, 8))


@check
def reuseport_shares():
    servers = []
    for _ in range(2):
        sock = socket.socket()
        sock.setsockopt(1, socket.SO_REUSEPORT, 1)
        sock.bind(("127.0.0.1", servers[0].getsockname()[1] if servers else 0))
        sock.listen(64)
        sock.setblocking(False)
        servers.append(sock)
    clients = [socket.create_connection(servers[0].getsockname()) for _ in range(40)]
    time.sleep(0.05)
    counts = []
    for sock in servers:
        count = 0
        while not isinstance(attempt(sock.accept), str):
            count += 1
        counts.append(count)
    yield "all arrive", sum(counts) == len(clients)
    yield "both get some", min(counts) > 0


@check
def fork_accept():
    server = listener()
    child = os.fork()
    if child == 0:
        peer, _ = server.accept()
        peer.sendall(b"child")
        os._exit(0)
    client = socket.create_connection(server.getsockname())
    yield "a child accepts", received(client, 5)
    yield "and its exit is an end of file", client.recv(1)
    os.waitpid(child, 0)


# ── data and ends ────────────────────────────────────────────────────────────────────────────────────────────────


@check
def data():
    for family in (socket.AF_INET, socket.AF_INET6):
        client, peer, _ = connected(family)
        client.sendall(b"ping")
        yield f"{family} received", received(peer, 4)
        peer.sendall(b"pong")
        yield f"{family} answered", received(client, 4)
        big = os.urandom(1 << 20)
        thread = threading.Thread(target=client.sendall, args=(big,))
        thread.start()
        yield f"{family} a megabyte", received(peer, len(big)) == big
        thread.join()
        yield f"{family} zero bytes", client.send(b"")


@check
def peek_and_wait():
    client, peer, _ = connected()
    client.sendall(b"abcdef")
    until(peer, "IN")
    time.sleep(0.02)
    yield "MSG_PEEK", peer.recv(3, socket.MSG_PEEK)
    yield "FIONREAD", fionread(peer)
    yield "recv", peer.recv(3)
    yield "FIONREAD afterwards", fionread(peer)
    threading.Timer(0.05, client.sendall, (b"ghi",)).start()
    yield "MSG_WAITALL", peer.recv(6, socket.MSG_WAITALL)
    yield "MSG_DONTWAIT", attempt(peer.recv, 1, socket.MSG_DONTWAIT)
    yield "recvfrom's address", attempt_recvfrom(client, peer)
    yield "recvmsg", attempt_recvmsg(client, peer)
    yield "MSG_ERRQUEUE", attempt(peer.recvmsg, 10, 100, socket.MSG_ERRQUEUE)
    yield "SIOCATMARK", atmark(peer)
    peer.setsockopt(1, socket.SO_RCVTIMEO, struct.pack("ll", 0, 30_000))
    yield "SO_RCVTIMEO", attempt(peer.recv, 1)


def fionread(sock):
    buffer = array.array("i", [0])
    fcntl.ioctl(sock, termios.FIONREAD, buffer)
    return buffer[0]


def atmark(sock):
    buffer = array.array("i", [7])
    fcntl.ioctl(sock, 0x8905, buffer)
    return buffer[0]


def attempt_recvfrom(client, peer):
    client.sendall(b"x")
    return peer.recvfrom(1)


def attempt_recvmsg(client, peer):
    client.sendall(b"xy")
    received_, ancillary, flags, address = peer.recvmsg(10, 100)
    return received_[:1], ancillary, flags & ~0x40000000, address


@check
def sendmsg_gathers():
    client, peer, _ = connected()
    yield "sendmsg", client.sendmsg([b"one", b"two", b"three"])
    yield "received", received(peer, 11)
    yield "sendto with an address", attempt(client.sendto, b"four", ("127.0.0.1", 9))
    yield "is ignored", received(peer, 4)
    yield "writev", os.writev(client.fileno(), [b"a", b"b"])
    yield "read", os.read(peer.fileno(), 1), os.read(peer.fileno(), 1)


@check
def half_close():
    client, peer, _ = connected()
    client.sendall(b"last")
    yield "shutdown WR", attempt(client.shutdown, socket.SHUT_WR)
    yield "peer's events", until(peer, "RDHUP")
    yield "peer reads", received(peer, 4)
    yield "peer reads end", peer.recv(1)
    yield "peer's events at the end", events(peer)
    yield "peer still sends", peer.send(b"back")
    yield "client receives", received(client, 4)
    yield "client cannot send", attempt(client.send, b"x")
    yield "client's events", events(client)
    yield "getpeername still works", client.getpeername() == peer.getsockname()
    peer.close()
    yield "client's events at the end", until(client, "HUP")
    yield "client reads end", client.recv(1)
    yield "getpeername at the end", attempt(client.getpeername)
    yield "shutdown at the end", attempt(client.shutdown, socket.SHUT_WR)


@check
def shutdown_read():
    client, peer, _ = connected()
    yield "shutdown RD", attempt(client.shutdown, socket.SHUT_RD)
    yield "events", until(client, "RDHUP")
    yield "recv", client.recv(1)
    yield "still sends", client.send(b"data")
    yield "which arrives", received(peer, 4)
    yield "peer may send", peer.send(b"ignored")


@check
def shutdown_both():
    client, peer, _ = connected()
    client.sendall(b"end")
    yield "shutdown RDWR", attempt(client.shutdown, socket.SHUT_RDWR)
    yield "events", until(client, "HUP")
    yield "recv", client.recv(1)
    yield "send", attempt(client.send, b"x")
    yield "peer reads", received(peer, 3), peer.recv(1)


@check
def close_unread():
    client, peer, _ = connected()
    peer.sendall(b"unread")
    until(client, "IN")
    client.close()
    yield "peer's events", until(peer, "ERR|HUP")
    yield "peer's recv", attempt(peer.recv, 1)
    yield "then", attempt(peer.recv, 1)
    client, peer, _ = connected()
    peer.sendall(b"unread")
    until(client, "IN")
    client.close()
    until(peer, "ERR")
    yield "SO_ERROR", code(peer.getsockopt(1, socket.SO_ERROR))
    yield "SO_ERROR again", peer.getsockopt(1, socket.SO_ERROR)
    yield "recv after SO_ERROR", attempt(peer.recv, 1)


@check
def linger_reset():
    client, peer, _ = connected()
    client.setsockopt(1, socket.SO_LINGER, struct.pack("ii", 1, 0))
    client.close()
    yield "peer's events", until(peer, "ERR|HUP")
    yield "recv", attempt(peer.recv, 1)
    client, peer, _ = connected()
    client.sendall(b"before")
    client.setsockopt(1, socket.SO_LINGER, struct.pack("ii", 1, 0))
    time.sleep(0.05)
    client.close()
    until(peer, "ERR")
    yield "data before a reset", attempt(peer.recv, 10)
    yield "then", attempt(peer.recv, 10)


@check
def linger_shared():
    client, peer, _ = connected()
    client.setsockopt(1, socket.SO_LINGER, struct.pack("ii", 1, 0))
    other = client.dup()
    client.close()
    other.send(b"still there")
    yield "with a descriptor left", attempt(peer.recv, 20), events(peer)
    other.close()
    yield "with none left", until(peer, "ERR|HUP")
    client, peer, _ = connected()
    client.setsockopt(1, socket.SO_LINGER, struct.pack("ii", 1, 0))
    child = os.fork()
    if child == 0:
        peer.close()
        signal.pause()
    client.close()
    peer.send(b"?")
    yield "with a process left", events(peer)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    yield "when it is killed", until(peer, "ERR|HUP")


@check
def linger_ends():
    client, peer, _ = connected()
    client.setsockopt(1, socket.SO_LINGER, struct.pack("ii", 1, 0))
    client.shutdown(socket.SHUT_WR)
    yield "shutdown is orderly", until(peer, "RDHUP"), attempt(peer.recv, 1)
    client.close()
    yield "close is not", until(peer, "ERR|HUP")
    yield "which is no reset to who has read the end", code(peer.getsockopt(1, socket.SO_ERROR)), attempt(peer.recv, 1)
    client, peer, _ = connected()
    client.setsockopt(1, socket.SO_LINGER, struct.pack("ii", 1, 3))
    client.sendall(b"x" * 300_000)
    reader = threading.Thread(target=lambda: found.append(len(received(peer, 300_001))))
    found = []
    reader.start()
    client.close()
    reader.join()
    yield "with a time everything arrives", found, events(peer)
    client, peer, _ = connected()
    child = os.fork()
    if child == 0:
        client.setsockopt(1, socket.SO_LINGER, struct.pack("ii", 1, 3))
        client.sendall(b"x" * 300_000)
        os._exit(0)
    client.close()
    yield "by a program that ends, too", len(received(peer, 300_001))
    os.waitpid(child, 0)


@check
def send_timeout():
    client, peer, _ = connected()
    end = time.monotonic() + 0.1
    while time.monotonic() < end:
        if attempt(client.send, b"x" * 65_536, socket.MSG_DONTWAIT) != "EAGAIN":
            end = time.monotonic() + 0.1
    client.setsockopt(1, socket.SO_SNDTIMEO, struct.pack("ll", 0, 100_000))
    # A part of it may still find room.
    for name, *arguments in ("send", b"x" * 65_536), ("sendto", b"x" * 65_536, ("192.0.2.1", 9)), ("sendmsg", [b"x" * 65_536]):
        while attempt(getattr(client, name), *arguments) != "EAGAIN":
            pass
        yield name, "EAGAIN"


@check
def close_delivers():
    client, peer, _ = connected()
    client.sendall(b"x" * 100_000)
    client.close()
    data = received(peer, 100_001)
    yield "all bytes before the end", len(data)
    yield "events", events(peer)
    yield "send to a closed peer", peer.send(b"y")
    yield "makes", until(peer, "ERR|HUP")
    yield "and then send", attempt(peer.send, b"y")


@check
def backpressure():
    client, peer, _ = connected()
    client.setblocking(False)
    total = 0
    while True:
        try:
            total += client.send(b"z" * 65536)
        except BlockingIOError:
            if events(client, 200) == "none":
                break
    yield "a peer that does not read stops the sender", "OUT" not in events(client)
    peer.settimeout(5)
    got = 0
    while got < total:
        got += len(peer.recv(1 << 20))
    yield "all of it arrives", got == total
    yield "and it may send again", until(client, "OUT")


@check
def dup_and_fork():
    client, peer, _ = connected()
    twin = client.dup()
    client.close()
    yield "a duplicate lives on", twin.send(b"x"), peer.recv(1)
    child = os.fork()
    if child == 0:
        twin.sendall(b"from the child")
        os._exit(0)
    os.waitpid(child, 0)
    yield "a child writes", received(peer, 14)
    twin.close()
    yield "the last close is the end", peer.recv(1)


@check
def epoll_modes():
    client, peer, _ = connected()
    epoll = select.epoll()
    epoll.register(peer, select.EPOLLIN | select.EPOLLET)
    yield "nothing", epoll.poll(0)
    client.sendall(b"a")
    yield "edge", [show(mask) for _, mask in epoll.poll(2)]
    yield "no second edge", epoll.poll(0.02)
    client.sendall(b"b")
    yield "edge for more", [show(mask) for _, mask in epoll.poll(2)]
    yield "oneshot", oneshot(client, peer)
    yield "select", [len(ready) for ready in select.select([peer], [peer], [peer], 1)]


def oneshot(client, peer):
    epoll = select.epoll()
    epoll.register(peer, select.EPOLLIN | select.EPOLLONESHOT)
    first = len(epoll.poll(2))
    return first, len(epoll.poll(0))


@check
def signals_interrupt():
    server = listener()
    caught = []
    signal.signal(signal.SIGUSR1, lambda *_: caught.append(1))
    signal.siginterrupt(signal.SIGUSR1, True)
    main = threading.main_thread().ident
    done = threading.Event()

    def shoot():
        while not done.wait(0.02):
            signal.pthread_kill(main, signal.SIGUSR1)

    thread = threading.Thread(target=shoot)
    thread.start()
    result = attempt(libc_call, "accept", server.fileno(), None, None)
    done.set()
    thread.join()
    signal.siginterrupt(signal.SIGUSR1, False)
    yield "accept is interrupted", result
    client = socket.create_connection(server.getsockname())
    peer, address = server.accept()
    yield "and loses nothing", address == client.getsockname()


# ── v4-mapped ────────────────────────────────────────────────────────────────────────────────────────────────────


@check
def sigio():
    server = listener()
    heard = []
    signal.signal(signal.SIGIO, lambda *_: heard.append(1))

    def awaited():
        end = time.monotonic() + 2
        while not heard and time.monotonic() < end:
            time.sleep(0.005)
        return len(heard) > 0

    def signalled(sock):
        fcntl.fcntl(sock, fcntl.F_SETOWN, os.getpid())
        fcntl.fcntl(sock, fcntl.F_SETFL, fcntl.fcntl(sock, fcntl.F_GETFL) | os.O_ASYNC)
        heard.clear()

    signalled(server)
    client = socket.create_connection(server.getsockname())
    yield "a connection arrives", awaited()
    peer, _ = server.accept()
    signalled(peer)
    client.send(b"x")
    yield "data arrives", awaited()
    heard.clear()
    client.close()
    yield "the end arrives", awaited()
    other = socket.socket()
    other.setblocking(False)
    signalled(other)
    other.connect_ex(server.getsockname())
    yield "connected", awaited()
    # What is yet to happen to these sockets is no reason to die.
    signal.signal(signal.SIGIO, signal.SIG_IGN)


@check
def mapped():
    server = socket.socket(socket.AF_INET6)
    server.setsockopt(41, socket.IPV6_V6ONLY, 0)
    server.bind(("::", 0))
    server.listen()
    port = server.getsockname()[1]
    client = socket.create_connection(("127.0.0.1", port))
    peer, address = server.accept()
    yield "a v4 client of a v6 listener", address[0], peer.getsockname()[0], peer.family == socket.AF_INET6
    client = socket.socket(socket.AF_INET6)
    yield "a v6 socket to a mapped address", attempt(client.connect, ("::ffff:127.0.0.1", port))
    yield "its names", client.getsockname()[0], client.getpeername()[0]
    client = socket.create_connection(("::1", port))
    yield "and v6 itself", server.accept() and client.getpeername()[0]
    only = socket.socket(socket.AF_INET6)
    only.setsockopt(41, socket.IPV6_V6ONLY, 1)
    yield "v6only to a mapped address", attempt(only.connect, ("::ffff:127.0.0.1", port))
    single = socket.socket(socket.AF_INET6)
    single.setsockopt(41, socket.IPV6_V6ONLY, 1)
    single.bind(("::", 0))
    single.listen()
    yield "v4 to a v6only listener", attempt(socket.socket().connect, ("127.0.0.1", single.getsockname()[1]))


# ── options ──────────────────────────────────────────────────────────────────────────────────────────────────────

SKIPPED = {
    (1, 7), (1, 8), (1, 55), (1, 56), (1, 57), (1, 71),  # sizes, cookies
    (6, 11), (6, 13), (6, 24),  # state, the machine's algorithm, a clock
    (41, 32), (41, 80), (41, 64), (41, 65), (41, 68), (41, 69), (0, 41), (0, 48),  # netfilter
    (1, 82), (1, 83), (6, 35), (6, 43), (6, 44), (6, 29), (6, 26),  # newer than most kernels
}


@check
def option_defaults():
    for family in (socket.AF_INET, socket.AF_INET6):
        sock = socket.socket(family)
        for level, last in ((1, 78), (6, 38), (0, 53), (41, 79)):
            for option in range(1, last):
                if (level, option) not in SKIPPED:
                    yield f"get {family} {level} {option}", got(sock, level, option)


def got(sock, level, option, size=256):
    try:
        value = sock.getsockopt(level, option, size)
    except OSError as error:
        return code(error.errno)
    return struct.unpack("i", value)[0] if len(value) == 4 else f"{value.hex()}/{len(value)}"


SETTABLE = (
    (1, 2), (1, 5), (1, 6), (1, 9), (1, 10), (1, 12), (1, 15), (1, 18), (1, 29), (1, 35), (1, 3), (1, 4), (1, 30), (1, 38), (1, 39),
    (6, 1), (6, 2), (6, 3), (6, 4), (6, 5), (6, 6), (6, 7), (6, 8), (6, 12), (6, 18), (6, 11), (6, 99),
    (0, 1), (0, 2), (0, 8), (0, 10), (0, 11), (0, 12), (0, 13), (0, 33), (0, 34), (0, 14), (0, 99),
    (41, 16), (41, 25), (41, 26), (41, 49), (41, 51), (41, 66), (41, 67), (41, 99), (41, 18), (41, 23),
)


@check
def option_values():
    for family in (socket.AF_INET, socket.AF_INET6):
        for level, option in SETTABLE:
            for value in (0, 1, 5, 255, 256, -1, -2):
                sock = socket.socket(family)
                result = attempt(sock.setsockopt, level, option, value)
                yield f"set {family} {level} {option} to {value}", result if result is not None else got(sock, level, option)


@check
def option_lengths():
    sock = socket.socket()
    for level, option in ((1, 2), (1, 13), (1, 20), (6, 1), (0, 1), (0, 2)):
        for length in (0, 1, 2, 3, 4, 5, 8, 16):
            result = attempt(sock.setsockopt, level, option, b"\1" + b"\0" * (length - 1) if length else b"")
            yield f"set {level} {option} with {length} bytes", result
            size = length or None
            yield f"get {level} {option} with {length} bytes", got(sock, level, option, size) if size else "-"
    yield "buffer sizes are doubled", doubled(socket.SO_SNDBUF), doubled(socket.SO_RCVBUF)
    yield "and have a floor", floor(socket.SO_SNDBUF), floor(socket.SO_RCVBUF)
    sock.setsockopt(1, socket.SO_LINGER, struct.pack("ii", 1, 7))
    yield "SO_LINGER", struct.unpack("ii", sock.getsockopt(1, socket.SO_LINGER, 8))
    sock.setsockopt(1, socket.SO_RCVTIMEO, struct.pack("ll", 3, 500_000))
    yield "SO_RCVTIMEO", struct.unpack("ll", sock.getsockopt(1, socket.SO_RCVTIMEO, 16))
    yield "SO_RCVTIMEO with too many microseconds", attempt(sock.setsockopt, 1, socket.SO_RCVTIMEO, struct.pack("ll", 0, 1_000_000))
    yield "SO_BINDTODEVICE lo", attempt(sock.setsockopt, 1, 25, b"lo\0")
    yield "SO_BINDTODEVICE nothing", attempt(sock.setsockopt, 1, 25, b"nope0\0")
    yield "SO_BINDTODEVICE", sock.getsockopt(1, 25, 16)
    yield "TCP_CONGESTION reno", attempt(sock.setsockopt, 6, 13, b"reno"), sock.getsockopt(6, 13, 16).rstrip(b"\0")
    yield "TCP_CONGESTION unknown", attempt(sock.setsockopt, 6, 13, b"nonsense")
    yield "unknown level", attempt(sock.setsockopt, 77, 1, 1), attempt(sock.getsockopt, 77, 1)


def doubled(option):
    sock = socket.socket()
    sock.setsockopt(1, option, 20_000)
    return sock.getsockopt(1, option)


def floor(option):
    sock = socket.socket()
    sock.setsockopt(1, option, 1)
    return sock.getsockopt(1, option)


@check
def tcp_info():
    client, peer, server = connected()
    yield "states", [sock.getsockopt(6, 11, 1)[0] for sock in (socket.socket(), server, client)]
    client.shutdown(socket.SHUT_WR)
    until(peer, "RDHUP")
    time.sleep(0.02)
    yield "after a FIN", [sock.getsockopt(6, 11, 1)[0] for sock in (client, peer)]
    yield "IP_MTU is known", isinstance(got(client, 0, 14), int)
    yield "length for a short buffer", len(client.getsockopt(6, 11, 104))


@check
def not_sockets():
    yield "getsockname of a file", attempt(libc_call, "getsockname", os.open("/dev/null", os.O_RDONLY), b"x" * 32, b"\x10\0\0\0")
    yield "connect on nothing", attempt(libc_call, "connect", 999, b"\2" * 16, 16)
    pair = socket.socketpair()
    yield "a unix pair works", pair[0].send(b"x"), pair[1].recv(1)
    yield "and has names", pair[0].getsockname(), pair[0].getpeername()
    yield "bad pointer", attempt(libc_call, "connect", socket.socket().detach(), None, 16)


# ── what is known to be answered otherwise in the sandbox ────────────────────────────────────────────────────────


@check
def unlike_idle():
    sock = socket.socket()
    sock.setblocking(False)
    yield "events", events(sock)
    yield "recv", attempt(sock.recv, 1)
    yield "send", attempt(sock.send, b"x", socket.MSG_NOSIGNAL)
    server = listener()
    server.setblocking(False)
    yield "events of a listener", events(server)
    yield "recv of a listener", attempt(server.recv, 1)


@check
def unlike_failed():
    sock = socket.socket()
    sock.setblocking(False)
    sock.connect_ex(("127.0.0.1", free_port()))
    yield "events", until(sock, "ERR|HUP")
    yield "recv", attempt(sock.recv, 1)
    yield "recv again", attempt(sock.recv, 1)
    yield "send", attempt(sock.send, b"x", socket.MSG_NOSIGNAL)


@check
def unlike_urgent():
    client, peer, _ = connected()
    client.send(b"!", socket.MSG_OOB)
    yield "alone", until(peer, "PRI")
    yield "taken", peer.recv(1, socket.MSG_OOB)
    client.send(b"abc")
    client.send(b"!", socket.MSG_OOB)
    client.send(b"d")
    until(peer, "PRI")
    time.sleep(0.05)
    yield "counted", fionread(peer)


def main():
    only = sys.argv[1:]
    for function in CHECKS:
        if only and function.__name__ not in only:
            continue
        try:
            for result in function():
                values = result[1:]
                print(f"{function.__name__}: {result[0]}: {values[0] if len(values) == 1 else values}", flush=True)
        except Exception as error:  # a check that breaks must not hide the others
            print(f"{function.__name__}: broke: {type(error).__name__} {error}", flush=True)


signal.alarm(120)
main()
