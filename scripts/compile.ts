/**
 * `npm run compile`: one binary, `dist/sluice`, with the engine's worker inside.
 *
 * `npm run compile -- --target=arm64 --runtime=PATH` makes `dist/sluice-arm64` from the Bun executable of that machine.
 *
 * @module
 */

import { chmodSync, mkdirSync, statSync } from "node:fs";
import { spawnSync } from "node:child_process";
import { parseArgs } from "node:util";

const { values } = parseArgs({ options: { target: { type: "string" }, runtime: { type: "string" } } });
const { target, runtime } = values;
if (target !== undefined && target !== "arm64" && target !== "x64") {
  console.error(`Cannot compile for ${target}: targets are arm64 and x64`);
  process.exit(2);
}
const output = target === undefined ? "dist/sluice" : `dist/sluice-${target}`;

mkdirSync("dist", { recursive: true });
// A worker is found inside the binary only if its file is named as an entry point of its own.
const entries = ["./cli.ts", "./lib/engine/worker.ts"];
const build = spawnSync(
  process.execPath,
  [
    "build",
    "--compile",
    "--minify-syntax",
    "--minify-whitespace",
    // Parsed here, not at every start: that was half of the processor time of a short program.
    "--bytecode",
    "--format=esm",
    // By default the program would take the environment and code to preload from files of whatever directory it is started in.
    "--no-compile-autoload-dotenv",
    "--no-compile-autoload-bunfig",
    ...(target === undefined ? [] : [`--target=bun-linux-${target}`]),
    // Without one, Bun fetches that of the target by itself.
    ...(runtime === undefined ? [] : [`--compile-executable-path=${runtime}`]),
    "--outfile",
    output,
    ...entries,
  ],
  { stdio: ["ignore", "pipe", "inherit"], encoding: "utf8" },
);
if (build.status !== 0) {
  console.error(build.stdout);
  process.exit(build.status ?? 1);
}
chmodSync(output, 0o755);
console.log(`${output}: ${(statSync(output).size / 1e6).toFixed(0)} MB`);
