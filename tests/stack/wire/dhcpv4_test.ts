import { test } from "node:test";
import { deepEqual, equal, ok } from "node:assert/strict";
import { ANY4, IpAddress } from "../../../lib/stack/wire/address.ts";
import {
  DHCPV4_MESSAGE_MAX,
  dhcpv4Code,
  type Dhcpv4Fields,
  type Dhcpv4Message,
  type Dhcpv4Options,
  emitDhcpv4,
  parseDhcpv4,
} from "../../../lib/stack/wire/dhcpv4.ts";
import { MAX_DHCP_ADDRESSES, MAX_DHCP_ROUTES } from "../../../lib/stack/wire/dhcpv4_options.ts";
import { MacAddress } from "../../../lib/stack/wire/mac_address.ts";
import { hex, roomy, tight, toHex } from "../../support/bytes.ts";

const address = (text: string) => IpAddress.parse(text)!;
const hardware = MacAddress.parse("02:00:00:00:00:0a")!;

const OFFER: Dhcpv4Message = {
  reply: true,
  transaction: 0xdeadbeef,
  seconds: 7,
  broadcast: true,
  clientAddress: ANY4,
  yourAddress: address("192.168.127.3"),
  nextServer: address("192.168.127.1"),
  relay: address("10.0.0.9"),
  hardware,
  options: {
    type: "offer",
    serverId: address("192.168.127.1"),
    clientId: hex("01 020000 00000a"),
    requestedAddress: address("192.168.127.9"),
    leaseTime: 3_600,
    renewalTime: 1_800,
    rebindingTime: 0xffff_ffff,
    rapidCommit: true,
    maxMessageSize: 1_500,
    parameters: [1, 3, 6, 121],
    prefixLength: 24,
    routes: [
      { destination: address("10.17.0.0"), prefixLength: 20, gateway: address("192.168.127.2") },
      { destination: ANY4, prefixLength: 0, gateway: address("192.168.127.1") },
      { destination: address("10.1.2.3"), prefixLength: 32, gateway: ANY4 },
    ],
    routers: [address("192.168.127.1")],
    dns: [address("192.168.127.1"), address("9.9.9.9")],
    mtu: 65_520,
    message: "no more than this",
    hostName: "guest",
    domainName: "example.org",
    searchDomains: ["example.org", "lab.example.org"],
    timeServers: [address("192.168.127.4")],
    vendorClass: hex("616263"),
    vendorSpecific: hex("010203"),
    fqdn: hex("0000 0061"),
  },
};

/** A message with these bytes for options. */
function raw(options: string, sname = "", file = "") {
  const field = (text: string, length: number) => toHex(hex(text)).padEnd(2 * length, "0");
  return tight(
    `0201 0600 00000001 0000 0000 ${"00".repeat(16)} ${field("02000000000a", 16)} ${field(sname, 64)} ` +
      `${field(file, 128)} 63825363 ${options}`,
  );
}

/** What these bytes say, the kind of message aside. */
function read(options: string, sname?: string, file?: string): Omit<Dhcpv4Options, "type"> | string {
  const message = parseDhcpv4(raw(`350102 ${options}`, sname, file));
  if (typeof message === "string") return message;
  const { type, ...rest } = message.options;
  equal(type, "offer");
  return rest;
}

test("parseDhcpv4() reads what emitDhcpv4() wrote", () => {
  const p = roomy("", 128, 1_500);
  equal(emitDhcpv4(p, OFFER, 1_472), 0);
  deepEqual(parseDhcpv4(p), OFFER);
  equal(p.length, 0);
});

test("emitDhcpv4() fills up to what relays pass on, whatever was in the buffer", () => {
  const p = roomy("", 128, 1_500, 0xff);
  emitDhcpv4(p, { reply: false, transaction: 1, hardware, options: { type: "discover" } });
  equal(p.length, 300);
  equal(toHex(p.bytes.subarray(p.start + 236, p.start + 246)), "63825363350101ff0000");
  equal(toHex(p.bytes.subarray(p.start + 10, p.start + 28)), "00".repeat(18));
});

test("emitDhcpv4() leaves out what does not fit, least important first", () => {
  const p = roomy("", 128, 1_500);
  const searchDomains = Array.from({ length: 8 }, (_, i) => `${"x".repeat(40)}${i}.example.org`);
  const fields: Dhcpv4Fields = { ...OFFER, options: { ...OFFER.options, searchDomains } };
  equal(emitDhcpv4(p, fields, DHCPV4_MESSAGE_MAX), 1);
  ok(p.length <= DHCPV4_MESSAGE_MAX);
  const { searchDomains: _, ...rest } = OFFER.options;
  deepEqual((parseDhcpv4(p) as Dhcpv4Message).options, rest);
});

test("a long option travels in pieces (RFC 3396)", () => {
  const p = roomy("", 128, 1_500);
  const searchDomains = Array.from({ length: 16 }, (_, i) => `${"x".repeat(30)}${i}.example.org`);
  const options = { type: "ack", searchDomains } as const;
  equal(emitDhcpv4(p, { reply: true, transaction: 1, hardware, options }, 1_472), 0);
  deepEqual((parseDhcpv4(p) as Dhcpv4Message).options, options);
});

