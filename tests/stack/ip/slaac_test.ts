import { test } from "node:test";
import { deepEqual, equal, ok } from "node:assert/strict";
import { MAX_RESOLVERS, MAX_ROUTERS, MAX_SLAAC_ADDRESSES, Slaac } from "../../../lib/stack/ip/slaac.ts";
import { ANY6, type IpAddress } from "../../../lib/stack/wire/address.ts";
import { emitEthernet, EthernetHeader, EtherType, parseEthernet } from "../../../lib/stack/wire/ethernet.ts";
import { IpHeader, IpProtocol } from "../../../lib/stack/wire/ip.ts";
import { emitIpv6, parseIpv6 } from "../../../lib/stack/wire/ipv6.ts";
import { MacAddress } from "../../../lib/stack/wire/mac_address.ts";
import {
  ALL_NODES,
  emitNdp,
  type NdpOptions,
  type NdpRepr,
  parseNdp,
  type PrefixInformation,
  type RouterAdvertisementMessage,
  solicitedNode,
} from "../../../lib/stack/wire/ndp.ts";
import { roomy } from "../../support/bytes.ts";
import { Segment, THEIRS } from "../../support/segment.ts";
import { ip } from "../../support/two_stacks.ts";

const ROUTER = ip("fe80::1");
const LINK_LOCAL = "fe80::ff:fe00:1";
const ADDRESS = "2001:db8::ff:fe00:1";
const PREFIX: PrefixInformation = {
  prefix: ip("2001:db8::"),
  prefixLength: 64,
  onLink: true,
  autonomous: true,
  validLifetime: 7_200,
  preferredLifetime: 3_600,
};

class Scene {
  readonly segment = new Segment();
  readonly slaac: Slaac;
  readonly sent: { at: number; source: string; to: string; repr: NdpRepr }[] = [];
  readonly notes: string[] = [];
  changes = 0;
  onSent: (repr: NdpRepr) => void = () => {};

  constructor() {
    const { segment } = this;
    this.slaac = new Slaac(segment.stack, segment.nic, {
      onChange: () => this.changes++,
      onNote: (text) => this.notes.push(text),
    });
    segment.drive(this.slaac);
    segment.onFrame = (frame) => {
      const ethernet = new EthernetHeader();
      parseEthernet(frame, ethernet);
      if (ethernet.etherType !== EtherType.ipv6) return;
      const header = new IpHeader();
      equal(parseIpv6(frame, header), undefined);
      const repr = parseNdp(frame, header);
      if (typeof repr === "string") throw new Error(repr);
      this.sent.push({
        at: segment.now / 1e6,
        source: header.source.toString(),
        to: header.destination.toString(),
        repr,
      });
      this.onSent(repr);
    };
  }

  start(): void {
    this.slaac.start(this.segment.now);
    this.segment.pass(0);
  }

  send(repr: NdpRepr, source: IpAddress = ROUTER, destination: IpAddress = ALL_NODES): void {
    const p = roomy("", 512);
    emitNdp(p, repr, source, destination);
    emitIpv6(p, { source, destination, protocol: IpProtocol.icmpv6, hopLimit: 255, trafficClass: 0 });
    emitEthernet(p, MacAddress.multicast6(destination), THEIRS, EtherType.ipv6);
    this.segment.inject(p);
  }

  advertise(
    options: NdpOptions = { prefixes: [PREFIX] },
    fields: Partial<RouterAdvertisementMessage> = {},
    from: IpAddress = ROUTER,
  ): void {
    this.send({
      kind: "router-advertisement",
      hopLimit: 64,
      managed: false,
      otherConfig: false,
      preference: "medium",
      lifetime: 1_800,
      reachableTime: 0,
      retransTimer: 0,
      ...fields,
      options,
    }, from);
  }

  addresses(): string[] {
    return this.segment.nic.addresses.map(({ address }) => address.toString());
  }
}

