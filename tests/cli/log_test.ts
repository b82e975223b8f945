import { test } from "node:test";
import { deepStrictEqual, strictEqual, throws } from "node:assert/strict";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type LogSettings, openLog } from "../../lib/cli/log.ts";

const NOON = () => new Date("2020-02-02T12:00:00Z");
const PLAIN: LogSettings = { debug: false, debugLog: undefined, logFormat: "text" };

function written(settings: LogSettings): string {
  let stderr = "";
  const log = openLog(settings, (text) => void (stderr += text), NOON);
  log.write("debug", "minor");
  log.write("info", "two\nlines");
  log.write("warn", "mind");
  log.close();
  return stderr;
}

test("openLog() writes text to standard error, one line each, without debugging", () => {
  strictEqual(written(PLAIN), "sluice: two lines\nsluice: mind\n");
});

test("openLog() writes debugging lines when asked to", () => {
  strictEqual(written({ ...PLAIN, debug: true }), "sluice: minor\nsluice: two lines\nsluice: mind\n");
});

test("openLog() writes one JSON object a line", () => {
  const lines = written({ ...PLAIN, logFormat: "json" }).trimEnd().split("\n").map((line) =>
    JSON.parse(line)
  );
  deepStrictEqual(lines, [
    { time: "2020-02-02T12:00:00.000Z", level: "info", msg: "two\nlines" },
    { time: "2020-02-02T12:00:00.000Z", level: "warn", msg: "mind" },
  ]);
});

test("openLog() writes all to a file, and to standard error what somebody must act on", () => {
  const directory = mkdtempSync(join(tmpdir(), "sluice-test-"));
  try {
    const path = join(directory, "log");
    strictEqual(written({ ...PLAIN, debugLog: path }), "sluice: mind\n");
    const time = "2020-02-02T12:00:00.000Z";
    strictEqual(readFileSync(path, "utf8"), `${time} info two lines\n${time} warn mind\n`);
  } finally {
    rmSync(directory, { recursive: true });
  }
});

test("openLog() throws for a file that cannot be written", () => {
  throws(() => openLog({ ...PLAIN, debugLog: "/nonexistent/log" }, () => {}), /^SystemError: Cannot write/);
});
