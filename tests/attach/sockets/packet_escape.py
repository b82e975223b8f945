"""Tries to reach the host's frames by packet sockets of a sandbox. Prints one line per attempt, as escape.py does.

Arguments: a marker, and a path that leads to the host's network namespace. When "listening" has been printed, whoever sends the marker on the host's network does so, and then
ends our standard input.
"""

import ctypes
import errno
import fcntl
import os
import socket
import struct
import sys

marker, namespace = sys.argv[1].encode(), sys.argv[2]
libc = ctypes.CDLL(None, use_errno=True)
NEWUSER, NEWNET = 0x10000000, 0x40000000


def say(name, outcome):
    print(f"{name}: {outcome}", flush=True)


def attempt(name, what):
    try:
        what()
        say(name, "works")
    except OSError as error:
        say(name, "EOPNOTSUPP" if error.errno == errno.EOPNOTSUPP else errno.errorcode[error.errno])


def packet():
    return socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))


def must(result):
    if result < 0:
        raise OSError(ctypes.get_errno(), "")


def inside(name, flags):
    """In namespaces of our own making."""
    sys.stdout.flush()
    if os.fork() == 0:
        try:
            must(libc.unshare(flags))
            attempt(name, packet)
        except OSError as error:
            say(name, "unshare " + errno.errorcode[error.errno])
        os._exit(0)
    os.wait()


def bind(opened, index):
    address = struct.pack("HHiHBB8s", 17, 0, index, 0, 0, 0, b"")
    must(libc.bind(opened.fileno(), address, len(address)))


try:
    sniffer = packet()
    say("packet socket", "works")
except OSError as error:
    sniffer = None
    say("packet socket", errno.errorcode[error.errno])

inside("own user and network namespace", NEWUSER | NEWNET)
inside("own user namespace", NEWUSER)


def host():
    network = os.open(namespace, os.O_RDONLY)
    must(libc.setns(network, NEWNET))


if os.fork() == 0:
    try:
        host()
        attempt("the host's namespace", packet)
    except OSError as error:
        say("the host's namespace", errno.errorcode[error.errno])
    os._exit(0)
os.wait()

if sniffer is not None:
    found = []
    # One that hears nothing is bound in no time.
    silent = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
    for index in range(1, 1000):
        try:
            bind(silent, index)
            found.append(index)
        except OSError:
            pass
    say("interfaces", found)
    attempt("namespace of a socket", lambda: fcntl.ioctl(sniffer, 0x894C))
    attempt("flags", lambda: fcntl.ioctl(sniffer, 0x8914, struct.pack("16sH14x", b"eth0", 0)))
    with open("/dev/net/tun", "r+b", buffering=0) as tun:
        request = struct.pack("16sH22x", b"eth0", 0x1002)
        attempt("the far end", lambda: fcntl.ioctl(tun, 0x400454CA, request))
    attempt("connect", lambda: sniffer.connect(("eth0", 0)))
    sniffer.setblocking(False)
    say("listening", "yes")
    sys.stdin.read()
    heard = 0
    while True:
        try:
            heard += marker in sniffer.recv(2000)
        except BlockingIOError:
            break
    say("frames of the host", heard)
