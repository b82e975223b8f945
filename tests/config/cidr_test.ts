import { test } from "node:test";
import { deepStrictEqual, ok, strictEqual } from "node:assert/strict";
import fc from "fast-check";
import {
  contains,
  formatCidr,
  type InterfaceAddress,
  isBroadcast,
  networkAddress,
  parseCidr,
} from "../../lib/config/cidr.ts";
import { IpAddress } from "../../lib/stack/wire/address.ts";

function cidr(text: string): InterfaceAddress {
  const parsed = parseCidr(text);
  if (typeof parsed === "string") throw new Error(`${text}: ${parsed}`);
  return parsed;
}
const address = (text: string) => IpAddress.parse(text)!;

const READ: [text: string, want: string][] = [
  ["10.0.2.100/24", "10.0.2.100/24"],
  ["10.0.2.100", "10.0.2.100/24"],
  ["0.0.0.0/0", "0.0.0.0/0"],
  ["10.0.0.1/32", "10.0.0.1/32"],
  ["fd00::64/64", "fd00::64/64"],
  ["fd00::64", "fd00::64/64"],
  ["FD00:0::64/128", "fd00::64/128"],
  ["10.0.2.100/33", "the prefix length must be a number from 0 to 32"],
  ["fd00::64/129", "the prefix length must be a number from 0 to 128"],
  ["10.0.2.100/", "the prefix length must be a number from 0 to 32"],
  ["10.0.2.100/024", "the prefix length must be a number from 0 to 32"],
  ["10.0.2.100/+1", "the prefix length must be a number from 0 to 32"],
  ["10.0.2.100/255.255.255.0", "the prefix length must be a number from 0 to 32"],
  ["", "not an IP address"],
  ["/24", "not an IP address"],
  ["10.0.2/24", "not an IP address"],
  ["host/24", "not an IP address"],
];
for (const [text, want] of READ) {
  test(`parseCidr() reads "${text}"`, () => {
    const parsed = parseCidr(text);
    strictEqual(typeof parsed === "string" ? parsed : formatCidr(parsed), want);
  });
}

const NETWORKS: [text: string, host: number, want: string][] = [
  ["10.0.2.100/24", 0, "10.0.2.0"],
  ["10.0.2.100/24", 2, "10.0.2.2"],
  ["10.0.2.100/0", 0, "0.0.0.0"],
  ["10.0.2.101/31", 0, "10.0.2.100"],
  ["10.0.2.101/32", 0, "10.0.2.101"],
  ["fd00::64/64", 2, "fd00::2"],
  ["fd00:1:2:3:4:5:6:7/48", 0, "fd00:1:2::"],
  ["fd00:1:2:3:4:5:6:7/33", 0, "fd00:1::"],
  ["fd00:1:8002:3:4:5:6:7/33", 1, "fd00:1:8000::1"],
  ["fd00::7/128", 0, "fd00::7"],
  ["fd00::7/0", 0, "::"],
];
for (const [text, host, want] of NETWORKS) {
  test(`networkAddress() of ${text} + ${host} is ${want}`, () => {
    strictEqual(networkAddress(cidr(text), host).toString(), want);
  });
}

test("contains() compares prefix and family", () => {
  strictEqual(contains(cidr("10.0.2.100/24"), address("10.0.2.2")), true);
  strictEqual(contains(cidr("10.0.2.100/24"), address("10.0.3.2")), false);
  strictEqual(contains(cidr("fd00::64/64"), address("fd00::ffff:1")), true);
  strictEqual(contains(cidr("fd00::64/64"), address("fd00:0:0:1::1")), false);
  strictEqual(contains(cidr("0.0.0.0/0"), address("::")), false);
});

test("isBroadcast() knows networks that have none", () => {
  strictEqual(isBroadcast(cidr("10.0.2.100/24"), address("10.0.2.255")), true);
  strictEqual(isBroadcast(cidr("10.0.2.100/24"), address("10.0.3.255")), false);
  strictEqual(isBroadcast(cidr("10.0.2.100/31"), address("10.0.2.101")), false);
  strictEqual(isBroadcast(cidr("10.0.2.100/32"), address("10.0.2.100")), false);
  strictEqual(isBroadcast(cidr("10.0.2.100/24"), address("255.255.255.255")), true);
  strictEqual(isBroadcast(cidr("fd00::1/64"), address("fd00::ffff:ffff:ffff:ffff")), false);
});

test("formatCidr() and parseCidr() are inverse, and a network contains its members", () => {
  const any = fc.oneof(
    fc.tuple(fc.ipV4(), fc.nat(32)),
    fc.tuple(fc.ipV6(), fc.nat(128)),
  );
  fc.assert(fc.property(any, ([text, length]) => {
    const parsed = parseCidr(`${text}/${length}`);
    if (typeof parsed === "string") return;
    deepStrictEqual(parseCidr(formatCidr(parsed)), parsed);
    ok(contains(parsed, parsed.address));
    ok(contains(parsed, networkAddress(parsed)));
  }));
});
