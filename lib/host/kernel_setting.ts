/**
 * Settings of the kernel (`/proc/sys`), read once.
 *
 * @module
 */

import { readFileSync } from "node:fs";

/** What Linux has when nobody has changed it, for a `/proc` that hides its settings. */
const DEFAULTS: Readonly<Record<string, readonly number[]>> = {
  "net/core/wmem_max": [212_992],
  "net/core/rmem_max": [212_992],
  "net/core/wmem_default": [212_992],
  "net/core/rmem_default": [212_992],
  "net/core/somaxconn": [4_096],
  "net/ipv4/tcp_wmem": [4_096, 16_384, 4_194_304],
  "net/ipv4/tcp_rmem": [4_096, 131_072, 6_291_456],
};

const known = new Map<string, readonly number[]>();

/** Number `index` of the setting of this name below `/proc/sys`; Linux' default if it cannot be read, 0 if it is unknown. */
export function kernelSetting(name: string, index = 0): number {
  let numbers = known.get(name);
  if (numbers === undefined) known.set(name, numbers = read(name));
  return numbers[index] ?? 0;
}

function read(name: string): readonly number[] {
  try {
    const numbers = readFileSync(`/proc/sys/${name}`, "utf8").trim().split(/\s+/).map(Number);
    if (numbers.every((number) => Number.isFinite(number))) return numbers;
  } catch {
    // Hidden, or another kernel.
  }
  return DEFAULTS[name] ?? [];
}
