/** Paths as another process means them. */

import { test } from "node:test";
import { ok, strictEqual } from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { openGuestPath, socketFile } from "../../lib/host/guest_paths.ts";
import { Errno } from "../../lib/host/errno.ts";
import { close } from "../../lib/host/sys.ts";

function opened(process: number, path: string): number {
  return openGuestPath(process, new TextEncoder().encode(path));
}

test("openGuestPath() takes /proc/self for the other process', and stays below its directory", async () => {
  const directory = mkdtempSync(`${tmpdir()}/sluice-paths-`);
  const server = createServer().listen(`${directory}/socket`);
  const child = spawn("sh", ["-c", 'exec 5<"$1"; echo ready; exec sleep 60', "sh", directory]);
  try {
    await once(child.stdout!, "data");
    for (const name of ["self", "thread-self"]) {
      const handle = opened(child.pid!, `/proc/${name}/fd/5/socket`);
      ok(handle >= 0, `${name}: ${handle}`);
      ok(socketFile(handle) !== undefined);
      close(handle);
    }
    const whole = opened(child.pid!, "/proc/self/fd/5");
    ok(whole >= 0);
    strictEqual(socketFile(whole), undefined);
    close(whole);
    strictEqual(opened(child.pid!, "/proc/self/fd/5/../etc"), -Errno.ENOENT);
    strictEqual(opened(child.pid!, "/proc/self/fd/77"), -Errno.ENOENT);
    strictEqual(opened(child.pid!, "/proc/self/fd/5/none"), -Errno.ENOENT);
  } finally {
    child.kill("SIGKILL");
    await new Promise<void>((resolve) => server.close(() => resolve()));
    rmSync(directory, { recursive: true, force: true });
  }
});
