#!/usr/bin/env -S deno run -A --unstable-ffi
/**
 * The program `sluice`.
 *
 * @module
 */

import { STAGE_COMMAND } from "./lib/cli/stage.ts";
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

const { main } = await import("./lib/cli/main.ts");
exit(
  await main(args, {
    stdout: writeStdout,
    stderr: writeStderr,
    env,
    readText: readTextFileSync,
    runtime: runtimeName,
  }),
);
