/**
 * What every kind of configuration file is turned into, and how its entries become assignments.
 *
 * @module
 */

import { findFlag, FLAGS, type FlagSpec, isSwitch } from "./flag_table.ts";
import type { JsonNode, Position } from "./json_reader.ts";
import { nearest } from "./nearest.ts";
import type { Assignment, Problem } from "./origin.ts";
import { findIgnoredFlag } from "./runsc_flags.ts";
import { SERVE_SCOPE, serveFlagOfFile } from "./serve_flags.ts";

/** A value of a configuration file. Integers are kept digit by digit. */
export type Plain =
  | { readonly kind: "string"; readonly text: string }
  | { readonly kind: "integer"; readonly text: string }
  | { readonly kind: "boolean"; readonly text: string }
  | { readonly kind: "list"; readonly items: readonly Plain[] }
  | { readonly kind: "table"; readonly entries: readonly (readonly [key: string, value: Plain])[] }
  /** `what` as an error says it: `a date`. */
  | { readonly kind: "other"; readonly what: string };

type PlainTable = Plain & { readonly kind: "table" };

/** One key of a configuration file. */
export interface Entry extends Position {
  readonly key: string;
  readonly value: Plain;
}

/** What one file says. */
export interface FileContents {
  readonly assignments: readonly Assignment[];
  /** runsc's flags that mean nothing here. */
  readonly ignored: readonly string[];
  readonly problems: readonly Problem[];
}

/** Collects the contents of one file. */
export class Collector implements FileContents {
  readonly assignments: Assignment[] = [];
  readonly ignored: string[] = [];
  readonly problems: Problem[] = [];

  constructor(readonly path: string) {}

  /** Reports something wrong; without a position, about the file as a whole. */
  problem(place: Position | undefined, message: string, hint?: string): void {
    const { line, column } = place ?? { line: 0, column: 0 };
    const origin = { kind: "file", path: this.path, line, column } as const;
    this.problems.push({ message, ...(hint === undefined ? {} : { hint }), origin });
  }

  /** An entry of our own format: a flag by name, a value by type. */
  own(entry: Entry): void {
    // One `[[network]]` per interface; `network = "sandbox"` is the flag.
    if (entry.key === "network" && isTables(entry.value)) return this.#networks(entry, entry.value.items);
    const flag = this.#find(entry);
    if (flag === undefined) return;
    const { value } = entry;
    if (flag.kind === "annotation" && value.kind === "table") {
      for (const [key, inner] of value.entries) {
        if (inner.kind === "string") this.#assign(flag.name, `${key}=${inner.text}`, entry);
        else this.problem(entry, `"${key}" in "${flag.name}" must be a string, not ${whatIs(inner)}`);
      }
      return;
    }
    for (const item of flag.repeatable && value.kind === "list" ? value.items : [value]) {
      const text = textOf(flag, item);
      if (text !== undefined) this.#assign(flag.name, text, entry);
      else this.problem(entry, `"${entry.key}" must be ${wanted(flag)}, not ${whatIs(item)}`);
    }
  }

  /** An entry of the table `serve`. */
  serve(entry: Entry): void {
    const { key, value } = entry;
    const flag = serveFlagOfFile(key);
    if ("why" in flag) return this.problem(entry, flag.why, flag.hint);
    for (const item of flag.repeatable === true && value.kind === "list" ? value.items : [value]) {
      const isText = item.kind === "string" || item.kind === "integer";
      if (flag.kind === "boolean" ? item.kind === "boolean" : isText) {
        this.#assign(SERVE_SCOPE + key, (item as Plain & { readonly text: string }).text, entry);
      } else {
        const wanted = flag.kind === "boolean"
          ? "true or false"
          : flag.repeatable === true
          ? "a string or a list of strings"
          : "a string or an integer";
        this.problem(entry, `"${key}" in [serve] must be ${wanted}, not ${whatIs(item)}`);
      }
    }
  }

