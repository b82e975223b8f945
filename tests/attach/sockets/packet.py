"""Packet sockets on the loopback: a kernel's and ours must answer alike. Prints one line per thing that was looked at."""
import ctypes
import fcntl
import mmap
import select
import socket
import struct

ALL, IP, ARP = 3, 0x0800, 0x0806
SOL_PACKET = 263
ADD_MEMBERSHIP, RX_RING, STATISTICS, AUXDATA, VERSION, RESERVE, FANOUT = 1, 5, 6, 8, 10, 12, 18
TPACKET_V3 = 2


def attempt(what, do):
    try:
        print(what, do())
    except OSError as error:
        print(what, error.errno)


def packet(kind, protocol, name=None):
    opened = socket.socket(socket.AF_PACKET, kind, 0 if name else socket.htons(protocol))
    opened.settimeout(5)
    if name:
        opened.bind((name, protocol))
    return opened


def shown(data, source):
    return len(data), data[:14].hex(), source


server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
server.bind(("127.0.0.1", 0))
port = server.getsockname()[1]
client = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
client.connect(("127.0.0.1", port))

# What is seen, and how: once as it leaves and once as it comes in, or only then by who names a protocol.
frames, datagrams = packet(socket.SOCK_RAW, ALL, "lo"), packet(socket.SOCK_DGRAM, IP)
print("names", frames.getsockname(), datagrams.getsockname())
client.send(b"x" * 100)
for _ in range(2):
    print("frame", shown(*frames.recvfrom(2000)))
data, source = datagrams.recvfrom(2000)
print("datagram", len(data), data[0], data[9], data[12:20].hex(), source)
client.send(b"y" * 100)
data, control, flags, source = frames.recvmsg(20, 100)
print("truncated", len(data), control, flags, source)
frames.setsockopt(SOL_PACKET, AUXDATA, 1)
data, control, flags, source = frames.recvmsg(2000, 100)
print("auxiliary", [(level, kind, len(value)) for level, kind, value in control], flags)
print("statistics", struct.unpack("II", frames.getsockopt(SOL_PACKET, STATISTICS, 8))[1])
print("forgotten", frames.getsockopt(SOL_PACKET, STATISTICS, 8).hex())
print("options", [frames.getsockopt(socket.SOL_SOCKET, option) for option in (socket.SO_TYPE, 38, 39, 4)])

# A ring, as tcpdump has it.
ring = packet(socket.SOCK_RAW, ALL)
ring.setsockopt(SOL_PACKET, VERSION, TPACKET_V3)
block, count = 1 << 16, 4
ring.setsockopt(SOL_PACKET, RX_RING, struct.pack("IIIIIII", block, count, 2048, block * count // 2048, 10, 0, 0))
ring.bind(("lo", ALL))
memory = mmap.mmap(ring.fileno(), block * count)
client.send(b"z" * 100)
poll = select.poll()
poll.register(ring, select.POLLIN)
print("ready", poll.poll(5000)[0][1])
version, offset, status, packets, first = struct.unpack_from("IIIII", memory, 0)
print("block", version, status & 1, packets)
print("in the ring", struct.unpack_from("II", memory, first + 12))
memory.close()
attempt("a second ring", lambda: ring.setsockopt(SOL_PACKET, VERSION, 0))
ring.close()

# A filter: ARP only.
instructions = [(0x28, 0, 0, 12), (0x15, 0, 1, ARP), (6, 0, 0, 65535), (6, 0, 0, 0)]
code = ctypes.create_string_buffer(b"".join(struct.pack("HBBI", *one) for one in instructions))
frames.setsockopt(socket.SOL_SOCKET, 26, struct.pack("HxxxxxxQ", len(instructions), ctypes.addressof(code)))
frames.setblocking(False)
while True:
    try:
        frames.recv(2000)
    except BlockingIOError:
        break
frames.settimeout(5)
client.send(b"unseen")
frame = bytes(12) + b"\x08\x06" + bytes(46)
others = packet(socket.SOCK_RAW, ARP)
print("sent", others.sendto(frame, ("lo", ARP)))
for _ in range(2):
    print("filtered", shown(*frames.recvfrom(2000)))

# Every way to send, and what is refused.
bound = packet(socket.SOCK_RAW, ARP, "lo")
print("send", bound.send(frame))
print("sendmsg", bound.sendmsg([frame[:7], frame[7:]], [], 0, ("lo", ARP)))
print("cooked", datagrams.sendto(frame[14:], ("lo", ARP, 0, 1, bytes(6))))
print("heard", sorted(shown(*frames.recvfrom(2000)) for _ in range(6)))
attempt("send unbound", lambda: others.send(frame))
attempt("short", lambda: bound.send(b"x"))
attempt("long", lambda: bound.send(bytes(70000)))
attempt("connect", lambda: bound.connect(("lo", ARP)))
attempt("listen", lambda: bound.listen(1))
attempt("shutdown", lambda: bound.shutdown(2))
attempt("peer", bound.getpeername)
attempt("no such interface", lambda: bound.bind(("none", ARP)))
attempt("bind again", lambda: bound.bind(("lo", IP)))
attempt("promiscuous", lambda: bound.setsockopt(SOL_PACKET, ADD_MEMBERSHIP, struct.pack("iHH8x", 1, 1, 0)))
attempt("fanout", lambda: bound.setsockopt(SOL_PACKET, FANOUT, 77))
attempt("reserve", lambda: bound.setsockopt(SOL_PACKET, RESERVE, 16))
attempt("streams", lambda: socket.socket(socket.AF_PACKET, socket.SOCK_STREAM, 0))

# Commands, and the index by which an interface is known.
name = struct.pack("16s16x", b"lo")
print("index", struct.unpack_from("i", fcntl.ioctl(bound, 0x8933, name), 16)[0])
print("address", fcntl.ioctl(bound, 0x8915, name)[20:24].hex())
print("hardware", struct.unpack_from("H", fcntl.ioctl(bound, 0x8927, name), 16)[0])
