import { strictEqual, throws } from "node:assert/strict";
import { mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { RuntimeFiles } from "../../lib/host/runtime_files.ts";

test("RuntimeFiles writes nothing that it would not read again", () => {
  const directory = mkdtempSync(join(tmpdir(), "sluice-test-"));
  try {
    const files = new RuntimeFiles(directory, 8);
    files.write("a", "12345678");
    strictEqual(files.read("a"), "12345678");
    throws(() => files.write("a", "123456789"), /longer than 8 bytes/);
    throws(() => files.write("b", "\u00e4\u00e4\u00e4\u00e4\u00e4"), /longer than 8 bytes/);
    strictEqual(files.read("a"), "12345678");
    strictEqual(readdirSync(directory).length, 1);
  } finally {
    rmSync(directory, { recursive: true });
  }
});
