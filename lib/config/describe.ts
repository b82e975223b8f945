/**
 * Settings with their origins, for people and for programs: `config show` and `GET /v1/config`.
 *
 * @module
 */

import { isSwitch } from "./flag_table.ts";
import { parseBool, parseUint } from "./go_flags.ts";
import { DEFAULT, formatOrigin, formatProblem, type Origin, type Problem } from "./origin.ts";
import type { Resolved } from "./resolve.ts";
import type { ResolvedValue } from "./value_table.ts";

/** One flag. */
export interface SettingFacts {
  /** Booleans and integers as such; a list for a repeatable flag; null: nothing is set. */
  readonly value: boolean | number | string | null | readonly string[];
  /** `default`, `sluice.toml:3`, `command line`, `annotation KEY`. */
  readonly origin: string;
  /** Of a repeatable flag: the origin of each element of `value`. */
  readonly origins?: readonly string[];
}

/** Every flag by its long name, in the order of the table; what files say of flags of `serve`, as lists. */
export function describeSettings(resolved: Resolved): Readonly<Record<string, SettingFacts>> {
  const facts = Object.fromEntries(resolved.values.map((value) => [value.flag.name, describeOne(value)]));
  for (const { flag, text, origin } of resolved.serve) {
    const before = facts[`serve.${flag}`];
    const value = [...(before?.value as readonly string[] | undefined ?? []), text];
    const where = formatOrigin(origin);
    facts[`serve.${flag}`] = { value, origin: where, origins: [...before?.origins ?? [], where] };
  }
  return facts;
}

/** Three aligned columns: flag, value, origin. A repeatable flag has a line for each of its values. */
export function formatSettings(resolved: Resolved): string {
  const rows: Row[] = [];
  for (const { flag, texts, origins } of resolved.values) {
    if (texts.length === 0) rows.push([flag.name, "-", originAt(origins, 0)]);
    for (const [i, text] of texts.entries()) {
      rows.push([flag.name, text === "" ? "-" : printable(text), originAt(origins, i)]);
    }
  }
  for (const { flag, text, origin } of resolved.serve) {
    rows.push([`serve.${flag}`, printable(text), formatOrigin(origin)]);
  }
  return columns(rows);
}

/** What the operator lets annotations set, at most, and what was refused. Null: anything may be set. */
export interface TenancyFacts {
  readonly ceilings: Readonly<Record<string, SettingFacts>> | null;
  readonly refused: readonly { readonly origin: string; readonly why: string }[];
}

/** The ceilings of annotations, and all that is wrong with the configuration. */
export function describeTenancy(resolved: Resolved, problems: readonly Problem[] = []): TenancyFacts {
  const rows = resolved.ceilings.lifted ? undefined : ceilingsOf(resolved);
  return {
    ceilings: rows === undefined
      ? null
      : Object.fromEntries(rows.map(({ name, value, origin }) => [name, { value, origin }])),
    refused: problems.map((problem) => ({
      origin: formatOrigin(problem.origin),
      why: problem.hint === undefined ? problem.message : `${problem.message} (${problem.hint})`,
    })),
  };
}

/** The same for people: two headings, with nothing below the second one if nothing was refused. */
export function formatTenancy(resolved: Resolved, problems: readonly Problem[] = []): string {
  const ceilings = resolved.ceilings.lifted ? "  any flag, to any value: --allow-flag-override\n" : columns(
    ceilingsOf(resolved).map(({ name, value, origin }) => [`  ${name}`, String(value ?? "any"), origin]),
  );
  const refused = problems.map((problem) => `  ${printable(formatProblem(problem))}\n`).join("");
  return `\nannotations may set at most:\n${ceilings}${refused === "" ? "" : `\nrefused:\n${refused}`}`;
}

/** Of the flags on the allow-list; null is no ceiling. */
function ceilingsOf({ ceilings, operatorOrigins }: Resolved) {
  const limit = (value: bigint) => value === 0n ? null : Number(value);
  return [
    { name: "debug", value: null, origin: "default" },
    { name: "host-uds", value: ceilings.hostUds, origin: formatOrigin(operatorOrigins["host-uds"]) },
    { name: "qdisc", value: "tbf", origin: "default" },
    {
      name: "qdisc-tbf-rate",
      value: limit(ceilings.rate),
      origin: formatOrigin(operatorOrigins["qdisc-tbf-rate"]),
    },
    {
      name: "qdisc-tbf-burst",
      value: limit(ceilings.burst),
      origin: formatOrigin(operatorOrigins["qdisc-tbf-burst"]),
    },
  ];
}

type Row = [name: string, value: string, origin: string];

/** Wider texts do not widen their column. */
const MAX_COLUMN = 48;

function columns(rows: readonly Row[]): string {
  const width = (column: 0 | 1) => Math.min(MAX_COLUMN, Math.max(...rows.map((row) => row[column].length)));
  const [names, values] = [width(0), width(1)];
  return rows.map(([name, value, origin]) => `${name.padEnd(names)}  ${value.padEnd(values)}  ${origin}\n`)
    .join("");
}

/** Values come from tenants, too: what a terminal would obey is escaped. */
function printable(text: string): string {
  return /\p{Cc}/u.test(text) ? JSON.stringify(text) : text;
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
