/**
 * `npm run compile`: one binary, `dist/sluice`, with the engine's worker inside.
 *
 * @module
 */

import { chmodSync, mkdirSync, statSync } from "node:fs";
import { spawnSync } from "node:child_process";

mkdirSync("dist", { recursive: true });
// A worker is found inside the binary only if its file is named as an entry point of its own.
const entries = ["./cli.ts", "./lib/engine/worker.ts"];
const build = spawnSync(
  process.execPath,
  ["build", "--compile", "--minify-syntax", "--minify-whitespace", "--outfile", "dist/sluice", ...entries],
  { stdio: ["ignore", "pipe", "inherit"], encoding: "utf8" },
);
if (build.status !== 0) {
  console.error(build.stdout);
  process.exit(build.status ?? 1);
}
chmodSync("dist/sluice", 0o755);
console.log(`dist/sluice: ${(statSync("dist/sluice").size / 1e6).toFixed(0)} MB`);
