/**
 * Flags that somebody set and that mean nothing with the network that was chosen: a line for each, as silence would let
 * people believe in them.
 *
 * @module
 */

import type { FlagName } from "./flag_table.ts";
import type { Origin } from "./origin.ts";
import type { Settings } from "./settings.ts";

/** With `sandbox` the interface is the device's: so are its addresses, and nothing is between it and the guest. */
const OF_THE_DEVICE: readonly FlagName[] = [
  "host-loopback",
  "address",
  "address6",
  "gateway",
  "gateway6",
  "dns",
  "mtu",
  "mac",
];

/** Lines for stderr. */
export function meaningless(settings: Settings, originOf: (flag: FlagName) => Origin): string[] {
  const { network, publish, force } = settings;
  const lines: string[] = [];
  if (publish.length > 0 && (network === "none" || network === "host")) {
    lines.push(`publish means nothing with network=${network}: nothing is published`);
  }
  if (network === "sandbox") {
    if (publish.length > 0) {
      lines.push("publish means nothing with network=sandbox: the guest listens on the interface itself");
    }
    const set = OF_THE_DEVICE.filter((flag) => !["default", "derived"].includes(originOf(flag).kind));
    for (const flag of set) {
      lines.push(`${flag} means nothing with network=sandbox: the interface is as it is`);
    }
  } else if (force) {
    lines.push(`force means nothing with network=${network}`);
  }
  return lines;
}
