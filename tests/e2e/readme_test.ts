/**
 * The commands of the documentation, run as they stand.
 *
 * Every `sh` block of README.md is one script, run in order in one checkout with the binary on the path. `console`
 * blocks are illustrations: they name commands that are the gate itself.
 */

import { test } from "node:test";
import { ok, strictEqual } from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { PROJECT, run, withScope } from "../support/e2e.ts";
import { needs } from "../support/capability.ts";

const MACHINE = needs(
  "root",
  "tun",
  "userns",
  "tool:jq",
  "tool:curl",
  "tool:python3",
  "tool:ping",
  "tool:bwrap",
);
const BLOCK = /```sh\n([\s\S]*?)```/g;
/** Done by the gate before the tests run; doing it again would replace the binary under test. */
const DONE_ALREADY = /^npm (ci|run compile)$/gm;

const blocks = [...readFileSync(join(PROJECT, "README.md"), "utf8").matchAll(BLOCK)].map((match) =>
  match[1]!
);

test("README.md has commands to run", () => ok(blocks.length >= 8));

for (const [i, block] of blocks.entries()) {
  const title = block.trim().split("\n")[0]!;
  test(`README.md block ${i + 1} works: ${title}`, MACHINE, () =>
    withScope(async (scope) => {
      const runtime = scope.directory();
      const script = `set -eu\nexport PATH="$PWD/dist:$PATH"\n${block.replaceAll(DONE_ALREADY, "")}`;
      const result = await run(["bash", "-c", script], { cwd: PROJECT, env: { XDG_RUNTIME_DIR: runtime } });
      strictEqual(result.status, 0, `${result.stdout}\n${result.stderr}`);
    }));
}
