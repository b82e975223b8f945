/**
 * Modes without an uplink. `none`: the guest has its own loopback and nothing else. `host`: the host's network,
 * untouched; there is nothing for a stack to do.
 *
 * @module
 */

import { Stage } from "../attach/tap/stage_peer.ts";
import { NEVER } from "../stack/time.ts";
import type { ModeContext, ModeSession } from "./mode.ts";

/** Starts `none` (with a stage that brings up `lo`) or `host` (without one). */
export function startNone(context: ModeContext): ModeSession {
  const { config, reactor } = context;
  const stage = config.stage === undefined
    ? undefined
    : new Stage(reactor, config.stage, context.log, (message, status) => context.fail(message, status));
  stage?.prepare(config.stageConfig ?? "{}");
  const refuse = () => {
    throw new RangeError(`Cannot publish a port: network mode ${config.network} has no uplink`);
  };
  return {
    pollAt: () => NEVER,
    poll: () => {},
    flush: () => {},
    go: () => stage?.go(),
    flows: () => [],
    forwards: () => [],
    counters: () => ({}),
    publish: refuse,
    unpublish: refuse,
    stop: () => stage?.close(),
  };
}
