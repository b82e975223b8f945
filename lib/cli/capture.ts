/**
 * `sluice capture`: what `dumpcap` would write inside the stack.
 *
 * @module
 */

import { FileSink } from "../host/file_sink.ts";
import { stdoutIsTerminal, writeStdoutBytes } from "../host/runtime.ts";
import { onSignal } from "../host/signals.ts";
import { type Command, type CommandContext, ExitStatus, Failure, UsageFailure } from "./command.ts";
import { streamInstance } from "./instances.ts";
import { instances } from "./observe.ts";

/** The command. */
export const capture: Command = {
  name: "capture",
  summary: "what passes the interfaces of a running stack, as pcapng",
  usage: "sluice capture [-i INTERFACE] [-s BYTES] [-w FILE|-] [ID]",
  details:
    "Ends with the instance, or by Ctrl-C. To look on: sluice capture | tshark -r -. Frames are those of the stack:\n" +
    "super-packets are long, and checksums that the link completes are not complete yet. A frame that was dropped\n" +
    "has a comment that says why.",
  flags: [
    {
      name: "i",
      alias: "interface",
      kind: "text",
      placeholder: "INTERFACE",
      help: "only this one; else all",
    },
    { name: "s", alias: "snaplen", kind: "text", placeholder: "BYTES", help: "bytes kept of each frame" },
    { name: "w", alias: "write", kind: "text", placeholder: "FILE", help: "where to; - or nothing: stdout" },
  ],
  withoutConfig: true,
  run: writeCapture,
};

async function writeCapture({ args, flags }: CommandContext): Promise<number> {
  const [id, ...rest] = args;
  if (rest.length > 0) throw new UsageFailure(`wrong usage: capture takes one ID, got "${rest[0]}"`);
  const path = flags.get("w") ?? "-";
  if (path === "-" && stdoutIsTerminal()) {
    throw new UsageFailure(
      "Cannot write a capture to a terminal: it is binary",
      "-w FILE, or sluice capture | tshark -r -",
    );
  }
  const query = new URLSearchParams();
  const [device, snapLength] = [flags.get("i"), flags.get("s")];
  if (device !== undefined) query.set("dev", device);
  if (snapLength !== undefined) query.set("snaplen", snapLength);
  const stream = await streamInstance(await instances().pick(id), `/v1/capture?${query}`);
  const signals = (["SIGINT", "SIGTERM"] as const).map((name) => onSignal(name, () => stream.close()));
  try {
    const write = path === "-" ? writeStdoutBytes : intoFile(path);
    for await (const bytes of stream.body) if (!await write(bytes)) break;
  } finally {
    stream.close();
    for (const signal of signals) signal.close();
  }
  return ExitStatus.ok;
}

function intoFile(path: string): (bytes: Uint8Array) => boolean {
  const file = new FileSink(path, (why) => {
    throw new Failure(`Cannot write ${path}: ${why}`);
  }, true);
  return (bytes) => file.write(bytes);
}
