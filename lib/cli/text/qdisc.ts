/**
 * Queueing disciplines as `tc qdisc` and `tc -s qdisc` print them.
 *
 * @module
 */

import type { QdiscJson, QdiscOptionsJson } from "../../control/render/qdisc.ts";

/** One or, with `stats`, three lines for each. */
export function formatQdiscs(qdiscs: readonly QdiscJson[], stats: boolean): string {
  return qdiscs.map((qdisc) => {
    const head = `qdisc ${qdisc.kind} ${qdisc.handle} dev ${qdisc.dev} root refcnt ${qdisc.refcnt}`;
    return `${head}${formatOptions(qdisc.options)}\n${stats ? formatCounters(qdisc) : ""}`;
  }).join("");
}

function formatOptions({ limit, rate, burst, lat }: QdiscOptionsJson): string {
  let text = "";
  if (rate !== undefined) text += ` rate ${formatRate(rate)}`;
  if (burst !== undefined) text += ` burst ${formatSize(burst)}`;
  if (lat !== undefined) text += ` lat ${formatTime(lat)}`;
  if (limit !== undefined) text += ` limit ${limit}p`;
  return text;
}

function formatCounters(qdisc: QdiscJson): string {
  const { bytes, packets, drops, overlimits, requeues, backlog, qlen } = qdisc;
  return ` Sent ${bytes} bytes ${packets} pkt (dropped ${drops}, overlimits ${overlimits} requeues ${requeues})\n` +
    ` backlog ${formatSize(backlog)} ${qlen}p requeues ${requeues}\n`;
}

/** Bytes per second in bits, with the largest decimal unit that loses nothing (`tc_print_rate`). */
export function formatRate(bytesPerSecond: number): string {
  const units = ["", "K", "M", "G", "T"];
  let rate = bytesPerSecond * 8;
  let unit = 0;
  // From a million units on, tc drops the remainder: three to six digits are left of a rate.
  while (unit < units.length - 1 && rate >= 1000 && (rate % 1000 === 0 || rate >= 1_000_000)) {
    rate = Math.floor(rate / 1000);
    unit++;
  }
  return `${rate}${units[unit]}bit`;
}

/** Bytes, with a binary unit if it is (nearly) a whole number of them (`sprint_size`). */
export function formatSize(bytes: number): string {
  const mega = Math.round(bytes / 1_048_576);
  if (bytes >= 1_048_576 && Math.abs(mega * 1_048_576 - bytes) < 1024) return `${mega}Mb`;
  const kilo = Math.round(bytes / 1024);
  if (bytes >= 1024 && Math.abs(kilo * 1024 - bytes) < 16) return `${kilo}Kb`;
  return `${bytes}b`;
}

/** Microseconds, with three significant digits (`sprint_time`). */
export function formatTime(microseconds: number): string {
  if (microseconds >= 1_000_000) return `${Number((microseconds / 1e6).toPrecision(3))}s`;
  if (microseconds >= 1000) return `${Number((microseconds / 1e3).toPrecision(3))}ms`;
  return `${microseconds}us`;
}
