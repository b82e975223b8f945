/**
 * The Prometheus text exposition, version 0.0.4, of what the engine tells.
 *
 * @module
 */

import type { HealthFacts, NicFacts, StackFacts } from "../../engine/messages.ts";

/** The media type that scrapers expect. */
export const METRICS_TYPE = "text/plain; version=0.0.4; charset=utf-8";

/** What is scraped at one instant. */
export interface Observation {
  readonly id: string;
  readonly stack: StackFacts;
  readonly health: HealthFacts;
  readonly forwards: number;
  readonly subscribers: number;
}

type Labels = Readonly<Record<string, string>>;
type Sample = readonly [labels: Labels, value: number];

/** All metrics, a block each, ending with a newline as the format demands. */
export function renderMetrics(seen: Observation): string {
  const { stack, health } = seen;
  const perLink = (read: (nic: NicFacts) => number): Sample[] =>
    stack.nics.map((nic) => [{ dev: nic.name }, read(nic)]);
  const perQdisc = (read: (qdisc: NicFacts["qdisc"]) => number): Sample[] =>
    stack.nics.map((nic) => [{ dev: nic.name, kind: nic.qdisc.kind }, read(nic.qdisc)]);

  return [
    metric("sluice_info", "gauge", "The instance.", [
      [{ id: seen.id, network: health.mode, attach: health.attachment }, 1],
    ]),
    metric("sluice_uptime_seconds", "gauge", "Since the data plane began.", [[{}, health.uptime]]),
    metric("sluice_longest_turn_seconds", "gauge", "The longest turn of the data plane's loop so far.", [
      [{}, health.longestTurn / 1e6],
    ]),
    metric("sluice_flows", "gauge", "Flows that the gateway relays.", [[{}, health.flows]]),
    metric("sluice_forwards", "gauge", "Published ports.", [[{}, seen.forwards]]),
    metric("sluice_event_subscribers", "gauge", "Readers of /v1/events.", [[{}, seen.subscribers]]),
    metric("sluice_sockets", "gauge", "Endpoints of the stack.", socketCounts(stack)),
    metric(
      "sluice_receive_bytes_total",
      "counter",
      "Bytes the stack received.",
      perLink((nic) => nic.rx.bytes),
    ),
    metric(
      "sluice_receive_packets_total",
      "counter",
      "Frames the stack received.",
      perLink((nic) => nic.rx.packets),
    ),
    metric(
      "sluice_receive_errors_total",
      "counter",
      "Frames it could not read.",
      perLink((nic) => nic.rx.errors),
    ),
    metric(
      "sluice_receive_drops_total",
      "counter",
      "Frames it received and dropped.",
      perLink((nic) => nic.rx.dropped),
    ),
    metric("sluice_transmit_bytes_total", "counter", "Bytes the stack sent.", perLink((nic) => nic.tx.bytes)),
    metric(
      "sluice_transmit_packets_total",
      "counter",
      "Frames the stack sent.",
      perLink((nic) => nic.tx.packets),
    ),
    metric(
      "sluice_transmit_errors_total",
      "counter",
      "Frames it could not send.",
      perLink((nic) => nic.tx.errors),
    ),
    metric(
      "sluice_transmit_drops_total",
      "counter",
      "Frames it dropped unsent.",
      perLink((nic) => nic.tx.dropped),
    ),
    metric("sluice_qdisc_bytes_total", "counter", "Bytes that left the queue.", perQdisc((q) => q.bytes)),
    metric(
      "sluice_qdisc_packets_total",
      "counter",
      "Packets that left the queue.",
      perQdisc((q) => q.packets),
    ),
    metric("sluice_qdisc_drops_total", "counter", "Packets a full queue dropped.", perQdisc((q) => q.drops)),
    metric(
      "sluice_qdisc_overlimits_total",
      "counter",
      "Times the rate held a packet.",
      perQdisc((q) => q.overlimits),
    ),
    metric("sluice_qdisc_backlog_bytes", "gauge", "Bytes that wait.", perQdisc((q) => q.backlog)),
    metric("sluice_qdisc_queue_packets", "gauge", "Packets that wait.", perQdisc((q) => q.qlen)),
    metric(
      "sluice_stack_events_total",
      "counter",
      "The stack's counters: reasons of drops and events of protocols.",
      Object.entries(stack.counters).map(([name, value]) => [{ name }, value]),
    ),
  ].join("");
}

function socketCounts(stack: StackFacts): Sample[] {
  const counts = new Map<string, { labels: Labels; count: number }>();
  for (const { protocol, state } of stack.sockets) {
    const key = `${protocol} ${state}`;
    const entry = counts.get(key) ?? { labels: { protocol, state }, count: 0 };
    entry.count++;
    counts.set(key, entry);
  }
  return [...counts.values()].map(({ labels, count }) => [labels, count]);
}

function metric(name: string, type: "counter" | "gauge", help: string, samples: readonly Sample[]): string {
  const lines = samples.map(([labels, value]) => `${name}${labelled(labels)} ${value}\n`);
  return `# HELP ${name} ${help}\n# TYPE ${name} ${type}\n${lines.join("")}`;
}

function labelled(labels: Labels): string {
  const pairs = Object.entries(labels).map(([name, value]) => `${name}="${escape(value)}"`);
  return pairs.length === 0 ? "" : `{${pairs.join(",")}}`;
}

/** "label_value can be any sequence of UTF-8 characters, but `\`, `"`, and line feed have to be escaped." */
function escape(value: string): string {
  return value.replaceAll("\\", "\\\\").replaceAll('"', '\\"').replaceAll("\n", "\\n");
}
