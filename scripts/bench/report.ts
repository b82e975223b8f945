/**
 * Medians, ratios and targets as a markdown table.
 *
 * @module
 */

import type { Numbers } from "./workloads.ts";

interface Metric {
  readonly title: string;
  readonly digits: number;
  /** The reference against which ours is held, from the medians of all peers. */
  readonly against?: (of: (peer: string) => number) => number;
  /** Bounds of ours ÷ reference, or of ours alone where there is no reference. */
  readonly atLeast?: number;
  readonly atMost?: number;
}

const better = (of: (peer: string) => number) => Math.max(of("pasta") || 0, of("slirp4netns") || 0);
const pasta = (of: (peer: string) => number) => of("pasta");

/** What every number is, and what is asked of it. */
export const METRICS: Readonly<Record<string, Metric>> = {
  "stream-out": { title: "TCP stream guest→host, Gbit/s", digits: 2, against: better, atLeast: 1.2 },
  "stream-in": { title: "TCP stream host→guest, Gbit/s", digits: 2, against: better, atLeast: 1.2 },
  "rr": { title: "TCP request/response, µs", digits: 1, against: pasta, atMost: 1.1 },
  "crr": { title: "TCP connect-request-close, µs", digits: 1, against: pasta, atMost: 1.2 },
  "udp-out": { title: "UDP 1400 bytes guest→host, Gbit/s", digits: 2, against: pasta, atLeast: 1 },
  "udp-in": { title: "UDP 1400 bytes host→guest, Gbit/s", digits: 2, against: pasta, atLeast: 1 },
  "udp-small-out": { title: "UDP 64 bytes guest→host, 1000/s", digits: 0, against: pasta },
  "udp-small-in": { title: "UDP 64 bytes host→guest, 1000/s", digits: 0, against: pasta },
  "start": { title: "`do -- true`, ms", digits: 0, atMost: 150 },
  "memory-idle": { title: "resident memory idle, MB", digits: 0, atMost: 80 },
  "memory-after": { title: "resident memory after the transfer, MB", digits: 0 },
  "memory-per-connection": { title: "memory per idle TCP connection, KB", digits: 1, atMost: 8 },
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
    rows.push([metric.title, ...peers.map((peer) => cell(metric, peer, of)), target(metric)]);
  }
  return rows.map((row) => `| ${row.join(" | ")} |`).join("\n");
}

function cell(metric: Metric, peer: string, of: (peer: string) => number): string {
  const value = of(peer);
  if (Number.isNaN(value)) return "–";
  const text = value.toFixed(metric.digits);
  if (!peer.startsWith("sluice")) return text;
  const reference = metric.against?.(of) ?? 1;
  if (!(reference > 0)) return text;
  const ratio = value / reference;
  const ratioText = metric.against === undefined ? "" : ` (×${ratio.toFixed(2)})`;
  const { atLeast = 0, atMost = Infinity } = metric;
  if (atLeast === 0 && atMost === Infinity) return text + ratioText;
  return `${text}${ratioText} ${ratio >= atLeast && ratio <= atMost ? "✓" : "✗"}`;
}

function target({ against, atLeast, atMost }: Metric): string {
  const bound = atLeast !== undefined ? `≥ ${atLeast}` : atMost !== undefined ? `≤ ${atMost}` : "";
  if (bound === "" || against === undefined) return bound;
  return `${bound} × ${against === pasta ? "pasta" : "the better of both"}`;
}
