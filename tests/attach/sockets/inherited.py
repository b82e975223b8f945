"""Sockets of the host's network that a guest has inherited: what may be done with them.

`outer SLUICE…` makes them and executes sluice with `inner` in it, which prints one line per attempt.
"""

import errno
import os
import socket
import sys

if sys.argv[1] == "outer":
    listener = socket.create_server(("127.0.0.1", 0))
    connected = socket.create_connection(listener.getsockname())
    kinds = socket.SOCK_STREAM, socket.SOCK_STREAM, socket.SOCK_DGRAM
    given = [socket.socket(socket.AF_INET, kind) for kind in kinds] + [listener, connected]
    given.append(socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 0))
    try:
        given.append(socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0))
    except PermissionError:
        pass
    peer, _ = listener.accept()
    for one in given + [peer]:
        os.set_inheritable(one.fileno(), True)
    numbers = [str(one.fileno()) for one in given]
    os.execvp(sys.argv[2], sys.argv[2:] + ["inner", str(listener.getsockname()[1])] + numbers)

target = "127.0.0.1", int(sys.argv[2])
stream, unbound, datagram, listener, connected, netlink, *packets = [socket.socket(fileno=int(word)) for word in sys.argv[3:]]
FASTOPEN = 0x20000000
try:
    # From now on a descriptor that nobody knows may be one of these.
    packet = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
except PermissionError:
    pass


def attempt(name, what):
    try:
        what()
        print(name, "works")
    except OSError as error:
        print(name, error.errno if error.errno == errno.EOPNOTSUPP else errno.errorcode[error.errno])


attempt("connect", lambda: stream.connect(target))
attempt("connect of datagrams", lambda: datagram.connect(target))
attempt("bind", lambda: stream.bind(("127.0.0.1", 0)))
attempt("listen", lambda: unbound.listen(1))
attempt("sendto", lambda: datagram.sendto(b"x", target))
attempt("sendmsg", lambda: datagram.sendmsg([b"x"], [], 0, target))
attempt("sendmsg that connects", lambda: stream.sendmsg([b"x"], [], FASTOPEN, target))
attempt("sendto that connects", lambda: stream.sendto(b"x", FASTOPEN, target))
attempt("sendmsg to its peer", lambda: connected.sendmsg([b"x"]))
attempt("send to its peer", lambda: connected.send(b"x"))
attempt("a longer backlog", lambda: listener.listen(5))
attempt("bind of netlink", lambda: netlink.bind((0, 1)))
for given in packets:
    attempt("bind of packets", lambda: given.bind(("lo", 3)))
    attempt("sendto of packets", lambda: given.sendto(b"x" * 60, ("lo", 3)))
    attempt("sendmsg of packets", lambda: given.sendmsg([b"x" * 60], [], 0, ("lo", 3)))
