/** Requests that change something: answers and notices byte for byte those of a kernel, limits, and what stays the operator's. */

import { test } from "node:test";
import { deepStrictEqual, notDeepStrictEqual, ok, strictEqual } from "node:assert/strict";
import process from "node:process";
import { changeNetwork } from "../../../../lib/attach/sockets/netlink/change/change.ts";
import {
  type ChangeableNetwork,
  MAX_ADDRESSES,
  MAX_INTERFACES,
  MAX_PERMANENT_NEIGHBOURS,
  MAX_ROUTES,
} from "../../../../lib/attach/sockets/netlink/change/network.ts";
import { look, noticesOf } from "../../../../lib/attach/sockets/netlink/notices.ts";
import { answerDatagram } from "../../../../lib/attach/sockets/netlink/protocol.ts";
import type { Asker } from "../../../../lib/attach/sockets/netlink/request.ts";
import { answerRoute } from "../../../../lib/attach/sockets/netlink/rtnetlink.ts";
import { NO_OFFLOAD } from "../../../../lib/stack/link/link.ts";
import { lazyNetworkOf, networkOf } from "../../../../lib/stack/snapshot.ts";
import { Stack } from "../../../../lib/stack/stack.ts";
import type { Instant } from "../../../../lib/stack/time.ts";
import { ANY4, ANY6, IpAddress } from "../../../../lib/stack/wire/address.ts";
import { MacAddress } from "../../../../lib/stack/wire/ethernet.ts";
import { between, pick, seeded } from "../../../support/random.ts";
import { RECORDED_CHANGES } from "./recorded_changes.ts";

const ASKER: Asker = { port: 0x1234, strict: false, extendedAck: true, capAck: false, uid: 0 };
const NOW = 1_000_000 as Instant;
const ROUTER_MAC = MacAddress.parse("5a:94:ef:e4:0c:dd")!;

function bytesOf(hex: string): Uint8Array<ArrayBuffer> {
  return Uint8Array.from(hex.match(/../g) ?? [], (pair) => parseInt(pair, 16));
}

function hexOf(bytes: Uint8Array): string {
  return [...bytes].map((byte) => byte.toString(16).padStart(2, "0")).join("");
}

function ip(text: string): IpAddress {
  return IpAddress.parse(text)!;
}

/** The network in which the exchanges were recorded. */
function network(options: Partial<ChangeableNetwork> = {}): ChangeableNetwork {
  const stack = new Stack({ random: seeded(1) });
  const nic = stack.addNic({
    name: "eth0",
    mac: MacAddress.parse("02:73:6c:00:00:64")!,
    mtu: 65_520,
    capabilities: NO_OFFLOAD,
  });
  nic.addAddress(ip("10.0.2.100"), 24);
  nic.addAddress(ip("fd00::64"), 64);
  stack.routes.add({ destination: ANY4, prefixLength: 0, nic, gateway: ip("10.0.2.2") });
  stack.routes.add({ destination: ANY6, prefixLength: 0, nic, gateway: ip("fd00::2") });
  nic.neighbours.setPermanent(ip("10.0.2.2"), ROUTER_MAC, NOW);
  return { stack, counters: stack.counters, now: NOW, fixedInterfaces: false, ...options };
}

interface Outcome {
  readonly answers: readonly string[];
  readonly notices: readonly string[];
}

/** What is answered; nobody listens. */
function answersTo(on: ChangeableNetwork, request: Uint8Array): Uint8Array[] {
  return answerDatagram(
    request,
    ASKER,
    (one, out) => answerRoute(one, lazyNetworkOf(on.stack, NOW), out, (it) => changeNetwork(it, on)),
  );
}

function change(on: ChangeableNetwork, request: Uint8Array): Outcome {
  const facts = () => networkOf(on.stack, NOW);
  const before = look(facts());
  const answers = answersTo(on, request);
  const head = new DataView(request.buffer);
  const notices = noticesOf(before, look(facts()), {
    sequence: 7,
    port: ASKER.port,
    type: head.getUint16(4, true),
    flags: head.getUint16(6, true),
  });
  return { answers: answers.map(hexOf), notices: notices.map(({ bytes }) => hexOf(bytes)) };
}

