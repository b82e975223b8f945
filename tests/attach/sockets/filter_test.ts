/** The filter, run by an interpreter of classic BPF against calls as the kernel would show them. */

import { test } from "node:test";
import { strictEqual, throws } from "node:assert/strict";
import { rulesFor } from "../../../lib/attach/sockets/filter.ts";
import { assembleProgram, SeccompAction, seccompProgram } from "../../../lib/host/bpf.ts";
import { ARCH } from "../../../lib/host/arch.ts";
import { Errno } from "../../../lib/host/errno.ts";
import { SOCKET_CALLS_OF } from "../../../lib/host/socket_calls.ts";

const NATIVE = ARCH === "x86_64" ? 0xc000003e : 0xc00000b7;
const I386 = 0x40000003, ARM = 0x40000028;
const { allow, notify, errno } = SeccompAction;
const NAMES: Readonly<Record<number, string>> = {
  [allow]: "allow",
  [notify]: "notify",
  [errno(Errno.ENOSYS)]: "ENOSYS",
  [errno(Errno.EAFNOSUPPORT)]: "EAFNOSUPPORT",
  [errno(Errno.EOPNOTSUPP)]: "EOPNOTSUPP",
  [errno(Errno.EIO)]: "EIO",
  [errno(Errno.EPERM)]: "EPERM",
  [errno(Errno.ENOKEY)]: "ENOKEY",
};

/** `struct seccomp_data`. */
function seccompData(number: number, args: readonly bigint[], arch: number): DataView {
  const data = new DataView(new ArrayBuffer(64));
  data.setUint32(0, number, true);
  data.setUint32(4, arch, true);
  args.forEach((value, i) => data.setBigUint64(16 + 8 * i, BigInt.asUintN(64, value), true));
  return data;
}

/** What the program returns for this data; every jump is checked to stay inside. */
function interpret(program: readonly (readonly [number, number, number, number])[], data: DataView): number {
  let accumulator = 0;
  for (let at = 0;; at++) {
    const instruction = program[at];
    if (instruction === undefined) throw new RangeError(`the program runs off its end at ${at}`);
    const [code, yes, no, k] = instruction;
    if (code === 0x20) accumulator = data.getUint32(k, true);
    else if (code === 0x54) accumulator = (accumulator & k) >>> 0;
    else if (code === 0x15) at += accumulator === k >>> 0 ? yes : no;
    else if (code === 0x35) at += accumulator >= k ? yes : no;
    else if (code === 0x06) return k >>> 0;
    else throw new RangeError(`unknown instruction ${code}`);
  }
}

