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
import { earlier } from "../stack/time.ts";
import { addGatewayNic, configuredQdisc, gatewayAnswers, startGateway } from "./gateway_end.ts";
import type { ModeContext, ModeSession } from "./mode.ts";
import { startSocketsPassthrough } from "./sockets_passthrough.ts";

/** Starts `sandbox-passthrough`. */
export function startSandboxPassthrough(context: ModeContext): ModeSession {
  return context.config.attach === "sockets" ? startSocketsPassthrough(context) : startTap(context);
}

function startTap(context: ModeContext): ModeSession {
  const { stack, config } = context;
  const tap = attachTap(context);
  const { capabilities } = tap.link;
  // What is shaped is what the guest sends, and on this attachment it is the guest's kernel that sends it.
  const shaper = config.qdisc.kind === "tbf" ? configuredQdisc(context, capabilities) : undefined;
  const nic = addGatewayNic(context, stack, capabilities, shaper);
  const gateway = startGateway(context, stack, nic);
  tap.pumpTo(nic);

  return {
    ...gatewayAnswers(gateway),
    counters: () => ({ ...tap.counters(), ...gateway.counters() }),
    pollAt: () => earlier(gateway.pollAt(), tap.pollAt()),
    poll: (now) => gateway.poll(now),
    flush: (now) => tap.flush(now),
    go: () => tap.go(),
    stop: () => {
      gateway.stop();
      tap.close();
    },
  };
}
