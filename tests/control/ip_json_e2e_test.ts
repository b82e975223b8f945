/**
 * Our answers beside those of the real `ip -j` and `tc -s -j`, in a namespace set up like the stack.
 *
 * What only a kernel has is taken off its answers first:
 *
 * | field | why |
 * |---|---|
 * | `link_index`, `link_netnsid` | the interface is one end of a veth pair, ours ends in the stack |
 * | `nodad` | how the test adds addresses, so that none is tentative when it looks |
 * | `refcnt` | references to a kernel object; counts transmit queues |
 * | `handle` | the kernel numbers those that nobody chose for the whole machine |
 * | counters | the kernel's peer says hello (MLD, router solicitations) whenever it likes |
 *
 * @module
 */

import { deepEqual, equal } from "node:assert/strict";
import { spawnSync } from "node:child_process";
import process from "node:process";
import { test } from "node:test";
import { formatAddresses, formatLinks } from "../../lib/cli/text/link.ts";
import { type LinkJson, linkJson } from "../../lib/control/render/link.ts";
import { formatQdiscs, formatRate, formatSize } from "../../lib/cli/text/qdisc.ts";
import { formatNeighbours, formatRoutes } from "../../lib/cli/text/route.ts";
import type { AddressJson } from "../../lib/control/render/address.ts";
import type { NeighbourJson } from "../../lib/control/render/neighbour.ts";
import type { QdiscJson } from "../../lib/control/render/qdisc.ts";
import type { RouteJson } from "../../lib/control/render/route.ts";
import type { StackFacts } from "../../lib/engine/messages.ts";
import { needs } from "../support/capability.ts";
import { type Client, clientOf } from "./client.ts";
import { ETH0, FakeEngine, IDLE_QUEUE, LOOPBACK, route, STACK } from "./fake_engine.ts";

/** What the namespace is made like. */
const FACTS: StackFacts = {
  ...STACK,
  nics: [LOOPBACK, {
    ...ETH0,
    addresses: [
      ...ETH0.addresses,
      { family: 4, local: "10.0.2.101", prefixLength: 24, broadcast: "10.0.2.255", scope: "global" },
      { family: 4, local: "10.0.2.9", prefixLength: 25, broadcast: "10.0.2.127", scope: "global" },
      { family: 4, local: "192.0.2.1", prefixLength: 32, scope: "global" },
    ],
    qdisc: { kind: "tbf", rate: 125000, burst: 100000, ...IDLE_QUEUE },
  }],
  routes: [
    route(4, "127.0.0.0/8", { device: "lo", source: "127.0.0.1", protocol: "kernel", scope: "host" }),
    route(6, "::1/128", { device: "lo", source: "::1", protocol: "kernel", scope: "host" }),
    route(4, "default", { gateway: "10.0.2.2" }),
    route(4, "10.0.2.0/24", { source: "10.0.2.100", protocol: "kernel", scope: "link" }),
    route(4, "10.0.2.0/24", { source: "10.0.2.101", protocol: "kernel", scope: "link" }),
    route(4, "10.0.2.0/25", { source: "10.0.2.9", protocol: "kernel", scope: "link" }),
    route(4, "192.0.2.1/32", { source: "192.0.2.1", protocol: "kernel", scope: "link" }),
    route(4, "10.8.0.1/32", { scope: "link" }),
    route(4, "10.9.0.0/16", { gateway: "10.0.2.2", source: "10.0.2.100", metric: 50 }),
    route(6, "default", { gateway: "fd00::2" }),
    route(6, "fd00::/64", { source: "fd00::64", protocol: "kernel" }),
    route(6, "fd01::1/128"),
  ],
  neighbours: [
    { address: "10.0.2.2", device: "eth0", mac: "02:aa:bb:cc:dd:ee", state: "REACHABLE", router: false },
    { address: "10.0.2.9", device: "eth0", mac: "02:aa:bb:cc:dd:ef", state: "PERMANENT", router: false },
    { address: "10.0.2.50", device: "eth0", state: "FAILED", router: false },
    { address: "fd00::2", device: "eth0", mac: "02:aa:bb:cc:dd:ee", state: "STALE", router: true },
  ],
};

