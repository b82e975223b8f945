/**
 * TOML configuration files: our own, and those of gVisor's containerd shim. The one place that knows the TOML parser;
 * loaded only when there is such a file.
 *
 * @module
 */

import { parse, TomlError } from "smol-toml";
import { Collector, type FileContents, type Plain, whatIs } from "./document.ts";
import { locateKeys, pathOf } from "./toml_positions.ts";
import { nearest } from "./nearest.ts";

/** Tables of the shim's file whose entries are flags; ours is applied last. */
const FLAG_TABLES = ["runsc_config", "sluice_config"] as const;

/** What else the shim's file may hold; none of our business. */
const SHIM_OPTIONS = [
  "shim_cgroup",
  "io_uid",
  "io_gid",
  "binary_name",
  "root",
  "log_level",
  "log_path",
  "grouping",
  "enable_hibernate_server",
];

/** Reads a file. One with `[runsc_config]` or `[sluice_config]` is the shim's; any other has flag names as keys. */
export function readTomlFile(path: string, text: string): FileContents {
  const into = new Collector(path);
  let root: Record<string, unknown>;
  try {
    root = parse(text, { integersAsBigInt: true });
  } catch (error) {
    if (!(error instanceof TomlError)) throw error;
    const [first = ""] = error.message.split("\n");
    into.problem(error, `not TOML: ${first.replace(/^Invalid TOML document: /, "")}`);
    return into;
  }
  const places = locateKeys(text);
  const place = (...parts: readonly string[]) => places.get(pathOf(...parts)) ?? { line: 0, column: 0 };
  const isShims = FLAG_TABLES.some((name) => isTable(root[name]));
  for (const [key, value] of Object.entries(root)) {
    if (!isShims && key === "serve" && isTable(value)) {
      for (const [inner, one] of Object.entries(value)) {
        into.serve({ key: inner, value: plain(one), ...place(key, inner) });
      }
    } else if (!isShims) {
      into.own({ key, value: plain(value), ...placeOf(place, key) });
    } else if (!SHIM_OPTIONS.includes(key) && !(FLAG_TABLES as readonly string[]).includes(key)) {
      const near = nearest(key, [...SHIM_OPTIONS, ...FLAG_TABLES]);
      const hint = near === undefined ? "flags belong into [sluice_config]" : `did you mean "${near}"?`;
      into.problem(place(key), `unknown key "${key}"`, hint);
    }
  }
  for (const table of FLAG_TABLES) {
    const flags = root[table];
    if (!isTable(flags)) continue;
    for (const [key, value] of Object.entries(flags)) {
      const where = place(table, key);
      if (typeof value === "string") into.flag({ key, value: { kind: "string", text: value }, ...where });
      else {into.problem(
          where,
          `"${key}" in [${table}] must be a string, not ${whatIs(plain(value))}`,
          `${key} = "…"`,
        );}
    }
  }
  return into;

  /** A dotted key or a table has no line of its own: the first of its parts has. */
  function placeOf(find: typeof place, key: string) {
    const found = find(key);
    if (found.line > 0) return found;
    for (const [path, position] of places) if (path.startsWith(`${key}\0`)) return position;
    return found;
  }
}

function isTable(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value) && !(value instanceof Date);
}

function plain(value: unknown): Plain {
  if (typeof value === "string") return { kind: "string", text: value };
  if (typeof value === "bigint") return { kind: "integer", text: String(value) };
  if (typeof value === "boolean") return { kind: "boolean", text: String(value) };
  if (typeof value === "number") return { kind: "other", what: "a number with a fraction" };
  if (Array.isArray(value)) return { kind: "list", items: value.map(plain) };
  if (isTable(value)) {
    return { kind: "table", entries: Object.entries(value).map(([key, inner]) => [key, plain(inner)]) };
  }
  return { kind: "other", what: "a date" };
}
