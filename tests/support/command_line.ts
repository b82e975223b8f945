/**
 * Runs a command line inside the test's own process: no files, no descriptors, no exit.
 *
 * @module
 */

import type { Command, CommandContext } from "../../lib/cli/command.ts";
import { type CommandEntry, COMMANDS } from "../../lib/cli/commands.ts";
import { main } from "../../lib/cli/main.ts";

/** What a command line did. */
export interface Ran {
  readonly status: number;
  readonly stdout: string;
  readonly stderr: string;
  /** What the probe was run with; undefined if it was not. */
  readonly context: CommandContext | undefined;
}

/** Runs `sluice ARGS`; `do` and `attach` are probes that only record what they are given. */
export async function commandLine(args: readonly string[], files: Record<string, string> = {}): Promise<Ran> {
  let stdout = "";
  let stderr = "";
  let context: CommandContext | undefined;
  const probe = (name: string, flags?: Command["flags"]): Command => ({
    name,
    summary: "a probe",
    usage: `sluice [flags] ${name}`,
    takesGlobalFlags: true,
    ...(flags === undefined ? {} : { flags }),
    run(given) {
      context = given;
      return Promise.resolve(0);
    },
  });
  const probes: CommandEntry[] = [
    { name: "do", aliases: ["run"], summary: "", load: () => Promise.resolve(probe("do")) },
    {
      name: "attach",
      summary: "",
      load: () =>
        Promise.resolve(probe("attach", [
          { name: "pid", kind: "text", placeholder: "PID", help: "a process" },
          { name: "quick", alias: "q", kind: "boolean", help: "be quick" },
          { name: "tag", kind: "text", repeatable: true, help: "a tag" },
        ])),
    },
    {
      name: "raw",
      summary: "",
      load: () => Promise.resolve({ ...probe("raw"), takesGlobalFlags: false }),
    },
    {
      name: "broken",
      summary: "",
      load: () =>
        Promise.resolve({
          ...probe("broken"),
          run: () => Promise.reject(new Error("Cannot go on:\n  it broke")),
        }),
    },
  ];
  const commands = [...probes, ...COMMANDS.filter((entry) => !probes.some((one) => one.name === entry.name))];
  const status = await main(args, {
    stdout: (text) => void (stdout += text),
    stderr: (text) => void (stderr += text),
    env: { HOME: "/home/somebody" },
    runtime: "test 1.0",
    readText(path) {
      const text = files[path];
      if (text === undefined) throw new Error(`Cannot read ${path}: no such file or directory`);
      return text;
    },
  }, commands);
  return { status, stdout, stderr, context };
}