test("slaac asks for routers a few times, less and less often, from its link-local address", () => {
  const scene = new Scene();
  scene.start();
  scene.segment.pass(60);
  deepEqual(scene.addresses(), [LINK_LOCAL]);
  const solicitations = scene.sent.filter(({ repr }) => repr.kind === "router-solicitation");
  deepEqual(solicitations.map(({ source, to }) => [source, to]), Array(5).fill([LINK_LOCAL, "ff02::2"]));
  deepEqual(solicitations.slice(1).map(({ at }, i) => at - solicitations[i]!.at), [0.5, 1, 2, 4]);
  equal(scene.slaac.heard, false);
});

test("slaac makes an address of a prefix, and uses it after a second without objection", () => {
  const scene = new Scene();
  scene.start();
  scene.advertise();
  equal(scene.slaac.tentative, true);
  scene.segment.pass(0.9);
  deepEqual(scene.addresses(), [LINK_LOCAL]);
  const probe = scene.sent.at(-1)!;
  deepEqual([probe.source, probe.to, probe.repr], ["::", solicitedNode(ip(ADDRESS)).toString(), {
    kind: "neighbour-solicitation",
    target: ip(ADDRESS),
    options: {},
  }]);
  scene.segment.pass(0.2);
  deepEqual(scene.addresses(), [LINK_LOCAL, ADDRESS]);
  equal(scene.slaac.tentative, false);
  deepEqual(scene.slaac.router, ROUTER);
  equal(scene.sent.filter(({ repr }) => repr.kind === "router-solicitation").length, 1);
});

for (
  const [who, objection] of [
    ["has it", (target: IpAddress): [NdpRepr, IpAddress, IpAddress] => [
      {
        kind: "neighbour-advertisement",
        target,
        router: false,
        solicited: false,
        override: true,
        options: {},
      },
      target,
      ALL_NODES,
    ]],
    ["wants it, too", (target: IpAddress): [NdpRepr, IpAddress, IpAddress] => [
      { kind: "neighbour-solicitation", target, options: {} },
      ANY6,
      solicitedNode(target),
    ]],
  ] as const
) {
  test(`slaac leaves an address to whoever ${who}`, () => {
    const scene = new Scene();
    scene.start();
    scene.advertise();
    scene.segment.pass(0.5);
    scene.send(...objection(ip(ADDRESS)));
    scene.segment.pass(100);
    deepEqual(scene.addresses(), [LINK_LOCAL]);
    equal(scene.slaac.tentative, false);
    deepEqual(scene.notes, [`somebody else has ${ADDRESS}`]);
    scene.advertise();
    scene.segment.pass(2);
    deepEqual(scene.addresses(), [LINK_LOCAL]);
  });
}

test("that somebody has our link-local address is said once, however often he says it", () => {
  const scene = new Scene();
  scene.start();
  const target = ip(LINK_LOCAL);
  for (let i = 0; i < 1_000; i++) {
    const fields = { target, router: false, solicited: false, override: true, options: {} };
    scene.send({ kind: "neighbour-advertisement", ...fields });
  }
  deepEqual(scene.notes, [`somebody else has ${LINK_LOCAL}`]);
});

test("slaac takes no resolver that is this host", () => {
  const scene = new Scene();
  scene.start();
  const servers = ["::1", "::", "ff02::1", "::ffff:127.0.0.1"].map((text) => ip(text));
  scene.advertise({ dns: [{ lifetime: 600, servers }] });
  deepEqual(scene.slaac.dns, []);
});

test("addresses, routers and resolvers end with their lifetimes, and advertisements renew them", () => {
  const scene = new Scene();
  const options: NdpOptions = {
    prefixes: [PREFIX],
    dns: [{ lifetime: 600, servers: [ip("2001:db8::53")] }],
    search: [{ lifetime: 600, domains: ["example.org"] }],
  };
  scene.start();
  scene.advertise(options, { lifetime: 300 });
  scene.segment.pass(250);
  scene.advertise(options, { lifetime: 300 });
  scene.segment.pass(250);
  deepEqual([scene.slaac.router, scene.slaac.dns, scene.slaac.searchDomains], [
    ROUTER,
    [ip("2001:db8::53")],
    ["example.org"],
  ]);
  scene.segment.pass(100);
  equal(scene.slaac.router, undefined);
  scene.segment.pass(300);
  deepEqual([scene.slaac.dns, scene.slaac.searchDomains], [[], []]);
  deepEqual(scene.addresses(), [LINK_LOCAL, ADDRESS]);
  const before = scene.changes;
  scene.segment.pass(7_200);
  deepEqual(scene.addresses(), [LINK_LOCAL]);
  ok(scene.changes > before);
  // Two routes: the loopback's own, and the link's.
  equal(scene.segment.stack.routes.all().some(({ destination }) => destination.equals(PREFIX.prefix)), false);
});

