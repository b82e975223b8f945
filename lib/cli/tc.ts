/**
 * `sluice tc`: what `tc qdisc` would print inside the stack.
 *
 * @module
 */

import type { QdiscJson } from "../control/render/qdisc.ts";
import { type Command, type CommandContext, ExitStatus, Failure, UsageFailure } from "./command.ts";
import { abbreviation, ask, readSelection, readWords } from "./observe.ts";
import { formatJson } from "./text/json.ts";
import { formatQdiscs } from "./text/qdisc.ts";

/** The command. */
export const tc: Command = {
  name: "tc",
  summary: "queueing disciplines of a running stack and their counters",
  usage: "sluice tc [-s] [-j] [-p] qdisc [show] [dev NAME] [ID]",
  details: "pfifo is --qdisc=fifo, noqueue is --qdisc=none.",
  withoutConfig: true,
  run: showQdiscs,
};

const OPTIONS = {
  j: "json",
  json: "json",
  p: "pretty",
  pretty: "pretty",
  s: "stats",
  stats: "stats",
  statistics: "stats",
};

async function showQdiscs({ args, stdout }: CommandContext): Promise<number> {
  const { options, words: [word = "", ...rest] } = readWords(args, OPTIONS);
  if (abbreviation(word, ["qdisc"]) === undefined) {
    throw new UsageFailure("wrong usage: the object is qdisc", "sluice tc qdisc");
  }
  const { device, id } = readSelection(rest);
  const [all = []] = await ask<QdiscJson[]>(id, "/v1/qdisc");
  const qdiscs = device === undefined ? all : all.filter((qdisc) => qdisc.dev === device);
  if (qdiscs.length === 0 && device !== undefined) {
    throw new Failure(`Cannot find device "${device}"`, undefined, ExitStatus.problem);
  }
  const stats = options.has("stats");
  const shown = stats ? qdiscs : qdiscs.map(withoutCounters);
  stdout(options.has("json") ? formatJson(shown, options.has("pretty")) : formatQdiscs(qdiscs, stats));
  return ExitStatus.ok;
}

/** `tc -j qdisc` without `-s`. */
function withoutCounters({ kind, handle, dev, root, refcnt, options }: QdiscJson): Partial<QdiscJson> {
  return { kind, handle, dev, root, refcnt, options };
}
