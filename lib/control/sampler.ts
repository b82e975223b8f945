/**
 * Turns the engine's facts into events while somebody reads them: a `sample` every second, and a `flow` for each flow
 * that opened or closed between two samples. Without a reader it asks nothing.
 *
 * @module
 */

import type { EngineClient, FlowFacts } from "../engine/messages.ts";
import type { EventHub, Producer } from "./event_hub.ts";
import { flowJson } from "./render/flow.ts";
import { statsJson } from "./render/link.ts";
import { qdiscsJson } from "./render/qdisc.ts";

/** Milliseconds between samples. */
export const SAMPLE_INTERVAL = 1000;
/** With more flows than this, single flows are not told: comparing them would cost the data plane its time. */
export const TOLD_FLOWS_LIMIT = 1000;

/** Calls `work` every `milliseconds` until the returned function is called. */
export type Every = (work: () => void, milliseconds: number) => () => void;

const everyByInterval: Every = (work, milliseconds) => {
  const timer = setInterval(work, milliseconds);
  return () => clearInterval(timer);
};

/** The producer of `hub`'s samples. */
export function sampler(engine: EngineClient, hub: EventHub, every: Every = everyByInterval): Producer {
  let cancel: (() => void) | undefined;
  let busy = false;
  let known: ReadonlyMap<string, FlowFacts> | undefined;

  async function sample(): Promise<void> {
    // A slow engine is not asked again before it answered.
    if (busy) return;
    busy = true;
    try {
      const [stack, health] = await Promise.all([engine.ask("stack"), engine.ask("health")]);
      hub.publish({
        event: "sample",
        data: {
          uptime: health.uptime,
          flows: health.flows,
          sockets: stack.sockets.length,
          links: stack.nics.map((nic) => ({ ifname: nic.name, stats64: statsJson(nic) })),
          qdiscs: qdiscsJson(stack.nics),
        },
      });
      known = health.flows > TOLD_FLOWS_LIMIT ? undefined : tellFlows(await engine.ask("flows"));
    } catch {
      // The engine is gone or going: its end is told by other means, and the next sample tries again.
    } finally {
      busy = false;
    }
  }

  function tellFlows(flows: readonly FlowFacts[]): ReadonlyMap<string, FlowFacts> {
    const seen = new Map(flows.map((flow) => [keyOf(flow), flow]));
    if (known !== undefined) {
      for (const [key, flow] of seen) {
        if (!known.has(key)) hub.publish({ event: "flow", data: { change: "opened", flow: flowJson(flow) } });
      }
      for (const [key, flow] of known) {
        if (!seen.has(key)) hub.publish({ event: "flow", data: { change: "closed", flow: flowJson(flow) } });
      }
    }
    return seen;
  }

  return {
    start() {
      known = undefined;
      cancel ??= every(() => void sample(), SAMPLE_INTERVAL);
      void sample();
    },
    stop() {
      cancel?.();
      cancel = undefined;
    },
  };
}

function keyOf({ protocol, direction, guest, destination, host }: FlowFacts): string {
  return `${protocol} ${direction} ${guest} ${destination} ${host}`;
}
