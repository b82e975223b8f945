"""Tries to reach the host's frames by packet sockets of a sandbox. Prints one line per attempt, as escape.py does.

Arguments: a marker, a path that leads to the host's network namespace, and a UDP port of the host's loopback. When "listening" has been printed, whoever sends the marker on the host's network does so, and then
ends our standard input.
"""

import ctypes
import errno
import fcntl
import os
import socket
import struct
import sys

marker, namespace, port = sys.argv[1].encode(), sys.argv[2], int(sys.argv[3])
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

GATEWAY = "10.0.2.2"


def datagram():
    """A frame to the gateway with a datagram to the port, which is the host's if the gateway may reach its loopback."""
    with open("/sys/class/net/eth0/address") as file:
        me = bytes.fromhex(file.read().strip().replace(":", ""))
    body = struct.pack("!HHHH", 4000, port, 8 + len(marker), 0) + marker
    header = struct.pack("!BBHHHBBH", 0x45, 0, 20 + len(body), 1, 0, 64, 17, 0)
    header += socket.inet_aton("10.0.2.100") + socket.inet_aton(GATEWAY)
    total = sum(struct.unpack("!10H", header))
    total = (total & 0xFFFF) + (total >> 16)
    header = header[:10] + struct.pack("!H", ~total & 0xFFFF) + header[12:]
    return bytes.fromhex("5a94efe40cdd") + me + b"\x08\x00" + header + body


def answer(opened):
    """Protocol, ICMP type and code of the first frame that comes in."""
    while True:
        data, source = opened.recvfrom(2000)
        if source[1] == 0x800 and source[2] == socket.PACKET_HOST:
            return data[23], data[34], data[35]


if sniffer is not None:
    sniffer.settimeout(5)
    sniffer.sendto(datagram(), ("eth0", 0x800))
    say("a frame to the host's loopback", answer(sniffer))
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
