/**
 * Go's flag syntax, and how Go reads numbers and booleans.
 *
 * `-x` and `--x` are the same. A value follows `=` or is the next argument; a switch (boolean) takes a value only
 * after `=`. Parsing stops at the first argument that is not a flag (`-` alone is not one), or after `--`.
 *
 * @module
 */

/** What the scanner must know of a flag. */
export interface Scannable {
  /** A boolean: takes no value of its own. */
  readonly isSwitch: boolean;
}

/** A flag as it was written. */
export interface ScannedFlag {
  /** As written, without dashes. */
  readonly name: string;
  /** `true` for a switch that stands alone. */
  readonly text: string;
  /** Index of the argument that named it. */
  readonly at: number;
}

/** What became of a list of arguments. */
export interface Scan {
  readonly flags: readonly ScannedFlag[];
  /** From the first argument that is no flag, or after `--`. */
  readonly rest: readonly string[];
  /** `-h` or `--help` was met where it is not a flag of its own; `rest` is what follows it. */
  readonly help: boolean;
  /** The first thing that is wrong; scanning stopped there. */
  readonly problem?: ScanProblem;
}

/** Why scanning stopped early. */
export type ScanProblem =
  | { readonly reason: "unknown"; readonly name: string; readonly at: number }
  | { readonly reason: "no-value"; readonly name: string; readonly at: number }
  | { readonly reason: "bad-syntax"; readonly name: string; readonly at: number };

/** Splits `args` into flags and the rest. Values are not looked at. */
export function scanFlags(args: readonly string[], find: (name: string) => Scannable | undefined): Scan {
  const flags: ScannedFlag[] = [];
  let at = 0;
  const stop = (problem: ScanProblem): Scan => ({ flags, rest: args.slice(at), help: false, problem });
  for (; at < args.length; at++) {
    const arg = args[at]!;
    if (arg === "--") return { flags, rest: args.slice(at + 1), help: false };
    if (arg.length < 2 || arg[0] !== "-") break;
    const body = arg.slice(arg[1] === "-" ? 2 : 1);
    // Go's flag package: `bad flag syntax` for ---x, -=x and --=x.
    if (body === "" || body[0] === "-" || body[0] === "=") {
      return stop({ reason: "bad-syntax", name: arg, at });
    }
    const equals = body.indexOf("=");
    const name = equals < 0 ? body : body.slice(0, equals);
    const flag = find(name);
    if (flag === undefined) {
      if (name === "h" || name === "help") return { flags, rest: args.slice(at + 1), help: true };
      return stop({ reason: "unknown", name, at });
    }
    if (equals >= 0) {
      flags.push({ name, text: body.slice(equals + 1), at });
    } else if (flag.isSwitch) {
      flags.push({ name, text: "true", at });
    } else {
      const value = args[at + 1];
      if (value === undefined) return stop({ reason: "no-value", name, at });
      flags.push({ name, text: value, at });
      at++;
    }
  }
  return { flags, rest: args.slice(at), help: false };
}

/** `--name`, or `-n` for a single letter. */
export function dashed(name: string): string {
  return name.length === 1 ? `-${name}` : `--${name}`;
}

const TRUE: ReadonlySet<string> = new Set(["1", "t", "T", "true", "TRUE", "True"]);
const FALSE: ReadonlySet<string> = new Set(["0", "f", "F", "false", "FALSE", "False"]);

/** Go's `strconv.ParseBool`. */
export function parseBool(text: string): boolean | undefined {
  return TRUE.has(text) ? true : FALSE.has(text) ? false : undefined;
}

/** Why a number was refused, in Go's words. */
export type NumberProblem = "parse error" | "value out of range";

const MAX_UINT64 = 0xffff_ffff_ffff_ffffn;

/**
 * Go's `strconv.ParseUint(text, 0, 64)`: decimal, `0x`, `0o` or a leading `0` (octal), `0b`; underscores only between
 * digits or between the prefix and a digit; no sign, no unit.
 */
export function parseUint(text: string): bigint | NumberProblem {
  const prefix = /^0([xX]|[oO]|[bB])/.exec(text);
  const base = prefix === null
    ? text.length > 1 && text[0] === "0" ? 8 : 10
    : { x: 16, o: 8, b: 2 }[prefix[1]!.toLowerCase() as "x" | "o" | "b"];
  // The prefix counts as a digit for the rule about underscores, and so does the 0 of `0_7`.
  const digits = text.slice(prefix === null ? base === 8 ? 1 : 0 : 2);
  const digit = { 2: "[01]", 8: "[0-7]", 10: "[0-9]", 16: "[0-9a-fA-F]" }[base as 2 | 8 | 10 | 16];
  const shape = base === 10 ? `^${digit}(_?${digit})*$` : `^(_?${digit})+$`;
  if (!new RegExp(shape).test(digits)) return "parse error";
  const literal = { 2: "0b", 8: "0o", 10: "", 16: "0x" }[base as 2 | 8 | 10 | 16];
  const value = BigInt(literal + digits.replaceAll("_", ""));
  return value > MAX_UINT64 ? "value out of range" : value;
}