/** The errno of a refusal, positive; 0: done. */
function errnoOf({ answers: [answer] }: Pick<Outcome, "answers">): number {
  return Math.abs(new DataView(bytesOf(answer!).buffer).getInt32(16, true));
}

/** Of these the groups hear something else, for these reasons. */
const HEARD_DIFFERENTLY: ReadonlyMap<string, string> = new Map([
  ["addr replace", "we tell of changes, and nothing has changed"],
  ["addr6 replace", "likewise"],
  ["route add onlink", "a kernel remembers the flag, which is of no more use"],
  ["route del 10.8.0.0", "likewise"],
  ["neigh multicast", "a kernel says of a neighbour what kind of address it has"],
  ["neigh own", "likewise"],
  ["neigh on lo", "a kernel has one entry for all of the loopback"],
  ["link address", "a kernel drops neighbours without calling them failed first, and has some for groups"],
  ["link down", "a kernel does not tell of the IPv4 routes that go"],
  ["lo down", "likewise"],
]);

const shared = network();

for (const { name, request, answers, notices } of RECORDED_CHANGES) {
  test(`changeNetwork() does as the kernel does: ${name}`, () => {
    const outcome = change(shared, bytesOf(request));
    deepStrictEqual(outcome.answers, answers);
    // Those of links have their own test: a kernel says more of a device than we have.
    const heard = outcome.notices.filter((notice) => !/^.{8}1[01]/.test(notice)).sort();
    if (HEARD_DIFFERENTLY.has(name)) notDeepStrictEqual(heard, notices);
    else deepStrictEqual(heard, notices);
  });
}

/** Attributes. */
function attribute(type: number, value: readonly number[]): number[] {
  const length = 4 + value.length;
  return [
    length & 255,
    length >> 8,
    type & 255,
    type >> 8,
    ...value,
    ...new Array<number>(-length & 3).fill(0),
  ];
}

const word = (value: number) => [value & 255, value >>> 8 & 255, value >>> 16 & 255, value >>> 24];
const text = (value: string) => [...new TextEncoder().encode(value), 0];
const octets = (value: string) => value.split(".").map(Number);

const CREATE = 0x400, EXCL = 0x200;

function ask(type: number, body: readonly number[], flags = CREATE | EXCL): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(16 + body.length);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, bytes.length, true);
  view.setUint16(4, type, true);
  view.setUint16(6, 5 | flags, true);
  view.setUint32(8, 7, true);
  bytes.set(body, 16);
  return bytes;
}

function addAddress(address: string, bits = 32, index = 2): Uint8Array<ArrayBuffer> {
  return ask(20, [
    2,
    bits,
    0,
    0,
    ...word(index),
    ...attribute(2, octets(address)),
    ...attribute(1, octets(address)),
  ]);
}

function addRoute(destination: string, bits: number, gateway = "10.0.2.2"): Uint8Array<ArrayBuffer> {
  const fixed = [2, bits, 0, 0, 254, 3, 0, 1, ...word(0)];
  return ask(24, [...fixed, ...attribute(1, octets(destination)), ...attribute(5, octets(gateway))]);
}

function addNeighbour(address: string): Uint8Array<ArrayBuffer> {
  const fixed = [2, 0, 0, 0, ...word(2), 0x80, 0, 0, 0];
  return ask(28, [...fixed, ...attribute(1, octets(address)), ...attribute(2, [2, 0, 0, 0, 0, 9])]);
}

function link(
  type: number,
  index: number,
  attributes: readonly number[],
  { flags = 0, mask = 0, message = 0 } = {},
): Uint8Array<ArrayBuffer> {
  return ask(type, [0, 0, 0, 0, ...word(index), ...word(flags), ...word(mask), ...attributes], message);
}

