/**
 * `sluice version`.
 *
 * @module
 */

import { type Command, ExitStatus, UsageFailure } from "./command.ts";

/** The version of this program; a test compares it with package.json. */
export const VERSION = "0.1.0";

/** The command. */
export const version: Command = {
  name: "version",
  summary: "version of sluice and of its runtime",
  usage: "sluice version [-j]",
  flags: [{ name: "j", alias: "json", kind: "boolean", help: "as JSON" }],
  withoutConfig: true,
  run({ args, flags, runtime, stdout }): Promise<number> {
    if (args.length > 0) throw new UsageFailure(`wrong usage: version takes no argument, got "${args[0]}"`);
    stdout(
      flags.has("j")
        ? `${JSON.stringify({ version: VERSION, runtime })}\n`
        : `sluice ${VERSION} (${runtime})\n`,
    );
    return Promise.resolve(ExitStatus.ok);
  },
};
