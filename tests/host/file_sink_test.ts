import { test } from "node:test";
import { deepStrictEqual, ok, strictEqual } from "node:assert/strict";
import { closeSync, constants, mkdtempSync, openSync, readFileSync, readSync, rmSync } from "node:fs";
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

test("FileSink never waits for who reads a FIFO, and keeps records whole", () => {
  const directory = mkdtempSync(join(tmpdir(), "sluice-sink-"));
  const path = join(directory, "fifo");
  strictEqual(spawnSync("mkfifo", [path]).status, 0);
  try {
    // Nobody reads yet.
    const sink = new FileSink(path);
    const reader = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK);
    const record = new Uint8Array(70_001);
    const into = new Uint8Array(record.length);
    let next = 0, written = 0, got = 0;
    const fill = () => {
      for (let i = 0; i < 40; i++, next++) {
        record.fill(next % 251);
        if (sink.write(record)) written++;
      }
    };
    const drain = (most: number) => {
      let previous = -1;
      for (let records = 0; records < most; records++) {
        let length = 0;
        while (length < into.length) {
          try {
            length += readSync(reader, into, length, into.length - length, null);
          } catch {
            return length;
          }
        }
        ok(into.every((byte) => byte === into[0]), `record ${got} is torn`);
        ok(into[0] !== previous);
        previous = into[0]!;
        got++;
      }
      return 0;
    };
    fill();
    ok(written > 0 && written < 40, `${written} of 40 records`);
    strictEqual(sink.lost, (40 - written) * record.length);
    drain(3);
    const before = written;
    fill();
    ok(written > before, "nothing is written when there is room again");
    // The end of the last one comes with whatever is written next.
    const partial = drain(1_000);
    ok(got >= before);
    if (partial > 0) ok(got < written);
    sink.close();
    closeSync(reader);
  } finally {
    rmSync(directory, { recursive: true });
  }
});