function addDummy(name: string): Uint8Array<ArrayBuffer> {
  const kind = attribute(18, attribute(1, text("dummy")));
  return link(16, 0, [...attribute(3, text(name)), ...kind], { message: CREATE | EXCL });
}

const IFNAME = 3, MTU = 4, UP = 1;

/** Repeats a change until it is refused; how often it was not. */
function untilFull(on: ChangeableNetwork, request: (i: number) => Uint8Array): number {
  for (let i = 0;; i++) {
    const errno = errnoOf({ answers: answersTo(on, request(i)).map(hexOf) });
    if (errno === 0) continue;
    strictEqual(errno, 105, "ENOBUFS");
    return i;
  }
}

test("addresses, routes, neighbours and interfaces are bounded, and each refusal is counted", () => {
  const on = network();
  const { stack } = on;
  untilFull(on, (i) => addAddress(`10.1.${i >> 8}.${i & 255}`));
  strictEqual(stack.nic("eth0")!.addresses.length, MAX_ADDRESSES);
  untilFull(on, (i) => addRoute(`10.${64 + (i >> 8)}.${i & 255}.0`, 24));
  strictEqual(stack.routes.size, MAX_ROUTES);
  strictEqual(
    untilFull(on, (i) => addNeighbour(`10.0.3.${i & 255}`.replace("3", `${3 + (i >> 8)}`))),
    MAX_PERMANENT_NEIGHBOURS - 1,
  );
  untilFull(on, (i) => addDummy(`d${i}`));
  strictEqual(stack.nics.length, MAX_INTERFACES);
  for (const what of ["addresses", "routes", "neighbours", "interfaces"]) {
    strictEqual(stack.counters.get(`sockets.limit.${what}`), 1, what);
  }
});

test("interfaces that lead into a network of others stay as they were given; the loopback and dummies do not", () => {
  const on = network({ fixedInterfaces: true });
  const before = JSON.stringify(networkOf(on.stack, NOW));
  const refused = [
    addAddress("10.0.2.77", 24),
    addRoute("10.9.0.0", 16),
    addNeighbour("10.0.2.9"),
    link(16, 2, attribute(MTU, word(1_400))),
    link(16, 2, [], { mask: UP }),
    link(19, 2, attribute(1, [2, 0, 0, 0, 0, 7])),
  ];
  for (const request of refused) strictEqual(errnoOf(change(on, request)), 1, "EPERM");
  strictEqual(JSON.stringify(networkOf(on.stack, NOW)), before);
  strictEqual(errnoOf(change(on, addAddress("10.44.0.1", 32, 1))), 0);
  strictEqual(errnoOf(change(on, addDummy("dummy0"))), 0);
  strictEqual(errnoOf(change(on, addAddress("10.45.0.1", 24, 3))), 0);
});

test("names, queueing disciplines and other tables are refused to everybody", () => {
  const on = network();
  strictEqual(errnoOf(change(on, link(16, 2, attribute(IFNAME, text("wan0"))))), 1);
  strictEqual(on.stack.nics[1]!.name, "eth0");
  strictEqual(errnoOf(change(on, ask(36, [0, 0, 0, 0, ...word(2), ...word(0), ...word(0), ...word(0)]))), 1);
  const table = ask(24, [
    2,
    16,
    0,
    0,
    99,
    3,
    0,
    1,
    ...word(0),
    ...attribute(1, octets("10.9.0.0")),
    ...attribute(4, word(2)),
  ]);
  strictEqual(errnoOf(change(on, table)), 95);
  strictEqual(errnoOf(change(on, link(17, 2, []))), 95, "DELLINK");
});

