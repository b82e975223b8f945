"""What a malicious virtual machine, or a hostile client of the API, does for some seconds.

    flood.py KIND SECONDS WIRE API PORT

Prints what it got done. It expects to be refused, hung up on and ignored: none of that is an error.
"""

import random, select, socket, struct, sys, time

KIND, SECONDS, WIRE, API, PORT = sys.argv[1], float(sys.argv[2]), sys.argv[3], sys.argv[4], int(sys.argv[5])
UNTIL = time.monotonic() + SECONDS
GATEWAY_MAC, MAC = bytes.fromhex("5a94efe40cdd"), bytes.fromhex("020000000042")
BROADCAST = b"\xff" * 6
GATEWAY, US = bytes([192, 168, 127, 1]), bytes([192, 168, 127, 66])
OUTSIDE = bytes([198, 18, 0, 9])
rnd = random.Random(7)
word, byte = (lambda: rnd.randrange(65536)), (lambda n: rnd.randbytes(n))


def total(data):
    if len(data) & 1:
        data += b"\0"
    s = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while s >> 16:
        s = (s & 0xFFFF) + (s >> 16)
    return ~s & 0xFFFF


def framed(frame):
    return struct.pack("!I", len(frame)) + frame


def eth(payload, kind, to=GATEWAY_MAC, mac=MAC):
    return framed(to + mac + struct.pack("!H", kind) + payload)


def ip4(proto, payload, to=GATEWAY, source=US, ident=0, fragment=0, ttl=64):
    head = struct.pack("!BBHHHBBH4s4s", 0x45, 0, 20 + len(payload), ident, fragment, ttl, proto, 0, source, to)
    return head[:10] + struct.pack("!H", total(head)) + head[12:] + payload


def ip6(proto, payload, to, source, hops=255):
    return struct.pack("!IHBB16s16s", 0x60000000, len(payload), proto, hops, source, to) + payload


def with_sum6(proto, payload, at, to, source):
    s = total(source + to + struct.pack("!II", len(payload), proto) + payload)
    return payload[:at] + struct.pack("!H", s) + payload[at + 2:]


def udp(source, to, payload):
    return struct.pack("!HHHH", source, to, 8 + len(payload), 0) + payload


def tcp(source, to, seq, ack, flags, window=65535, payload=b"", dst=GATEWAY):
    head = struct.pack("!HHIIBBHHH", source, to, seq, ack, 0x50, flags, window, 0, 0) + payload
    s = total(US + dst + struct.pack("!HH", 6, len(head)) + head)
    return head[:16] + struct.pack("!H", s) + head[18:]


def link_local():
    return b"\xfe\x80" + bytes(6) + byte(8)


def icmp6(payload, to, source):
    return eth(ip6(58, with_sum6(58, payload, 2, to, source), to, source), 0x86DD, b"\x33\x33" + to[12:])


ALL_NODES, ALL_ROUTERS = b"\xff\x02" + bytes(13) + b"\x01", b"\xff\x02" + bytes(13) + b"\x02"
ALL_DHCP = b"\xff\x02" + bytes(11) + b"\x01\x00\x02"


def dhcp(mac, kind):
    body = struct.pack("!BBBBIHHIIII16s", 1, 1, 6, 0, rnd.getrandbits(32), 0, 0x8000, 0, 0, 0, 0, mac + bytes(10))
    body += bytes(192) + bytes.fromhex("63825363") + bytes([53, 1, kind])
    if kind == 3:
        body += bytes([50, 4, 192, 168, 127, rnd.randrange(3, 254), 54, 4]) + GATEWAY
    return eth(ip4(17, udp(68, 67, body + b"\xff"), b"\xff" * 4, bytes(4)), 0x0800, BROADCAST, mac)


def dhcp6():
    source = link_local()
    duid = byte(10)
    body = b"\x01" + byte(3) + struct.pack("!HH", 1, 10) + duid + struct.pack("!HHIII", 3, 12, 1, 0, 0)
    packet = with_sum6(17, udp(546, 547, body), 6, ALL_DHCP, source)
    return eth(ip6(17, packet, ALL_DHCP, source), 0x86DD, b"\x33\x33" + ALL_DHCP[12:])


def neighbour():
    if rnd.random() < 0.5:
        target = bytes([192, 168, 127, rnd.randrange(256)])
        source = bytes([192, 168, 127, rnd.randrange(256)])
        return eth(struct.pack("!HHBBH6s4s6s4s", 1, 0x800, 6, 4, rnd.choice([1, 2]), MAC, source, bytes(6), target), 0x0806, BROADCAST)
    target = link_local()
    kind = rnd.choice([135, 136])
    body = struct.pack("!BBHI16s", kind, 0, 0, 0x60000000 if kind == 136 else 0, target)
    return icmp6(body + bytes([1 if kind == 135 else 2, 1]) + MAC, ALL_NODES, link_local())


