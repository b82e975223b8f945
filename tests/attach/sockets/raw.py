"""Raw sockets, as a kernel's loopback and ours must answer alike. Prints one line per thing that was looked at."""
import socket
import struct

ICMP, ICMPV6, UDP, RAW, ANY_OTHER = 1, 58, 17, 255, 253


def checksum(data):
    total = sum(struct.unpack("!%dH" % (len(data) // 2), data))
    total = (total >> 16) + (total & 0xFFFF)
    return ~(total + (total >> 16)) & 0xFFFF


def echo(identifier):
    message = struct.pack("!BBHHH", 8, 0, 0, identifier, 1) + b"data"
    return message[:2] + struct.pack("!H", checksum(message)) + message[4:]


def attempt(what, do):
    try:
        print(what, do())
    except OSError as error:
        print(what, error.errno)


def raw(family, protocol):
    opened = socket.socket(family, socket.SOCK_RAW, protocol)
    opened.settimeout(5)
    return opened


s = raw(socket.AF_INET, ICMP)
s.sendto(echo(77), ("127.0.0.1", 0))
for _ in range(2):
    data, source = s.recvfrom(2000)
    print("echo", data[0], data[9], data[20], len(data), source)
s.setsockopt(socket.SOL_RAW if hasattr(socket, "SOL_RAW") else 255, 1, struct.pack("I", 1 << 8))
s.sendto(echo(78), ("127.0.0.1", 0))
print("filtered", s.recv(99)[20], s.getsockopt(255, 1, 4), s.getsockname())

closed = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
closed.bind(("127.0.0.1", 0))
nobody = closed.getsockname()
closed.close()
u = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
u.sendto(b"x", nobody)
data = s.recv(999)
print("an error", data[20], data[21])

h = raw(socket.AF_INET, RAW)
print("IP_HDRINCL", h.getsockopt(0, 3))
header = struct.pack("!BBHHHBBH4s4s", 0x45, 0, 0, 0, 0, 9, ICMP, 0, bytes(4), socket.inet_aton("127.0.0.1"))
h.sendto(header + echo(79), ("127.0.0.1", 0))
data = s.recv(999)
print("own header", data[20], struct.unpack("!H", data[2:4])[0], len(data), data[12:16])
attempt("half a header", lambda: h.sendto(header[:12], ("127.0.0.1", 0)))
attempt("IP_HDRINCL of UDP", lambda: u.setsockopt(0, 3, 1))
attempt("a UDP socket has no filter", lambda: u.setsockopt(255, 1, bytes(4)))

copies = raw(socket.AF_INET, UDP)
u = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
u.bind(("127.0.0.1", 0))
u.sendto(b"abc", u.getsockname())
print("a copy", copies.recv(99)[28:], u.recv(9))
attempt("ICMP_FILTER of UDP", lambda: copies.setsockopt(255, 1, bytes(4)))

six = raw(socket.AF_INET6, ICMPV6)
six.setsockopt(41, 49, 1)
six.setsockopt(41, 51, 1)
print("IPV6_CHECKSUM", six.getsockopt(255, 7))
blocked = bytearray(b"\xff" * 32)
blocked[129 // 8] &= ~(1 << 129 % 8)
six.setsockopt(58, 1, bytes(blocked))
print("ICMP6_FILTER", six.getsockopt(58, 1, 32) == bytes(blocked))
six.sendto(struct.pack("!BBHHH", 128, 0, 0, 5, 1) + b"six", ("::1", 0))
data, control, _, source = six.recvmsg(99, 99)
print("echo", data[0], data[8:], source, sorted((level, kind) for level, kind, _ in control))

c = raw(socket.AF_INET, ANY_OTHER)
attempt("unconnected", lambda: c.sendmsg([b"hello"]))
c.connect(("127.0.0.1", 0))
print("sent", c.send(b"hello"), c.recv(99)[20:])
attempt("peer", c.getpeername)
for protocol in 0, 300:
    attempt("protocol %d" % protocol, lambda: raw(socket.AF_INET, protocol))
