import { test } from "node:test";
import { strictEqual } from "node:assert/strict";
import { IpAddress } from "../../../lib/stack/wire/address.ts";
import { specialOf } from "../../../lib/stack/wire/special_address.ts";

const SPECIAL: readonly (readonly [address: string, special: string | undefined])[] = [
  ["0.0.0.0", "unspecified"],
  ["0.1.2.3", "unspecified"],
  ["127.0.0.1", "loopback"],
  ["127.255.255.255", "loopback"],
  ["169.254.169.254", "link-local"],
  ["224.0.0.1", "multicast"],
  ["255.255.255.255", "broadcast"],
  ["10.0.0.1", undefined],
  ["128.0.0.1", undefined],
  ["::", "unspecified"],
  ["::1", "loopback"],
  ["::127.0.0.1", "v4-mapped"],
  ["fe80::1", "link-local"],
  ["ff02::1", "multicast"],
  ["2001:db8::1", undefined],
  ["fd00::1", undefined],
];

for (const [address, special] of SPECIAL) {
  test(`specialOf() ${address} is ${special ?? "nothing"}`, () => {
    strictEqual(specialOf(IpAddress.parse(address)!), special);
  });
}
