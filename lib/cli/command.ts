/**
 * What a command is. One file per command; each is loaded only when it is asked for.
 *
 * @module
 */

import type { Problem } from "../config/origin.ts";
import type { Resolved } from "../config/resolve.ts";
import type { Settings } from "../config/settings.ts";

/** A flag of one command only. Global flags are in lib/config/flag_table.ts. */
export interface CommandFlag {
  /** Without dashes; one letter or a long name. */
  readonly name: string;
  /** One more name for the same flag. */
  readonly alias?: string;
  /** A boolean stands alone or takes `=true|false`; a text takes a value. */
  readonly kind: "boolean" | "text";
  /** How the value is called in the usage text: `FILE`. */
  readonly placeholder?: string;
  /** May be given several times; otherwise the last one wins. */
  readonly repeatable?: boolean;
  readonly help: string;
}

/** The flags of {@linkcode Command.flags} as they were given, by name. */
export interface FlagValues {
  /** true if the boolean was given and is not `=false`. */
  has(name: string): boolean;
  /** The last value of a text; undefined if it was not given. */
  get(name: string): string | undefined;
  /** All values of a repeatable text. */
  all(name: string): readonly string[];
}

/** What a command may use. */
export interface CommandContext {
  readonly settings: Settings;
  /** The settings with their origins. */
  readonly resolved: Resolved;
  /** What is wrong with them; always empty unless the command {@linkcode Command.toleratesProblems}. */
  readonly problems: readonly Problem[];
  /** What follows the command and its flags; everything after the command if it declares no flags. */
  readonly args: readonly string[];
  readonly flags: FlagValues;
  stdout(text: string): void;
  stderr(text: string): void;
  readonly env: Readonly<Record<string, string | undefined>>;
  /** The text of a file; rejects or throws with the system's reason. */
  readText(path: string): string | Promise<string>;
  /** Name and version of the JavaScript runtime, e.g. `deno 2.9.6`. */
  readonly runtime: string;
}

/** A command of `sluice`. */
export interface Command {
  readonly name: string;
  readonly aliases?: readonly string[];
  /** Half a line for the list of commands. */
  readonly summary: string;
  /** One or more lines, each beginning with `sluice`. */
  readonly usage: string;
  /** Longer text below the usage. */
  readonly details?: string;
  /** Go-style flags of this command. Absent: the command reads `args` itself, as `ip` and `ss` do. */
  readonly flags?: readonly CommandFlag[];
  /** Global and do-only flags may follow the command, too. */
  readonly takesGlobalFlags?: boolean;
  /** Global flags that mean nothing with this command: its help leaves them out. */
  readonly ignoredFlags?: ReadonlySet<string>;
  /** Does not read configuration files, and works when they are broken. */
  readonly withoutConfig?: boolean;
  /** Is run even if the configuration cannot be used, to say why. */
  readonly toleratesProblems?: boolean;
  /** Resolves to the exit status. A thrown {@linkcode Failure} or Error is printed as one line. */
  run(context: CommandContext): Promise<number>;
}

/** Exit statuses of sluice itself; otherwise it is the program's own, 128+n for signal n. */
export const ExitStatus = {
  ok: 0,
  problem: 1,
  usage: 2,
  failed: 125,
  cannotExecute: 126,
  notFound: 127,
} as const;

/** Ends a command with one line on stderr, `sluice: what failed: why (what to do)`, and a status. */
export class Failure extends Error {
  override readonly name: string = "Failure";

  constructor(
    /** `what failed: why`. */
    message: string,
    /** What to do. */
    readonly hint?: string,
    readonly status: number = ExitStatus.failed,
  ) {
    super(message);
  }
}

/** Wrong usage: status 2. */
export class UsageFailure extends Failure {
  override readonly name: string = "UsageFailure";

  constructor(message: string, hint?: string) {
    super(message, hint, ExitStatus.usage);
  }
}
