/**
 * The states of RFC 9293 section 3.3.2.
 *
 * @module
 */

/** A state of a connection. LISTEN is a `TcpListener`. */
export type TcpState =
  | "syn-sent"
  | "syn-received"
  | "established"
  | "fin-wait-1"
  | "fin-wait-2"
  | "close-wait"
  | "closing"
  | "last-ack"
  | "time-wait"
  | "closed";

/** The state as `ss` prints it. */
export const SS_STATE: Readonly<Record<TcpState, string>> = {
  "syn-sent": "SYN-SENT",
  "syn-received": "SYN-RECV",
  "established": "ESTAB",
  "fin-wait-1": "FIN-WAIT-1",
  "fin-wait-2": "FIN-WAIT-2",
  "close-wait": "CLOSE-WAIT",
  "closing": "CLOSING",
  "last-ack": "LAST-ACK",
  "time-wait": "TIME-WAIT",
  "closed": "UNCONN",
};
