import { test } from "node:test";
import { strictEqual } from "node:assert/strict";
import process from "node:process";
import { compileLater } from "../../lib/host/compiler.ts";

const OPTION = "BUN_JSC_thresholdForFTLOptimizeAfterWarmUp", MARK = "SLUICE_COMPILER";

/** Runs `body` with these variables, and puts back what was there. */
function withEnvironment(variables: Readonly<Record<string, string>>, body: () => void): void {
  const before = { [OPTION]: process.env[OPTION], [MARK]: process.env[MARK] };
  try {
    for (const name of [OPTION, MARK]) delete process.env[name];
    Object.assign(process.env, variables);
    body();
  } finally {
    for (const [name, value] of Object.entries(before)) {
      if (value === undefined) delete process.env[name];
      else process.env[name] = value;
    }
  }
}

test("compileLater takes its option off the environment once it is in force", () => {
  withEnvironment({ [MARK]: String(process.pid), [OPTION]: "1" }, () => {
    compileLater();
    strictEqual(process.env[MARK], undefined);
    strictEqual(process.env[OPTION], undefined);
  });
});

test("compileLater leaves alone what somebody else has set", () => {
  withEnvironment({ [OPTION]: "1" }, () => {
    compileLater();
    strictEqual(process.env[OPTION], "1");
  });
  withEnvironment({ [MARK]: String(process.pid + 1), [OPTION]: "1" }, () => {
    compileLater();
    strictEqual(process.env[OPTION], "1");
  });
});

test("compileLater does nothing for a program that runs from its source", () => {
  withEnvironment({}, () => {
    compileLater();
    strictEqual(process.env[OPTION], undefined);
    strictEqual(process.env[MARK], undefined);
  });
});
