/** Interface ioctls, against what a kernel answered in a namespace set up alike. */

import { test } from "node:test";
import { deepStrictEqual, strictEqual } from "node:assert/strict";
import { answerIfreq, interfaceList, SIOC, verdictOn } from "../../../lib/attach/sockets/ioctl/ifreq.ts";
import { AF } from "../../../lib/host/constants.ts";
import { Errno } from "../../../lib/host/errno.ts";
import { ETH0, LO } from "./netlink/facts.ts";

const NICS = [LO, ETH0];

function hexOf(bytes: Uint8Array): string {
  return [...bytes].map((byte) => byte.toString(16).padStart(2, "0")).join("");
}

/** The union of a `struct ifreq` after the call, without trailing zeros, or the errno. */
function ask(command: number, name: string, value = 0): string | number {
  const bytes = new Uint8Array(40);
  new TextEncoder().encodeInto(name, bytes);
  const view = new DataView(bytes.buffer);
  view.setInt32(16, value, true);
  const errno = answerIfreq(command, NICS, view);
  return errno === 0 ? hexOf(bytes.subarray(16)).replace(/(00)+$/, "") : errno;
}

const CASES: readonly (readonly [command: number, name: string, expected: string | number])[] = [
  [SIOC.GIFFLAGS, "eth0", "4310"],
  [SIOC.GIFFLAGS, "lo", "49"],
  [SIOC.GIFFLAGS, "nope", Errno.ENODEV],
  [SIOC.GIFFLAGS, "", Errno.ENODEV],
  [SIOC.GIFADDR, "eth0", "020000000a000264"],
  [SIOC.GIFADDR, "lo", "020000007f000001"],
  [SIOC.GIFDSTADDR, "eth0", "020000000a000264"],
  [SIOC.GIFBRDADDR, "eth0", "020000000a0002ff"],
  [SIOC.GIFBRDADDR, "lo", "02"],
  [SIOC.GIFNETMASK, "eth0", "02000000ffffff"],
  [SIOC.GIFNETMASK, "lo", "02000000ff"],
  [SIOC.GIFMETRIC, "eth0", ""],
  [SIOC.GIFMTU, "eth0", "f0ff"],
  [SIOC.GIFMTU, "lo", "000001"],
  [SIOC.GIFHWADDR, "eth0", "010002736c000064"],
  [SIOC.GIFHWADDR, "lo", "0403"],
  [SIOC.GIFSLAVE, "eth0", Errno.EINVAL],
  [SIOC.GIFINDEX, "eth0", "02"],
  [SIOC.GIFTXQLEN, "lo", "e803"],
  [SIOC.GIFMAP, "eth0", ""],
  [SIOC.ETHTOOL, "eth0", Errno.EOPNOTSUPP],
];

for (const [command, name, expected] of CASES) {
  test(`answerIfreq() answers 0x${command.toString(16)} of "${name}" as the kernel does`, () => {
    strictEqual(ask(command, name), expected);
  });
}

test("answerIfreq() names an interface by its index", () => {
  const bytes = new Uint8Array(40);
  const view = new DataView(bytes.buffer);
  view.setInt32(16, 2, true);
  strictEqual(answerIfreq(SIOC.GIFNAME, NICS, view), 0);
  strictEqual(hexOf(bytes.subarray(0, 20)), "6574683000000000000000000000000002000000");
  view.setInt32(16, 77, true);
  strictEqual(answerIfreq(SIOC.GIFNAME, NICS, view), Errno.ENODEV);
});

test("interfaceList() has an entry for each IPv4 address", () => {
  const list = interfaceList(NICS);
  strictEqual(list.length, 80);
  strictEqual(hexOf(list.subarray(0, 24)), "6c6f0000000000000000000000000000020000007f000001");
  strictEqual(hexOf(list.subarray(40, 64)), "65746830000000000000000000000000020000000a000264");
});

test("verdictOn() tells commands that change something, and knows which family a command is for", () => {
  for (const command of [0x890b, 0x8914, 0x8916, 0x891c, 0x8922, 0x8924]) {
    strictEqual(verdictOn(command, AF.INET), "change");
  }
  for (const command of [0x8930, 0x8934, 0x894c, 0x8955, 0x89a0]) {
    strictEqual(verdictOn(command, AF.INET), Errno.EPERM);
  }
  deepStrictEqual(
    [AF.INET, AF.INET6, AF.UNIX, AF.NETLINK].map((domain) => verdictOn(SIOC.GIFADDR, domain)),
    ["ifreq", Errno.ENOTTY, Errno.ENOTTY, Errno.ENOTTY],
  );
  strictEqual(verdictOn(SIOC.GIFCONF, AF.UNIX), "ifconf");
  strictEqual(verdictOn(0x8905, AF.INET), undefined, "SIOCATMARK is the socket's own");
});