def member():
    if rnd.random() < 0.5:
        group = bytes([224 + rnd.randrange(16)]) + byte(3)
        report = struct.pack("!BBH4s", 0x16, 0, 0, group)
        return eth(ip4(2, report[:2] + struct.pack("!H", total(report)) + report[4:], group, ttl=1), 0x0800, b"\x01\x00\x5e" + group[1:])
    body = struct.pack("!BBHHH", 143, 0, 0, 0, 1) + struct.pack("!BBH16s", 4, 0, 0, b"\xff\x02" + byte(14))
    return icmp6(body, b"\xff\x02" + bytes(13) + b"\x16", link_local())


def fragment():
    if rnd.random() < 0.5:
        return eth(ip4(17, byte(1400), ident=word(), fragment=0x2000 | rnd.randrange(0, 40) * 175), 0x0800)
    head = struct.pack("!BBHI", 17, 0, rnd.randrange(0, 40) * 1400 & ~7 | 1, rnd.getrandbits(32))
    return eth(ip6(44, head + byte(1400), b"\xfd\x00" + bytes(13) + b"\x01", link_local()), 0x86DD)


def question():
    name = b"".join(bytes([12]) + byte(6).hex().encode() for _ in range(3)) + b"\0"
    return eth(ip4(17, udp(1024 + rnd.randrange(60000), 53, byte(2) + b"\1\0\0\1\0\0\0\0\0\0" + name + b"\0\1\0\1")), 0x0800)


def echo():
    body = struct.pack("!BBHHH", 8, 0, 0, word(), word()) + byte(32)
    to = OUTSIDE[:2] + byte(2) if rnd.random() < 0.5 else GATEWAY
    return eth(ip4(1, body[:2] + struct.pack("!H", total(body)) + body[4:], to), 0x0800)


FLOODS = {
    "syn": lambda: eth(ip4(6, tcp(1024 + rnd.randrange(64000), PORT, rnd.getrandbits(32), 0, 2)), 0x0800),
    "syn-outside": lambda: eth(ip4(6, tcp(1024 + rnd.randrange(64000), 80, rnd.getrandbits(32), 0, 2, dst=OUTSIDE), OUTSIDE), 0x0800),
    "udp": lambda: eth(ip4(17, udp(1024 + rnd.randrange(60000), 1 + rnd.randrange(65535), byte(64)), OUTSIDE[:2] + byte(2)), 0x0800),
    "icmp": echo,
    "arp-ndp": neighbour,
    "dhcp": lambda: dhcp(b"\x02" + byte(5), rnd.choice([1, 3])),
    "dhcpv6-rs": lambda: dhcp6() if rnd.random() < 0.5 else icmp6(struct.pack("!BBHI", 133, 0, 0, 0), ALL_ROUTERS, link_local()),
    "dns": question,
    "fragments": fragment,
    "macs": lambda: eth(ip4(17, udp(1, 9, b"x"), source=bytes([192, 168, 127, rnd.randrange(256)])), 0x0800, b"\x02" + byte(5), b"\x02" + byte(5)),
    "igmp-mld": member,
    "broadcast": lambda: eth(byte(1400), 0x88B5, BROADCAST),
    "garbage": lambda: framed(byte(rnd.randrange(14, 1500))),
}


def dial(path):
    s = socket.socket(socket.AF_UNIX)
    try:
        s.connect(path)
    except OSError:
        s.close()
        return None
    return s


def flood(make):
    """Frames made beforehand, over and over; whoever hangs up is dialled again. Answers are not read by half of the kinds."""
    blobs = [b"".join(make() for _ in range(400)) for _ in range(250 if KIND in ("udp", "syn") else 40)]
    global UNTIL
    UNTIL = time.monotonic() + SECONDS
    sent = 0
    s = dial(WIRE)
    while time.monotonic() < UNTIL:
        for blob in blobs:
            if s is None:
                time.sleep(0.01)
                s = dial(WIRE)
                continue
            left = memoryview(blob)
            s.setblocking(False)
            while len(left) > 0 and time.monotonic() < UNTIL:
                readable, writable, _ = select.select([s], [s], [], 0.2)
                try:
                    if readable and s.recv(1 << 20) == b"":
                        raise OSError("gone")
                    if writable:
                        left = left[s.send(left):]
                except BlockingIOError:
                    pass
                except OSError:
                    s.close()
                    s = None
                    break
            sent += 400
    return f"{sent} frames"


