/**
 * `struct tcp_info` (linux/tcp.h) of a connection.
 *
 * @module
 */

import type { TcpFacts } from "../../../stack/facts.ts";
import type { TcpConnection } from "../../../stack/tcp/connection.ts";
import type { TcpState } from "../../../stack/tcp/state.ts";

/** Bytes of the structure that we fill: up to `tcpi_rcv_wnd`. */
export const TCP_INFO_SIZE = 240;

/** The kernel's numbers. */
const STATE: Readonly<Record<TcpState, number>> = {
  "established": 1,
  "syn-sent": 2,
  "syn-received": 3,
  "fin-wait-1": 4,
  "fin-wait-2": 5,
  "time-wait": 6,
  "closed": 7,
  "close-wait": 8,
  "last-ack": 9,
  "closing": 11,
};
const LISTEN = 10, CLOSE = 7;
const TIMESTAMPS = 1, SACK = 2, WINDOW_SCALE = 4, ECN = 8;

function clear(view: DataView): number {
  const length = Math.min(view.byteLength, TCP_INFO_SIZE) & ~7;
  for (let i = 0; i < length; i += 4) view.setInt32(i, 0, true);
  return length;
}

/** Of a socket without a connection. `backlog` undefined: it does not listen. Returns the length. */
export function writeIdleInfo(view: DataView, waiting = 0, backlog?: number): number {
  const length = clear(view);
  view.setUint8(0, backlog === undefined ? CLOSE : LISTEN);
  view.setUint32(8, 1_000_000, true); // tcpi_rto
  view.setUint32(16, 536, true); // tcpi_snd_mss
  view.setUint32(20, backlog === undefined ? 88 : 536, true); // tcpi_rcv_mss
  if (backlog !== undefined) {
    // "unacked" and "sacked" of a listener are its queue and its backlog.
    view.setUint32(24, waiting, true);
    view.setUint32(28, backlog, true);
  }
  return length;
}

/** Of a connection. Returns the length. */
export function writeTcpInfo(view: DataView, connection: TcpConnection): number {
  const facts = connection.facts().tcp;
  if (facts === undefined) {
    const length = clear(view);
    view.setUint8(0, STATE[connection.state]);
    return length;
  }
  const length = writeTcpFacts(view, STATE[connection.state], facts);
  const { receiver, sender } = connection;
  const word = (at: number, value: number) => {
    if (at + 4 <= length) view.setUint32(at, Math.max(0, Math.min(value, 0xffffffff)), true);
  };
  word(20, receiver.mss);
  word(24, Math.ceil(sender.outstanding / facts.mss)); // tcpi_unacked, segments
  word(64, receiver.window); // tcpi_rcv_ssthresh
  word(96, receiver.window); // tcpi_rcv_space
  word(144, sender.unsent); // tcpi_notsent_bytes
  word(232, receiver.window);
  return length;
}

/** Of a connection of which only the facts are known; `state` as the kernel numbers it. Returns the length. */
export function writeTcpFacts(view: DataView, state: number, facts: TcpFacts): number {
  const length = clear(view);
  view.setUint8(0, state);
  const scaled = facts.sendScale > 0 || facts.receiveScale > 0;
  view.setUint8(
    5,
    (facts.timestamps ? TIMESTAMPS : 0) | (facts.sack ? SACK : 0) | (scaled ? WINDOW_SCALE : 0) |
      (facts.ecn ? ECN : 0),
  );
  view.setUint8(6, (facts.sendScale & 15) | (facts.receiveScale << 4));
  const word = (at: number, value: number) => {
    if (at + 4 <= length) view.setUint32(at, Math.max(0, Math.min(value, 0xffffffff)), true);
  };
  const long = (at: number, value: number) => {
    if (at + 8 <= length) view.setBigUint64(at, BigInt(Math.max(0, Math.trunc(value))), true);
  };
  word(8, facts.rto);
  word(12, 40_000); // tcpi_ato
  word(16, facts.mss);
  word(20, facts.mss);
  word(60, facts.pmtu);
  word(64, facts.receiveWindow); // tcpi_rcv_ssthresh
  word(68, facts.rtt);
  word(72, facts.rttvar);
  word(76, facts.ssthresh === undefined ? 0x7fffffff : Math.ceil(facts.ssthresh / facts.mss));
  word(80, Math.max(1, Math.floor(facts.cwnd / facts.mss)));
  word(84, facts.mss); // tcpi_advmss
  word(88, 3); // tcpi_reordering
  word(96, facts.receiveWindow); // tcpi_rcv_space
  word(100, facts.retransmits);
  long(120, facts.bytesAcked);
  long(128, facts.bytesReceived);
  long(200, facts.bytesSent);
  long(208, facts.bytesRetransmitted);
  word(228, facts.sendWindow);
  word(232, facts.receiveWindow);
  return length;
}
