/**
 * `sluice config show` and `sluice config check`.
 *
 * @module
 */

import { describeSettings, formatSettings } from "../config/describe.ts";
import { loadFile } from "../config/load.ts";
import { formatProblem } from "../config/origin.ts";
import { tryResolve } from "../config/resolve.ts";
import { type Command, type CommandContext, ExitStatus, UsageFailure } from "./command.ts";
import { readArguments } from "./arguments.ts";
import { oneLine } from "./one_line.ts";

/** The command. */
export const config: Command = {
  name: "config",
  summary: "show the configuration with its origins, or check files",
  usage: "sluice [flags] config show [-j]\nsluice [flags] config check FILE…",
  details:
    "show prints every flag with its value and where the value comes from. check prints all that is wrong\n" +
    "with configuration files, each by itself, and exits with 1 if there is anything.",
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
          "config show, or config check FILE…",
        );
      default:
        throw new UsageFailure(
          `wrong usage: unknown command "config ${what}"`,
          "config show, or config check FILE…",
        );
    }
  },
};

function show(context: CommandContext, args: readonly string[]): number {
  const { own, rest, help } = readArguments(args, {
    own: [{ name: "j", alias: "json", kind: "boolean", help: "as JSON" }],
  });
  if (help || rest.length > 0) throw new UsageFailure("wrong usage: config show takes -j and nothing else");
  context.stdout(
    own.has("j")
      ? `${JSON.stringify(describeSettings(context.resolved), null, 2)}\n`
      : formatSettings(context.resolved),
  );
  return ExitStatus.ok;
}

async function check(context: CommandContext, args: readonly string[]): Promise<number> {
  const { rest: paths } = readArguments(args, {});
  if (paths.length === 0) {
    throw new UsageFailure("wrong usage: config check needs a file", "config check FILE…");
  }
  let bad = false;
  for (const path of paths) {
    const { assignments, ignored, problems } = await loadFile(path, {
      runtime: context.settings.runtime,
      readText: (file) => context.readText(file),
    });
    const result = tryResolve(assignments);
    const all = "settings" in result ? problems : [...problems, ...result];
    for (const problem of all) context.stderr(`${oneLine(formatProblem(problem))}\n`);
    if (ignored.length > 0) {
      const names = [...new Set(ignored)].map((name) => `--${name}`).join(", ");
      context.stderr(`${path}: ignored flags of runsc that mean nothing here: ${names}\n`);
    }
    if (all.length === 0 && !(ignored.length > 0 && context.settings.strict)) context.stdout(`${path}: ok\n`);
    else bad = true;
  }
  return bad ? ExitStatus.problem : ExitStatus.ok;
}
