/**
 * What can be fuzzed.
 *
 * To add targets, put a file `<area>_fuzz.ts` in this folder that exports `targets`; nothing else needs to know. It is
 * found by `bun scripts/fuzz.ts` and, for a few hundred rounds, by the test suite.
 *
 * @module
 */

import { readdirSync } from "node:fs";

/** Something to try with chance. */
export interface FuzzTarget {
  /** `area/what`. */
  readonly name: string;
  /**
   * One round. It throws if something is wrong. All chance comes from `random` (uniform u32) and nothing outlives the
   * round, so that the seed of a round repeats it.
   */
  round(random: () => number): void;
}

/** All targets, by name. */
export async function loadTargets(): Promise<FuzzTarget[]> {
  const targets: FuzzTarget[] = [];
  const folder = new URL("./", import.meta.url);
  for (const name of readdirSync(folder).sort()) {
    if (!name.endsWith("_fuzz.ts")) continue;
    const module = await import(new URL(name, folder).href) as { targets: readonly FuzzTarget[] };
    targets.push(...module.targets);
  }
  return targets;
}

/** The seed of one round of one target under the seed of a run. */
export function roundSeed(seed: number, target: FuzzTarget, round: number): number {
  let h = Math.imul(seed ^ 0x9e3779b9, 0x85ebca6b) ^ Math.imul(round + 1, 0xc2b2ae35);
  for (let i = 0; i < target.name.length; i++) h = Math.imul(h ^ target.name.charCodeAt(i), 0x01000193);
  return (h ^ (h >>> 15)) >>> 0;
}