const SETUP = `
link add eth0 address 02:11:22:33:44:55 mtu 65520 type veth peer name peer netns PEER
link set lo up
link set eth0 up
addr add 10.0.2.100/24 brd + dev eth0
addr add 10.0.2.101/24 brd + dev eth0
addr add 10.0.2.9/25 brd + dev eth0
addr add 192.0.2.1/32 dev eth0
addr add fd00::64/64 dev eth0 nodad
route add default via 10.0.2.2 proto static
route add 10.8.0.1/32 dev eth0 scope link proto static
route add 10.9.0.0/16 via 10.0.2.2 src 10.0.2.100 metric 50 proto static
-6 route add default via fd00::2 proto static
-6 route add fd01::1/128 dev eth0 proto static
neigh add 10.0.2.2 lladdr 02:aa:bb:cc:dd:ee dev eth0 nud reachable
neigh add 10.0.2.9 lladdr 02:aa:bb:cc:dd:ef dev eth0 nud permanent
neigh add 10.0.2.50 dev eth0 nud failed
neigh add fd00::2 lladdr 02:aa:bb:cc:dd:ee dev eth0 nud stale router
`.trim().split("\n");

function command(...words: string[]): string {
  const { status, stdout, stderr } = spawnSync(words[0]!, words.slice(1), { encoding: "utf8" });
  if (status !== 0) throw new Error(`Cannot run ${words.join(" ")}: ${stderr}`);
  return stdout;
}

/** The two tools inside a namespace. */
interface Namespace {
  ip(...words: string[]): string;
  tc(...words: string[]): string;
}

async function withNamespace(body: (namespace: Namespace) => Promise<void> | void): Promise<void> {
  // The process id keeps two runtimes apart that run this test at one time.
  const name = `sluice-ip-${process.pid}`;
  const peer = `${name}-peer`;
  try {
    for (const one of [name, peer]) command("ip", "netns", "add", one);
    const ip = (...words: string[]) => command("ip", "-n", name, ...words);
    for (const line of SETUP) {
      ip(...line.replace("PEER", peer).split(" "));
      if (!line.startsWith("link add")) continue;
      command("ip", "-n", peer, "link", "set", "peer", "up");
      // No link-local address: the stack makes none of its own accord.
      command("ip", "netns", "exec", name, "sysctl", "-qw", "net.ipv6.conf.eth0.addr_gen_mode=1");
    }
    await body({ ip, tc: (...words) => command("tc", "-n", name, ...words) });
  } finally {
    for (const one of [name, peer]) spawnSync("ip", ["netns", "del", one]);
  }
}

const KERNEL_ONLY = new Set(["link_index", "link_netnsid", "nodad", "refcnt", "handle"]);

/** Without {@linkcode KERNEL_ONLY}, at any depth; the order of the other keys stays. */
function pruned(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(pruned);
  if (typeof value !== "object" || value === null) return value;
  const kept = Object.entries(value).filter(([key]) => !KERNEL_ONLY.has(key));
  return Object.fromEntries(kept.map(([key, inner]) => [key, pruned(inner)]));
}

/** A dump of neighbours follows a hash table that is salted anew for each namespace. */
function sorted(neighbours: unknown): unknown {
  return [...neighbours as { dst: string }[]].sort((a, b) => a.dst < b.dst ? -1 : 1);
}

/** The same keys and values in the same order. */
function same(ours: unknown, theirs: unknown, what: string): void {
  deepEqual(ours, theirs, what);
  equal(JSON.stringify(ours), JSON.stringify(theirs), `${what}: the order of keys`);
}

const QUESTIONS: [question: string, path: string][] = [
  ["-j addr", "/v1/addr"],
  ["-4 -j addr", "/v1/addr?family=4"],
  ["-6 -j addr", "/v1/addr?family=6"],
  ["-j link", "/v1/link"],
  ["-j route", "/v1/route"],
  ["-4 -j route", "/v1/route?family=4"],
  ["-6 -j route", "/v1/route?family=6"],
  ["-j neigh", "/v1/neigh"],
  ["-4 -j neigh", "/v1/neigh?family=4"],
  ["-6 -j neigh", "/v1/neigh?family=6"],
];

/** What `FACTS` say of the queue of eth0. */
const SHAPED = "qdisc add dev eth0 root tbf rate 125000bps burst 100000 limit 225000".split(" ");

const TOOLS = needs("root", "netns", "tool:ip", "tool:tc", "tool:sysctl");

function apiOf(facts: StackFacts): Client {
  return clientOf(new FakeEngine({ stack: facts }));
}

test("the API answers as `ip -j` in a namespace set up alike", TOOLS, async () => {
  await withNamespace(async ({ ip, tc }) => {
    tc(...SHAPED);
    const ask = apiOf(FACTS);
    for (const [question, path] of QUESTIONS) {
      const order = question.endsWith("neigh") ? sorted : (value: unknown) => value;
      const theirs = order(pruned(JSON.parse(ip(...question.split(" ")))));
      same(order(pruned((await ask(path)).json)), theirs, `ip ${question}`);
    }
    // Counters are the kernel's own; their keys are compared.
    const keys = (links: LinkJson[]) =>
      links.map(({ stats64 }) => [Object.keys(stats64?.rx ?? {}), Object.keys(stats64?.tx ?? {})]);
    deepEqual(keys((await ask("/v1/link?stats=true")).json), keys(JSON.parse(ip("-s", "-j", "link"))));
  });
});

