/**
 * `sluice`: arguments in, exit status out.
 *
 * Reads the global flags, finds the command, reads its flags, reads the configuration files, and runs it. Everything
 * that goes wrong ends here as one line on stderr, `sluice: what failed: why (what to do)`, and a status: 2 for wrong
 * usage, 125 for the rest.
 *
 * @module
 */

import { loadSources } from "../config/load.ts";
import { nearest } from "../config/nearest.ts";
import { ConfigError } from "../config/origin.ts";
import { type Outcome, tryResolve } from "../config/resolve.ts";
import { type Arguments, NO_FLAGS, readArguments } from "./arguments.ts";
import { type Command, ExitStatus, Failure, UsageFailure } from "./command.ts";
import { type CommandEntry, commandNames, COMMANDS, findCommand } from "./commands.ts";
import { oneLine } from "./one_line.ts";

/** The world as `main` sees it. */
export interface Surroundings {
  stdout(text: string): void;
  stderr(text: string): void;
  readonly env: Readonly<Record<string, string | undefined>>;
  readText(path: string): string | Promise<string>;
  /** Name and version of the JavaScript runtime. */
  readonly runtime: string;
  /** Called before anything of a command that forwards for long is loaded or read. */
  beforeForwarding?(): void;
}

/** Runs the command line `args` (without the program's own name). Never rejects. */
export async function main(
  args: readonly string[],
  surroundings: Surroundings,
  commands: readonly CommandEntry[] = COMMANDS,
): Promise<number> {
  try {
    return await dispatch(args, surroundings, commands);
  } catch (error) {
    surroundings.stderr(`sluice: ${oneLine(describe(error))}\n`);
    if (error instanceof ConfigError) return error.isUsage ? ExitStatus.usage : ExitStatus.failed;
    return error instanceof Failure ? error.status : ExitStatus.failed;
  }
}

async function dispatch(
  args: readonly string[],
  surroundings: Surroundings,
  commands: readonly CommandEntry[],
): Promise<number> {
  // Not a flag of the table: it is a question, and must work whatever else is wrong.
  if (args.length === 1 && /^--?version$/.test(args[0]!)) args = ["version"];
  const head = readArguments(args, { table: "global" });
  const [name, ...tail] = head.help ? ["help"] : head.rest;
  if (name === undefined) {
    throw new UsageFailure("wrong usage: no command is named", "sluice do -- PROGRAM runs one; sluice help");
  }
  const entry = findCommand(name, commands);
  if (entry === undefined) {
    const near = nearest(name, commandNames(commands));
    const hint = near === undefined
      ? `sluice help; to run a program: sluice do -- ${name}`
      : `did you mean ${near}?`;
    throw new UsageFailure(`wrong usage: unknown command "${name}"`, hint);
  }
  if (entry.forwards === true) surroundings.beforeForwarding?.();
  const command = await entry.load();
  const own = readOwn(command, tail);
  if (own.help) {
    const { commandHelp } = await import("./usage.ts");
    surroundings.stdout(commandHelp(command));
    return ExitStatus.ok;
  }
  const { resolved, problems } = await settle(command, head, own, surroundings);
  for (const line of resolved.warnings) surroundings.stderr(`sluice: ${oneLine(line)}\n`);
  return await command.run({
    settings: resolved.settings,
    resolved,
    problems,
    args: own.rest,
    flags: own.own,
    stdout: (text) => surroundings.stdout(text),
    stderr: (text) => surroundings.stderr(text),
    env: surroundings.env,
    readText: (path) => surroundings.readText(path),
    runtime: surroundings.runtime,
  });
}

/** The flags after the command's name. A command that declares none gets its arguments as they are. */
function readOwn(command: Command, args: readonly string[]): Arguments {
  if (command.flags === undefined && !command.takesGlobalFlags) {
    const help = args.length === 1 && /^(-h|--?help)$/.test(args[0]!);
    return { assignments: [], own: NO_FLAGS, ignored: [], help, rest: args };
  }
  return readArguments(args, {
    own: command.flags ?? [],
    ...(command.takesGlobalFlags ? { table: command.name === "do" ? "do" : "global" } : {}),
  });
}

/** All sources of configuration, applied. */
async function settle(
  command: Command,
  head: Arguments,
  own: Arguments,
  surroundings: Surroundings,
): Promise<Outcome> {
  if (command.withoutConfig) return tryResolve([]);
  const line = [...head.assignments, ...own.assignments];
  const sources = await loadSources(line, surroundings.readText);
  const { resolved, problems: found } = tryResolve(sources.assignments);
  const problems = [...sources.problems, ...found];
  const gvproxys = resolved.serve.find(({ flag }) => flag === "gvproxy");
  if (gvproxys !== undefined && !["serve", "config"].includes(command.name)) {
    throw new UsageFailure(
      `wrong usage: ${gvproxys.text} is gvproxy's configuration, which only serve reads`,
    );
  }
  if (problems.length > 0 && !command.toleratesProblems) throw new ConfigError(problems);
  const elsewhere = [...sources.ignored, ...resolved.ignored];
  const ignored = [...new Set([...elsewhere, ...head.ignored, ...own.ignored])];
  if (ignored.length === 0) return { resolved, problems };
  const names = ignored.map((name) => `--${name}`).join(", ");
  if (resolved.settings.strict) {
    const message = `flags of runsc that mean nothing here: ${names}`;
    if (elsewhere.length > 0) throw new Failure(message, "--strict forbids them");
    throw new UsageFailure(message, "--strict forbids them");
  }
  const warnings = [...resolved.warnings, `ignored flags of runsc that mean nothing here: ${names}`];
  return { resolved: { ...resolved, warnings }, problems };
}

/** One line: `what failed: why (what to do)`. */
function describe(error: unknown): string {
  if (error instanceof ConfigError) {
    const { origin } = error.problems[0] ?? {};
    const how = error.problems.length < 2 || origin === undefined
      ? ""
      : origin.kind === "file"
      ? `: sluice config check ${origin.path}`
      : origin.kind === "annotation"
      ? ": sluice [the same flags] config check"
      : "";
    return `${error.isUsage ? "wrong usage" : "cannot use the configuration"}: ${error.message}${how}`;
  }
  const message = error instanceof Error ? error.message : String(error);
  const hint = error instanceof Failure && error.hint !== undefined ? ` (${error.hint})` : "";
  // Messages inside the program begin with a capital; here they stand behind a colon.
  return `${message.replace(/^Cannot /, "cannot ")}${hint}`;
}
