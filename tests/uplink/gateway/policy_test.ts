import { deepStrictEqual, strictEqual } from "node:assert/strict";
import { test } from "node:test";
import { isMartian, route } from "../../../lib/uplink/gateway/policy.ts";
import { IpAddress } from "../../../lib/stack/wire/address.ts";

const ip = (text: string): IpAddress => IpAddress.parse(text)!;

const CONFIG = {
  gateway4: ip("10.0.2.2"),
  gateway6: ip("fd00::2"),
  dns4: ip("10.0.2.3"),
  dns6: ip("fd00::3"),
  guest4: ip("10.0.2.100"),
  guest6: ip("fd00::64"),
};

/** Destination, port, what happens without and with --host-loopback. */
const CASES: readonly [destination: string, port: number, without: string, withLoopback?: string][] = [
  ["192.0.2.1", 80, "dial 192.0.2.1"],
  ["192.0.2.1", 53, "dial 192.0.2.1"],
  ["2001:db8::1", 443, "dial 2001:db8::1"],
  ["10.0.2.77", 80, "dial 10.0.2.77"],
  ["10.0.2.2", 80, "refuse closed-port", "dial 127.0.0.1"],
  ["10.0.2.2", 53, "refuse closed-port", "dial 127.0.0.1"],
  ["fd00::2", 80, "refuse closed-port", "dial ::1"],
  ["10.0.2.3", 53, "dns"],
  ["fd00::3", 53, "dns"],
  ["10.0.2.3", 853, "refuse closed-port"],
  ["10.0.2.3", 0, "refuse closed-port"],
  ["10.0.2.100", 80, "unreachable guest"],
  ["fd00::64", 80, "unreachable guest"],
  ["0.0.0.0", 80, "drop unspecified"],
  ["0.1.2.3", 80, "drop unspecified"],
  ["127.0.0.1", 80, "drop loopback"],
  ["127.255.255.254", 80, "drop loopback"],
  ["::", 80, "drop unspecified"],
  ["::1", 80, "drop loopback"],
  ["::ffff:127.0.0.1", 80, "drop v4-mapped"],
  ["::ffff:192.0.2.1", 80, "drop v4-mapped"],
  ["::127.0.0.1", 80, "drop v4-mapped"],
  ["224.0.0.251", 5353, "drop multicast"],
  ["239.1.1.1", 1900, "drop multicast"],
  ["ff02::fb", 5353, "drop multicast"],
  ["255.255.255.255", 67, "drop broadcast"],
  ["169.254.169.254", 80, "unreachable link-local"],
  ["fe80::1", 80, "unreachable link-local"],
];

function said(destination: string, port: number, hostLoopback: boolean): string {
  const verdict = route(ip(destination), port, { ...CONFIG, hostLoopback });
  if (verdict.do === "dial") return `dial ${verdict.address}`;
  return verdict.do === "dns" ? "dns" : `${verdict.do} ${verdict.why}`;
}

for (const [destination, port, without, withLoopback = without] of CASES) {
  test(`route() sends ${destination} port ${port} to: ${without}, or with host loopback: ${withLoopback}`, () => {
    strictEqual(said(destination, port, false), without);
    strictEqual(said(destination, port, true), withLoopback);
  });
}

test("route() prefers DNS when the gateway and the resolver share an address", () => {
  const shared = { ...CONFIG, dns4: CONFIG.gateway4, hostLoopback: false };
  deepStrictEqual(route(ip("10.0.2.2"), 53, shared), { do: "dns" });
  deepStrictEqual(route(ip("10.0.2.2"), 80, shared), { do: "refuse", why: "closed-port" });
});

test("route() copies the destination, which may be a parser's scratch", () => {
  const scratch = ip("192.0.2.1");
  const verdict = route(scratch, 80, { ...CONFIG, hostLoopback: false });
  scratch.d = 0x7f000001;
  strictEqual(verdict.do === "dial" && verdict.address.toString(), "192.0.2.1");
});

for (const source of ["0.0.0.0", "127.0.0.1", "224.0.0.1", "255.255.255.255", "::", "::1", "ff02::1"]) {
  test(`isMartian() rejects the source ${source}`, () => strictEqual(isMartian(ip(source)), true));
}
for (const source of ["10.0.2.100", "192.0.2.1", "169.254.1.1", "fd00::64", "fe80::1"]) {
  test(`isMartian() accepts the source ${source}`, () => strictEqual(isMartian(ip(source)), false));
}

test("with many guests, none of their network is dialled, and our own ports on the loopback are not", () => {
  const config = {
    gateway4: ip("192.168.127.1"),
    dns4: ip("192.168.127.1"),
    host4: ip("192.168.127.254"),
    links: [{ address: ip("192.168.127.0"), prefixLength: 24 }, { address: ip("fd00::"), prefixLength: 64 }],
    closedPorts: [7777],
    hostLoopback: false,
  };
  const verdict = (to: string, port: number, hostLoopback = false) => {
    const { do: what, ...rest } = route(ip(to), port, { ...config, hostLoopback }) as never as Record<
      string,
      unknown
    >;
    return [what, ...Object.values(rest).map(String)].join(" ");
  };
  strictEqual(verdict("192.168.127.77", 80), "unreachable guest");
  strictEqual(verdict("fd00::77", 80), "unreachable guest");
  strictEqual(verdict("192.168.128.1", 80), "dial 192.168.128.1");
  strictEqual(verdict("192.168.127.1", 53), "dns");
  strictEqual(verdict("192.168.127.254", 80), "dial 127.0.0.1");
  strictEqual(verdict("192.168.127.254", 7777), "refuse closed-port");
  strictEqual(verdict("192.168.127.1", 80), "refuse closed-port");
  strictEqual(verdict("192.168.127.1", 80, true), "dial 127.0.0.1");
  strictEqual(verdict("192.168.127.1", 7777, true), "refuse closed-port");
});
