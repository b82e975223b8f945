/**
 * Mode `sandbox-passthrough`: uplink `gateway`. Needs no privilege.
 *
 * ```text
 *   tap      guest's kernel ── eth0 (TAP) ── pump ── NIC of our stack ── gateway ── sockets of the host
 *            10.0.2.100                              10.0.2.2, 10.0.2.3
 *
 *   sockets  guest's calls ── guest's stack ── eth0 ══ wire in memory ══ NIC of our stack ── gateway ── …
 *                             10.0.2.100                                 10.0.2.2, 10.0.2.3
 * ```
 *
 * @module
 */

import { attachTap } from "../attach/tap/attach.ts";
import { addGatewayNic, configuredQdisc, gatewayAnswers, startGateway } from "./gateway_end.ts";
import type { ModeContext, ModeSession } from "./mode.ts";
import { startSocketsPassthrough } from "./sockets_passthrough.ts";

/** Starts `sandbox-passthrough`. */
export function startSandboxPassthrough(context: ModeContext): ModeSession {
  return context.config.attach === "sockets" ? startSocketsPassthrough(context) : startTap(context);
}

function startTap(context: ModeContext): ModeSession {
  const { stack } = context;
  const tap = attachTap(context);
  const { capabilities } = tap.link;
  const nic = addGatewayNic(context, stack, capabilities, configuredQdisc(context, capabilities));
  const gateway = startGateway(context, stack, nic);
  tap.pumpTo(nic);

  return {
    ...gatewayAnswers(gateway),
    counters: () => ({ ...tap.counters(), ...gateway.counters() }),
    pollAt: () => gateway.pollAt(),
    poll: (now) => gateway.poll(now),
    flush: (now) => tap.flush(now),
    go: () => tap.go(),
    stop: () => {
      gateway.stop();
      tap.close();
    },
  };
}
