/**
 * Modes without an uplink. `none`: the guest has its own loopback and nothing else. `host`: the host's network,
 * untouched; there is nothing for a stack to do.
 *
 * @module
 */

import { attachSockets } from "../attach/sockets/attach.ts";
import { Stage } from "../attach/stage/stage_peer.ts";
import { NEVER } from "../stack/time.ts";
import type { ModeContext, ModeSession } from "./mode.ts";

/** Starts `none` (with a stage that brings up `lo`) or `host` (without one). */
export function startNone(context: ModeContext): ModeSession {
  const { config, reactor } = context;
  if (config.network === "none" && config.attach === "sockets") return startLoopback(context);
  const stage = config.stage === undefined
    ? undefined
    : new Stage(reactor, config.stage, context.log, (message, status) => context.fail(message, status));
  stage?.prepare(config.stageConfig ?? "{}");
  return {
    ...noUplink(config.network),
    pollAt: () => NEVER,
    poll: () => {},
    flush: () => {},
    unfinished: () => ({ flows: 0, bytes: 0 }),
    go: () => stage?.go(),
    stop: () => stage?.close(),
  };
}

/** `none` on attachment `sockets`: the guest has the loopback of our stack. */
function startLoopback(context: ModeContext): ModeSession {
  const attachment = attachSockets(context);
  return {
    ...noUplink(context.config.network),
    pollAt: () => attachment.pollAt(),
    poll: (now) => attachment.poll(now),
    flush: () => {},
    unfinished: () => ({ flows: 0, bytes: 0 }),
    go: () => attachment.go(),
    stop: () => attachment.close(),
  };
}

/** What every session without published ports and relayed flows answers alike. */
export function noUplink(
  network: string,
): Pick<ModeSession, "flows" | "forwards" | "counters" | "publish" | "unpublish"> {
  const refuse = () => {
    throw new RangeError(`Cannot publish a port: network mode ${network} has no uplink`);
  };
  return { flows: () => [], forwards: () => [], counters: () => ({}), publish: refuse, unpublish: refuse };
}
