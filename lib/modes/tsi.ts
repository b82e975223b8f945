/**
 * Mode `tsi`, transparent socket impersonation: sockets of the host stand for the guest's. No packets, no interface but the
 * guest's own loopback, and no privilege.
 *
 * @module
 */

import { attachSockets } from "../attach/sockets/attach.ts";
import { HostNetwork, type PublishRule } from "../attach/sockets/impersonate/network.ts";
import { noFileLimit } from "../host/process.ts";
import { address } from "./gateway_end.ts";
import type { PublishedPort } from "../stack/facts.ts";
import type { ModeContext, ModeSession } from "./mode.ts";

/** Starts it. */
export function startTsi(context: ModeContext): ModeSession {
  const { config, reactor } = context;
  const [descriptors] = noFileLimit() ?? [1_024];
  const host = new HostNetwork({
    hostLoopback: config.hostLoopback,
    publishAll: config.publishAll,
    publish: config.publish.map(ruleOf),
    resolvers: config.resolvers.map((one) => ({ address: address(one.address), port: one.port })),
    handoff: config.tsiHandoff,
    controlPort: config.controlPort,
    // Each has a pair beside it, and something is left for others.
    maxSockets: Math.max(1, Math.floor(descriptors * 3 / 8)),
  });
  const attachment = attachSockets({ ...context, host });
  return {
    pollAt: () => attachment.pollAt(),
    poll: (now) => attachment.poll(now),
    flush: () => {},
    unfinished: () => {
      let flows = 0, bytes = 0;
      for (const flow of host.flows) {
        const unsent = flow.unsent();
        if (unsent < 0) continue;
        flows++;
        bytes += unsent;
      }
      return { flows, bytes };
    },
    go: () => attachment.go(),
    flows: () => [...host.flows].flatMap((flow) => flow.facts(reactor.now()) ?? []),
    sockets: () => host.sockets(),
    forwards: () => host.forwards(),
    counters: () => host.counters.all(),
    publish: (forward) => host.publish(ruleOf(forward)),
    unpublish: (forward) => host.unpublish(ruleOf(forward)),
    stop: () => attachment.close(),
  };
}

function ruleOf({ protocol, hostPort, guestPort, hostAddress }: PublishedPort): PublishRule {
  const rule = { protocol, hostPort, guestPort };
  return hostAddress === undefined ? rule : { ...rule, hostAddress: address(hostAddress) };
}
