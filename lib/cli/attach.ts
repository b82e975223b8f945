/**
 * `sluice attach`: gives a network namespace that somebody else made an interface behind our stack, as slirp4netns
 * does.
 *
 * @module
 */

import { type Command, type CommandContext, UsageFailure } from "./command.ts";
import { launch } from "./launch.ts";
import { superviseSession } from "./session.ts";

/** The command. */
export const attach: Command = {
  name: "attach",
  summary: "give an existing network namespace an interface behind the stack",
  usage: "sluice [flags] attach (--pid PID | --netns PATH) [--ready-fd N]",
  takesGlobalFlags: true,
  flags: [
    { name: "pid", kind: "text", placeholder: "PID", help: "the namespaces of this process" },
    {
      name: "netns",
      kind: "text",
      placeholder: "PATH",
      help: "a namespace bound to a path, as `ip netns` does",
    },
    {
      name: "ready-fd",
      kind: "text",
      placeholder: "N",
      help: "write one byte to this descriptor when it works",
    },
  ],
  run: attachNamespace,
};

async function attachNamespace(context: CommandContext): Promise<number> {
  const { flags, settings } = context;
  if (settings.network === "sandbox") {
    throw new UsageFailure(
      "Cannot attach with --network=sandbox: that drives interfaces, and attach makes one",
      "nsenter --net=PATH sluice --network=sandbox do -- PROGRAM",
    );
  }
  const pid = flags.get("pid");
  const netns = flags.get("netns");
  if ((pid === undefined) === (netns === undefined)) {
    throw new UsageFailure("Cannot attach: name either --pid PID or --netns PATH");
  }
  if (pid !== undefined && !/^[1-9][0-9]{0,9}$/.test(pid)) {
    throw new UsageFailure(`Cannot attach: --pid ${pid} is not a process id`);
  }
  const readyText = flags.get("ready-fd");
  const readyFd = readyText === undefined ? undefined : Number(readyText);
  if (readyFd !== undefined && (!Number.isInteger(readyFd) || readyFd < 0)) {
    throw new UsageFailure(`Cannot attach: --ready-fd ${readyText} is not a descriptor`);
  }
  const target = pid === undefined ? { path: netns! } : { pid: Number(pid) };
  return await superviseSession(context, launch(context, { kind: "attach", target }), readyFd);
}
