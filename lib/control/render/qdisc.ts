/**
 * Queueing disciplines as `tc -s -j qdisc` prints them. Our `none` is Linux' `noqueue`, our `fifo` its `pfifo`.
 *
 * @module
 */

import type { NicFacts } from "../../engine/messages.ts";
import { QDISC_KINDS } from "./link.ts";

/** One element of `tc -s -j qdisc`. */
export interface QdiscJson {
  readonly kind: "noqueue" | "pfifo" | "tbf";
  readonly handle: string;
  readonly dev: string;
  readonly root: true;
  readonly refcnt: number;
  readonly options: QdiscOptionsJson;
  readonly bytes: number;
  readonly packets: number;
  readonly drops: number;
  readonly overlimits: number;
  readonly requeues: number;
  readonly backlog: number;
  readonly qlen: number;
}

/** pfifo has a limit in packets; tbf a rate in bytes per second, a burst in bytes, a latency in microseconds. */
export interface QdiscOptionsJson {
  readonly limit?: number;
  readonly rate?: number;
  readonly burst?: number;
  readonly lat?: number;
}

/** Packets that a fifo holds. */
const FIFO_LIMIT = 1000;
/** A tbf holds burst + 1 s of rate; tc prints what exceeds the burst as the time that it takes to drain. */
const TBF_LATENCY_US = 1_000_000;
/** Where the kernel begins to number the handles that nobody chose (`qdisc_alloc_handle`). */
const FIRST_HANDLE = 0x8001;

/** The root discipline of every interface, or of the one called `device`. */
export function qdiscsJson(nics: readonly NicFacts[], device?: string): QdiscJson[] {
  let next = FIRST_HANDLE;
  const all = nics.map((nic) => qdiscJson(nic, nic.qdisc.kind === "none" ? 0 : next++));
  return device === undefined ? all : all.filter((qdisc) => qdisc.dev === device);
}

function qdiscJson({ name, qdisc }: NicFacts, handle: number): QdiscJson {
  return {
    kind: QDISC_KINDS[qdisc.kind],
    handle: `${handle.toString(16)}:`,
    dev: name,
    root: true,
    refcnt: 2,
    options: options(qdisc),
    bytes: qdisc.bytes,
    packets: qdisc.packets,
    drops: qdisc.drops,
    overlimits: qdisc.overlimits,
    requeues: qdisc.requeues,
    backlog: qdisc.backlog,
    qlen: qdisc.qlen,
  };
}

function options(qdisc: NicFacts["qdisc"]): QdiscOptionsJson {
  switch (qdisc.kind) {
    case "none":
      return {};
    case "fifo":
      return { limit: qdisc.limit ?? FIFO_LIMIT };
    case "tbf":
      return { rate: qdisc.rate ?? 0, burst: qdisc.burst ?? 0, lat: TBF_LATENCY_US };
  }
}
