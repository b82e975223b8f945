/**
 * Programs of the guest for tests, on the guest's stack.
 *
 * @module
 */

import type { PacketBuffer } from "../../../lib/stack/buffer/packet.ts";
import type { IcmpReport } from "../../../lib/stack/ip/icmp_kind.ts";
import type { TcpConnection } from "../../../lib/stack/tcp/connection.ts";
import { TcpEvent, type TcpObserver } from "../../../lib/stack/tcp/events.ts";
import type { TcpListener } from "../../../lib/stack/tcp/listener.ts";
import type { Instant } from "../../../lib/stack/time.ts";
import type { UdpEndpoint, UdpObserver } from "../../../lib/stack/udp/endpoint.ts";
import type { IpAddress } from "../../../lib/stack/wire/address.ts";
import type { IpHeader } from "../../../lib/stack/wire/ip.ts";
import type { UdpHeader } from "../../../lib/stack/wire/udp.ts";
import type { BufferPool } from "../../../lib/stack/buffer/pool.ts";
import type { Stack } from "../../../lib/stack/stack.ts";

/** Where a guest runs its programs. */
export interface GuestSide {
  readonly guest: Stack;
  readonly pool: BufferPool;
  now(): Instant;
}

/** A TCP connection of the guest: what it received, and how it fared. */
export class GuestPeer implements TcpObserver {
  connection!: TcpConnection;
  readonly received: number[] = [];
  /** Called with what arrives instead of keeping it. */
  sink: ((bytes: Uint8Array) => void) | undefined;
  /** Consume only when told to. */
  paused = false;
  established = false;
  ended = false;
  closed = false;
  total = 0;
  onWritable: () => void = () => {};

  constructor(readonly world: GuestSide) {}

  onTcpEvent(connection: TcpConnection, events: number, now: Instant): void {
    this.connection = connection;
    if ((events & TcpEvent.established) !== 0) this.established = true;
    if ((events & TcpEvent.closed) !== 0) this.closed = true;
    if (!this.paused) this.drain(Infinity, now);
    if ((events & (TcpEvent.established | TcpEvent.writable)) !== 0) this.onWritable();
  }

  drain(limit: number, now: Instant = this.world.now()): void {
    const queue = this.connection.receiveQueue;
    while (queue.length > 0 && limit > 0) {
      const { buffer, start, end } = queue.at(0);
      const n = Math.min(end - start, limit);
      const bytes = buffer.bytes.subarray(start, start + n);
      if (this.sink !== undefined) this.sink(bytes);
      else this.received.push(...bytes);
      this.total += n;
      limit -= n;
      this.connection.consume(n, now);
    }
    if (queue.length === 0 && this.connection.peerClosed) this.ended = true;
  }

  write(bytes: Uint8Array): number {
    return this.connection.writeBytes(bytes, this.world.now());
  }

  end(): void {
    this.connection.shutdown(this.world.now());
  }

  reset(): void {
    this.connection.abort(this.world.now());
  }

  get text(): string {
    return String.fromCharCode(...this.received);
  }
}

/** Dials from the guest. */
export function guestConnect(
  world: GuestSide,
  remoteAddress: IpAddress,
  remotePort: number,
  from?: IpAddress,
): GuestPeer {
  const peer = new GuestPeer(world);
  const source = from === undefined ? {} : { localAddress: from };
  const request = { remoteAddress, remotePort, observer: peer, ...source };
  const connection = world.guest.tcpConnect(request, world.now());
  if (typeof connection === "string") throw new Error(`Cannot dial from the guest: ${connection}`);
  peer.connection = connection;
  return peer;
}

/** Listens in the guest; every connection becomes a peer. */
export function guestListen(world: GuestSide, address: IpAddress, port: number): GuestPeer[] {
  const peers: GuestPeer[] = [];
  const observer = {
    onTcpAccept(listener: TcpListener, now: Instant): void {
      for (let next = listener.accept(now); next !== undefined; next = listener.accept(now)) {
        const peer = new GuestPeer(world);
        peer.connection = next;
        next.observer = peer;
        peers.push(peer);
      }
    },
  };
  const listener = world.guest.tcpListen({ address, port, backlog: 128, observer }, world.now());
  if (typeof listener === "string") throw new Error(`Cannot listen in the guest: ${listener}`);
  return peers;
}

/** A UDP endpoint of the guest. */
export class GuestUdp implements UdpObserver {
  readonly endpoint: UdpEndpoint;
  readonly received: string[] = [];
  readonly packets: Uint8Array[] = [];
  readonly sources: string[] = [];
  readonly errors: string[] = [];
  /** Who sent each error, and what it quoted of the payload. */
  readonly complaints: string[] = [];

  constructor(readonly world: GuestSide, localAddress?: IpAddress, localPort = 0) {
    const request = localAddress === undefined ? {} : { localAddress };
    const endpoint = world.guest.udpBind({ ...request, localPort, observer: this }, world.now());
    if (typeof endpoint === "string") throw new Error(`Cannot bind in the guest: ${endpoint}`);
    this.endpoint = endpoint;
  }

  onUdpDatagram(_endpoint: UdpEndpoint, packet: PacketBuffer, ip: IpHeader, udp: UdpHeader): void {
    const bytes = packet.toBytes();
    this.packets.push(bytes);
    this.received.push(new TextDecoder().decode(bytes.subarray(0, 200)));
    this.sources.push(`${ip.source}:${udp.sourcePort}`);
  }

  onUdpError(
    _endpoint: UdpEndpoint,
    kind: string,
    remoteAddress: IpAddress,
    remotePort: number,
    _now: Instant,
    _mtu: number,
    report?: IcmpReport,
  ): void {
    this.errors.push(`${kind} ${remoteAddress}:${remotePort}`);
    if (report === undefined) return;
    const quoted = new TextDecoder().decode(report.quoted.toBytes().subarray(8));
    this.complaints.push(`${report.source} ${quoted}`);
  }

  send(bytes: Uint8Array, to: IpAddress, port: number): boolean {
    const payload = this.world.pool.take(bytes.length);
    payload.bytes.set(bytes, payload.start);
    payload.end = payload.start + bytes.length;
    return this.endpoint.send(payload, this.world.now(), to, port);
  }
}