test("names and labels that an operator's terminal would obey, or could not show, are refused", () => {
  const on = network();
  const { stack } = on;
  for (const name of ["\x1b[31mX", "\x07", "a b", "a/b", "a:b", "..", "\u009b", "\u202e", ""]) {
    strictEqual(errnoOf(change(on, addDummy(name))), 22, JSON.stringify(name));
  }
  strictEqual(errnoOf(change(on, addDummy("x".repeat(16)))), 34, "ERANGE");
  strictEqual(stack.nics.length, 2);
  const labelled = (label: string) => {
    const request = [
      2,
      24,
      0,
      0,
      ...word(2),
      ...attribute(2, octets("10.9.0.1")),
      ...attribute(3, text(label)),
    ];
    return errnoOf({ answers: answersTo(on, ask(20, request)).map(hexOf) });
  };
  deepStrictEqual(["\x1b[2Jeth0", "L".repeat(60_000), "eth0:1"].map(labelled), [22, 34, 0]);
});

test("a dummy is made, renamed, given an address, and swallows what is sent to it", () => {
  const on = network();
  const { stack } = on;
  const made = change(on, addDummy("dummy0"));
  strictEqual(errnoOf(made), 0);
  strictEqual(made.notices.length, 1);
  strictEqual(errnoOf(change(on, addDummy("dummy0"))), 17, "EEXIST");
  strictEqual(errnoOf(change(on, link(16, 3, attribute(IFNAME, text("test0"))))), 0);
  const nic = stack.nic("test0")!;
  strictEqual(nic.up, false);
  strictEqual(errnoOf(change(on, addAddress("10.20.0.1", 24, 3))), 0);
  strictEqual(stack.routes.lookup(ip("10.20.0.9"))!.nic.name, "eth0", "a link that is down has no routes");
  strictEqual(errnoOf(change(on, link(16, 3, [], { flags: UP, mask: UP }))), 0);
  strictEqual(stack.routes.lookup(ip("10.20.0.9"))!.nic, nic);
  const udp = stack.udpBind({ observer: { onUdpDatagram() {}, onUdpError() {} } }, NOW);
  ok(typeof udp !== "string");
  ok(udp.send(stack.pool.take(10), NOW, ip("10.20.0.9"), 9));
  ok(stack.pollAt() <= NOW);
  stack.poll(NOW);
  strictEqual(nic.tx.packets, 1);
  strictEqual(nic.qdiscFacts().qlen, 0);
  strictEqual(errnoOf(change(on, link(17, 3, []))), 0);
  strictEqual(stack.nic("test0"), undefined);
  strictEqual(stack.routes.lookup(ip("10.20.0.9"))!.nic.name, "eth0");
});

test("a link that is down carries nothing, and up again it has its networks but not its routes", () => {
  const on = network();
  const { stack } = on;
  const nic = stack.nic("eth0")!;
  strictEqual(errnoOf(change(on, link(16, 2, [], { mask: UP }))), 0);
  strictEqual(stack.paths.resolve(ip("10.0.2.9"), NOW), "network-unreachable");
  strictEqual(nic.addresses.length, 1);
  nic.ingress(stack.pool.take(64), NOW);
  strictEqual(stack.counters.get("ethernet.interface-down"), 1);
  strictEqual(errnoOf(change(on, link(16, 2, [], { flags: UP, mask: UP }))), 0);
  ok(typeof stack.paths.resolve(ip("10.0.2.9"), NOW) !== "string");
  strictEqual(stack.paths.resolve(ip("8.8.8.8"), NOW), "network-unreachable");
  ok(nic.linkLocal !== undefined);
});

test("changeNetwork() survives any bytes, and the network stays one that can be told of", () => {
  const seed = Number(process.env["SEED"] ?? 1);
  console.log(`seed ${seed}`);
  const random = seeded(seed);
  const seeds = RECORDED_CHANGES.map(({ request }) => bytesOf(request));
  let on = network();
  for (let i = 0; i < 3_000; i++) {
    if (i % 200 === 0) on = network();
    const bytes = pick(random, seeds).slice();
    for (let left = between(random, 0, 4); left > 0; left--) {
      bytes[between(random, 8, bytes.length - 1)] = random() & 255;
    }
    for (const reply of change(on, bytes).answers) strictEqual(reply.length % 8, 0);
  }
});
