/**
 * `deno task compile`, as far as it can be checked without Deno's base binary: with `deno` itself named as the base, the
 * graph is resolved and every file embedded, but the result would not run.
 */

import { test } from "node:test";
import { match, ok, strictEqual } from "node:assert/strict";
import { existsSync, globSync, realpathSync, rmSync } from "node:fs";
import { join } from "node:path";
import { PROJECT, run, withScope } from "../support/e2e.ts";
import { needs } from "../support/capability.ts";

const OUTPUT = join(PROJECT, "dist", "sluice-deno");

test(
  "deno task compile embeds the program, its worker and its packages",
  needs(),
  () =>
    withScope(async (scope) => {
      const [base] = globSync(join(PROJECT, "node_modules/@deno/*/deno"));
      ok(base !== undefined, "the npm package of deno has its binary");
      scope.defer(() => rmSync(OUTPUT, { force: true }));
      const result = await run([base, "task", "compile"], {
        cwd: PROJECT,
        env: { DENORT_BIN: realpathSync(base), NO_COLOR: "1" },
        limit: 180_000,
      });
      strictEqual(result.status, 0, result.stderr);
      const output = result.stdout + result.stderr;
      match(output, /worker\.ts/);
      match(output, /hono/);
      ok(existsSync(OUTPUT));
    }),
);
