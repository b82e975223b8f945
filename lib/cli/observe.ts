/**
 * What `ip`, `tc` and `ss` have in common: options before the object as iproute2 takes them, and one instance to ask.
 *
 * @module
 */

import { runtimeDirectory } from "../host/files.ts";
import { UsageFailure } from "./command.ts";
import { askInstance, type FoundInstance, Instances } from "./instances.ts";

/** The instances of this user. */
export function instances(): Instances {
  return new Instances(runtimeDirectory());
}

/** A question to the instance that `id` means. */
export async function ask<Answer>(id: string | undefined, ...paths: string[]): Promise<Answer[]> {
  const instance: FoundInstance = await instances().pick(id);
  return await Promise.all(paths.map((path) => askInstance<Answer>(instance, path)));
}

/** Options and the words that are none, each in its order. */
export interface Words {
  readonly options: ReadonlySet<string>;
  readonly words: readonly string[];
}

/**
 * Reads `-j`, `-json`, `--json` by `known`, which maps each spelling without dashes to the option's name; with `bundled`,
 * also `-tuan`. Throws {@linkcode UsageFailure} for an unknown one.
 */
export function readWords(
  args: readonly string[],
  known: Readonly<Record<string, string>>,
  bundled = false,
): Words {
  const options = new Set<string>();
  const words: string[] = [];
  const nameOf = (text: string) => Object.hasOwn(known, text) ? known[text] : undefined;
  for (const arg of args) {
    if (!/^-./.test(arg)) {
      words.push(arg);
      continue;
    }
    const text = arg.replace(/^--?/, "");
    const whole = nameOf(text);
    const names = whole !== undefined
      ? [whole]
      : bundled && !arg.startsWith("--")
      ? [...text].map(nameOf)
      : [undefined];
    for (const name of names) {
      if (name === undefined) {
        throw new UsageFailure(`wrong usage: unknown option ${arg}`, "sluice help ip, tc or ss");
      }
      options.add(name);
    }
  }
  return { options, words };
}

/** The one of `names` that begins with `word`, as `ip r` means `ip route`; the first one if there are several. */
export function abbreviation<Name extends string>(word: string, names: readonly Name[]): Name | undefined {
  return names.find((name) => name.startsWith(word) && word !== "");
}

/** The word for what all objects do, and its abbreviations. */
const SHOW: readonly string[] = ["show", "sh", "s", "list", "lst", "ls"];

/** What follows the object: `[show|list] [[dev] NAME] [ID]`. */
export interface Selection {
  readonly device: string | undefined;
  readonly id: string | undefined;
}

/** Reads {@linkcode Selection}; a device needs the word `dev` before it, because a bare word is an instance. */
export function readSelection(words: readonly string[]): Selection {
  const rest = [...words];
  if (SHOW.includes(rest[0] ?? "")) rest.shift();
  let device: string | undefined;
  if (rest[0] === "dev") {
    device = rest[1];
    if (device === undefined) throw new UsageFailure("wrong usage: dev needs the name of an interface");
    rest.splice(0, 2);
  }
  const [id, ...more] = rest;
  if (more.length > 0) {
    throw new UsageFailure(
      `wrong usage: unexpected ${JSON.stringify(more[0])}`,
      "it is [show] [dev NAME] [ID]; what is there is changed from inside",
    );
  }
  return { device, id };
}
