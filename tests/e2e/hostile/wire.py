"""Frames by hand, and a TCP of whatever manners: what a guest with raw sockets can put on its interface."""

import array
import itertools
import random
import select
import socket
import struct
import time

GATEWAY_MAC = bytes.fromhex("5a94efe40cdd")
GUEST, GATEWAY, DNS = "10.0.2.100", "10.0.2.2", "10.0.2.3"
GUEST6, GATEWAY6 = "fd00::64", "fd00::2"
FIN, SYN, RST, PSH, ACK, URG = 1, 2, 4, 8, 16, 32


def total(data):
    if len(data) & 1:
        data += b"\0"
    value = sum(array.array("H", data))
    value = (value & 0xFFFF) + (value >> 16)
    value = (value & 0xFFFF) + (value >> 16)
    return socket.ntohs(~value & 0xFFFF)


def packed(address):
    return socket.inet_pton(socket.AF_INET6 if ":" in address else socket.AF_INET, address)


def pseudo(source, destination, protocol, length):
    a, b = packed(source), packed(destination)
    return a + b + (struct.pack(">BBH", 0, protocol, length) if len(a) == 4 else struct.pack(">IHBB", length, 0, 0, protocol))


def ip4(source, destination, protocol, payload, ihl=5, options=b"", length=None, ident=0, flags=0, offset=0, ttl=64, version=4):
    length = 20 + len(options) + len(payload) if length is None else length
    head = struct.pack(">BBHHHBBH", version << 4 | ihl, 0, length, ident, flags << 13 | offset, ttl, protocol, 0)
    head += packed(source) + packed(destination) + options
    return head[:10] + struct.pack(">H", total(head)) + head[12:] + payload


def ip6(source, destination, protocol, payload, length=None, hops=64):
    length = len(payload) if length is None else length
    return struct.pack(">IHBB", 6 << 28, length & 0xFFFF, protocol, hops) + packed(source) + packed(destination) + payload


def ip(source, destination, protocol, payload, **more):
    return (ip6 if ":" in source else ip4)(source, destination, protocol, payload, **more)


def tcp(source, sport, destination, dport, flags, seq=0, ack=0, window=65535, options=b"", data=b"", words=None, urgent=0):
    words = 5 + len(options) // 4 if words is None else words
    head = struct.pack(">HHIIBBHHH", sport, dport, seq & 0xFFFFFFFF, ack & 0xFFFFFFFF, words << 4, flags, window, 0, urgent)
    segment = head + options + data
    value = total(pseudo(source, destination, 6, len(segment)) + segment)
    return segment[:16] + struct.pack(">H", value) + segment[18:]


def udp(source, sport, destination, dport, data=b"", length=None):
    head = struct.pack(">HHHH", sport, dport, 8 + len(data) if length is None else length, 0)
    value = total(pseudo(source, destination, 17, 8 + len(data)) + head + data) or 0xFFFF
    return head[:6] + struct.pack(">H", value) + data


def icmp(kind, code, rest, body=b""):
    message = struct.pack(">BBH", kind, code, 0) + rest + body
    return message[:2] + struct.pack(">H", total(message)) + message[4:]


def icmp6(source, destination, kind, code, rest, body=b""):
    message = struct.pack(">BBH", kind, code, 0) + rest + body
    value = total(pseudo(source, destination, 58, len(message)) + message)
    return message[:2] + struct.pack(">H", value) + message[4:]


def arp(operation, sender_mac, sender, target_mac, target):
    return struct.pack(">HHBBH", 1, 0x800, 6, 4, operation) + sender_mac + packed(sender) + target_mac + packed(target)