test("a router takes back itself, and what it said of resolvers", () => {
  const scene = new Scene();
  const dns = (lifetime: number) => ({ dns: [{ lifetime, servers: [ip("2001:db8::53")] }] });
  scene.start();
  scene.advertise(dns(600));
  scene.advertise(dns(0), { lifetime: 0 });
  deepEqual([scene.slaac.router, scene.slaac.dns], [undefined, []]);
});

test("nobody shortens the life of an address below two hours (RFC 4862 section 5.5.3)", () => {
  const scene = new Scene();
  scene.start();
  scene.advertise({ prefixes: [{ ...PREFIX, validLifetime: 100_000 }] });
  scene.segment.pass(2);
  scene.advertise({ prefixes: [{ ...PREFIX, validLifetime: 0, preferredLifetime: 0 }] });
  scene.segment.pass(7_000);
  deepEqual(scene.addresses(), [LINK_LOCAL, ADDRESS]);
  scene.segment.pass(300);
  deepEqual(scene.addresses(), [LINK_LOCAL]);
});

test("the router that is preferred wins (RFC 4191)", () => {
  const scene = new Scene();
  scene.start();
  scene.advertise({}, { preference: "low" });
  scene.advertise({}, { preference: "high" }, ip("fe80::2"));
  scene.advertise({}, {}, ip("fe80::3"));
  deepEqual(scene.slaac.router, ip("fe80::2"));
});

const USELESS: [why: string, prefix: Partial<PrefixInformation>][] = [
  ["not for autoconfiguration", { autonomous: false }],
  ["of another length", { prefixLength: 63 }],
  ["link-local", { prefix: ip("fe80::") }],
  ["a group", { prefix: ip("ff0e::") }],
  ["that of the loopback", { prefix: ip("::") }],
  ["preferred for longer than it is valid", { preferredLifetime: 9_000 }],
  ["over", { validLifetime: 0, preferredLifetime: 0 }],
];
for (const [why, prefix] of USELESS) {
  test(`slaac makes no address of a prefix that is ${why}`, () => {
    const scene = new Scene();
    scene.start();
    scene.advertise({ prefixes: [{ ...PREFIX, ...prefix }] });
    scene.segment.pass(2);
    deepEqual(scene.addresses(), [LINK_LOCAL]);
  });
}

test("what a flood of advertisements leaves behind is bounded", () => {
  const scene = new Scene();
  scene.start();
  for (let i = 0; i < 500; i++) {
    scene.advertise(
      {
        prefixes: [{ ...PREFIX, prefix: ip(`2001:db8:${i.toString(16)}::`) }],
        dns: [{ lifetime: 9_000, servers: [ip(`2001:db8::${i.toString(16)}`)] }],
      },
      {},
      ip(`fe80::${(i + 1).toString(16)}`),
    );
  }
  scene.segment.pass(2);
  equal(scene.addresses().length, 1 + MAX_SLAAC_ADDRESSES);
  equal(scene.slaac.dns.length, MAX_RESOLVERS);
  const counters = scene.segment.stack.counters.all();
  equal(counters["slaac.too-many-addresses"], 500 - MAX_SLAAC_ADDRESSES);
  equal(counters["slaac.too-many-routers"], 500 - MAX_ROUTERS);
  equal(counters["slaac.too-many-resolvers"], 500 - MAX_RESOLVERS);
});

test("without a follower, advertisements are ignored", () => {
  const scene = new Scene();
  scene.segment.nic.addAddress(ip("fe80::9"), 64);
  scene.advertise();
  equal(scene.segment.stack.counters.all()["ndp.router-advertisement-ignored"], 1);
});
