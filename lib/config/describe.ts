/**
 * Settings with their origins, for people and for programs: `config show` and `GET /v1/config`.
 *
 * @module
 */

import { isSwitch } from "./flag_table.ts";
import { parseBool, parseUint } from "./go_flags.ts";
import { DEFAULT, formatOrigin, type Origin } from "./origin.ts";
import type { Resolved, ResolvedValue } from "./resolve.ts";

/** One flag. */
export interface SettingFacts {
  /** Booleans and integers as such; a list for a repeatable flag; null: nothing is set. */
  readonly value: boolean | number | string | null | readonly string[];
  /** `default`, `sluice.toml:3`, `command line`, `annotation KEY`. */
  readonly origin: string;
  /** Of a repeatable flag: the origin of each element of `value`. */
  readonly origins?: readonly string[];
}

/** Every flag by its long name, in the order of the table. */
export function describeSettings(resolved: Resolved): Readonly<Record<string, SettingFacts>> {
  return Object.fromEntries(resolved.values.map((value) => [value.flag.name, describeOne(value)]));
}

/** Three aligned columns: flag, value, origin. A repeatable flag has a line for each of its values. */
export function formatSettings(resolved: Resolved): string {
  const rows: [name: string, value: string, origin: string][] = [];
  for (const { flag, texts, origins } of resolved.values) {
    if (texts.length === 0) rows.push([flag.name, "-", originAt(origins, 0)]);
    for (const [i, text] of texts.entries()) {
      rows.push([flag.name, text === "" ? "-" : text, originAt(origins, i)]);
    }
  }
  const width = (column: 0 | 1) => Math.max(...rows.map((row) => row[column].length));
  const [names, values] = [width(0), width(1)];
  return rows.map(([name, value, origin]) => `${name.padEnd(names)}  ${value.padEnd(values)}  ${origin}\n`)
    .join("");
}

function describeOne({ flag, texts, origins }: ResolvedValue): SettingFacts {
  if (flag.repeatable) {
    const origin = originAt(origins, origins.length - 1);
    return { value: texts, origin, origins: texts.map((_, i) => originAt(origins, i)) };
  }
  const [text = ""] = texts;
  return { value: typed(flag, text), origin: originAt(origins, 0) };
}

function typed(flag: ResolvedValue["flag"], text: string): SettingFacts["value"] {
  if (text === "") return null;
  if (flag.kind === "uint") return Number(parseUint(text));
  if (isSwitch(flag) && text !== "auto") return parseBool(text) === true;
  return text;
}

function originAt(origins: readonly Origin[], index: number): string {
  return formatOrigin(origins[index] ?? DEFAULT);
}
