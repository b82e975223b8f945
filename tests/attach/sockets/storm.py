"""Signals all the time, whose handler has SA_RESTART: nobody may see anything of them but in the clock.

Prints what went otherwise than without them, and at the end how often all of it was done.
"""

import ctypes
import errno
import select
import signal
import socket
import struct
import sys

rounds, interval = int(sys.argv[1]), float(sys.argv[2])
libc = ctypes.CDLL(None, use_errno=True)
STREAM, DATAGRAM = socket.SOCK_STREAM, socket.SOCK_DGRAM
size = ctypes.c_uint(16)
here = ctypes.create_string_buffer(16)
buffer = ctypes.create_string_buffer(4)
LOOPBACK = struct.pack("=H", socket.AF_INET) + struct.pack("!H4s8x", 0, bytes([127, 0, 0, 1]))


def expect(name, result, wanted, error=0):
    number = ctypes.get_errno() if result < 0 else 0
    if (result, number) != (wanted, error):
        print(f"{name}: {result} {errno.errorcode.get(number, number)}")


def name_of(fd):
    size.value = 16
    expect("getsockname", libc.getsockname(fd, here, ctypes.byref(size)), 0)
    return here.raw


def opened(kind):
    return libc.socket(socket.AF_INET, kind, 0)


def streams():
    server, client = opened(STREAM), opened(STREAM)
    expect("bind", libc.bind(server, LOOPBACK, 16), 0)
    expect("listen", libc.listen(server, 5), 0)
    expect("connect", libc.connect(client, name_of(server), 16), 0)
    expect("connect again", libc.connect(client, name_of(server), 16), -1, errno.EISCONN)
    accepted = libc.accept(server, None, None)
    expect("accept", min(accepted, 0), 0)
    for fd in (accepted, client, server):
        libc.close(fd)


def refused():
    taken, client = opened(STREAM), opened(STREAM | socket.SOCK_NONBLOCK)
    libc.bind(taken, LOOPBACK, 16)
    result = libc.connect(client, name_of(taken), 16)
    if result < 0 and ctypes.get_errno() == errno.EINPROGRESS:
        select.select([], [client], [])
        size.value, error = 4, ctypes.c_int()
        libc.getsockopt(client, socket.SOL_SOCKET, socket.SO_ERROR, ctypes.byref(error), ctypes.byref(size))
        ctypes.set_errno(error.value)
    expect("refused", result, -1, errno.ECONNREFUSED)
    libc.close(taken)
    libc.close(client)


def datagrams():
    receiver, sender = opened(DATAGRAM), opened(DATAGRAM)
    expect("bind of datagrams", libc.bind(receiver, LOOPBACK, 16), 0)
    target = name_of(receiver)
    for i in range(4):
        expect("sendto", libc.sendto(sender, struct.pack("=I", i), 4, 0, target, 16), 4)
    for i in range(4):
        size.value = 16
        expect("recvfrom", libc.recvfrom(receiver, buffer, 4, 0, here, ctypes.byref(size)), 4)
        expect("datagram", struct.unpack("=I", buffer.raw)[0], i)
    more = libc.recvfrom(receiver, buffer, 4, socket.MSG_DONTWAIT, here, ctypes.byref(size))
    expect("no more", more, -1, errno.EAGAIN)
    libc.close(receiver)
    libc.close(sender)


signal.signal(signal.SIGALRM, lambda *_: None)
signal.siginterrupt(signal.SIGALRM, False)
signal.setitimer(signal.ITIMER_REAL, interval, interval)
for _ in range(rounds):
    streams()
    refused()
    datagrams()
signal.setitimer(signal.ITIMER_REAL, 0)
print("rounds", rounds)
