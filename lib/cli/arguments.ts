/**
 * A list of arguments → what it sets.
 *
 * Global flags come before the command; commands that say so take them after their name, too. Flags of runsc that
 * mean nothing here are collected, not refused.
 *
 * @module
 */

import { findFlag, FLAGS, type FlagSpec, isSwitch } from "../config/flag_table.ts";
import { dashed, parseBool, scanFlags, type Scannable, type ScanProblem } from "../config/go_flags.ts";
import { nearest } from "../config/nearest.ts";
import { type Assignment, FLAG } from "../config/origin.ts";
import { findIgnoredFlag } from "../config/runsc_flags.ts";
import { type CommandFlag, type FlagValues, UsageFailure } from "./command.ts";

/** What a command line said, so far. */
export interface Arguments {
  /** Values of global and do-only flags. */
  readonly assignments: readonly Assignment[];
  /** Values of the command's own flags. */
  readonly own: FlagValues;
  /** runsc's flags that mean nothing here, without dashes, in order. */
  readonly ignored: readonly string[];
  /** `--help` was asked for. */
  readonly help: boolean;
  /** What follows the flags. */
  readonly rest: readonly string[];
}

/** Which flags may appear. */
export interface Grammar {
  readonly own?: readonly CommandFlag[];
  /** `global`: flags of the table but the do-only ones; `do`: all of them. */
  readonly table?: "global" | "do";
}

/** Reads the flags at the head of `args`. Throws {@linkcode UsageFailure} for the first one that is wrong. */
export function readArguments(args: readonly string[], grammar: Grammar): Arguments {
  const { own = [], table } = grammar;
  const findOwn = (name: string) => own.find((flag) => flag.name === name || flag.alias === name);
  const findGlobal = (name: string): FlagSpec | undefined => {
    const flag = table === undefined ? undefined : findFlag(name);
    return flag?.scope === "do" && table !== "do" ? undefined : flag;
  };
  const findIgnored = (name: string) => table === undefined ? undefined : findIgnoredFlag(name);
  const find = (name: string): Scannable | undefined => {
    const mine = findOwn(name);
    if (mine !== undefined) return { isSwitch: mine.kind === "boolean" };
    const flag = findGlobal(name);
    return flag === undefined ? findIgnored(name) : { isSwitch: isSwitch(flag) };
  };

  const scan = scanFlags(args, find);
  if (scan.problem !== undefined) throw explain(scan.problem, grammar);
  const assignments: Assignment[] = [];
  const ignored: string[] = [];
  const values = new OwnValues();
  for (const { name, text } of scan.flags) {
    const mine = findOwn(name);
    const flag = findGlobal(name);
    if (mine !== undefined) values.add(mine, text);
    else if (flag !== undefined) assignments.push({ flag: flag.name, text, origin: FLAG });
    else ignored.push(name);
  }
  return { assignments, own: values, ignored, help: scan.help, rest: scan.rest };
}

/** Values of a command's own flags. */
class OwnValues implements FlagValues {
  readonly #texts = new Map<string, string[]>();

  add(flag: CommandFlag, text: string): void {
    if (flag.kind === "boolean" && parseBool(text) === undefined) {
      throw new UsageFailure(
        `wrong usage: invalid boolean value ${JSON.stringify(text)} for flag ${
          dashed(flag.name)
        }: parse error`,
        "true or false",
      );
    }
    const before = this.#texts.get(flag.name);
    if (flag.repeatable && before !== undefined) before.push(text);
    else this.#texts.set(flag.name, [text]);
  }

  has(name: string): boolean {
    const text = this.get(name);
    return text !== undefined && parseBool(text) !== false;
  }

  get(name: string): string | undefined {
    return this.#texts.get(name)?.at(-1);
  }

  all(name: string): readonly string[] {
    return this.#texts.get(name) ?? [];
  }
}

/** No flags at all. */
export const NO_FLAGS: FlagValues = new OwnValues();

function explain(problem: ScanProblem, grammar: Grammar): UsageFailure {
  switch (problem.reason) {
    case "no-value":
      return new UsageFailure(`wrong usage: flag needs an argument: ${dashed(problem.name)}`);
    case "bad-syntax":
      return new UsageFailure(`wrong usage: bad flag syntax: ${problem.name}`);
    case "unknown": {
      const message = `wrong usage: unknown flag ${dashed(problem.name)}`;
      const flag = findFlag(problem.name);
      if (flag?.scope === "do") return new UsageFailure(message, `${dashed(flag.name)} goes after "do"`);
      if (flag !== undefined) {
        return new UsageFailure(message, `${dashed(problem.name)} goes before the command`);
      }
      const near = nearest(problem.name, namesOf(grammar));
      return new UsageFailure(message, near === undefined ? "sluice help" : `did you mean ${dashed(near)}?`);
    }
  }
}

function* namesOf({ own = [], table }: Grammar): Iterable<string> {
  for (const flag of own) yield flag.name;
  if (table === undefined) return;
  for (const flag of FLAGS as readonly FlagSpec[]) {
    if (table === "do" || flag.scope === "global") yield flag.name;
  }
}
