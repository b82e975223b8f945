/**
 * Mode `sandbox`: attachment `sockets`, uplink `device`. The guest's TCP is ours from its socket to the wire.
 *
 * ```text
 *   guest's calls ── guest's stack ── eth0 ── packet socket ── the kernel's eth0 ── wire
 *                    the device's addresses                    no addresses
 * ```
 *
 * @module
 */

import { attachSockets } from "../attach/sockets/attach.ts";
import { runtimeDirectory } from "../host/files.ts";
import { earlier } from "../stack/time.ts";
import { DeviceUplink } from "../uplink/device/device.ts";
import type { ModeContext, ModeSession } from "./mode.ts";
import { noUplink } from "./none.ts";

/** Starts `sandbox`. */
export function startSandbox(context: ModeContext): ModeSession {
  const { config } = context;
  const uplink = new DeviceUplink({ ...context, config: { ...config, directory: runtimeDirectory() } });
  try {
    const attachment = attachSockets({ ...context, fixedInterfaces: true });
    return {
      ...noUplink(config.network),
      counters: () => uplink.counters(),
      pollAt: () => earlier(attachment.pollAt(), uplink.pollAt()),
      poll: (now) => {
        attachment.poll(now);
        uplink.poll(now);
      },
      flush: (now) => uplink.flush(now),
      unfinished: () => uplink.unfinished(),
      go: () => attachment.go(),
      stop: () => {
        attachment.close();
        uplink.stop();
      },
    };
  } catch (error) {
    uplink.stop();
    throw error;
  }
}
