/**
 * What TCP asks of its stack: paths, turns, timers, events, and segments that belong to no connection.
 *
 * @module
 */

import type { PacketBuffer } from "./buffer/packet.ts";
import type { BufferPool } from "./buffer/pool.ts";
import type { Counter, Counters } from "./counters.ts";
import type { IcmpErrors } from "./ip/icmp_errors.ts";
import { DEFAULT_HOP_LIMIT, type IpOutput } from "./ip/output.ts";
import { IpPath, type PathResolver } from "./ip/path.ts";
import type { Nic } from "./nic.ts";
import type { TcpConnection } from "./tcp/connection.ts";
import type { TcpEnvironment, TcpPath } from "./tcp/context.ts";
import type { TcpDemux } from "./tcp/demux.ts";
import type { TcpListener } from "./tcp/listener.ts";
import type { Instant } from "./time.ts";
import type { IpAddress } from "./wire/address.ts";
import type { Tenants } from "./ip/fair_rate.ts";
import { verifyTransport } from "./wire/checksum.ts";
import { type IpHeader, IpProtocol } from "./wire/ip.ts";
import { MALFORMED, type Malformed } from "./wire/malformed.ts";
import { parseQuote, Quote } from "./wire/quote.ts";
import { parseTcp, TcpHeader } from "./wire/tcp.ts";

/** What this needs of the stack. */
export interface TcpSurroundingsContext {
  readonly pool: BufferPool;
  readonly counters: Counters;
  readonly paths: PathResolver;
  readonly output: IpOutput;
  readonly errors: IcmpErrors;
  readonly tenants: Tenants;
  /** The instant of the call into the stack that is being served. */
  readonly clock: { readonly now: Instant };
  random(): number;
  setTimer(item: TcpConnection, at: Instant): void;
}

/** The surroundings of all connections of a stack. */
export class TcpSurroundings implements TcpEnvironment {
  readonly pool: BufferPool;
  readonly counters: Counters;
  readonly #context: TcpSurroundingsContext;
  readonly #malformed: Readonly<Record<Malformed, Counter>>;
  readonly #header = new TcpHeader();
  readonly #quote = new Quote();
  /** Two lists that take turns: observers fill one while the other is told. */
  #events: TcpConnection[] = [];
  #telling: TcpConnection[] = [];
  readonly #accepts = new Set<TcpListener>();

  constructor(context: TcpSurroundingsContext) {
    this.#context = context;
    this.pool = context.pool;
    this.counters = context.counters;
    this.#malformed = context.counters.slots("tcp", MALFORMED);
  }

  /** A segment, cursor at its header. Does not own it. */
  input(demux: TcpDemux, nic: Nic, packet: PacketBuffer, ip: IpHeader, now: Instant): void {
    if (!verifyTransport(packet, ip)) {
      this.counters.count(this.#malformed["bad-checksum"]);
      return;
    }
    const header = this.#header;
    const reason = parseTcp(packet, header);
    if (reason !== undefined) {
      this.counters.count(this.#malformed[reason]);
      return;
    }
    demux.handle(ip, header, packet, nic, now);
  }

  /** Puts an IP header on what `connection` dispatched. Takes ownership. */
  send(connection: TcpConnection, packet: PacketBuffer, now: Instant): void {
    const path = this.route(connection);
    if (!(path instanceof IpPath)) {
      this.counters.bump("ip.no-route");
      packet.release();
      return;
    }
    const failure = this.#context.output.send(
      path,
      packet,
      IpProtocol.tcp,
      DEFAULT_HOP_LIMIT,
      connection.trafficClass,
      true,
      now,
    );
    if (failure !== undefined) this.counters.bump(`tcp.output-${failure}`);
  }

  /** Whether {@linkcode deliver} has work. */
  get pending(): boolean {
    return this.#events.length > 0 || this.#accepts.size > 0;
  }

  /** Tells observers what happened. Bounded: what they cause in turn waits for the next call. */
  deliver(now: Instant): void {
    let left = this.#accepts.size;
    for (const listener of this.#accepts) {
      if (left-- === 0) break;
      this.#accepts.delete(listener);
      listener.observer.onTcpAccept(listener, now);
    }
    const connections = this.#events;
    this.#events = this.#telling;
    this.#telling = connections;
    for (let i = 0; i < connections.length; i++) {
      const connection = connections[i]!;
      const events = connection.takeEvents();
      if (events !== 0) connection.observer?.onTcpEvent(connection, events, now);
    }
    connections.length = 0;
  }

  random(): number {
    return this.#context.random();
  }

  tenantOf(address: IpAddress): number {
    return this.#context.tenants.of?.(address) ?? 0;
  }

  wantsDispatch(connection: TcpConnection): void {
    if (connection.ready) return;
    const path = this.route(connection);
    (path instanceof IpPath ? path.nic : path as Nic).wantsDispatch(connection);
  }

  setTimer(connection: TcpConnection, at: Instant): void {
    this.#context.setTimer(connection, at);
  }

  notify(connection: TcpConnection): void {
    this.#events.push(connection);
  }

  notifyListener(listener: TcpListener): void {
    this.#accepts.add(listener);
  }

  closed(_connection: TcpConnection): void {
    // Its timer is disarmed by TCP, its last events still have to be told, and a turn it has left yields nothing.
  }

  route(connection: TcpConnection): TcpPath {
    const { paths, clock: { now } } = this.#context;
    const path = connection.path;
    if (path instanceof IpPath) {
      paths.refresh(path, now);
      return path;
    }
    // It came in by this interface: answer by the same one.
    const nic = path as Nic;
    const fresh = paths.resolve(
      connection.remoteAddress,
      now,
      connection.localAddress,
      nic.kind === "loopback" ? undefined : nic,
    );
    if (typeof fresh === "string") return path;
    connection.path = fresh;
    return fresh;
  }

  transmit(packet: PacketBuffer, local: IpAddress, remote: IpAddress, path: TcpPath, now: Instant): void {
    const { paths, output } = this.#context;
    const nic = path instanceof IpPath ? path.nic : path as Nic;
    const way = paths.resolve(remote.clone(), now, local.clone(), nic.kind === "loopback" ? undefined : nic);
    if (typeof way === "string") {
      this.counters.bump("ip.no-route");
      packet.release();
      return;
    }
    output.send(way, packet, IpProtocol.tcp, DEFAULT_HOP_LIMIT, 0, true, now);
  }

  rejectWithIcmp(
    kind: "host-unreachable" | "network-unreachable" | "port-unreachable" | "admin-prohibited",
    quote: PacketBuffer,
    path: TcpPath,
    now: Instant,
  ): void {
    const { start, end } = quote;
    const reason = parseQuote(quote, this.#quote);
    if (reason !== undefined) this.counters.bump(`tcp.reject-${reason}`);
    else {
      const nic = path instanceof IpPath ? path.nic : path as Nic;
      this.#context.errors.send(kind, this.#quote.ip, quote, nic, now);
    }
    quote.start = start;
    quote.end = end;
  }
}
