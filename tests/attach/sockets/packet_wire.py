"""Packet sockets on a sandbox' interface. Prints one line per thing that was looked at; the gateway is 10.0.2.2."""
import json
import os
import socket
import struct
import subprocess

GUEST = open("/sys/class/net/eth0/address").read().strip()
ME = bytes.fromhex(GUEST.replace(":", ""))
ARP = 0x0806


def packet(kind, protocol):
    opened = socket.socket(socket.AF_PACKET, kind, protocol)
    opened.settimeout(5)
    return opened


def sent():
    shown = subprocess.run(["ip", "-s", "-j", "link", "show", "eth0"], capture_output=True, check=True)
    return json.loads(shown.stdout)[0]["stats64"]["tx"]["packets"]


def reply(opened):
    data, (name, protocol, kind, hardware, source) = opened.recvfrom(2000)
    if opened.type == socket.SOCK_DGRAM:
        data = bytes(14) + data
    return name, hex(protocol), kind, source.hex(), struct.unpack_from("!H", data, 20)[0], data[28:32].hex()


print("interfaces", sorted(os.listdir("/sys/class/net")), GUEST)
sniffer = packet(socket.SOCK_RAW, socket.htons(3))
subprocess.run(["ping", "-c", "1", "10.0.2.2"], stdout=subprocess.DEVNULL, check=True)
for _ in range(4):
    data, (name, protocol, kind, _, source) = sniffer.recvfrom(2000)
    print("seen", name, hex(protocol), kind, source.hex(), len(data))

question = struct.pack("!HHBBH6s4s6s4s", 1, 0x800, 6, 4, 1, ME, socket.inet_aton("10.0.2.100"), bytes(6), socket.inet_aton("10.0.2.2"))
frame = b"\xff" * 6 + ME + struct.pack("!H", ARP) + question
before = sent()
raw, cooked = packet(socket.SOCK_RAW, 0), packet(socket.SOCK_DGRAM, socket.htons(ARP))
raw.bind(("eth0", ARP))
for how, send in (
    ("send", lambda: raw.send(frame)),
    ("sendto", lambda: raw.sendto(frame, ("eth0", ARP))),
    ("sendmsg", lambda: raw.sendmsg([frame[:14], frame[14:]], [], 0, ("eth0", ARP))),
    ("cooked", lambda: cooked.sendto(question, ("eth0", ARP, 0, 1, b"\xff" * 6))),
):
    print(how, send(), reply(raw), reply(cooked))
    # Others see what was sent, once, and the answer.
    print("the sniffer", [sniffer.recvfrom(2000)[1][2] for _ in range(2)])
sniffer.setblocking(False)
try:
    print("one too many", sniffer.recv(2000))
except BlockingIOError:
    print("that was all")
print("counted", sent() - before)
