#!/usr/bin/env -S deno run -A --unstable-ffi
/**
 * The program `sluice`.
 *
 * @module
 */

import { main } from "./lib/cli/main.ts";
import {
  args,
  env,
  exit,
  readTextFileSync,
  runtimeName,
  writeStderr,
  writeStdout,
} from "./lib/host/runtime.ts";

exit(
  await main(args, {
    stdout: writeStdout,
    stderr: writeStderr,
    env,
    readText: readTextFileSync,
    runtime: runtimeName,
  }),
);
