import { test } from "node:test";
import { deepStrictEqual, strictEqual, throws } from "node:assert/strict";
import { O } from "../../lib/host/arch.ts";
import { AF, SOCK } from "../../lib/host/constants.ts";
import { check, Errno, errnoName, SystemError } from "../../lib/host/errno.ts";
import { cString, NativeMemory, textAt } from "../../lib/host/memory.ts";
import * as sys from "../../lib/host/sys.ts";

test("write() and read() carry bytes between addresses", () => {
  const pair = new NativeMemory(8);
  check(sys.socketpair(AF.UNIX, SOCK.STREAM | SOCK.CLOEXEC, 0, pair.address), "make a pair");
  const [near, far] = [pair.words[0]!, pair.words[1]!];
  const data = new NativeMemory(16);
  data.bytes.set([1, 2, 3, 4, 5]);
  strictEqual(sys.write(near, data.address + 1, 4), 4);
  strictEqual(sys.read(far, data.address + 8, 8), 4);
  deepStrictEqual([...data.bytes.subarray(8, 12)], [2, 3, 4, 5]);
  strictEqual(sys.close(near), 0);
  strictEqual(sys.read(far, data.address, 8), 0);
  sys.close(far);
});

test("read() of a closed descriptor is −EBADF, warm or cold", () => {
  const data = new NativeMemory(8);
  for (let i = 0; i < 20_000; i++) strictEqual(sys.read(-1, data.address, 8), -Errno.EBADF);
});

test("mmap() returns an address, or −errno", () => {
  const address = sys.mmap(0, 4096, 3, 0x22, -1, 0);
  strictEqual(address > 4096, true);
  new Uint8Array(sys.memoryAt(address, 4096)).set([7], 100);
  strictEqual(new Uint8Array(sys.memoryAt(address, 4096))[100], 7);
  strictEqual(sys.munmap(address, 4096), 0);
  strictEqual(sys.mmap(0, 0, 3, 0x22, -1, 0), -Errno.EINVAL);
});

test("open() takes the address of a path", () => {
  strictEqual(sys.open(cString("/no/such/file").address, O.RDONLY, 0), -Errno.ENOENT);
  const path = cString("/dev/null");
  const fd = check(sys.open(path.address, O.WRONLY | O.CLOEXEC, 0), "open /dev/null");
  strictEqual(sys.close(fd), 0);
});

test("addressOf() stays true for small and large arrays while garbage is collected", () => {
  const kept: { bytes: Uint8Array; address: number }[] = [];
  for (let i = 0; i < 2_000; i++) {
    const bytes = new Uint8Array(i % 7 === 0 ? 65_536 : 1 + (i % 100)).fill(i);
    kept.push({ bytes, address: sys.addressOf(bytes) });
    void new Uint8Array(10_000);
  }
  for (const { bytes, address } of kept) {
    strictEqual(sys.addressOf(bytes), address);
    strictEqual(new Uint8Array(sys.memoryAt(address, 1))[0], bytes[0]);
  }
});

test("pidfd_open() refuses a process that cannot be", () => {
  strictEqual(sys.pidfd_open(-1), -Errno.EINVAL);
  const fd = check(sys.pidfd_open(sys.getpid()), "open ourselves");
  sys.close(fd);
});

test("prctl() takes 64-bit arguments, also negative ones", () => {
  strictEqual(sys.prctl(-1, -1, 0, 0, 0), -Errno.EINVAL);
});

test("check() throws the error's name", () => {
  throws(() => check(-Errno.EACCES, "open /dev/net/tun"), (error) => {
    return error instanceof SystemError && error.code === "EACCES" && error.errno === 13 &&
      error.message === "Cannot open /dev/net/tun: permission denied (EACCES)";
  });
  strictEqual(errnoName(11), "EAGAIN");
  strictEqual(errnoName(4095), "errno 4095");
});

test("cString() ends in a NUL and refuses one inside", () => {
  const memory = cString("grüße");
  strictEqual(textAt(memory.bytes, 0), "grüße");
  throws(() => cString("a\0b"), TypeError);
});