for (const [arch, calls] of Object.entries(SOCKET_CALLS_OF)) {
  const program = seccompProgram(rulesFor(calls, true), errno(Errno.ENOSYS));
  const shared = seccompProgram(rulesFor(calls, false), errno(Errno.ENOSYS));
  const verdict = (
    number: number,
    args: readonly (number | bigint)[] = [],
    audit = NATIVE,
    under = program,
  ): string => {
    const result = interpret(under, seccompData(number, args.map(BigInt), audit));
    return NAMES[result] ?? result.toString(16);
  };
  const high = 1n << 32n;

  const socket: readonly [family: bigint | number, expected: string][] = [
    [1, "allow"],
    [2, "notify"],
    [10, "notify"],
    [16, "notify"],
    [17, "notify"],
    [0, "EAFNOSUPPORT"],
    [38, "EAFNOSUPPORT"], // AF_ALG
    [40, "EAFNOSUPPORT"], // AF_VSOCK
    [44, "EAFNOSUPPORT"], // AF_XDP
    [-1, "EAFNOSUPPORT"],
    // The kernel takes an int: what is above it must not hide the family.
    [high | 2n, "notify"],
    [high | 40n, "EAFNOSUPPORT"],
    [high | 1n, "allow"],
  ];
  for (const [family, expected] of socket) {
    test(`rulesFor() answers socket(${family}) with ${expected} (${arch})`, () =>
      strictEqual(verdict(calls.socket, [family, 1, 0]), expected));
  }

  const cases: readonly [string, string, string][] = [
    ["connect", verdict(calls.connect, [3]), "notify"],
    ["bind", verdict(calls.bind, [3]), "notify"],
    ["accept4", verdict(calls.accept4, [3]), "notify"],
    ["recvmmsg", verdict(calls.recvmmsg, [3]), "notify"],
    ["getsockopt", verdict(calls.getsockopt, [3]), "notify"],
    ["send", verdict(calls.sendto, [3, 1, 1, 0, 0, 0]), "allow"],
    [
      "send of as many bytes as a netlink request of musl",
      verdict(calls.sendto, [3, 1, 20, 0, 0, 0]),
      "notify",
    ],
    ["sendto", verdict(calls.sendto, [3, 1, 1, 0, 0x1000, 16]), "notify"],
    ["sendto above 4 GiB", verdict(calls.sendto, [3, 1, 1, 0, high, 16]), "notify"],
    ["recv", verdict(calls.recvfrom, [3, 1, 1, 0, 0, 0]), "allow"],
    ["recvfrom", verdict(calls.recvfrom, [3, 1, 1, 0, 0x7fff_ffff_0000, 0]), "notify"],
    ["ioctl SIOCGIFCONF", verdict(calls.ioctl, [3, 0x8912, 0]), "notify"],
    ["ioctl SIOCGIFCONF with high bits", verdict(calls.ioctl, [3, high | 0x8912n, 0]), "notify"],
    ["ioctl TCGETS", verdict(calls.ioctl, [0, 0x5401, 0]), "allow"],
    ["ioctl FIONREAD", verdict(calls.ioctl, [0, 0x541b, 0]), "allow"],
    ["ioctl 0x18912", verdict(calls.ioctl, [0, 0x18912, 0]), "allow"],
    ["ioctl TIOCSTI", verdict(calls.ioctl, [0, 0x5412, 0]), "EIO"],
    ["ioctl TIOCSTI with high bits", verdict(calls.ioctl, [0, high | 0x5412n, 0]), "EIO"],
    ["ioctl TIOCLINUX", verdict(calls.ioctl, [0, 0x541c, 0]), "EPERM"],
    ["ioctl TUNSETIFF", verdict(calls.ioctl, [3, 0x400454ca, 0]), "allow"],
    [
      "ioctl TUNSETIFF in a network that is shared",
      verdict(calls.ioctl, [3, 0x400454ca, 0], NATIVE, shared),
      "EPERM",
    ],
    ["request_key", verdict(calls.request_key, [0x1000, 0x1000, 0, -3]), "allow"],
    ["request_key with a callout", verdict(calls.request_key, [0x1000, 0x1000, high, -3]), "ENOKEY"],
    ["socketpair unix", verdict(calls.socketpair, [1, 1, 0]), "allow"],
    ["socketpair inet", verdict(calls.socketpair, [2, 1, 0]), "EOPNOTSUPP"],
    ["socketpair tipc", verdict(calls.socketpair, [30, 1, 0]), "EAFNOSUPPORT"],
    ["io_uring_setup", verdict(calls.io_uring_setup), "ENOSYS"],
    ["io_uring_enter", verdict(calls.io_uring_enter), "ENOSYS"],
    ["io_uring_register", verdict(calls.io_uring_register), "ENOSYS"],
    ["read", verdict(0), "allow"],
    ["the last number", verdict(0x3fffffff), "allow"],
    ["an x32 call", verdict(0x40000000 | calls.socket, [2, 1, 0]), "ENOSYS"],
    ["a number with the sign bit", verdict(0xffffffff), "ENOSYS"],
    ["int 0x80", verdict(102, [1], I386), "ENOSYS"],
    ["a 32-bit program on arm64", verdict(281, [2], ARM), "ENOSYS"],
  ];
  for (const [name, got, expected] of cases) {
    test(`rulesFor() answers ${name} with ${expected} (${arch})`, () => strictEqual(got, expected));
  }
}

test("assembleProgram() lays out struct sock_fprog and its instructions", () => {
  const memory = assembleProgram([[0x20, 0, 0, 4], [0x15, 1, 2, 0xc000003e], [0x06, 0, 0, 0x7fff0000]]);
  strictEqual(memory.view.getUint16(0, true), 3);
  strictEqual(memory.getPointer(8), memory.address + 16);
  strictEqual(memory.view.getUint16(24, true), 0x15);
  strictEqual(memory.bytes[26], 1);
  strictEqual(memory.bytes[27], 2);
  strictEqual(memory.view.getUint32(28, true), 0xc000003e);
});

test("assembleProgram() refuses a jump that does not fit", () => {
  throws(() => assembleProgram([[0x15, 256, 0, 0]]), RangeError);
});
