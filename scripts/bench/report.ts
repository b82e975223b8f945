/**
 * Medians, ratios and targets as a markdown table.
 *
 * @module
 */

import type { Numbers } from "./workloads.ts";

/** A target: ours ÷ the reference, or ours alone where there is no reference. */
interface Bound {
  /** Peers of which the best is the reference. */
  readonly against?: readonly string[];
  readonly atLeast?: number;
  readonly atMost?: number;
}

interface Metric {
  readonly title: string;
  readonly digits: number;
  /** Of the attachment `tap`. */
  readonly tap?: readonly Bound[];
  /** Of the attachment `sockets`. */
  readonly sockets?: readonly Bound[];
}

const BOTH = ["pasta", "slirp4netns"], PASTA = ["pasta"], KERNEL = ["kernel"];
const faster = (against: readonly string[], atLeast: number): Bound => ({ against, atLeast });
const sooner = (against: readonly string[], atMost: number): Bound => ({ against, atMost });
const STREAM = { tap: [faster(BOTH, 1.2)], sockets: [faster(KERNEL, 0.6), faster(PASTA, 1)] };
const UDP = { tap: [faster(PASTA, 1)] };
const FLOOD = { sockets: [{ atLeast: 100 }] };
const atMost = (value: number) => ({ tap: [{ atMost: value }], sockets: [{ atMost: value }] });

/** What every number is, and what is asked of it. */
export const METRICS: Readonly<Record<string, Metric>> = {
  "stream-out": { title: "TCP stream guest→host, Gbit/s", digits: 2, ...STREAM },
  "stream-in": { title: "TCP stream host→guest, Gbit/s", digits: 2, ...STREAM },
  "loopback": {
    title: "TCP stream on the guest's loopback, Gbit/s",
    digits: 2,
    sockets: [faster(KERNEL, 0.5)],
  },
  "rr": {
    title: "TCP request/response, µs",
    digits: 1,
    tap: [sooner(PASTA, 1.1)],
    sockets: [sooner(PASTA, 1)],
  },
  "crr": {
    title: "TCP connect-request-close, µs",
    digits: 1,
    tap: [sooner(PASTA, 1.2)],
    sockets: [sooner(PASTA, 1.5)],
  },
  "udp-out": { title: "UDP 1400 bytes guest→host, Gbit/s", digits: 2, ...UDP },
  "udp-in": { title: "UDP 1400 bytes host→guest, Gbit/s", digits: 2, ...UDP },
  "udp-small-out": { title: "UDP 64 bytes guest→host, 1000/s", digits: 0 },
  "udp-small-in": { title: "UDP 64 bytes host→guest, 1000/s", digits: 0 },
  "connected-out": { title: "`write`, 64 bytes guest→host, 1000/s", digits: 0, ...FLOOD },
  "connected-in": { title: "`read`, 64 bytes host→guest, 1000/s", digits: 0, ...FLOOD },
  "batch-out": { title: "`sendmmsg`, 64 bytes guest→host, 1000/s", digits: 0, ...FLOOD },
  "batch-in": { title: "`recvmmsg`, 64 bytes host→guest, 1000/s", digits: 0, ...FLOOD },
  "plain-out": { title: "`sendto`, 64 bytes guest→host, 1000/s", digits: 0 },
  "plain-in": { title: "`recvfrom`, 64 bytes host→guest, 1000/s", digits: 0 },
  "call-trapped": { title: "`getsockopt` on UDP, µs", digits: 1, sockets: [{ atMost: 20 }] },
  "call-foreign": { title: "`sendmsg`, `recvmsg` on unix sockets, µs a call", digits: 1 },
  "start": { title: "`do -- true`, ms", digits: 0, ...atMost(150) },
  "memory-idle": { title: "resident memory idle, MB", digits: 0, ...atMost(80) },
  "memory-after": { title: "resident memory after the transfer, MB", digits: 0 },
  "memory-per-connection": { title: "memory per idle TCP connection, KB", digits: 1, ...atMost(8) },
};

/** All runs: peer → metric → one number per run. */
export type Results = Map<string, Map<string, number[]>>;

/** Adds the numbers of one run. */
export function record(results: Results, peer: string, numbers: Numbers): void {
  const ofPeer = results.get(peer) ?? new Map<string, number[]>();
  results.set(peer, ofPeer);
  for (const [metric, value] of Object.entries(numbers)) {
    ofPeer.set(metric, [...ofPeer.get(metric) ?? [], value]);
  }
}

/** The middle value, NaN of none. */
export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2;
}

/** One row per metric: the median of each peer; for ours also the ratio, and whether the target is met. */
export function table(results: Results): string {
  const peers = [...results.keys()];
  const rows = [
    ["", ...peers, "target"],
    ["---", ...peers.map(() => "---:"), "---"],
  ];
  for (const [name, metric] of Object.entries(METRICS)) {
    const of = (peer: string) => median(results.get(peer)?.get(name) ?? []);
    if (peers.every((peer) => Number.isNaN(of(peer)))) continue;
    rows.push([metric.title, ...peers.map((peer) => cell(metric, peer, of)), target(metric, peers)]);
  }
  return rows.map((row) => `| ${row.join(" | ")} |`).join("\n");
}

function boundsOf(metric: Metric, peer: string): readonly Bound[] {
  if (peer.startsWith("sockets")) return metric.sockets ?? [];
  return peer.startsWith("sluice") ? metric.tap ?? [] : [];
}

function cell(metric: Metric, peer: string, of: (peer: string) => number): string {
  const value = of(peer);
  if (Number.isNaN(value)) return "–";
  let text = value.toFixed(metric.digits);
  for (const { against, atLeast = 0, atMost = Infinity } of boundsOf(metric, peer)) {
    const references = (against ?? []).map(of).filter((reference) => reference > 0);
    if (against !== undefined && references.length === 0) continue;
    const best = atMost === Infinity ? Math.max(...references) : Math.min(...references);
    const ratio = against === undefined ? value : value / best;
    const ratioText = against === undefined ? "" : ` ×${ratio.toFixed(2)}`;
    text += `${ratioText} ${ratio >= atLeast && ratio <= atMost ? "✓" : "✗"}`;
  }
  return text;
}

/** What is asked of those of ours that were measured. */
function target(metric: Metric, peers: readonly string[]): string {
  const texts = peers.flatMap((peer) => boundsOf(metric, peer)).map(({ against, atLeast, atMost }) => {
    const bound = atLeast !== undefined ? `≥ ${atLeast}` : `≤ ${atMost}`;
    return against === undefined ? bound : `${bound} × ${against.join(" or ")}`;
  });
  return [...new Set(texts)].join(", ");
}
