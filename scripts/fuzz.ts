/**
 * Fuzzing, with a seed that repeats every failure.
 *
 * ```sh
 * bun scripts/fuzz.ts --seconds 30                    # all targets, a fresh seed
 * deno run -A scripts/fuzz.ts --target wire --seed 7  # those whose name begins with "wire"
 * bun scripts/fuzz.ts --target wire/bounds --seed 7 --round 1234   # one round again
 * ```
 *
 * Exit status: 0 nothing found, 1 a round failed, 2 wrong usage. Targets live in `tests/fuzz/*_fuzz.ts`.
 *
 * @module
 */

import process from "node:process";
import { parseArgs } from "node:util";
import { type FuzzTarget, loadTargets, roundSeed } from "../tests/fuzz/target.ts";
import { seeded } from "../tests/support/random.ts";

/** A round longer than this is a failure: no packet may keep the stack busy that long. */
const SLOWEST_ROUND_MS = 2_000;
/** How long one target runs before the next has its turn. */
const TURN_MS = 200;

function fail(target: FuzzTarget, seed: number, round: number, cause: unknown): never {
  console.error(`${target.name} failed in round ${round}:`);
  console.error(cause);
  console.error(`Repeat it with: --target ${target.name} --seed ${seed} --round ${round}`);
  process.exit(1);
}

function runRound(target: FuzzTarget, seed: number, round: number): number {
  const begin = performance.now();
  try {
    target.round(seeded(roundSeed(seed, target, round)));
  } catch (cause) {
    fail(target, seed, round, cause);
  }
  const end = performance.now();
  if (end - begin > SLOWEST_ROUND_MS) fail(target, seed, round, `took ${Math.round(end - begin)} ms`);
  return end;
}

function numberOf(text: string | undefined, name: string): number | undefined {
  if (text === undefined) return undefined;
  const value = Number(text);
  if (Number.isFinite(value) && value >= 0) return value;
  console.error(`Cannot use --${name}=${text}: not a number`);
  process.exit(2);
}

const { values } = parseArgs({
  args: process.argv.slice(2),
  options: {
    seconds: { type: "string" },
    seed: { type: "string" },
    target: { type: "string" },
    round: { type: "string" },
  },
});
const seconds = numberOf(values.seconds, "seconds") ?? 10;
const seed = (numberOf(values.seed, "seed") ?? Date.now()) >>> 0;
const onlyRound = numberOf(values.round, "round");
const targets = (await loadTargets()).filter(({ name }) => name.startsWith(values.target ?? ""));
if (targets.length === 0) {
  console.error(`Cannot fuzz "${values.target ?? ""}": no such target`);
  process.exit(2);
}
console.log(`seed ${seed}`);

if (onlyRound !== undefined) {
  for (const target of targets) runRound(target, seed, onlyRound);
} else {
  const rounds = new Map(targets.map((target) => [target, 0]));
  const deadline = performance.now() + 1_000 * seconds;
  for (let now = performance.now(); now < deadline;) {
    for (const target of targets) {
      let round = rounds.get(target)!;
      for (const turn = Math.min(deadline, now + TURN_MS); now < turn;) now = runRound(target, seed, round++);
      rounds.set(target, round);
    }
  }
  for (const [target, round] of rounds) console.log(`${target.name}: ${round} rounds`);
}
