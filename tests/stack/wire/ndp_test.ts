import { test } from "node:test";
import { deepEqual, equal } from "node:assert/strict";
import { IpAddress } from "../../../lib/stack/wire/address.ts";
import { verifyIcmpv6 } from "../../../lib/stack/wire/icmpv6.ts";
import { IpHeader } from "../../../lib/stack/wire/ip.ts";
import { parseIpv6 } from "../../../lib/stack/wire/ipv6.ts";
import { MacAddress } from "../../../lib/stack/wire/mac_address.ts";
import { ALL_NODES, emitNdp, type NdpRepr, parseNdp, solicitedNode } from "../../../lib/stack/wire/ndp.ts";
import { MAX_NDP_LIST } from "../../../lib/stack/wire/ndp_options.ts";
import { roomy, tight, toHex } from "../../support/bytes.ts";
import { FRAMES } from "../../support/frames.ts";

const address = (text: string) => IpAddress.parse(text)!;
const mac = (text: string) => MacAddress.parse(text)!;

/** An IP header such as neighbour discovery wants, or with other values. */
function header(source = "fe80::1", destination = "ff02::1", hopLimit = 255): IpHeader {
  const ip = new IpHeader();
  Object.assign(ip.source, address(source));
  Object.assign(ip.destination, address(destination));
  ip.hopLimit = hopLimit;
  return ip;
}

const CAPTURED: [name: keyof typeof FRAMES, want: unknown][] = [
  ["neighbourSolicitation", {
    kind: "neighbour-solicitation",
    target: address("fd00::2"),
    options: { sourceLinkLayer: mac("02:00:00:00:00:0a") },
  }],
  ["neighbourAdvertisement", {
    kind: "neighbour-advertisement",
    target: address("fd00::2"),
    router: false,
    solicited: true,
    override: true,
    options: { targetLinkLayer: mac("02:00:00:00:00:0b") },
  }],
  ["duplicateDetection", { kind: "neighbour-solicitation", target: address("fe80::ff:fe00:a"), options: {} }],
  ["routerSolicitation", {
    kind: "router-solicitation",
    options: { sourceLinkLayer: mac("02:00:00:00:00:0b") },
  }],
];
for (const [name, want] of CAPTURED) {
  test(`parseNdp() reads ${name}`, () => {
    const p = tight(FRAMES[name]);
    p.start = 14;
    const ip = new IpHeader();
    parseIpv6(p, ip);
    deepEqual(parseNdp(p, ip), want);
    equal(p.length, 0);
  });
}

test("emitNdp() writes what Linux wrote", () => {
  const p = roomy("");
  const target = address("fd00::2");
  const destination = solicitedNode(target);
  equal(destination.toString(), "ff02::1:ff00:2");
  const options = { sourceLinkLayer: mac("02:00:00:00:00:0a") };
  emitNdp(p, { kind: "neighbour-solicitation", target, options }, address("fd00::1"), destination);
  equal(toHex(p.toBytes()), toHex(FRAMES.neighbourSolicitation.subarray(54)));
});

const ADVERTISEMENT: NdpRepr = {
  kind: "router-advertisement",
  hopLimit: 64,
  managed: true,
  otherConfig: false,
  preference: "low",
  lifetime: 1800,
  reachableTime: 30_000,
  retransTimer: 0xffff_ffff,
  options: {
    sourceLinkLayer: mac("02:00:00:00:00:01"),
    mtu: 65_520,
    prefixes: [{
      prefix: address("fd00::"),
      prefixLength: 64,
      onLink: true,
      autonomous: true,
      validLifetime: 0xffff_ffff,
      preferredLifetime: 14_400,
    }],
    dns: [{ lifetime: 600, servers: [address("fd00::3"), address("fd00::4")] }],
    search: [{ lifetime: 1_200, domains: ["example.org", "lab.example.org"] }],
    routes: [{ prefix: address("2001:db8::"), prefixLength: 48, preference: "high", lifetime: 60 }],
  },
};
const MESSAGES: NdpRepr[] = [
  ADVERTISEMENT,
  { ...ADVERTISEMENT, managed: false, otherConfig: true, preference: "medium", options: {} } as NdpRepr,
  { kind: "router-solicitation", options: {} },
  {
    kind: "neighbour-advertisement",
    target: address("fe80::1"),
    router: true,
    solicited: false,
    override: false,
    options: { targetLinkLayer: mac("02:00:00:00:00:01") },
  },
];
for (const [i, message] of MESSAGES.entries()) {
  test(`parseNdp() reads what emitNdp() wrote: ${i} ${message.kind}`, () => {
    const p = roomy("", 256);
    emitNdp(p, message, address("fe80::1"), ALL_NODES);
    equal(verifyIcmpv6(p, address("fe80::1"), ALL_NODES), true);
    deepEqual(parseNdp(p, header()), message);
    equal(p.length, 0);
  });
}

