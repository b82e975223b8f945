/**
 * The gate: `npm test`. Runs every check, adds up what they counted, and prints `N passed, N failed, N skipped`.
 *
 * `node scripts/test.mjs unit` runs the fast subset: unit tests on both runtimes. `node scripts/test.mjs e2e` runs the
 * end-to-end tests alone. Plain JavaScript for node, because a fresh machine has nothing else before `npm ci`.
 *
 * SLUICE_STRICT=1: a test whose capability is missing fails instead of being skipped.
 */

import { spawn, spawnSync } from "node:child_process";
import { existsSync, readdirSync } from "node:fs";
import { join, relative } from "node:path";
import { fileURLToPath } from "node:url";

const root = fileURLToPath(new URL("..", import.meta.url));
process.chdir(root);
const bin = join(root, "node_modules", ".bin");
const what = process.argv[2] ?? "all";
const total = { passed: 0, failed: 0, skipped: 0 };

if (!existsSync(join(bin, "deno")) || !existsSync(join(bin, "bun"))) {
  console.log("installing npm packages");
  const install = spawnSync("npm", ["ci"], { stdio: "inherit" });
  if (install.status !== 0) process.exit(install.status ?? 1);
}

function testFiles(folder) {
  return readdirSync(folder, { withFileTypes: true }).flatMap((entry) => {
    const path = join(folder, entry.name);
    if (entry.isDirectory()) return testFiles(path);
    return entry.name.endsWith("_test.ts") ? [`./${relative(root, path)}`] : [];
  }).sort();
}

/** `held`: what it prints waits for its end, because another lane is printing. */
function run(name, command, args, count, held = false) {
  return new Promise((resolve) => {
    if (!held) console.log(`\n── ${name}`);
    const started = Date.now();
    const child = spawn(join(bin, command), args, {
      stdio: ["ignore", "pipe", "pipe"],
      env: { ...process.env, NO_COLOR: "1", PATH: `${bin}:${process.env.PATH}` },
    });
    let output = "";
    const keep = (chunk) => {
      output += chunk;
      if (!held) process.stdout.write(chunk);
    };
    child.stdout.on("data", keep);
    child.stderr.on("data", keep);
    child.on("close", (status) => {
      if (held) console.log(`\n── ${name}\n${output}`);
      const counted = count?.(output);
      const result = counted ?? { passed: status === 0 ? 1 : 0, failed: status === 0 ? 0 : 1, skipped: 0 };
      // A runner that died without a summary, or that ran nothing, has failed, whatever it printed.
      if (status !== 0 && result.failed === 0) result.failed = 1;
      total.passed += result.passed;
      total.failed += result.failed;
      total.skipped += result.skipped;
      const seconds = ((Date.now() - started) / 1000).toFixed(1);
      console.log(
        `── ${name}: ${result.passed} passed, ${result.failed} failed, ${result.skipped} skipped (${seconds} s)`,
      );
      resolve();
    });
  });
}

function denoCount(output) {
  const summary = [
    ...output.matchAll(
      /(\d+) passed(?: \(\d+ steps?\))? \| (\d+) failed(?: \(\d+ steps?\))?(?: \| (\d+) ignored)?/g,
    ),
  ].at(-1);
  if (summary === undefined) return { passed: 0, failed: 1, skipped: 0 };
  return { passed: Number(summary[1]), failed: Number(summary[2]), skipped: Number(summary[3] ?? 0) };
}

function bunCount(output) {
  const number = (pattern) => Number([...output.matchAll(pattern)].at(-1)?.[1] ?? 0);
  const passed = number(/^\s*(\d+) pass$/gm);
  const failed = number(/^\s*(\d+) fail$/gm);
  const skipped = number(/^\s*(\d+) skip$/gm);
  return passed + failed + skipped === 0 ? { passed: 0, failed: 1, skipped: 0 } : { passed, failed, skipped };
}

const all = testFiles("tests");
const e2e = all.filter((file) => file.startsWith("./tests/e2e/"));
const unit = all.filter((file) => !file.startsWith("./tests/e2e/"));

if (what === "all") {
  await run("format", "deno", ["fmt", "--check"]);
  await run("lint", "deno", ["lint", "--quiet"]);
  await run("types", "deno", ["check", "cli.ts", "mod.ts", "lib", "scripts", "tests"]);
  await run("layers", "bun", ["scripts/check_layers.ts"]);
  await run("documentation examples", "deno", ["test", "-A", "--doc", "--quiet", "mod.ts"], denoCount);
}
if (what === "all" || what === "unit") {
  await run("unit tests on Deno", "deno", ["test", "-A", "--no-check", "--quiet", ...unit], denoCount);
  await run("unit tests on Bun", "bun", ["test", "--timeout=60000", ...unit], bunCount);
}
if (what === "all") {
  await run("fuzz on Bun", "bun", ["scripts/fuzz.ts", "--seconds", process.env.SLUICE_FUZZ_SECONDS ?? "60"]);
}
if (what === "all" || what === "e2e") {
  await run("compile", "bun", ["scripts/compile.ts"]);
  if (e2e.length > 0) {
    // They wait for programs and clocks more than they compute: two lanes fill two processors.
    const lane = (
      rest,
    ) => ["test", "-A", "--no-check", "--quiet", ...e2e.filter((_, index) => index % 2 === rest)];
    await Promise.all([
      run("end-to-end tests, first lane", "deno", lane(0), denoCount),
      run("end-to-end tests, second lane", "deno", lane(1), denoCount, true),
    ]);
  }
}

console.log(`\n${total.passed} passed, ${total.failed} failed, ${total.skipped} skipped`);
process.exit(total.failed === 0 && total.passed > 0 ? 0 : 1);
