/**
 * `sluice restore-netns`: puts back what a `--network=sandbox` that was killed could not. The next start in the same
 * namespace does it by itself.
 *
 * @module
 */

import { restoreLeftBehind } from "../modes/restore.ts";
import { type Command, type CommandContext, ExitStatus, Failure, UsageFailure } from "./command.ts";

/** The command. */
export const restoreNetns: Command = {
  name: "restore-netns",
  summary: "give interfaces back that a killed sandbox has left without addresses",
  usage: "sluice restore-netns",
  details:
    "To be run in the network namespace it is about, as its user: ip netns exec NAME sluice restore-netns",
  flags: [],
  withoutConfig: true,
  run: restore,
};

function restore({ args, stdout }: CommandContext): Promise<number> {
  if (args.length > 0) throw new UsageFailure(`wrong usage: restore-netns takes nothing, got "${args[0]}"`);
  const restored = restoreLeftBehind();
  if (restored === undefined) {
    stdout("nothing to restore in this network namespace\n");
    return Promise.resolve(ExitStatus.ok);
  }
  if (restored.failures.length > 0) {
    throw new Failure(
      `Cannot restore everything in this network namespace: ${restored.failures.join("; ")}`,
      "an interface that is down takes no routes: bring it up and try again",
    );
  }
  const { devices } = restored;
  stdout(devices.length === 0 ? "the interfaces are gone\n" : `restored ${devices.join(", ")}\n`);
  return Promise.resolve(ExitStatus.ok);
}
