/**
 * Relayed flows and published ports as JSON.
 *
 * @module
 */

import type { FlowFacts, ForwardFacts } from "../../engine/messages.ts";

/** One flow that the gateway relays. */
export interface FlowJson {
  readonly protocol: FlowFacts["protocol"];
  readonly direction: FlowFacts["direction"];
  readonly guest: string;
  readonly destination: string;
  readonly host: string;
  readonly state: string;
  readonly bytes_out: number;
  readonly bytes_in: number;
  /** Seconds. */
  readonly age: number;
}

/** One published port. `spec` is what `--publish`, POST and DELETE take; `unix:PATH`, of a unix socket, DELETE only. */
export interface ForwardJson {
  readonly protocol: ForwardFacts["protocol"];
  readonly host: string;
  readonly guest: number;
  readonly spec: string;
}

export function flowJson(flow: FlowFacts): FlowJson {
  return {
    protocol: flow.protocol,
    direction: flow.direction,
    guest: flow.guest,
    destination: flow.destination,
    host: flow.host,
    state: flow.state,
    bytes_out: flow.bytesOut,
    bytes_in: flow.bytesIn,
    age: flow.age,
  };
}

export function forwardJson({ protocol, host, guest, guestAddress }: ForwardFacts): ForwardJson {
  const at = guestAddress === undefined
    ? ""
    : guestAddress.includes(":")
    ? `[${guestAddress}]:`
    : `${guestAddress}:`;
  return {
    protocol,
    host,
    guest,
    spec: protocol === "unix" ? `unix:${host}` : `${host}:${at}${guest}/${protocol}`,
  };
}
