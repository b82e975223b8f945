/**
 * What TCP needs from its surroundings, and nothing more. The stack implements it; tests fake it.
 *
 * @module
 */

import type { BufferPool } from "../buffer/pool.ts";
import type { PacketBuffer } from "../buffer/packet.ts";
import type { Instant } from "../time.ts";
import type { IpAddress } from "../wire/address.ts";
import type { TcpConnection } from "./connection.ts";
import type { TcpListener } from "./listener.ts";

/** Where events are counted. */
export interface TcpCounters {
  bump(name: string): void;
  add(name: string, n: number): void;
}

/** The way a connection's packets go. A NIC is one. */
export interface TcpPath {
  /** Largest IP packet, in bytes. */
  readonly mtu: number;
  /** Largest IP packet that may carry segmentation still to be done; 0 if none may. */
  readonly gsoMaxSize: number;
}

/** The surroundings of one connection. */
export interface TcpContext {
  readonly pool: BufferPool;
  readonly counters: TcpCounters;
  /** A uniform 32-bit number, unpredictable to peers. */
  random(): number;
  /** `connection.dispatch` may have a packet. Idempotent: called as often as it becomes true. */
  wantsDispatch(connection: TcpConnection): void;
  /** Calls `connection.onTimer` at `at`, or never; replaces what was set before and sets `connection.timerAt`. */
  setTimer(connection: TcpConnection, at: Instant): void;
  /** There are events for `connection.takeEvents`. Idempotent. */
  notify(connection: TcpConnection): void;
  /** The connection is no more: forget its address, its timer and its turn. */
  closed(connection: TcpConnection): void;
  /** The way to the peer as it is now. Called per segment: must not allocate. */
  route(connection: TcpConnection): TcpPath;
  /** The connection enters TIME-WAIT; where there are too many, another ends. */
  enterTimeWait(connection: TcpConnection): void;
  /** Whether one more challenge ACK may leave in this second (RFC 5961 section 7). */
  allowChallenge(now: Instant): boolean;
}

/** The surroundings of the table of connections. */
export interface TcpEnvironment extends Omit<TcpContext, "closed" | "enterTimeWait" | "allowChallenge"> {
  /** As {@linkcode TcpContext.closed}, after the table has forgotten it. */
  closed(connection: TcpConnection): void;
  /** Whose an address is; absent: all are one guest's. */
  tenantOf?(address: IpAddress): number;
  /** The listener has connections for `listener.accept`. Idempotent. */
  notifyListener(listener: TcpListener): void;
  /**
   * Sends a segment that belongs to no connection (a RST, a SYN cookie): TCP header at `start`, checksum partial.
   * Takes ownership.
   *
   * @param path the one the segment that it answers came by
   */
  transmit(packet: PacketBuffer, local: IpAddress, remote: IpAddress, path: TcpPath, now: Instant): void;
  /** Sends an ICMP error that quotes a SYN which `TcpRequest.reject` refused. `quote` starts at its IP header and
   * stays the caller's. */
  rejectWithIcmp(
    kind: "host-unreachable" | "network-unreachable" | "port-unreachable" | "admin-prohibited",
    quote: PacketBuffer,
    path: TcpPath,
    now: Instant,
  ): void;
}
