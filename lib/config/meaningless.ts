/**
 * Flags that somebody set and that mean nothing with the network that was chosen: a line for each, as silence would let
 * people believe in them.
 *
 * @module
 */

import type { FlagName } from "./flag_table.ts";
import type { Origin } from "./origin.ts";
import type { Settings } from "./settings.ts";

/** What `eth0` is like. */
const INTERFACE: readonly FlagName[] = ["address", "address6", "gateway", "gateway6", "dns", "mac"];
const OFFLOADS: readonly FlagName[] = ["gso", "software-gso", "tx-checksum-offload", "rx-checksum-offload"];
const NO_INTERFACE: readonly FlagName[] = [...INTERFACE, "mtu", ...OFFLOADS];
const CAPTURES: readonly FlagName[] = ["log-packets", "pcap-log"];

/** Flags, and why they mean nothing. */
type Rule = readonly [flags: readonly FlagName[], why: string];

/** By network. */
const RULES: Readonly<Record<string, readonly Rule[]>> = {
  none: [
    [["publish"], "nothing is published"],
    [["host-loopback", ...NO_INTERFACE, "qdisc"], "there is no interface but lo"],
  ],
  host: [
    [["publish"], "nothing is published"],
    [["host-loopback", ...NO_INTERFACE, "net-raw", "host-uds", ...CAPTURES], "no stack of ours is in use"],
    [["qdisc"], "nothing is shaped"],
  ],
  sandbox: [
    [["publish"], "the guest listens on the interface itself"],
    // The interface is the device's: so are its addresses, and nothing is between it and the guest.
    [["host-loopback", ...INTERFACE, "mtu"], "the interface is as it is"],
  ],
  tsi: [
    [NO_INTERFACE, "there is no interface but lo"],
    [["qdisc"], "nothing is shaped"],
  ],
};
/** For external networks, whatever `network` says. */
const EXTERNAL: readonly Rule[] = [
  [["host-loopback", ...INTERFACE], "the provider's network is as it is"],
];
/** The TAP is in a namespace of the guest's own, where the kernel decides. */
const TAP: Rule = [["net-raw", "host-uds"], "the guest's sockets are the kernel's"];

/** Lines for stderr. */
export function meaningless(settings: Settings, originOf: (flag: FlagName) => Origin): string[] {
  const { network, attach, networks, force } = settings;
  const lines: string[] = [];
  const say = ([flags, why]: Rule, where: string) => {
    for (const flag of flags) {
      if (isSet(settings, flag, originOf)) lines.push(`${flag} means nothing with ${where}: ${why}`);
    }
  };
  const isExternal = networks.length > 0;
  for (const rule of isExternal ? EXTERNAL : RULES[network] ?? []) {
    say(rule, isExternal ? "an external network" : `network=${network}`);
  }
  if (attach === "tap" && network !== "host" && network !== "sandbox") say(TAP, "attach=tap");
  if (force && network !== "sandbox") lines.push(`force means nothing with network=${network}`);
  return lines;
}

/** Whether somebody asked for it. Rate and burst alone are a ceiling, and `fifo` asks for nothing. */
function isSet(settings: Settings, flag: FlagName, originOf: (flag: FlagName) => Origin): boolean {
  if (["default", "derived"].includes(originOf(flag).kind)) return false;
  if (flag === "publish") return settings.publish.length > 0;
  if (flag === "qdisc") return settings.qdisc === "tbf";
  return true;
}
