/** The tables of both architectures, against numbers copied from the kernel's headers for each. */

import { deepStrictEqual, strictEqual } from "node:assert/strict";
import { test } from "node:test";
import { AUDIT_ARCH_OF, EPOLL_EVENT_OF, OPEN_FLAGS_OF, SYS_OF } from "../../lib/host/arch.ts";
import { SOCKET_CALLS_OF } from "../../lib/host/socket_calls.ts";

/** `asm/unistd_64.h` on x86-64, `asm-generic/unistd.h` on arm64: name, x86-64, arm64. */
const CALLS = `
  accept 43 202            accept4 288 242          bind 49 200              capget 125 90
  capset 126 91            close_range 436 436      connect 42 203           fstat 5 80
  getpeername 52 205       getsockname 51 204       getsockopt 55 209        io_uring_enter 426 426
  io_uring_register 427 427 io_uring_setup 425 425  ioctl 16 29              listen 50 201
  openat2 437 437          pidfd_getfd 438 438      pidfd_open 434 434       pidfd_send_signal 424 424
  pivot_root 155 41        recvfrom 45 207          recvmmsg 299 243         recvmsg 47 212
  request_key 249 218      seccomp 317 277          sendmmsg 307 269         sendmsg 46 211
  sendto 44 206            setsockopt 54 208        shutdown 48 210          socket 41 198
  socketpair 53 199        statx 332 291
`.trim().split(/\s+/);

for (const [column, arch] of (["x86_64", "aarch64"] as const).entries()) {
  test(`the system calls of ${arch} have the numbers of its unistd.h`, () => {
    const expected: Record<string, number> = {};
    for (let i = 0; i < CALLS.length; i += 3) expected[CALLS[i]!] = Number(CALLS[i + 1 + column]);
    deepStrictEqual({ ...SYS_OF[arch], ...SOCKET_CALLS_OF[arch] }, expected);
  });
}

test("arm64 has the open flags of 32-bit ARM, and epoll_event as C lays it out", () => {
  deepStrictEqual(OPEN_FLAGS_OF, {
    x86_64: { DIRECTORY: 0x10000, NOFOLLOW: 0x20000 },
    aarch64: { DIRECTORY: 0x4000, NOFOLLOW: 0x8000 },
  });
  deepStrictEqual(EPOLL_EVENT_OF, { x86_64: { size: 12, data: 4 }, aarch64: { size: 16, data: 8 } });
});

test("AUDIT_ARCH_… is the ELF machine with the bits for 64 bits and little-endian", () => {
  const EM_X86_64 = 62, EM_AARCH64 = 183;
  strictEqual(AUDIT_ARCH_OF.x86_64, EM_X86_64 + 2 ** 31 + 2 ** 30);
  strictEqual(AUDIT_ARCH_OF.aarch64, EM_AARCH64 + 2 ** 31 + 2 ** 30);
});
