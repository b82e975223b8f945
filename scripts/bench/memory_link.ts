/**
 * Two stacks on a wire in memory, checksums in software: how fast is the stack itself?
 *
 * ```sh
 * bun scripts/bench/memory_link.ts          # or: deno run -A scripts/bench/memory_link.ts
 * ```
 *
 * The wire copies each frame once, as a kernel would. `cut` sends frames of the MTU, as to a link without offload;
 * `uncut` 64 KiB super-packets with complete checksums.
 *
 * @module
 */

import { HEADROOM, type PacketBuffer } from "../../lib/stack/buffer/packet.ts";
import { BufferPool } from "../../lib/stack/buffer/pool.ts";
import type { LinkCapabilities } from "../../lib/stack/link/link.ts";
import { type MemoryLink, memoryWire } from "../../lib/stack/link/memory.ts";
import type { Nic } from "../../lib/stack/nic.ts";
import { Stack } from "../../lib/stack/stack.ts";
import type { TcpConnection } from "../../lib/stack/tcp/connection.ts";
import type { TcpListener } from "../../lib/stack/tcp/listener.ts";
import type { Instant } from "../../lib/stack/time.ts";
import { IpAddress } from "../../lib/stack/wire/address.ts";
import { MacAddress } from "../../lib/stack/wire/ethernet.ts";

const CUT: LinkCapabilities = { txChecksum: false, rxChecksum: false, gsoMaxSize: 0 };
/** Checksums are still ours to compute and to verify: only the cutting is the link's. */
const UNCUT: LinkCapabilities = { txChecksum: false, rxChecksum: false, gsoMaxSize: 65_535 };
const OFFLOAD: LinkCapabilities = { txChecksum: true, rxChecksum: true, gsoMaxSize: 65_535 };

const SECONDS = Number(globalThis.process?.argv[2] ?? 2);

interface Side {
  readonly stack: Stack;
  readonly nic: Nic;
}

class World {
  readonly pool = new BufferPool();
  readonly a: Side;
  readonly b: Side;
  frames = 0;
  readonly #links;

  constructor(mtu: number, capabilities: LinkCapabilities) {
    this.#links = memoryWire({ mtu, capabilities, limit: 1024 }, this.pool);
    this.a = this.#side(1, mtu, capabilities);
    this.b = this.#side(2, mtu, capabilities);
  }

  #side(n: number, mtu: number, capabilities: LinkCapabilities): Side {
    const stack = new Stack({ random: () => (Math.random() * 2 ** 32) >>> 0, pool: this.pool });
    const nic = stack.addNic({ name: "eth0", mac: new MacAddress(0x0200, n), mtu, capabilities });
    nic.addAddress(IpAddress.v4(0x0a000000 + n), 24);
    return { stack, nic };
  }

  now(): Instant {
    return performance.now() * 1000 as Instant;
  }

  turn(): void {
    const [linkA, linkB] = this.#links;
    const now = this.now();
    this.#move(this.a, linkA, now);
    this.#move(this.b, linkB, now);
  }

  #move({ stack, nic }: Side, link: MemoryLink, now: Instant): void {
    for (let i = 0; i < 64; i++) {
      const frame = link.receive();
      if (frame === undefined) break;
      nic.ingress(frame, now);
    }
    stack.poll(now);
    for (let i = 0; i < 64; i++) {
      const frame = nic.egress(now);
      if (frame === undefined) break;
      this.frames++;
      if (!link.transmit(frame)) throw new Error("the wire is full");
    }
  }
}

class Source {
  readonly #chunk = new Uint8Array(65_536);
  constructor(readonly pool: BufferPool) {}
  onTcpEvent(connection: TcpConnection, _events: number, now: Instant): void {
    while (connection.sendSpace > 0) {
      const chunk = this.pool.take(this.#chunk.length);
      chunk.end = HEADROOM + this.#chunk.length;
      connection.write(chunk, now);
    }
  }
}

class Sink {
  bytes = 0;
  onTcpAccept(listener: TcpListener, now: Instant): void {
    for (let c = listener.accept(now); c !== undefined; c = listener.accept(now)) c.observer = this;
  }
  onTcpEvent(connection: TcpConnection, _events: number, now: Instant): void {
    const { length } = connection.receiveQueue;
    this.bytes += length;
    if (length > 0) connection.consume(length, now);
  }
}

function stream(name: string, mtu: number, capabilities: LinkCapabilities): void {
  const world = new World(mtu, capabilities);
  const sink = new Sink();
  world.b.stack.tcpListen({ port: 9, observer: sink }, world.now());
  const request = {
    remoteAddress: IpAddress.v4(0x0a000002),
    remotePort: 9,
    observer: new Source(world.pool),
  };
  world.a.stack.tcpConnect(request, world.now());
  const warm = world.now() + 500_000;
  while (world.now() < warm) world.turn();
  const begin = world.now();
  const [bytes, frames] = [sink.bytes, world.frames];
  while (world.now() < begin + SECONDS * 1e6) for (let i = 0; i < 16; i++) world.turn();
  const seconds = (world.now() - begin) / 1e6;
  const gigabits = (sink.bytes - bytes) * 8 / 1e9 / seconds;
  const packets = (world.frames - frames) / seconds;
  console.log(
    `${name.padEnd(34)} ${gigabits.toFixed(2).padStart(7)} Gbit/s ${
      Math.round(packets).toLocaleString("en").padStart(11)
    } packets/s`,
  );
}

class Counting {
  count = 0;
  onUdpDatagram(): void {
    this.count++;
  }
}

function datagrams(name: string, size: number): void {
  const world = new World(1_500, CUT);
  const sink = new Counting();
  world.b.stack.udpBind({ localPort: 9, observer: sink }, world.now());
  const endpoint = world.a.stack.udpBind({
    remoteAddress: IpAddress.v4(0x0a000002),
    remotePort: 9,
    observer: sink,
  }, world.now());
  if (typeof endpoint === "string") throw new Error(endpoint);
  const burst = () => {
    for (let i = 0; i < 32; i++) {
      const payload: PacketBuffer = world.pool.take(size);
      payload.end = payload.start + size;
      endpoint.send(payload, world.now());
    }
    world.turn();
  };
  const warm = world.now() + 500_000;
  while (world.now() < warm) burst();
  const begin = world.now();
  const count = sink.count;
  while (world.now() < begin + SECONDS * 1e6) burst();
  const seconds = (world.now() - begin) / 1e6;
  const rate = (sink.count - count) / seconds;
  console.log(
    `${name.padEnd(34)} ${(rate * size * 8 / 1e9).toFixed(2).padStart(7)} Gbit/s ${
      Math.round(rate).toLocaleString("en").padStart(11)
    } packets/s`,
  );
}

console.log("Deno" in globalThis ? "Deno" : "Bun");
stream("TCP, MTU 1500, cut", 1_500, CUT);
stream("TCP, MTU 9000, cut", 9_000, CUT);
stream("TCP, MTU 65520, checksums", 65_520, UNCUT);
stream("TCP, MTU 1500 uncut, checksums", 1_500, UNCUT);
stream("TCP, MTU 1500 uncut, offload", 1_500, OFFLOAD);
datagrams("UDP, 1400 bytes", 1_400);
datagrams("UDP, 64 bytes", 64);
