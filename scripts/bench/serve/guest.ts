/**
 * A guest of a provider, as far as the network is concerned: a stack of ours on the provider's unix socket.
 *
 * @module
 */

import { Buffer } from "node:buffer";
import { SOCK } from "../../../lib/host/constants.ts";
import { addressOf, cString } from "../../../lib/host/memory.ts";
import { Reactor } from "../../../lib/host/reactor.ts";
import { close, write } from "../../../lib/host/sys.ts";
import { dialUnix, removeSocket, setSocketBuffers } from "../../../lib/host/unix_socket.ts";
import { Pump } from "../../../lib/link/pump.ts";
import { NO_WIRE_OFFLOAD, WIRE_CAPABILITIES, type WireOffload } from "../../../lib/link/offload.ts";
import { UnixGramLink } from "../../../lib/link/unix_gram.ts";
import { UnixStreamLink } from "../../../lib/link/unix_stream.ts";
import { BufferPool } from "../../../lib/stack/buffer/pool.ts";
import { Stack } from "../../../lib/stack/stack.ts";
import type { TcpConnection } from "../../../lib/stack/tcp/connection.ts";
import { TcpEvent } from "../../../lib/stack/tcp/events.ts";
import type { Instant } from "../../../lib/stack/time.ts";
import { ANY4, IpAddress } from "../../../lib/stack/wire/address.ts";
import { MacAddress } from "../../../lib/stack/wire/mac_address.ts";
import type { Transport } from "./provider.ts";

/** `s`: the host sends, the guest takes; `r`: the guest sends. The first byte of a connection says so to the server. */
export type Direction = "s" | "r";

const GATEWAY = IpAddress.parse("192.168.127.1")!;
/** What a guest that sends writes at a time. */
const BLOCK = new Uint8Array(65_536);
/** What the server sends, over and over (`provider.ts`). */
const PATTERN = Uint8Array.from({ length: 65_521 }, (_, i) => i * 31 + (i >> 8) * 17);
/** What a guest on a datagram socket says first, and the room that it asks for; libkrun's. */
const VFKT = "VFKT", BUFFER = 7 << 20;
/** Without a byte for this long, something is broken. */
const PATIENCE_MS = 60_000;

const pool = new BufferPool(addressOf);
const reactor = new Reactor();
let seed = 1;

/** How a guest comes. */
export interface GuestOptions {
  /** Whether an octet that was not sent is an error. */
  readonly exact?: boolean;
  readonly transport?: Transport;
  /** What the provider takes. */
  readonly offload?: WireOffload;
}

/** A guest on a provider's socket. */
export class Guest {
  readonly #name: string | undefined;
  #received = 0;
  #connection: TcpConnection | undefined;
  readonly #stack = new Stack({ random: () => seed = Math.imul(seed, 1_103_515_245) + 12_345 | 0, pool });
  readonly #fd: number;
  readonly #pump: Pump;

  /** Where what arrives is compared with what was sent; absent: it is only counted. */
  readonly #compared: Uint8Array | undefined;

  /**
   * @param number the last byte of its addresses
   */
  constructor(
    socket: string,
    number: number,
    mtu: number,
    { exact = false, transport = "unixstream", offload = NO_WIRE_OFFLOAD }: GuestOptions = {},
  ) {
    if (exact) this.#compared = new Uint8Array(PATTERN.length);
    const gram = transport === "unixgram";
    this.#name = gram ? `${socket}.guest${number}` : undefined;
    this.#fd = dialUnix(gram ? SOCK.DGRAM : SOCK.STREAM, socket, this.#name);
    if (this.#fd < 0) throw new Error(`Cannot connect to ${socket}: ${this.#fd}`);
    if (gram) this.#greet();
    const mac = new MacAddress(0x0200, number);
    // As light as a guest can be: it cuts and merges at its wire, as a machine whose interface has offload.
    const options = {
      fd: this.#fd,
      mtu,
      pool,
      capabilities: WIRE_CAPABILITIES,
      offload,
      merging: { mac, trusted: true, enabled: () => true },
      onEnd: (why: string) => {
        throw new Error(`The provider ${why}`);
      },
    };
    const link = gram ? new UnixGramLink(options) : new UnixStreamLink(options);
    const nic = this.#stack.addNic({
      name: "eth0",
      mac,
      mtu,
      capabilities: WIRE_CAPABILITIES,
      learnNeighbours: true,
    });
    nic.addAddress(IpAddress.parse(`192.168.127.${number}`)!, 24);
    this.#stack.routes.add({ destination: ANY4, prefixLength: 0, gateway: GATEWAY, nic });
    this.#pump = new Pump(reactor, this.#fd, link, nic, () => {});
  }

  /** As vfkit's and libkrun's guests. */
  #greet(): void {
    setSocketBuffers(this.#fd, BUFFER);
    write(this.#fd, cString(VFKT).address, VFKT.length);
  }

  /** Connects, and moves bytes for ever. */
  start(host: IpAddress, port: number, direction: Direction): void {
    const connection = this.#stack.tcpConnect({
      remoteAddress: host,
      remotePort: port,
      observer: {
        onTcpEvent: (connection, events, now) => {
          if ((events & TcpEvent.established) !== 0) {
            connection.writeBytes(new TextEncoder().encode(direction), now);
          }
          const { length } = connection.receiveQueue;
          if (length > 0) {
            this.#take(connection, length, now);
          }
          if (direction === "s" || (events & (TcpEvent.established | TcpEvent.writable)) === 0) return;
          while (connection.sendSpace > 0) connection.writeBytes(BLOCK, now);
        },
      },
    }, reactor.now() as Instant);
    if (typeof connection === "string") throw new Error(`Cannot connect: ${connection}`);
    this.#connection = connection;
  }

  #take(connection: TcpConnection, length: number, now: Instant): void {
    const copy = this.#compared;
    for (let left = length; copy !== undefined && left > 0;) {
      const at = this.#received % PATTERN.length;
      const part = copy.subarray(0, Math.min(left, PATTERN.length - at));
      connection.receiveQueue.copyTo(part, length - left);
      if (Buffer.compare(part, PATTERN.subarray(at, at + part.length)) !== 0) {
        throw new Error(`What arrived is not what was sent, after ${this.#received} bytes`);
      }
      left -= part.length;
      this.#received += part.length;
    }
    if (copy === undefined) this.#received += length;
    connection.consume(length, now);
  }

  /** Bytes that arrived; of a guest that sends, bytes that were acknowledged. */
  get moved(): number {
    return this.#received + (this.#connection?.sender.bytesAcked ?? 0);
  }

  pollAt(): Instant {
    return this.#stack.pollAt();
  }

  settle(now: Instant): void {
    this.#stack.poll(now);
    this.#pump.flush(now);
    this.#stack.poll(now);
  }

  close(): void {
    this.#pump.close();
    close(this.#fd);
    if (this.#name !== undefined) removeSocket(this.#name);
  }
}

/** Lets guests run until `done()`. */
export function turnUntil(guests: readonly Guest[], done: () => boolean): void {
  const until = performance.now() + PATIENCE_MS;
  while (!done()) {
    if (performance.now() > until) throw new Error("Cannot wait longer: nothing moves");
    reactor.turn({
      beforeWait: () => Math.min(...guests.map((guest) => guest.pollAt()), reactor.now() + 10_000),
      afterTurn: () => guests.forEach((guest) => guest.settle(reactor.now() as Instant)),
    });
  }
}
