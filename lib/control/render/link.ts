/**
 * Interfaces as `ip -j link` prints them: the same keys in the same order, so that a script written for iproute2 reads
 * our answer unchanged.
 *
 * @module
 */

import type { NicFacts, QdiscFacts } from "../../engine/messages.ts";

/** One element of `ip -j link`; `stats64` as with `-s`. */
export interface LinkJson {
  readonly ifindex: number;
  readonly ifname: string;
  readonly flags: readonly string[];
  readonly mtu: number;
  readonly qdisc: string;
  readonly operstate: "UNKNOWN" | "UP" | "DOWN";
  readonly linkmode: "DEFAULT";
  readonly group: "default";
  readonly txqlen: number;
  readonly link_type: NicFacts["kind"];
  readonly address: string;
  readonly broadcast: string;
  readonly stats64?: StatsJson;
}

/** Traffic counters, in bytes and packets. */
export interface StatsJson {
  readonly rx: DirectionJson & { readonly over_errors: number; readonly multicast: number };
  readonly tx: DirectionJson & { readonly carrier_errors: number; readonly collisions: number };
}

interface DirectionJson {
  readonly bytes: number;
  readonly packets: number;
  readonly errors: number;
  readonly dropped: number;
}

/** What Linux gives every new interface (`DEFAULT_TX_QUEUE_LEN`); our fifo has the same length. */
const TX_QUEUE_LENGTH = 1000;

/** Our names of queueing disciplines, and Linux'. */
export const QDISC_KINDS = { none: "noqueue", fifo: "pfifo", tbf: "tbf" } as const satisfies Record<
  QdiscFacts["kind"],
  string
>;

/** IFF_* names in the order of iproute2's `print_link_flags`. */
export function linkFlags(nic: NicFacts): string[] {
  const flags = nic.kind === "loopback" ? ["LOOPBACK"] : ["BROADCAST", "MULTICAST"];
  if (!nic.up) return flags;
  return nic.carrier === false ? ["NO-CARRIER", ...flags, "UP"] : [...flags, "UP", "LOWER_UP"];
}

/** RFC 2863's operational state. A loopback device has none to tell, and Linux says so. */
export function operstate(nic: NicFacts): LinkJson["operstate"] {
  if (!nic.up || nic.carrier === false) return "DOWN";
  return nic.kind === "loopback" ? "UNKNOWN" : "UP";
}

/** One interface as `ip -j link`; with `stats`, as `ip -s -j link`. */
export function linkJson(nic: NicFacts, stats = false): LinkJson {
  return {
    ifindex: nic.index,
    ifname: nic.name,
    flags: linkFlags(nic),
    mtu: nic.mtu,
    qdisc: QDISC_KINDS[nic.qdisc.kind],
    operstate: operstate(nic),
    linkmode: "DEFAULT",
    group: "default",
    txqlen: TX_QUEUE_LENGTH,
    link_type: nic.kind,
    address: nic.mac,
    broadcast: nic.kind === "loopback" ? "00:00:00:00:00:00" : "ff:ff:ff:ff:ff:ff",
    ...(stats ? { stats64: statsJson(nic) } : {}),
  };
}

/** The counters of one interface. What a user-space link cannot suffer (collisions, carrier loss) is 0. */
export function statsJson({ rx, tx }: NicFacts): StatsJson {
  return {
    rx: { ...direction(rx), over_errors: 0, multicast: 0 },
    tx: { ...direction(tx), carrier_errors: 0, collisions: 0 },
  };
}

function direction({ bytes, packets, errors, dropped }: NicFacts["rx"]): DirectionJson {
  return { bytes, packets, errors, dropped };
}
