/**
 * JSON configuration files: our own, and Docker's `daemon.json`.
 *
 * @module
 */

import { Collector, type FileContents, type Plain } from "./document.ts";
import { findFlag, FLAGS, type FlagSpec, isSwitch } from "./flag_table.ts";
import { dashed, scanFlags } from "./go_flags.ts";
import { type JsonMember, type JsonNode, JsonSyntaxError, positionAt, readJson } from "./json_reader.ts";
import { nearest } from "./nearest.ts";
import { findIgnoredFlag } from "./runsc_flags.ts";

/**
 * Reads a file. With `runtime`, a file that has `runtimes` is Docker's: `runtimes.NAME.runtimeArgs` are read as flags
 * and the rest of it is Docker's business. Any other file has flag names as keys.
 */
export function readJsonFile(path: string, text: string, runtime?: string): FileContents {
  const into = new Collector(path);
  let root: JsonNode;
  try {
    root = readJson(text);
  } catch (error) {
    if (!(error instanceof JsonSyntaxError)) throw error;
    into.problem(positionAt(text, error.at), `not JSON: ${error.message}`);
    return into;
  }
  if (root.kind !== "object") {
    into.problem(positionAt(text, root.at), "must be an object with flag names as keys");
    return into;
  }
  const runtimes = member(root, "runtimes");
  if (runtimes !== undefined) readDocker(into, text, runtimes, runtime);
  else {for (const { name, at, value } of root.members) {
      if (name === "serve" && value.kind === "object") {
        for (const one of value.members) {
          into.serve({ key: one.name, value: plain(one.value), ...positionAt(text, one.at) });
        }
      } else into.own({ key: name, value: plain(value), ...positionAt(text, at) });
    }}
  return into;
}

function readDocker(into: Collector, text: string, runtimes: JsonMember, wanted: string | undefined): void {
  const place = (at: number) => positionAt(text, at);
  if (wanted === undefined) {
    into.problem(
      place(runtimes.at),
      "this is Docker's daemon.json, and no runtime is named",
      "add --runtime NAME",
    );
    return;
  }
  const entry = member(runtimes.value, wanted);
  if (entry === undefined) {
    const known = runtimes.value.kind === "object" ? runtimes.value.members.map((one) => one.name) : [];
    const hint = known.length === 0 ? "there are none" : `there are ${known.join(", ")}`;
    into.problem(place(runtimes.at), `no runtime "${wanted}"`, hint);
    return;
  }
  const args = member(entry.value, "runtimeArgs")?.value;
  if (args === undefined) return;
  const items = args.kind === "array" ? args.items : [args];
  const texts: string[] = [];
  for (const item of items) {
    if (args.kind !== "array" || item.kind !== "string") {
      into.problem(place(item.at), "runtimeArgs must be a list of strings");
      return;
    }
    texts.push(item.text);
  }
  readFlags(into, texts, (index) => place(items[index]?.at ?? args.at));
}

/** A list of command-line flags inside a file. */
function readFlags(
  into: Collector,
  args: readonly string[],
  place: (index: number) => { line: number; column: number },
) {
  const scan = scanFlags(args, (name) => {
    const flag = findFlag(name);
    return flag === undefined ? findIgnoredFlag(name) : { isSwitch: isSwitch(flag) };
  });
  for (const { name, text, at } of scan.flags) {
    into.flag({ key: findFlag(name)?.name ?? name, value: { kind: "string", text }, ...place(at) });
  }
  const { problem } = scan;
  if (problem?.reason === "unknown") {
    const near = nearest(problem.name, (FLAGS as readonly FlagSpec[]).map((flag) => flag.name));
    const hint = near === undefined ? undefined : `did you mean ${dashed(near)}?`;
    into.problem(place(problem.at), `unknown flag ${dashed(problem.name)}`, hint);
  } else if (problem !== undefined) {
    const what = problem.reason === "no-value" ? "flag needs an argument: " : "bad flag syntax: ";
    into.problem(
      place(problem.at),
      what + (problem.reason === "no-value" ? dashed(problem.name) : problem.name),
    );
  } else if (scan.help || scan.rest.length > 0) {
    const first = args.length - scan.rest.length;
    into.problem(place(first), `runtimeArgs: ${JSON.stringify(args[first] ?? "--help")} is not a flag`);
  }
}

function member(node: JsonNode, name: string): JsonMember | undefined {
  return node.kind === "object" ? node.members.find((one) => one.name === name) : undefined;
}

function plain(node: JsonNode): Plain {
  switch (node.kind) {
    case "string":
      return node;
    case "number":
      return /^-?[0-9]+$/.test(node.text)
        ? { kind: "integer", text: node.text }
        : { kind: "other", what: "a number with a fraction or an exponent" };
    case "boolean":
      return { kind: "boolean", text: String(node.value) };
    case "null":
      return { kind: "other", what: "null" };
    case "array":
      return { kind: "list", items: node.items.map(plain) };
    case "object":
      return { kind: "table", entries: node.members.map((one) => [one.name, plain(one.value)] as const) };
  }
}
