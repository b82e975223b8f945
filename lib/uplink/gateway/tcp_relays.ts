/**
 * All relayed TCP connections of one gateway, and what they share.
 *
 * @module
 */

import { EpollEvents, type Reactor, type ReadyHandler } from "../../host/reactor.ts";
import type { BufferPool } from "../../stack/buffer/pool.ts";
import { type Instant, later, MILLISECOND, NEVER, SECOND } from "../../stack/time.ts";
import type { IpAddress } from "../../stack/wire/address.ts";
import type { GatewayLimits } from "./config.ts";
import { FairShare } from "../../stack/fair_share.ts";
import type { FlowRegistry } from "./flows.ts";
import { LruList } from "./lru_list.ts";
import type { PipePool } from "../../link/kernel_pipe.ts";
import { StreamIo } from "../../link/stream_io.ts";
import type { TcpRelay } from "./tcp_relay.ts";
import { roomAmong, type TcpRoom } from "./tcp_room.ts";

/** How often silent flows are looked for. */
const GUARD_INTERVAL = 30 * SECOND;
/** How long a handshake with the guest, which is near, may take before others come first. */
const GRACE = 100 * MILLISECOND;
/** Everything an edge can be about: registered once, never changed. */
const EDGES = EpollEvents.in | EpollEvents.out | EpollEvents.pri | EpollEvents.rdhup | EpollEvents.et;

/** What all relays share. */
export class TcpRelays {
  readonly reactor: Reactor;
  readonly pool: BufferPool;
  readonly io: StreamIo;
  readonly limits: GatewayLimits;
  /** What guests have of the connections, dials included, and of the dials. */
  readonly flowShare: FairShare;
  readonly dialShare: FairShare;
  readonly pipes: PipePool | undefined;
  readonly #registry: FlowRegistry;
  readonly #relays = new Set<TcpRelay>();
  /** Those whose handshake with the guest is not over. */
  readonly #opening = new LruList<TcpRelay>(GRACE);
  readonly isAbsent: (address: IpAddress) => boolean;
  #guardAt: Instant = NEVER;

  /**
   * @param isAbsent whether the guest that had this address is gone
   * @param pipes for bulk streams towards a guest that is in this program, too
   */
  constructor(
    reactor: Reactor,
    pool: BufferPool,
    registry: FlowRegistry,
    limits: GatewayLimits,
    isAbsent: (address: IpAddress) => boolean,
    pipes?: PipePool,
  ) {
    this.isAbsent = isAbsent;
    this.reactor = reactor;
    this.pool = pool;
    this.io = new StreamIo(pool);
    this.limits = limits;
    this.flowShare = new FairShare(limits.tcpFlows);
    this.dialShare = new FairShare(limits.tcpDials);
    this.pipes = pipes;
    this.#registry = registry;
  }

  get size(): number {
    return this.#relays.size;
  }

  /** Bytes that one flow moves in one direction before it lets others go first. */
  get turn(): number {
    return turnAmong(this.#relays.size);
  }

  now(): Instant {
    return this.reactor.now() as Instant;
  }

  count(name: string): void {
    this.#registry.counters.bump(name);
  }

  /** Begins to watch a descriptor, once and for all. */
  watch(fd: number, handler: ReadyHandler): void {
    this.reactor.add(fd, EDGES, handler);
  }

  /**
   * The room of a connection that is about to be made.
   *
   * @param tenant whose it is; undefined: nobody's, so that it counts among all
   */
  room(tenant: number | undefined): TcpRoom {
    return roomAmong(tenant === undefined ? this.#relays.size : this.flowShare.held(tenant));
  }

  opened(relay: TcpRelay): void {
    if (this.#relays.size === 0) this.#guardAt = later(this.now(), GUARD_INTERVAL);
    this.#relays.add(relay);
    this.#registry.add(relay);
    this.#opening.touch(relay, this.now());
  }

  /** The guest has completed the handshake. */
  established(relay: TcpRelay): void {
    this.#opening.remove(relay);
  }

  /**
   * Whether one more connection may begin beside `others` that are no relays yet. At the limit the connection that has
   * waited longest for the guest's side of its handshake makes room, if that was long: a flood of SYNs pushes out its own, not the others'.
   */
  admit(others: number, now: Instant): boolean {
    if (this.#relays.size + others < this.limits.tcpFlows) return true;
    this.count("gateway.tcp.flow-limit");
    this.#opening.expired(now)?.abort(now);
    return this.#relays.size + others < this.limits.tcpFlows;
  }

  closed(relay: TcpRelay): void {
    this.#opening.remove(relay);
    this.#relays.delete(relay);
    if (relay.tenant !== undefined) this.flowShare.remove(relay.tenant);
    this.#registry.delete(relay);
    if (this.#relays.size === 0) this.#guardAt = NEVER;
  }

  pollAt(): Instant {
    return this.#guardAt;
  }

  poll(now: Instant): void {
    if (now < this.#guardAt) return;
    this.#guardAt = later(now, GUARD_INTERVAL);
    for (const relay of this.#relays) relay.guard(now);
  }

  /** Connections on which the guest may have bytes on the way, and how many bytes it got out on those so far. */
  unfinished(): { flows: number; bytes: number } {
    const left = { flows: 0, bytes: 0 };
    for (const relay of this.#relays) {
      if (!relay.unfinished) continue;
      left.flows++;
      left.bytes += relay.bytesOut;
    }
    return left;
  }

  /** Ends every connection, on both sides. */
  stop(now: Instant): void {
    for (const relay of [...this.#relays]) relay.leave(now);
    this.io.close();
  }
}

const KIB = 1_024;

/** The turn of one of so many flows: the fewer they are, the less often it needs to be somebody else's. */
export function turnAmong(flows: number): number {
  return flows > 8 ? 256 * KIB : 1_024 * KIB;
}