const NS = "8700 0000 00000000 fd000000000000000000000000000002";
const NA = "8800 0000 60000000 fd000000000000000000000000000002";
const RA = "8600 0000 40000708 00000000 00000000";
const GROUP_TARGET = "8700 0000 00000000 ff020000000000000000000000000001";
const MAC_OPTION = "0101 020000000001";
const SOLICITED = "ff02::1:ff00:2";
const BAD: [why: string, bytes: string, ip: IpHeader, want: string][] = [
  ["nothing", "", header(), "truncated"],
  ["a solicitation without target", "8700 0000 00000000", header(), "truncated"],
  ["a redirect", "8900 0000 00000000", header(), "unknown-type"],
  ["hop limit 254", NS, header("fd00::1", SOLICITED, 254), "bad-neighbour-discovery"],
  ["a code", NS.replace("8700", "8701"), header(), "bad-neighbour-discovery"],
  ["an option of length 0", `${NS} 0100 020000000001`, header(), "bad-neighbour-discovery"],
  ["an option that is cut off", `${NS} 0102 020000000001`, header(), "truncated"],
  ["half an option header", `${NS} 0101 0200`, header(), "truncated"],
  ["a group as target", GROUP_TARGET, header(), "bad-neighbour-discovery"],
  ["an advertisement solicited by a group", NA, header("fd00::2", "ff02::1"), "bad-neighbour-discovery"],
  ["a router beyond the link", RA, header("fd00::1"), "bad-neighbour-discovery"],
  ["a detection with address", `${NS} ${MAC_OPTION}`, header("::", SOLICITED), "bad-neighbour-discovery"],
  ["a detection to one host", NS, header("::", "fd00::2"), "bad-neighbour-discovery"],
  ["a router sought by nobody", `8500 0000 00000000 ${MAC_OPTION}`, header("::"), "bad-neighbour-discovery"],
];
for (const [why, bytes, ip, want] of BAD) {
  test(`parseNdp() refuses ${why}`, () => equal(parseNdp(tight(bytes), ip), want));
}

test("parseNdp() passes over options that it does not know or that have an odd length", () => {
  const p = tight(
    `${RA} 1f01 000000000000 0102 ${"00".repeat(14)} 1902 ${"00".repeat(14)} 0303 ${"00".repeat(22)}`,
  );
  const message = parseNdp(p, header());
  if (typeof message === "string") throw new Error(message);
  deepEqual(message.options, {});
});

test("parseNdp() takes no more prefixes and servers than its limit", () => {
  const n = MAX_NDP_LIST + 1;
  const prefix = `0304 40c0 ${"00".repeat(12)} fd00${"00".repeat(14)}`;
  const servers = `19${(2 * n + 1).toString(16)} 0000 00000001 ${"fd".repeat(16 * n)}`;
  const message = parseNdp(tight(`${RA} ${prefix.repeat(n)} ${servers.repeat(n)}`), header());
  if (typeof message === "string") throw new Error(message);
  equal(message.options.prefixes?.length, MAX_NDP_LIST);
  equal(message.options.dns?.length, MAX_NDP_LIST);
  equal(message.options.dns?.[0]?.servers.length, MAX_NDP_LIST);
});

test("parseNdp() refuses or reads every prefix of a long message without reading beyond it", () => {
  const p = roomy("", 256);
  emitNdp(p, ADVERTISEMENT, address("fe80::1"), ALL_NODES);
  const bytes = p.toBytes();
  for (let n = 0; n < bytes.length; n++) {
    const result = parseNdp(tight(bytes.subarray(0, n)), header());
    if (typeof result === "string") equal(result, "truncated");
    else equal((n - 16) % 8, 0);
  }
});

const OPTIONS: [why: string, bytes: string, want: unknown][] = [
  ["a default route in one unit", "1801 0018 00000e10", {
    routes: [{ prefix: address("::"), prefixLength: 0, preference: "low", lifetime: 3_600 }],
  }],
  ["half a prefix", "1802 4000 00000e10 20010db800000000", {
    routes: [{ prefix: address("2001:db8::"), prefixLength: 64, preference: "medium", lifetime: 3_600 }],
  }],
  ["a prefix longer than its bytes", "1802 4100 00000e10 20010db800000000", {}],
  ["the reserved preference", "1801 0010 00000e10", {
    routes: [{ prefix: address("::"), prefixLength: 0, preference: "medium", lifetime: 3_600 }],
  }],
  ["a search list with its padding", "1f03 0000 00000258 0361 6263 00 0000 0000 0000 0000 0000 00", {
    search: [{ lifetime: 600, domains: ["abc"] }],
  }],
  ["a search list that would break a line", "1f02 0000 00000258 0361 0a63 00 000000", {}],
];
for (const [why, bytes, want] of OPTIONS) {
  test(`parseNdp() reads ${why}`, () => {
    const message = parseNdp(tight(`${RA} ${bytes}`), header());
    deepEqual(typeof message === "string" ? message : message.options, want);
  });
}
