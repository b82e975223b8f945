#!/usr/bin/env -S deno run -A --unstable-ffi
/**
 * The program `sluice`.
 *
 * @module
 */

import { DIAL_COMMAND, STAGE_COMMAND } from "./lib/cli/stage.ts";
import { compileLater } from "./lib/host/compiler.ts";
import {
  args,
  env,
  exit,
  readTextFileSync,
  runtimeName,
  writeStderr,
  writeStdout,
} from "./lib/host/runtime.ts";

if (args[0] === STAGE_COMMAND) await (await import("./lib/attach/stage/stage.ts")).runStage(args.slice(1));

if (args[0] === DIAL_COMMAND) exit(await (await import("./lib/host/dial_stdio.ts")).dialStdio(args[1] ?? ""));

const { main } = await import("./lib/cli/main.ts");
exit(
  await main(args, {
    stdout: writeStdout,
    stderr: writeStderr,
    env,
    readText: readTextFileSync,
    runtime: runtimeName,
    beforeForwarding: compileLater,
  }),
);
