import { test } from "node:test";
import { seeded } from "../support/random.ts";
import { loadTargets, roundSeed } from "./target.ts";

/** As many rounds per target as fit in a blink; `scripts/fuzz.ts` does the rest. */
const ROUNDS = 300;
const BUDGET_MS = 1_000;
const SEED = 1;

for (const target of await loadTargets()) {
  test(`${target.name} survives a few rounds of chance`, () => {
    const until = performance.now() + BUDGET_MS;
    for (let round = 0; round < ROUNDS && performance.now() < until; round++) {
      try {
        target.round(seeded(roundSeed(SEED, target, round)));
      } catch (cause) {
        const how = `bun scripts/fuzz.ts --target ${target.name} --seed ${SEED} --round ${round}`;
        throw new Error(`Cannot finish the round: repeat it with ${how}`, { cause });
      }
    }
  });
}