def stress(window, deaf, most=0):
    """Thousands of connections that were opened in full, and whose window is zero; or a wire that nobody reads any more. Or which
    take `most` bytes, so that every buffer on their way grows, and stop there."""
    taken = {}
    s = dial(WIRE)
    opened, buffer, port = 0, b"", 1024
    s.sendall(eth(struct.pack("!HHBBH6s4s6s4s", 1, 0x800, 6, 4, 1, MAC, US, bytes(6), GATEWAY), 0x0806, BROADCAST))
    while time.monotonic() < UNTIL:
        if port < 60_000 and opened < 5_000:
            for _ in range(64):
                port += 1
                s.sendall(eth(ip4(6, tcp(port, PORT, 1, 0, 2)), 0x0800))
        elif deaf:
            time.sleep(0.1)
            continue
        readable, _, _ = select.select([s], [], [], 0.05)
        if readable:
            buffer += s.recv(1 << 20)
        while len(buffer) >= 4:
            n = 4 + struct.unpack("!I", buffer[:4])[0]
            if len(buffer) < n:
                break
            frame, buffer = buffer[4:n], buffer[n:]
            if len(frame) < 54 or frame[12:14] != b"\x08\0" or frame[23] != 6:
                continue
            source, mine, seq = struct.unpack("!HHI", frame[34:42])
            if frame[47] & 0x12 != 0x12:
                size = struct.unpack("!H", frame[16:18])[0] - 40
                if taken.get(mine, most) < most and size > 0:
                    taken[mine] += size
                    s.sendall(eth(ip4(6, tcp(mine, source, 3, seq + size & 0xFFFFFFFF, 0x10, window)), 0x0800))
                continue
            taken[mine] = 0
            s.sendall(eth(ip4(6, tcp(mine, source, 2, seq + 1 & 0xFFFFFFFF, 0x18, window, b"z")), 0x0800))
            opened += 1
    return f"{opened} connections"


def one_by_one():
    s, sent = dial(WIRE), 0
    blob = b"".join(neighbour() for _ in range(100))
    while time.monotonic() < UNTIL:
        s.sendall(blob[sent % len(blob):][:1])
        sent += 1
    return f"{sent} writes"


def reconnect():
    n, held = 0, []
    while time.monotonic() < UNTIL:
        s = dial(WIRE)
        if s is not None:
            try:
                s.sendall(struct.pack("!I", 60_000) + bytes(100) if n % 2 else neighbour())
            except OSError:
                pass
            held.append(s)
        n += 1
        # Some stay for a while.
        if len(held) > 200:
            held.pop(0).close()
    return f"{n} connections"


def storm():
    """A guest that comes, sends SYNs to half of the ports there are, and goes, over and over."""
    n, blobs = 0, [b"".join(FLOODS["syn"]() for _ in range(100)) for _ in range(40)]
    while time.monotonic() < UNTIL:
        s = dial(WIRE)
        if s is not None:
            try:
                s.sendall(blobs[n % len(blobs)])
            except OSError:
                pass
            s.close()
        n += 1
    return f"{n} guests"


def request(path, body=None, stay=False):
    s = dial(API)
    if s is None:
        return None
    try:
        text = f"{'GET' if body is None else 'POST'} {path} HTTP/1.1\r\nHost: a\r\nContent-Length: {len(body or b'')}\r\n\r\n".encode()
        s.sendall(text + (body or b""))
        if stay:
            return s
        s.settimeout(2)
        return s.recv(65536)
    except OSError:
        s.close()
        return None
    finally:
        if not stay:
            s.close()


def api_many(make, hold):
    n, held = 0, []
    while time.monotonic() < UNTIL:
        s = make(n)
        if hold and s is not None:
            held.append(s)
            if len(held) > 800:
                held.pop(rnd.randrange(800)).close()
        n += 1
    return f"{n} requests"


def loris(_):
    s = dial(API)
    if s is not None:
        try:
            s.sendall(b"POST /services/dns/add HTTP/1.1\r\nHost: a\r\nContent-Length: 131000\r\n\r\n" + bytes(100_000))
        except OSError:
            pass
    return s


def exposed(n):
    return request("/services/forwarder/expose", b'{"local":"127.0.0.%d:%d","remote":"192.168.127.66:80"}' % (1 + n // 64000, 1024 + n % 64000))


ELSE = {
    "zero-window": lambda: stress(0, False),
    "never-reads": lambda: stress(65535, True),
    "stops-reading": lambda: stress(65535, False, 200_000),
    "byte-by-byte": one_by_one,
    "reconnect": reconnect,
    "storm": storm,
    "api-tunnel": lambda: api_many(lambda n: request(f"/tunnel?ip=192.168.127.{66 + n % 100}&port=22", stay=True), True),
    "api-connect": lambda: api_many(lambda n: request("/connect", stay=True), True),
    "api-slow": lambda: api_many(loris, True),
    "api-zones": lambda: api_many(lambda n: request("/services/dns/add", b'{"Name":"z%d.","Records":[%s]}' % (n, b",".join([b'{"Name":"a","IP":"1.2.3.4"}'] * 2000))), False),
    "api-json": lambda: api_many(lambda n: request("/services/dns/add", b"[" * 60_000), False),
    "api-expose": lambda: api_many(exposed, False),
}

print(ELSE[KIND]() if KIND in ELSE else flood(FLOODS[KIND]), flush=True)
