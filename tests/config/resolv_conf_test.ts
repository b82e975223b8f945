import { test } from "node:test";
import { deepStrictEqual, strictEqual } from "node:assert/strict";
import { type InterfaceAddress, parseCidr } from "../../lib/config/cidr.ts";
import { guestNameservers, guestResolvConf, parseResolvConf } from "../../lib/config/resolv_conf.ts";
import { IpAddress } from "../../lib/stack/wire/address.ts";

const ip = (text: string) => IpAddress.parse(text)!;

/** `--dns`, `--address6`, `--gateway6`; and the guest's nameservers. */
const NAMESERVERS = [
  ["10.0.2.3", "fd00::64/64", "fd00::2", ["10.0.2.3", "fd00::3"]],
  ["10.0.2.3", "fd01:2::9/48", "fd01:2::1", ["10.0.2.3", "fd01:2::3"]],
  ["fd00::53", "fd00::64/64", "fd00::2", ["fd00::53"]],
  ["10.0.2.3", "fd00::3/64", "fd00::2", ["10.0.2.3"]],
  ["10.0.2.3", "fd00::64/64", "fd00::3", ["10.0.2.3"]],
  ["10.0.2.3", "fd00::/127", "fd00::1", ["10.0.2.3"]],
] as const;

for (const [dns, address6, gateway6, want] of NAMESERVERS) {
  test(`guestNameservers() are ${want} for ${dns}, ${address6} behind ${gateway6}`, () => {
    const network = parseCidr(address6) as InterfaceAddress;
    const settings = { dns: ip(dns), address6: network, gateway6: ip(gateway6) };
    deepStrictEqual(guestNameservers(settings).map(String), want);
  });
}

test("guestResolvConf() lists nameservers in order, and what the host's file says besides", () => {
  const host = parseResolvConf("nameserver 192.0.2.1\nsearch example.test\noptions ndots:2 # few\n");
  const text = guestResolvConf([ip("10.0.2.3"), ip("fd00::3")], host);
  strictEqual(text, "nameserver 10.0.2.3\nnameserver fd00::3\nsearch example.test\noptions ndots:2\n");
});
