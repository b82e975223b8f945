/**
 * The network namespace we are in.
 *
 * @module
 */

import { readFileSync, statSync } from "node:fs";
import { namespaceOf } from "./process.ts";

/**
 * Whether this is the namespace that the machine booted with. Its knobs for all devices are shown nowhere else: Linux
 * registers `net.core.netdev_budget` for `init_net` only.
 */
export function isInitialNetwork(): boolean {
  return statSync("/proc/sys/net/core/netdev_budget", { throwIfNoEntry: false }) !== undefined;
}

/** Whether our user ids are the machine's own: no user namespace but the first. */
export function isInitialUserNamespace(): boolean {
  try {
    return /^\s*0\s+0\s+4294967295\s*$/.test(readFileSync("/proc/self/uid_map", "utf8"));
  } catch {
    return true;
  }
}

/** A name for this namespace that no other has while the machine is up: its inode, and the boot. */
export function networkIdentity(): { readonly inode: number; readonly boot: string } {
  const inode = Number(/\[(\d+)\]/.exec(namespaceOf("self", "net") ?? "")?.[1] ?? 0);
  let boot = "";
  try {
    boot = readFileSync("/proc/sys/kernel/random/boot_id", "utf8").trim();
  } catch {
    // A sandbox may not show it.
  }
  return { inode, boot };
}

/** A knob of one interface, as text; undefined if there is none. */
export function readInterfaceKnob(family: "ipv4" | "ipv6", name: string, knob: string): string | undefined {
  try {
    return readFileSync(knobPath(family, name, knob), "utf8").trim();
  } catch {
    return undefined;
  }
}

/** Where a knob of an interface is. */
export function knobPath(family: "ipv4" | "ipv6", name: string, knob: string): string {
  return `/proc/sys/net/${family}/conf/${name}/${knob}`;
}
