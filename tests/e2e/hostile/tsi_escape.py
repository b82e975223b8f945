"""A program that holds sockets of the host (`--tsi-handoff`) and wants them to lead where they must not.

Usage: tsi_escape.py ALLOWED PORT. A server listens on PORT of every address of the host; ALLOWED is the one that may be
reached, 127.0.0.1 is forbidden (`--host-loopback=false`). One line per attempt; the server counts who came to 127.0.0.1.
"""

import array
import ctypes
import errno
import os
import socket
import struct
import sys
import threading

ALLOWED, PORT = sys.argv[1], int(sys.argv[2])
FORBIDDEN = ("127.0.0.1", PORT)
FASTOPEN = 0x20000000
ROUNDS = 1_000
libc = ctypes.CDLL(None, use_errno=True)


def attempt(name, call, *arguments):
    try:
        call(*arguments)
        print(f"{name}: done", flush=True)
    except OSError as error:
        print(f"{name}: {errno.errorcode[error.errno]}", flush=True)


def tcp():
    return socket.socket(socket.AF_INET, socket.SOCK_STREAM)


def name_of(host):
    return struct.pack("=H", 2) + struct.pack(">H", PORT) + socket.inet_aton(host) + bytes(8)


attempt("connect", tcp().connect, FORBIDDEN)
six = socket.socket(socket.AF_INET6)
attempt("mapped connect", six.connect, ("::ffff:127.0.0.1", PORT))
attempt("unspecified connect", tcp().connect, ("0.0.0.0", PORT))
attempt("link-local connect", tcp().connect, ("169.254.169.254", 80))
attempt("sendto with MSG_FASTOPEN", tcp().sendto, b"x", FASTOPEN, FORBIDDEN)
attempt("sendmsg with MSG_FASTOPEN", tcp().sendmsg, [b"x"], [], FASTOPEN, FORBIDDEN)

# Connected, it is let go and pointed elsewhere.
away = tcp()
away.connect((ALLOWED, PORT))
libc.connect(away.fileno(), bytes(16), 16)
attempt("connect after AF_UNSPEC", away.connect, FORBIDDEN)

# Sent to somebody else and back, it is another descriptor of the same socket.
left, right = socket.socketpair()
far = tcp()
left.sendmsg([b"x"], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [far.fileno()]))])
_, control, _, _ = right.recvmsg(1, socket.CMSG_SPACE(4))
passed = socket.socket(fileno=array.array("i", control[0][2])[0])
attempt("connect after SCM_RIGHTS", passed.connect, FORBIDDEN)

connected = tcp()
connected.connect((ALLOWED, PORT))
attempt("listen when connected", connected.listen)
attempt("source route", tcp().setsockopt, socket.SOL_IP, socket.IP_OPTIONS, b"\x83\x07\x04\x7f\x00\x00\x01\x00")
for what, level, option in (
    ("SO_MARK", socket.SOL_SOCKET, 36),
    ("IP_TRANSPARENT", socket.SOL_IP, 19),
    ("TCP_REPAIR", socket.SOL_TCP, 19),
):
    attempt(what, tcp().setsockopt, level, option, 1)

# A name that changes while it is looked at.
name = ctypes.create_string_buffer(name_of(ALLOWED), 16)
over = False


def flip():
    good, bad = socket.inet_aton(ALLOWED), socket.inet_aton("127.0.0.1")
    while not over:
        ctypes.memmove(ctypes.addressof(name) + 4, bad, 4)
        ctypes.memmove(ctypes.addressof(name) + 4, good, 4)


thread = threading.Thread(target=flip)
thread.start()
reached = 0
for _ in range(ROUNDS):
    one = tcp()
    if libc.connect(one.fileno(), name, 16) == 0 and one.getpeername()[0] != ALLOWED:
        # One in 28 000 has the port that it asks for: on a loopback it connects to itself, on the guest's own as on any.
        reached += one.getpeername() != one.getsockname()
    one.close()
over = True
thread.join()
print(f"changing name: {reached}", flush=True)

# A descriptor that changes while it is looked at: calls that a unix socket may make hit a socket of the host.
unix = socket.socket(socket.AF_UNIX)
unix.bind("")
victim = tcp()
number = os.dup(unix.fileno())
over = False


def exchange():
    while not over:
        os.dup2(victim.fileno(), number)
        os.dup2(unix.fileno(), number)


thread = threading.Thread(target=exchange)
thread.start()
forbidden = name_of("127.0.0.1")
for _ in range(ROUNDS):
    libc.listen(number, 1)
    libc.connect(number, forbidden, 16)
    libc.sendto(number, b"x", 1, FASTOPEN | socket.MSG_NOSIGNAL, forbidden, 16)
over = True
thread.join()
accepts = victim.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN)
try:
    peer = victim.getpeername()
except OSError as error:
    peer = errno.errorcode[error.errno]
print(f"changing descriptor: {accepts} {peer}", flush=True)
