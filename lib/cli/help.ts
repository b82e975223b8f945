/**
 * `sluice help`: what there is, and how one command is used.
 *
 * @module
 */

import { nearest } from "../config/nearest.ts";
import { type Command, ExitStatus, UsageFailure } from "./command.ts";
import { commandNames, COMMANDS, findCommand } from "./commands.ts";
import { commandHelp, generalHelp } from "./usage.ts";

/** The command. */
export const help: Command = {
  name: "help",
  summary: "this text, or the help of one command",
  usage: "sluice help [COMMAND]",
  flags: [],
  withoutConfig: true,
  async run({ args, stdout }): Promise<number> {
    const [name] = args;
    if (name === undefined) {
      stdout(generalHelp(COMMANDS));
      return ExitStatus.ok;
    }
    const entry = findCommand(name);
    if (entry === undefined) {
      const near = nearest(name, commandNames());
      throw new UsageFailure(
        `wrong usage: unknown command "${name}"`,
        near === undefined ? "sluice help" : `did you mean ${near}?`,
      );
    }
    stdout(commandHelp(await entry.load()));
    return ExitStatus.ok;
  },
};
