import { test } from "node:test";
import { deepEqual } from "node:assert/strict";
import { chmodSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { AF, SOCK } from "../../../lib/host/constants.ts";
import { check } from "../../../lib/host/errno.ts";
import { ownProcessId } from "../../../lib/host/runtime_files.ts";
import { close, socket } from "../../../lib/host/sys.ts";
import { bindUnix } from "../../../lib/host/unix_socket.ts";
import { removeStaleSockets, socketPath } from "../../../lib/uplink/provider/stale_sockets.ts";

/** Beyond any process: the largest `pid_max` is 2²². */
const NOBODY = 1 << 23;

function bound(path: string): number {
  const fd = check(socket(AF.UNIX, SOCK.DGRAM | SOCK.CLOEXEC, 0), "make a socket");
  check(bindUnix(fd, path), `bind ${path}`);
  return fd;
}

test("only sockets that nobody has are removed", () => {
  const directory = mkdtempSync(join(tmpdir(), "sluice-test-"));
  chmodSync(directory, 0o700);
  const open: number[] = [];
  try {
    // Of a process that is gone, and closed: the stale one.
    close(bound(join(directory, `uplink-${NOBODY}-0`)));
    // Of a process that is not to be seen from here.
    open.push(bound(join(directory, `uplink-${NOBODY}-1`)));
    // Of one that lives, whether or not it answers.
    open.push(bound(socketPath(directory, 0)));
    close(bound(socketPath(directory, 1)));
    // None of ours.
    close(bound(join(directory, `link-${NOBODY}-0`)));
    writeFileSync(join(directory, "web.json"), "");
    removeStaleSockets(directory);
    deepEqual(
      readdirSync(directory).sort(),
      [
        `link-${NOBODY}-0`,
        `uplink-${NOBODY}-1`,
        `uplink-${ownProcessId}-0`,
        `uplink-${ownProcessId}-1`,
        "web.json",
      ].sort(),
    );
    removeStaleSockets(join(directory, "nowhere"));
  } finally {
    for (const fd of open) close(fd);
    rmSync(directory, { recursive: true });
  }
});
