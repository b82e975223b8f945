/**
 * What a connection tells the one who uses it: coalesced events, and why it ended.
 *
 * @module
 */

import type { Instant } from "../time.ts";
import type { TcpConnection } from "./connection.ts";

/** Bits of the mask that {@linkcode TcpObserver.onTcpEvent} receives. */
export const TcpEvent = {
  /** The handshake is over. */
  established: 1,
  /** Bytes arrived in order, or the end of them did. */
  readable: 2,
  /** There is room in the send queue again. */
  writable: 4,
  /** The peer's FIN is in sequence: end of file once the receive queue is empty. */
  peerClosed: 8,
  /** The connection is no more; `connection.error` says why, undefined after an orderly end. */
  closed: 16,
} as const;

/** Why a connection ended, or could not begin. */
export type TcpError =
  | "refused"
  | "reset"
  | "timed-out"
  | "host-unreachable"
  | "network-unreachable"
  | "aborted"
  | "message-size"
  | "permission"
  | "address-in-use"
  | "no-ports";

/** The user of a connection. Called from the stack's poll, never from its ingress. */
export interface TcpObserver {
  /** @param events a mask of {@linkcode TcpEvent} bits, everything since the last call */
  onTcpEvent(connection: TcpConnection, events: number, now: Instant): void;
}

/** ICMP errors as TCP tells them apart (RFC 1122 section 4.2.3.9, RFC 4443 section 3). */
export type TcpIcmpError =
  | "network-unreachable"
  | "host-unreachable"
  | "protocol-unreachable"
  | "port-unreachable"
  | "admin-prohibited"
  | "packet-too-big"
  | "source-route-failed"
  | "time-exceeded"
  | "parameter-problem";
