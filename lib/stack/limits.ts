/**
 * Every ceiling of a stack against those who would fill it. Each has a counter that tells when it was met.
 *
 * @module
 */

import type { TcpLimits } from "./tcp/demux.ts";

/** Ceilings of one stack. */
export interface StackLimits {
  /** Neighbours per interface (`neighbour.evicted`). */
  readonly neighbours: number;
  /** Packets that wait for one unresolved neighbour (`neighbour.pending-overflow`). */
  readonly pendingPackets: number;
  /** Datagrams being reassembled at once, of 64 KiB each (`ip.reassembly-evicted`). */
  readonly datagrams: number;
  /** Destinations whose path MTU is remembered. */
  readonly pathMtus: number;
  /** ICMP errors per second, and at once (`icmp.errors-rate-limited`). */
  readonly icmpErrorsPerSecond: number;
  readonly icmpErrorBurst: number;
  /** Answers to pings per second (`icmp.echo-replies-rate-limited`). */
  readonly echoRepliesPerSecond: number;
  /** Open endpoints (`udp.too-many-endpoints`, `icmp.too-many-endpoints`). */
  readonly udpEndpoints: number;
  readonly echoEndpoints: number;
  readonly rawEndpoints: number;
  /** Ceilings of TCP; absent ones are TCP's own. */
  readonly tcp: Partial<TcpLimits>;
}

/** The defaults. */
export const DEFAULT_LIMITS: StackLimits = {
  neighbours: 512,
  pendingPackets: 32,
  datagrams: 64,
  pathMtus: 1_024,
  icmpErrorsPerSecond: 1_000,
  icmpErrorBurst: 50,
  echoRepliesPerSecond: 10_000,
  udpEndpoints: 65_536,
  echoEndpoints: 1_024,
  rawEndpoints: 64,
  tcp: {},
};
