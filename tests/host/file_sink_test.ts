import { test } from "node:test";
import { deepStrictEqual, strictEqual } from "node:assert/strict";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { spawnSync } from "node:child_process";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { FileSink } from "../../lib/host/file_sink.ts";
import { needs } from "../support/capability.ts";

test("FileSink appends what it is given", () => {
  const directory = mkdtempSync(join(tmpdir(), "sluice-sink-"));
  try {
    const sink = new FileSink(join(directory, "log"));
    sink.write(new TextEncoder().encode("one\n"));
    sink.write(new Uint8Array(300_000).fill(0x61));
    sink.close();
    const got = readFileSync(join(directory, "log"), "utf8");
    strictEqual(got.length, 300_004);
    strictEqual(got.slice(0, 6), "one\naa");
    strictEqual(sink.lost, 0);
  } finally {
    rmSync(directory, { recursive: true });
  }
});

test("FileSink writes whole records on a full disk, and says so once", needs("root", "userns"), () => {
  const directory = mkdtempSync(join(tmpdir(), "sluice-sink-"));
  strictEqual(spawnSync("mount", ["-t", "tmpfs", "-o", "size=64k", "none", directory]).status, 0);
  try {
    const said: string[] = [];
    const sink = new FileSink(join(directory, "log"), (why) => said.push(why));
    const record = new Uint8Array(7_000).fill(0x62);
    for (let i = 0; i < 20; i++) sink.write(record);
    strictEqual(readFileSync(join(directory, "log")).length % record.length, 0);
    strictEqual(readFileSync(join(directory, "log")).length + sink.lost, 20 * record.length);
    deepStrictEqual(said, ["no space left on device (ENOSPC)"]);
    sink.write(new Uint8Array(10));
    strictEqual(readFileSync(join(directory, "log")).length % record.length, 10);
    sink.close();
  } finally {
    spawnSync("umount", ["-l", directory]);
    rmSync(directory, { recursive: true });
  }
});