const QDISCS: [kind: "none" | "fifo" | "tbf", words: string, options: Record<string, number>][] = [
  ["none", "", {}],
  ["fifo", "pfifo limit 1000", { limit: 1000 }],
  ["tbf", "tbf rate 125000bps burst 100000 limit 225000", { rate: 125000, burst: 100000 }],
];
for (const [kind, words, options] of QDISCS) {
  test(`the API answers as \`tc -s -j qdisc\` for ${kind}`, TOOLS, async () => {
    await withNamespace(async ({ tc }) => {
      if (words !== "") tc("qdisc", "add", "dev", "eth0", "root", ...words.split(" "));
      const nics = [LOOPBACK, { ...ETH0, qdisc: { kind, ...options, ...IDLE_QUEUE } }];
      const ours: QdiscJson[] = (await apiOf({ ...FACTS, nics })("/v1/qdisc")).json;
      const theirs: QdiscJson[] = JSON.parse(tc("-s", "-j", "qdisc"));
      const idle = (qdiscs: QdiscJson[]) => pruned(qdiscs.map((qdisc) => ({ ...qdisc, ...IDLE_QUEUE })));
      same(idle(ours), idle(theirs), `tc -s -j qdisc with ${kind}`);
    });
  });
}

/** The text without what the table above takes off, and without blanks at line ends. */
function plain(text: string): string {
  return text.replace(/@[a-z0-9]+:/g, ":").replace(/ (link-netns \S+|link-netnsid \d+|nodad)/g, "")
    .replace(/refcnt \d+/g, "refcnt 2").replace(/tbf [0-9a-f]+:/g, "tbf 8001:").replace(/[ \t]+$/gm, "");
}

test("the commands print as `ip` and `tc` in a namespace set up alike", TOOLS, async () => {
  await withNamespace(async ({ ip, tc }) => {
    tc(...SHAPED);
    const ask = apiOf(FACTS);
    const get = async <Row>(path: string): Promise<Row[]> => (await ask(path)).json;
    const lines = (text: string) => plain(text).split("\n").sort();
    equal(formatAddresses(await get<AddressJson>("/v1/addr")), plain(ip("addr")));
    equal(formatAddresses(await get<AddressJson>("/v1/addr?family=4")), plain(ip("-4", "addr")));
    equal(formatAddresses(await get<AddressJson>("/v1/addr?family=6")), plain(ip("-6", "addr")));
    equal(formatLinks(await get<LinkJson>("/v1/link")), plain(ip("link")));
    equal(formatRoutes(await get<RouteJson>("/v1/route")), plain(ip("route")));
    equal(formatRoutes(await get<RouteJson>("/v1/route?family=6")), plain(ip("-6", "route")));
    deepEqual(lines(formatNeighbours(await get<NeighbourJson>("/v1/neigh"))), lines(ip("neigh")));
    equal(formatQdiscs(await get<QdiscJson>("/v1/qdisc"), false), plain(tc("qdisc")));
  });
});

test("formatLinks() lays out counters as `ip -s link` does, however large they are", TOOLS, async () => {
  await withNamespace(({ ip }) => {
    const theirs: LinkJson[] = JSON.parse(ip("-s", "-j", "link", "show", "dev", "lo"));
    equal(formatLinks(theirs), plain(ip("-s", "link", "show", "dev", "lo")));
    equal(linkJson(LOOPBACK, true).stats64 === undefined, false);
  });
});

test("formatRate() and formatSize() round as `tc` does", TOOLS, async () => {
  await withNamespace(({ tc }) => {
    for (
      const rate of [125, 126, 1000, 12_345, 123_457, 125_000, 154_321, 1_250_000, 98_765_432, 1_250_000_000]
    ) {
      for (const burst of [1_048_576, 100_000, 65_536, 70_001]) {
        tc(
          "qdisc",
          "replace",
          "dev",
          "eth0",
          "root",
          "tbf",
          "rate",
          `${rate}bps`,
          "burst",
          `${burst}`,
          "lat",
          "1s",
        );
        const text = tc("qdisc", "show", "dev", "eth0");
        const [qdisc] = JSON.parse(tc("-j", "qdisc", "show", "dev", "eth0")) as QdiscJson[];
        equal(/ rate (\S+) /.exec(text)?.[1], formatRate(qdisc!.options.rate!), `rate ${rate}`);
        equal(/ burst (\S+) /.exec(text)?.[1], formatSize(qdisc!.options.burst!), `burst ${burst}`);
      }
    }
  });
});
