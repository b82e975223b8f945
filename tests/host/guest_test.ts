/** Memory and descriptors of another process; the other process is this one, which the kernel treats alike. */

import { test } from "node:test";
import { deepStrictEqual, notStrictEqual, ok, strictEqual } from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import process from "node:process";
import { AF, F, SOCK } from "../../lib/host/constants.ts";
import { Errno } from "../../lib/host/errno.ts";
import { GuestFiles, leaderOf } from "../../lib/host/guest_files.ts";
import { GuestMemory, SCRATCH_SIZE } from "../../lib/host/guest_memory.ts";
import { openGuestPath, socketFile } from "../../lib/host/guest_paths.ts";
import { NativeMemory } from "../../lib/host/memory.ts";
import { socketPair, tryPair } from "../../lib/host/socket_pair.ts";
import { writeSockaddrUnix } from "../../lib/host/structs.ts";
import { bind, close, fcntl, getpid, socket } from "../../lib/host/sys.ts";
import { openSockDiag } from "../../lib/host/sock_diag.ts";
import { UnixDiag } from "../../lib/host/unix_diag.ts";

const self = getpid();
const path = (text: string) => new TextEncoder().encode(text);

test("GuestMemory.read() and writeFrom() move bytes", () => {
  const memory = new GuestMemory(), there = new NativeMemory(64);
  there.bytes.set([1, 2, 3, 4]);
  strictEqual(memory.read(self, there.address, 4), 0);
  deepStrictEqual([...memory.scratch.bytes.subarray(0, 4)], [1, 2, 3, 4]);
  memory.scratch.bytes.set([9, 8]);
  strictEqual(memory.writeFrom(self, there.address + 1, 2, memory.scratch.address), 0);
  deepStrictEqual([...there.bytes.subarray(0, 4)], [1, 9, 8, 4]);
});

const BAD: readonly [string, number, number, number][] = [
  ["NULL", 0, 4, Errno.EFAULT],
  ["a kernel address", 2 ** 64 - 4096, 4, Errno.EFAULT],
  ["an address beyond user space", 2 ** 47, 4, Errno.EFAULT],
  ["more than the scratch holds", 4096, SCRATCH_SIZE + 1, Errno.EINVAL],
];
for (const [name, address, length, errno] of BAD) {
  test(`GuestMemory.read() refuses ${name}`, () =>
    strictEqual(new GuestMemory().read(self, address, length), -errno));
}

test("GuestMemory.read() of a thread that is not there says ESRCH", () => {
  strictEqual(new GuestMemory().read(0x3fff_fff0, 4096, 4), -Errno.ESRCH);
});

test("GuestFiles tells sockets by their inode", () => {
  const files = new GuestFiles(), [near, far] = socketPair();
  const inode = files.socketInode(self, near);
  ok(inode > 0);
  strictEqual(files.ownInode(near), inode);
  notStrictEqual(files.ownInode(far), inode);
  const duplicate = fcntl(near, F.DUPFD_CLOEXEC, 100);
  strictEqual(files.socketInode(self, duplicate), inode);
  strictEqual(files.socketInode(self, 1_000_000), -Errno.ENOENT);
  strictEqual(files.socketInode(self, -1), -Errno.ENOENT);
  for (const fd of [near, far, duplicate]) close(fd);
  strictEqual(files.socketInode(self, duplicate), -Errno.ENOENT);
});

test("GuestFiles.borrow() duplicates, and finds a missing descriptor missing", () => {
  const files = new GuestFiles(), [near, far] = socketPair();
  const borrowed = files.borrow(self, near);
  ok(borrowed >= 0);
  strictEqual(files.ownInode(borrowed), files.ownInode(near));
  ok((fcntl(borrowed, F.GETFD, 0) & 1) !== 0, "close-on-exec");
  close(borrowed);
  strictEqual(files.borrow(self, 1_000_000), -Errno.EBADF);
  ok(files.borrow(0x3fff_fff0, 0) < 0);
  files.close();
  close(near);
  close(far);
});

test("GuestFiles.closesOnExec() reads the flag", () => {
  const files = new GuestFiles(), [near, far] = socketPair();
  strictEqual(files.closesOnExec(self, near), true);
  fcntl(near, F.SETFD, 0);
  strictEqual(files.closesOnExec(self, near), false);
  close(near);
  close(far);
});

test("leaderOf() finds the process of a thread", () => {
  strictEqual(leaderOf(self), process.pid);
  strictEqual(leaderOf(0x3fff_fff0), undefined);
});

test("tryPair() answers with an errno", () => strictEqual(typeof tryPair(77), "number"));

test("UnixDiag knows who holds a name, whatever links lead to it", () => {
  const directory = mkdtempSync(`${tmpdir()}/sluice-diag-`);
  const name = `${directory}/s`, address = new NativeMemory(128);
  const fd = socket(AF.UNIX, SOCK.STREAM | SOCK.CLOEXEC, 0);
  const diag = new UnixDiag(openSockDiag());
  try {
    strictEqual(bind(fd, address.address, writeSockaddrUnix(address, 0, name)), 0);
    const handle = openGuestPath(self, path(name));
    ok(handle >= 0);
    const file = socketFile(handle);
    ok(file !== undefined);
    strictEqual(diag.holderOf(file), new GuestFiles().ownInode(fd));
    strictEqual(diag.holderOf({ ...file, inode: file.inode ^ 0x55555555 }), 0);
    close(handle);
    const abstract = `@sluice-test-${self}`;
    const other = socket(AF.UNIX, SOCK.STREAM | SOCK.CLOEXEC, 0);
    strictEqual(bind(other, address.address, writeSockaddrUnix(address, 0, abstract)), 0);
    strictEqual(diag.holderOfName(path(abstract.slice(1))), new GuestFiles().ownInode(other));
    strictEqual(diag.holderOfName(path(`${abstract.slice(1)}x`)), 0);
    close(other);
  } finally {
    close(fd);
    diag.close();
    rmSync(directory, { recursive: true });
  }
});

test("openGuestPath() says what is missing, and socketFile() what is no socket", () => {
  strictEqual(openGuestPath(self, path("/no/such/thing")), -Errno.ENOENT);
  const handle = openGuestPath(self, path("/etc/passwd"));
  ok(handle >= 0);
  strictEqual(socketFile(handle), undefined);
  close(handle);
});
