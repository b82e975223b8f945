/**
 * Where a value comes from, and what was wrong with it: plain data that crosses a thread as it is.
 *
 * @module
 */

/** The place that set a value. */
export type Origin =
  | { readonly kind: "default" }
  /** Nobody set it; it follows another flag that somebody set. */
  | { readonly kind: "derived"; readonly from: string }
  | { readonly kind: "file"; readonly path: string; readonly line: number; readonly column: number }
  | { readonly kind: "flag" }
  /** Without a path: `--annotation`. */
  | {
    readonly kind: "annotation";
    readonly key: string;
    readonly path?: string;
    readonly line?: number;
    readonly column?: number;
  };

/** One flag set to one text by one place. Later assignments win; those of a repeatable flag add up. */
export interface Assignment {
  /** Long name of a flag in the table. */
  readonly flag: string;
  /** The text as a command line would give it. */
  readonly text: string;
  readonly origin: Origin;
}

/** One thing that is wrong. */
export interface Problem {
  readonly message: string;
  /** What to do about it; printed in parentheses. */
  readonly hint?: string;
  readonly origin: Origin;
}

/** Built in. */
export const DEFAULT: Origin = { kind: "default" };
/** Given on the command line. */
export const FLAG: Origin = { kind: "flag" };

/** `default`, `default for --address`, `sluice.toml:3`, `command line`, `annotation KEY in pod.yaml:7`. */
export function formatOrigin(origin: Origin): string {
  switch (origin.kind) {
    case "default":
      return "default";
    case "derived":
      return `default for --${origin.from}`;
    case "file":
      return placeOf(origin, false);
    case "flag":
      return "command line";
    case "annotation":
      return `annotation ${origin.key}` +
        (origin.path === undefined ? "" : ` in ${placeOf({ ...origin, path: origin.path }, false)}`);
  }
}

/** `sluice.toml:3:1`, less what is not known. */
function placeOf(place: { path: string; line?: number; column?: number }, withColumn: boolean): string {
  const { path, line = 0, column = 0 } = place;
  return line === 0 ? path : `${path}:${line}${withColumn ? `:${column}` : ""}`;
}

/** `sluice.toml:3:1: unknown key "qdsic" (did you mean "qdisc"?)`; `annotation KEY: …` where there is no file. */
export function formatProblem(problem: Problem): string {
  const { message, hint, origin } = problem;
  return `${culprit(origin)}${message}${hint === undefined ? "" : ` (${hint})`}`;
}

function culprit(origin: Origin): string {
  if (origin.kind === "file") return `${placeOf(origin, true)}: `;
  if (origin.kind !== "annotation") return "";
  const { key, path } = origin;
  return path === undefined ? `annotation ${key}: ` : `${placeOf({ ...origin, path }, true)}: `;
}

/** The configuration cannot be used. Holds every problem that was found, in the order of the sources. */
export class ConfigError extends Error {
  override readonly name: string = "ConfigError";

  constructor(readonly problems: readonly Problem[]) {
    const [first] = problems;
    const more = problems.length - 1;
    // `config check` prints all that is wrong with a file; nothing else does so for a command line.
    super(
      first === undefined
        ? "no reason"
        : problems.every(({ origin }) => origin.kind === "flag")
        ? problems.map(formatProblem).join("; ")
        : formatProblem(first) + (more > 0 ? `; and ${more} more` : ""),
    );
  }

  /** The command line itself is wrong, not a file or an annotation. */
  get isUsage(): boolean {
    return this.problems[0]?.origin.kind === "flag";
  }
}
