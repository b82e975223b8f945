/**
 * Every mode by name. A missing one is a compile error.
 *
 * @module
 */

import { startExternalNetworks } from "./external_networks.ts";
import type { ModeConfig, ModeContext, ModeSession, Start } from "./mode.ts";
import { startNone } from "./none.ts";
import { startSandbox } from "./sandbox.ts";
import { startServe } from "./serve.ts";
import { startSandboxPassthrough } from "./sandbox_passthrough.ts";
import { startTsi } from "./tsi.ts";

const MODES: { readonly [Network in ModeConfig["network"]]: Start } = {
  "none": startNone,
  "host": startNone,
  "sandbox": startSandbox,
  "serve": startServe,
  "sandbox-passthrough": startSandboxPassthrough,
  "tsi": startTsi,
  "external": startExternalNetworks,
};

/** Starts the mode that the configuration names. */
export function startMode(context: ModeContext): ModeSession {
  return MODES[context.config.network](context);
}