class Wire:
    """eth0, raw. Loses nothing on the guest's own queue of 500: every so often it waits until the gateway has come so far."""

    def __init__(self, receive=False, burst=100):
        self.burst = burst
        self.gate = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(0x806))
        self.gate.bind(("eth0", 0x806))
        self.socket = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3) if receive else 0)
        self.socket.bind(("eth0", 3 if receive else 0))
        self.socket.setblocking(False)
        self.mac = self.socket.getsockname()[4]
        self.sent = self.refused = 0

    def barrier(self):
        """Asks for the gateway's hardware address; the answer comes behind everything that was sent before."""
        question = arp(1, self.mac, GUEST, b"\0" * 6, GATEWAY)
        for _ in range(10):
            self.gate.send(b"\xff" * 6 + self.mac + b"\x08\x06" + question)
            until = time.monotonic() + 0.5
            while (left := until - time.monotonic()) > 0 and select.select([self.gate], [], [], left)[0]:
                answer = self.gate.recv(100)
                if answer[6:12] == GATEWAY_MAC and answer[20:22] == b"\0\2":
                    return

    def frame(self, data):
        if self.sent % self.burst == self.burst - 1:
            self.barrier()
        for _ in range(100):
            try:
                self.sent += 1
                return self.socket.send(data)
            except BlockingIOError:
                select.select([], [self.socket], [], 0.05)
            except OSError:  # ENOBUFS: the queue is full; EMSGSIZE, EINVAL: not even this kernel takes it
                self.refused += 1
                return 0

    def send(self, packet, kind=None, destination=GATEWAY_MAC, source=None):
        if kind is None:
            kind = 0x86DD if packet and packet[0] >> 4 == 6 else 0x800
        self.frame(destination + (source or self.mac) + struct.pack(">H", kind) + packet)


class Puppet:
    """A TCP connection from an address of the guest's link that the guest's kernel knows nothing of."""

    ports = itertools.count(20_000)

    def __init__(self, wire, port, source="10.0.2.77", target=GATEWAY, window=65535, options=b"", rng=random):
        self.wire, self.source, self.target, self.port = wire, source, target, port
        self.sport = next(Puppet.ports)
        self.seq, self.ack, self.window = rng.getrandbits(32), 0, window
        self.got = 0
        self.closed = False
        for _ in range(5):  # it may be lost on the guest's own queue
            self.raw(SYN, options=options)
            if (reply := self.next(1)) is not None:
                break
        self.seq += 1
        if reply is None or reply[0] & (SYN | ACK) != SYN | ACK:
            raise OSError(f"no answer to the SYN: {reply}")
        self.ack = reply[1] + 1
        self.raw(ACK)

    def raw(self, flags, seq=None, ack=None, window=None, data=b"", options=b"", **more):
        segment = tcp(self.source, self.sport, self.target, self.port, flags, self.seq if seq is None else seq,
                      self.ack if ack is None else ack, self.window if window is None else window, options, data, **more)
        self.wire.send(ip(self.source, self.target, 6, segment))

    def next(self, patience):
        """The next segment for this connection: flags, sequence, acknowledgement, payload; None after `patience` seconds."""
        until = time.monotonic() + patience
        us = struct.pack(">HH", self.port, self.sport)
        while (left := until - time.monotonic()) > 0:
            if not select.select([self.wire.socket], [], [], left)[0]:
                return None
            try:
                frame = self.wire.socket.recv(70_000)
            except BlockingIOError:
                continue
            if frame[12:14] != b"\x08\0" or frame[23] != 6 or frame[34:38] != us or frame[6:12] != GATEWAY_MAC:
                continue
            sequence, acknowledgement, words, flags = struct.unpack(">IIBB", frame[38:48])
            length = struct.unpack(">H", frame[16:18])[0]
            return flags, sequence, acknowledgement, frame[34 + (words >> 4) * 4:14 + length]
        return None

    def take(self, patience=1.0):
        """Acknowledges what comes in order; returns the bytes of one segment, or None."""
        reply = self.next(patience)
        if reply is None:
            return None
        flags, sequence, _, data = reply
        if flags & RST:
            self.closed = True
        skip = (self.ack - sequence) & 0xFFFFFFFF
        if skip > 0x7FFFFFFF or skip > len(data):
            return b""
        data = data[skip:]
        self.ack = (self.ack + len(data)) & 0xFFFFFFFF
        self.got += len(data)
        return data