test("options may go on in the fields of file and server name (RFC 2131 section 4.1)", () => {
  deepEqual(read("340103 060404040404 ff", "060402020202 ff", "060403030303 1a0205dc"), {
    dns: [address("4.4.4.4"), address("3.3.3.3"), address("2.2.2.2")],
    mtu: 1_500,
  });
  deepEqual(read("340102 ff", "060402020202", "060403030303"), { dns: [address("2.2.2.2")] });
  deepEqual(read("ff", "060402020202", "060403030303"), {});
});

const OPTIONS: [why: string, bytes: string, want: unknown][] = [
  ["padding, and no end", "00 00 1a0205dc 00", { mtu: 1_500 }],
  ["nothing after the end", "ff 1a0205dc", {}],
  ["an unknown option", "fa020000 1a0205dc ff", { mtu: 1_500 }],
  ["a value that comes twice", "1a0205dc 1a022000 ff", { mtu: 1_500 }],
  ["a code at the very end", "1a0205dc 33", { mtu: 1_500 }],
  ["a length of the wrong size", "1a03000000 330200ff 0105ffffff0000 ff", {}],
  ["no address at all", "0300 0600 ff", {}],
  ["an address and a half", "0306010203040506 ff", {}],
  ["a mask with holes", "0104ff00ff00 ff", {}],
  ["the mask of nothing", "010400000000 ff", { prefixLength: 0 }],
  ["the mask of one", "0104ffffffff ff", { prefixLength: 32 }],
  ["a type that nobody defined", "", {}],
  ["text that would break a line", "0c03610a62 0f05612e620d0a 380461620a63 ff", {}],
  ["text with a NUL behind", "0c0461626300 ff", { hostName: "abc" }],
  ["a compressed list (RFC 3397)", "770f 0361626303636f6d00 0378797a c004 ff", {
    searchDomains: ["abc.com", "xyz.com"],
  }],
  ["a name that points at itself", "7706 0361 6263 c000 ff", {}],
  ["a name that points forwards", "7704 c002 c000 ff", {}],
  ["a name beyond its end", "7704 3f616263 ff", {}],
  ["a good name before a bad one", "7706 0161 00 3f6162 ff", { searchDomains: ["a"] }],
  ["a route with bits behind its prefix", "7909 14 0a11ff c0a87f02 00 ff", {}],
  ["a route wider than an address", "7909 21 0a110000 c0a87f02 ff", {}],
  ["bits behind a prefix", "7908 14 0a11ff c0a87f02 ff", {
    routes: [{ destination: address("10.17.240.0"), prefixLength: 20, gateway: address("192.168.127.2") }],
  }],
];
for (const [why, bytes, want] of OPTIONS) {
  test(`parseDhcpv4() takes ${why}`, () => deepEqual(read(bytes), want));
}

test("lists are cut at their limits", () => {
  const many = read(
    `03fc${"01020304".repeat(63)} 06fc${"01020304".repeat(63)} 79ff${
      "08 0a 01020304".repeat(42)
    }000102 79f3 0304${"08 0a 01020304".repeat(40)} 00 ff`,
  );
  ok(typeof many !== "string");
  equal(many.routers?.length, MAX_DHCP_ADDRESSES);
  equal(many.dns?.length, MAX_DHCP_ADDRESSES);
  equal(many.routes?.length, MAX_DHCP_ROUTES);
});

const BAD: [why: string, bytes: string, want: string][] = [
  ["nothing", "", "truncated"],
  ["a message without cookie", toHex(raw("").bytes.subarray(0, 239)), "truncated"],
  ["another cookie", toHex(raw("350101ff").bytes).replace("63825363", "63825364"), "unsupported"],
  ["token ring", toHex(raw("350101ff").bytes).replace(/^0201/, "0206"), "unsupported"],
  [
    "a hardware address of 16 bytes",
    toHex(raw("350101ff").bytes).replace(/^020106/, "020110"),
    "unsupported",
  ],
  ["neither question nor answer", toHex(raw("350101ff").bytes).replace(/^02/, "03"), "unknown-type"],
  ["BOOTP", toHex(raw("ff").bytes), "unknown-type"],
  ["a type beyond the last", toHex(raw("350109ff").bytes), "unknown-type"],
  ["type 0", toHex(raw("350100ff").bytes), "unknown-type"],
  ["an option beyond the message", toHex(raw("35010133040000").bytes), "bad-option"],
  [
    "an option beyond the file",
    toHex(raw("350101340101", "", `${"00".repeat(126)}0602`).bytes),
    "bad-option",
  ],
];
for (const [why, bytes, want] of BAD) {
  test(`parseDhcpv4() refuses ${why}`, () => equal(parseDhcpv4(tight(bytes)), want));
}

test("dhcpv4Code() knows the codes", () => {
  deepEqual((["prefixLength", "routers", "dns", "routes"] as const).map(dhcpv4Code), [1, 3, 6, 121]);
});