  /** An entry whose value is the text of a flag on runsc's command line. */
  flag(entry: Entry & { readonly value: { readonly kind: "string"; readonly text: string } }): void {
    const flag = this.#find(entry);
    if (flag !== undefined) this.#assign(flag.name, entry.value.text, entry);
  }

  /** One annotation of a container. */
  annotation(key: string, value: string, { line, column }: Position): void {
    const origin = { kind: "annotation", key, path: this.path, line, column } as const;
    this.assignments.push({ flag: "annotation", text: `${key}=${value}`, origin });
  }

  #networks(entry: Entry, tables: readonly PlainTable[]): void {
    for (const { entries } of tables) {
      const fields = entries.flatMap(([key, value]) =>
        (value.kind === "list" && key === "addr" ? value.items : [value]).map((item) => {
          const isWhole = value.kind === "list" && key === "features" && value.items.every(isString);
          const text = isWhole ? value.items.map((one) => one.text).join("|") : textOfField(item);
          if (text === undefined) {
            this.problem(entry, `"${key}" in [[network]] must be a string, not ${whatIs(item)}`);
          } else if (text.includes(",")) {
            this.problem(entry, `"${key}" in [[network]] must not hold a comma`);
          }
          return `${key}=${text}`;
        })
      );
      this.#assign("external-network", fields.join(","), entry);
    }
  }

  #find(entry: Entry): FlagSpec | undefined {
    const { key } = entry;
    const flag = findFlag(key);
    if (flag === undefined || flag.scope === "do") {
      if (findIgnoredFlag(key) !== undefined) {
        this.ignored.push(key);
        return undefined;
      }
      const near = nearest(key, FILE_FLAGS);
      this.problem(entry, `unknown key "${key}"`, near === undefined ? undefined : `did you mean "${near}"?`);
      return undefined;
    }
    if (!flag.commandLineOnly) return flag;
    this.problem(entry, `"${key}" cannot be set in a file`, `only --${flag.name} on the command line`);
    return undefined;
  }

  #assign(flag: string, text: string, { line, column }: Position): void {
    this.assignments.push({ flag, text, origin: { kind: "file", path: this.path, line, column } });
  }
}

/** Names that a file may use. */
const FILE_FLAGS: readonly string[] = (FLAGS as readonly FlagSpec[])
  .filter((flag) => flag.scope === "global" && !flag.commandLineOnly).map((flag) => flag.name);

function isTables(value: Plain): value is Plain & { readonly items: readonly PlainTable[] } {
  return value.kind === "list" && value.items.length > 0 && value.items.every(({ kind }) => kind === "table");
}

function isString(value: Plain): value is Plain & { readonly kind: "string" } {
  return value.kind === "string";
}

/** Of a field of `[[network]]`. */
function textOfField(value: Plain): string | undefined {
  return value.kind === "string" || value.kind === "boolean" ? value.text : undefined;
}

function textOf(flag: FlagSpec, value: Plain): string | undefined {
  if (isSwitch(flag)) {
    if (value.kind === "boolean") return value.text;
    return flag.kind === "auto-boolean" && value.kind === "string" && value.text === "auto"
      ? "auto"
      : undefined;
  }
  if (flag.kind === "uint") return value.kind === "integer" ? value.text : undefined;
  return value.kind === "string" ? value.text : undefined;
}

function wanted(flag: FlagSpec): string {
  if (flag.kind === "boolean") return "true or false";
  if (flag.kind === "auto-boolean") return 'true, false or "auto"';
  if (flag.kind === "uint") return "an integer";
  return flag.repeatable ? "a string or a list of strings" : "a string";
}

/** `a string`, `a number`, … */
export function nameOfJson({ kind }: JsonNode): string {
  return kind === "array"
    ? "a list"
    : kind === "object"
    ? "an object"
    : kind === "null"
    ? "null"
    : `a ${kind}`;
}

/** `a string`, `an integer`, … */
export function whatIs(value: Plain): string {
  switch (value.kind) {
    case "integer":
      return "an integer";
    case "other":
      return value.what;
    default:
      return `a ${value.kind}`;
  }
}
