#!/usr/bin/env -S deno run -A --unstable-ffi
/**
 * The program `sluice`.
 *
 * @module
 */

import { main } from "./lib/cli/main.ts";
import { args, env, exit, readTextFile, runtimeName, writeStderr, writeStdout } from "./lib/host/runtime.ts";

exit(
  await main(args, {
    stdout: writeStdout,
    stderr: writeStderr,
    env,
    readText: readTextFile,
    runtime: runtimeName,
  }),
);
