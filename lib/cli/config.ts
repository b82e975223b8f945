/**
 * `sluice config show` and `sluice config check`.
 *
 * @module
 */

import { describeSettings, describeTenancy, formatSettings, formatTenancy } from "../config/describe.ts";
import { loadFile } from "../config/load.ts";
import { formatProblem, type Problem } from "../config/origin.ts";
import { tryResolve } from "../config/resolve.ts";
import { type Command, type CommandContext, ExitStatus, UsageFailure } from "./command.ts";
import { readArguments } from "./arguments.ts";
import { oneLine } from "./one_line.ts";

/** The command. */
export const config: Command = {
  name: "config",
  summary: "show the configuration with its origins, or check it",
  usage: "sluice [flags] config show [-j]\nsluice [flags] config check [FILE…]",
  details:
    "show prints every flag with its value and where the value comes from, what annotations may set at most,\n" +
    "and what was refused. check prints all that is wrong: with each of the configuration files by itself, or,\n" +
    "without FILE, with all that the flags before it say together (--config, --bundle, --pod, --annotation).\n" +
    "Both exit with 1 if anything is wrong.",
  toleratesProblems: true,
  async run(context): Promise<number> {
    const [what, ...args] = context.args;
    switch (what) {
      case "show":
        return show(context, args);
      case "check":
        return await check(context, args);
      case undefined:
        throw new UsageFailure(
          "wrong usage: config needs to know what to do",
          "config show, or config check [FILE…]",
        );
      default:
        throw new UsageFailure(
          `wrong usage: unknown command "config ${what}"`,
          "config show, or config check [FILE…]",
        );
    }
  },
};

function show(context: CommandContext, args: readonly string[]): number {
  const { own, rest, help } = readArguments(args, {
    own: [{ name: "j", alias: "json", kind: "boolean", help: "as JSON" }],
  });
  if (help || rest.length > 0) throw new UsageFailure("wrong usage: config show takes -j and nothing else");
  const { resolved, problems } = context;
  context.stdout(
    own.has("j")
      ? `${
        JSON.stringify({ ...describeSettings(resolved), ...describeTenancy(resolved, problems) }, null, 2)
      }\n`
      : formatSettings(resolved) + formatTenancy(resolved, problems),
  );
  return problems.length === 0 ? ExitStatus.ok : ExitStatus.problem;
}

async function check(context: CommandContext, args: readonly string[]): Promise<number> {
  const { rest: paths } = readArguments(args, {});
  if (paths.length === 0) return checkTogether(context);
  let bad = false;
  for (const path of paths) {
    const { assignments, ignored, problems } = await loadFile(path, {
      runtime: context.settings.runtime,
      readText: (file) => context.readText(file),
    });
    const all = [...problems, ...tryResolve(assignments).problems];
    report(context, all);
    if (ignored.length > 0) {
      const names = [...new Set(ignored)].map((name) => `--${name}`).join(", ");
      context.stderr(`${path}: ignored flags of runsc that mean nothing here: ${names}\n`);
    }
    if (all.length === 0 && !(ignored.length > 0 && context.settings.strict)) context.stdout(`${path}: ok\n`);
    else bad = true;
  }
  return bad ? ExitStatus.problem : ExitStatus.ok;
}

/** All sources, as `do` with the same flags would apply them. */
function checkTogether(context: CommandContext): number {
  const { problems, resolved } = context;
  if (resolved.assignments.length === 0 && problems.length === 0) {
    throw new UsageFailure(
      "wrong usage: config check needs something to check",
      "config check FILE…, or flags before it: --config, --bundle, --pod, --annotation",
    );
  }
  report(context, problems);
  if (problems.length > 0) return ExitStatus.problem;
  context.stdout("ok\n");
  return ExitStatus.ok;
}

function report(context: CommandContext, problems: readonly Problem[]): void {
  for (const problem of problems) context.stderr(`${oneLine(formatProblem(problem))}\n`);
}
