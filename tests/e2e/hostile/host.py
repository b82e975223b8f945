"""Servers of the host, some with bad manners. Prints their ports as JSON."""

import asyncio
import hashlib
import json
import random
import resource
import socket
import struct
import sys

resource.setrlimit(resource.RLIMIT_NOFILE, (resource.getrlimit(resource.RLIMIT_NOFILE)[1],) * 2)
BODY = random.Random(int(sys.argv[2])).randbytes(1 << 20)
BLOB = BODY + hashlib.sha256(BODY).digest()


kept = []


def linger(writer):
    writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


async def echo(reader, writer):
    while data := await reader.read(65536):
        writer.write(data)
        await writer.drain()
    writer.close()


async def blob(_reader, writer):
    writer.write(BLOB)
    await writer.drain()
    writer.close()


async def flood(_reader, writer):
    while True:
        writer.write(BODY)
        await writer.drain()


async def reset(_reader, writer):
    writer.write(b"x" * 100_000)
    await asyncio.sleep(0)
    linger(writer)
    writer.transport.abort()


async def drip(_reader, writer):
    writer.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    for byte in BODY[:5_000]:
        writer.write(bytes([byte]))
        await writer.drain()
    writer.close()


async def deaf(_reader, writer):
    # A transport that waits for nothing is known to nobody: the collector would close it.
    kept.append(writer)
    writer.transport.pause_reading()
    await asyncio.Event().wait()


async def half(reader, writer):
    writer.write_eof()
    count = 0
    while data := await reader.read(65536):
        count += len(data)
    writer.close()


async def sink(reader, writer):
    """Says the hash of all it got."""
    digest = hashlib.sha256()
    while data := await reader.read(65536):
        digest.update(data)
    writer.write(digest.digest())
    await writer.drain()
    writer.close()


def answer(question):
    return question[:2] + bytes([question[2] | 0x80]) + question[3:] if len(question) >= 12 else question


class Names(asyncio.DatagramProtocol):
    def connection_made(self, transport):
        self.transport = transport

    def datagram_received(self, data, peer):
        self.transport.sendto(answer(data), peer)


async def names(reader, writer):
    while True:
        size = int.from_bytes(await reader.readexactly(2), "big")
        question = await reader.readexactly(size)
        writer.write(size.to_bytes(2, "big") + answer(question))
        await writer.drain()


class Mirror(asyncio.DatagramProtocol):
    def connection_made(self, transport):
        self.transport = transport

    def datagram_received(self, data, peer):
        self.transport.sendto(data, peer)


def quiet(handler):
    async def run(reader, writer):
        try:
            await handler(reader, writer)
        except (OSError, EOFError):
            writer.transport.abort()
    return run


async def main(host):
    loop = asyncio.get_running_loop()
    ports, servers = {}, []
    for handler in (echo, blob, flood, reset, drip, deaf, half, sink):
        server = await asyncio.start_server(quiet(handler), host, 0, backlog=4096, limit=1 << 18)
        servers.append(server)
        ports[handler.__name__] = server.sockets[0].getsockname()[1]
    mirror, _ = await loop.create_datagram_endpoint(Mirror, (host, 0))
    ports["mirror"] = mirror.get_extra_info("sockname")[1]
    # What must stay out of reach.
    for secret in ("127.0.0.1", "::1"):
        servers.append(await asyncio.start_server(quiet(echo), secret, 7777))
    await loop.create_datagram_endpoint(Mirror, ("127.0.0.1", 7777))
    await loop.create_datagram_endpoint(Names, ("127.0.0.1", 53))
    servers.append(await asyncio.start_server(quiet(names), "127.0.0.1", 53))
    print(json.dumps(ports), flush=True)
    await asyncio.Event().wait()


asyncio.run(main(sys.argv[1]))
