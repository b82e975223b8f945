/**
 * What a user may choose about a connection, with Linux' defaults where Linux has one.
 *
 * @module
 */

import { type Microseconds, SECOND } from "../time.ts";

/** Options of one connection, or of all that a listener or a forwarder accepts. */
export interface TcpOptions {
  /** Bytes that may wait in the send queue at first; grows with the congestion window. */
  readonly sendBuffer: number;
  /** Ceiling of that growth. */
  readonly sendBufferMax: number;
  /** Bytes that may wait in the receive queue at first; grows with the rate of the reader. */
  readonly receiveBuffer: number;
  /** Ceiling of that growth; also fixes the window scale offered in the SYN. */
  readonly receiveBufferMax: number;
  readonly congestion: "cubic" | "reno";
  /** Nagle's algorithm off (RFC 1122 section 4.2.3.4). */
  readonly noDelay: boolean;
  /** Send no partial segment at all until uncorked, or for 200 ms. */
  readonly cork: boolean;
  /** Send keep-alive probes (RFC 1122 section 4.2.3.6). */
  readonly keepAlive: boolean;
  readonly keepAliveIdle: Microseconds;
  readonly keepAliveInterval: Microseconds;
  readonly keepAliveCount: number;
  /** How long data may stay unacknowledged (RFC 5482); 0: as many retransmissions as Linux makes. */
  readonly userTimeout: Microseconds;
  /** RFC 7323 timestamps. */
  readonly timestamps: boolean;
  /** RFC 7323 window scale. */
  readonly windowScale: boolean;
  /** RFC 2018 selective acknowledgements. */
  readonly sack: boolean;
  /** RFC 3168: ask for it, only answer a peer that asks (Linux' default), or neither. */
  readonly ecn: "request" | "answer" | "off";
  /** RFC 1122 delayed acknowledgements. */
  readonly delayedAck: boolean;
  /** How many times a SYN is sent again. */
  readonly synRetries: number;
  /** How many times a SYN-ACK is sent again. */
  readonly synAckRetries: number;
  /** How many time-outs in a row end an established connection. */
  readonly retries: number;
  /** The same once the user has gone. */
  readonly orphanRetries: number;
  /** How long an orphan waits in FIN-WAIT-2 (Linux' `tcp_fin_timeout`). */
  readonly finTimeout: Microseconds;
  /** Twice the maximum segment lifetime. */
  readonly timeWait: Microseconds;
  /** Try smaller segments when large ones seem to vanish on the way (RFC 8899), for ten minutes. */
  readonly blackHoles: boolean;
  /** Largest segment to ask of the peer, 0: what the route's MTU allows. */
  readonly maximumSegment: number;
}

/** Linux' defaults, with more generous buffers. */
export const DEFAULT_TCP_OPTIONS: TcpOptions = {
  sendBuffer: 262_144,
  sendBufferMax: 4_194_304,
  receiveBuffer: 262_144,
  receiveBufferMax: 6_291_456,
  congestion: "cubic",
  noDelay: false,
  cork: false,
  keepAlive: false,
  keepAliveIdle: 7_200 * SECOND,
  keepAliveInterval: 75 * SECOND,
  keepAliveCount: 9,
  userTimeout: 0,
  timestamps: true,
  windowScale: true,
  sack: true,
  ecn: "answer",
  delayedAck: true,
  synRetries: 6,
  synAckRetries: 5,
  retries: 15,
  orphanRetries: 8,
  finTimeout: 60 * SECOND,
  timeWait: 60 * SECOND,
  blackHoles: true,
  maximumSegment: 0,
};
