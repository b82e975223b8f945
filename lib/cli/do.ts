/**
 * `sluice do`: runs a program behind the stack.
 *
 * ```text
 *   settings ─▶ namespaces and stage (spawned) ─┐
 *            ─▶ engine worker (started) ────────┴─▶ ready ─▶ control API ─▶ go ─▶ program ─▶ its exit status
 * ```
 *
 * The main thread spawns the guest, keeps its terminal and signals right, serves the control API and returns the exit
 * status; packets are the engine's.
 *
 * @module
 */

import { launch } from "./launch.ts";
import { type Command, type CommandContext, UsageFailure } from "./command.ts";
import { superviseSession } from "./session.ts";

/** The command. */
export const do_: Command = {
  name: "do",
  aliases: ["run"],
  summary: "run a program behind the stack",
  usage: "sluice [flags] do [flags] [--] PROGRAM [ARG…]",
  takesGlobalFlags: true,
  run: runProgram,
};

async function runProgram(context: CommandContext): Promise<number> {
  const { args } = context;
  if (args.length === 0) {
    throw new UsageFailure("Cannot run a program: none is named", "sluice do -- PROGRAM [ARG…]");
  }
  const launched = launch(context, { kind: "program", argv: args });
  return await superviseSession(context, launched);
}
