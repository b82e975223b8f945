/**
 * `sluice ls`: the instances that run.
 *
 * @module
 */

import { type Command, type CommandContext, ExitStatus, UsageFailure } from "./command.ts";
import { instances } from "./observe.ts";
import { formatJson } from "./text/json.ts";
import { formatTable } from "./text/table.ts";

/** The command. */
export const ls: Command = {
  name: "ls",
  summary: "running instances",
  usage: "sluice ls [-j]",
  flags: [{ name: "json", alias: "j", kind: "boolean", help: "a JSON array, for programs" }],
  withoutConfig: true,
  run: showInstances,
};

async function showInstances({ args, flags, stdout }: CommandContext): Promise<number> {
  if (args.length > 0) throw new UsageFailure(`wrong usage: ls takes -j and nothing else, got "${args[0]}"`);
  const all = (await instances().list()).map(({ token: _, ...instance }) => instance);
  if (flags.has("json")) {
    stdout(formatJson(all));
    return ExitStatus.ok;
  }
  stdout(formatTable(
    ["ID", "PID", "NETWORK", "ATTACH", "STARTED", "COMMAND"],
    all.map(({ id, pid, network, attach, started, command }) => [
      id,
      String(pid),
      network,
      // Nothing of ours is between a guest and the host's network.
      network === "host" ? "-" : attach,
      started,
      printable(command.join(" ")),
    ]),
  ));
  return ExitStatus.ok;
}

/** A command's arguments are anybody's: no control characters to the terminal, and one line. */
function printable(text: string): string {
  // deno-lint-ignore no-control-regex
  return text.replace(/[\u0000-\u001f\u007f-\u009f]/g, "?").slice(0, 120);
}
