import { test } from "node:test";
import { deepEqual, equal, ok } from "node:assert/strict";
import type { PacketBuffer } from "../../../lib/stack/buffer/packet.ts";
import { Dhcpv4Client } from "../../../lib/stack/dhcp/client.ts";
import type { Dhcpv4Lease } from "../../../lib/stack/dhcp/lease.ts";
import { ANY4, IpAddress } from "../../../lib/stack/wire/address.ts";
import { type ArpRepr, emitArp, parseArp } from "../../../lib/stack/wire/arp.ts";
import { completeChecksum, startChecksum } from "../../../lib/stack/wire/checksum.ts";
import {
  type Dhcpv4Message,
  type Dhcpv4Options,
  type Dhcpv4Type,
  emitDhcpv4,
  parseDhcpv4,
} from "../../../lib/stack/wire/dhcpv4.ts";
import {
  emitEthernet,
  EthernetHeader,
  EtherType,
  MAC_BROADCAST,
  parseEthernet,
} from "../../../lib/stack/wire/ethernet.ts";
import { IpHeader, IpProtocol } from "../../../lib/stack/wire/ip.ts";
import { emitIpv4, parseIpv4 } from "../../../lib/stack/wire/ipv4.ts";
import { emitUdp, parseUdp, UDP_CHECKSUM, UdpHeader } from "../../../lib/stack/wire/udp.ts";
import { roomy } from "../../support/bytes.ts";
import { OURS, Segment, THEIRS } from "../../support/segment.ts";
import { ip, mac } from "../../support/two_stacks.ts";

const SERVER = ip("10.0.0.1");
const ADDRESS = ip("10.0.0.50");

interface Heard {
  readonly at: number;
  readonly message: Dhcpv4Message;
  readonly to: string;
  readonly from: string;
}

/** A client, and a server that the test writes. */
class Scene {
  readonly segment: Segment;
  readonly client: Dhcpv4Client;
  readonly heard: Heard[] = [];
  readonly arps: ArpRepr[] = [];
  readonly leases: (Dhcpv4Lease | undefined)[] = [];
  readonly notes: string[] = [];
  /** What the server says to a message. */
  server: (message: Dhcpv4Message, type: Dhcpv4Type) => void = () => {};
  onArp: (arp: ArpRepr) => void = () => {};

  constructor(seed?: number) {
    const segment = this.segment = new Segment(seed);
    this.client = new Dhcpv4Client(segment.stack, segment.nic, {
      onLease: (lease) => {
        this.leases.push(lease);
        if (lease === undefined) segment.nic.removeAddress(ADDRESS);
        else if (!segment.nic.owns(lease.address)) segment.nic.addAddress(lease.address, lease.prefixLength);
      },
      onNote: (text) => this.notes.push(text),
    });
    segment.onFrame = (frame) => this.#hear(frame);
    segment.drive(this.client);
  }

  start(): void {
    this.client.start(this.segment.now);
    this.segment.pass(0);
  }

  /** An answer to `request`. */
  reply(
    request: Dhcpv4Message,
    type: Dhcpv4Type,
    options: Dhcpv4Options = {},
    fields: Partial<Dhcpv4Message> & { readonly to?: IpAddress } = {},
  ): void {
    const p = roomy("", 128, 1_000);
    const { to = IpAddress.v4(-1), ...rest } = fields;
    emitDhcpv4(p, {
      reply: true,
      transaction: request.transaction,
      hardware: OURS,
      yourAddress: ADDRESS,
      ...rest,
      options: { type, serverId: SERVER, ...options },
    }, 900);
    emitUdp(p, 67, 68);
    startChecksum(p, SERVER, to, IpProtocol.udp, UDP_CHECKSUM);
    completeChecksum(p);
    emitIpv4(p, { source: SERVER, destination: to, protocol: IpProtocol.udp, hopLimit: 64, trafficClass: 0 });
    emitEthernet(p, to.isLimitedBroadcast() ? MAC_BROADCAST : OURS, THEIRS, EtherType.ipv4);
    this.segment.inject(p);
  }

  arp(repr: Partial<ArpRepr>): void {
    const p = roomy("", 128);
    emitArp(p, {
      operation: 2,
      senderMac: THEIRS,
      senderIp: ADDRESS,
      targetMac: OURS,
      targetIp: ANY4,
      ...repr,
    });
    emitEthernet(p, MAC_BROADCAST, THEIRS, EtherType.arp);
    this.segment.inject(p);
  }

  types(): string[] {
    return this.heard.map(({ message }) => message.options.type);
  }

  #hear(frame: PacketBuffer): void {
    const ethernet = new EthernetHeader();
    parseEthernet(frame, ethernet);
    if (ethernet.etherType === EtherType.arp) {
      const arp = parseArp(frame);
      if (typeof arp === "string") throw new Error(arp);
      this.arps.push(arp);
      return this.onArp(arp);
    }
    if (ethernet.etherType !== EtherType.ipv4) return;
    const header = new IpHeader();
    equal(parseIpv4(frame, header), undefined);
    const udp = new UdpHeader();
    equal(parseUdp(frame, udp), undefined);
    deepEqual([udp.sourcePort, udp.destinationPort], [68, 67]);
    const message = parseDhcpv4(frame);
    if (typeof message === "string") throw new Error(message);
    equal(message.hardware.toString(), OURS.toString());
    this.heard.push({
      at: this.segment.now / 1e6,
      message,
      to: header.destination.toString(),
      from: header.source.toString(),
    });
    this.server(message, message.options.type);
  }
}

const LEASE: Dhcpv4Options = {
  leaseTime: 3_600,
  prefixLength: 24,
  routers: [SERVER],
  dns: [ip("10.0.0.3")],
  mtu: 9_000,
};

/** Answers everything as a good server does. */
function honest(scene: Scene, options: Dhcpv4Options = LEASE): void {
  scene.server = (message, type) => {
    if (type === "discover") scene.reply(message, "offer", options);
    if (type === "request") scene.reply(message, "ack", options);
    // A server asks where to send a unicast answer.
  };
  scene.onArp = (arp) => {
    if (arp.operation === 1 && arp.targetIp.equals(SERVER)) {
      scene.arp({ senderIp: SERVER, targetIp: arp.senderIp });
    }
  };
}

test("a client discovers, requests, probes, and announces", () => {
  const scene = new Scene();
  honest(scene);
  scene.start();
  scene.segment.pass(1);
  deepEqual(scene.types(), ["discover", "request"]);
  const [discover, request] = scene.heard;
  deepEqual([discover!.from, discover!.to, discover!.message.broadcast], [
    "0.0.0.0",
    "255.255.255.255",
    true,
  ]);
  deepEqual([request!.message.options.requestedAddress, request!.message.options.serverId], [
    ADDRESS,
    SERVER,
  ]);
  equal(request!.message.clientAddress.isUnspecified(), true);
  equal(request!.message.transaction, discover!.message.transaction);
  deepEqual(
    scene.arps.map(({ senderIp, targetIp }) => `${senderIp} ${targetIp}`),
    ["0.0.0.0 10.0.0.50", "0.0.0.0 10.0.0.50", "10.0.0.50 10.0.0.50"],
  );
  equal(scene.client.state, "bound");
  const [lease] = scene.leases;
  deepEqual([lease!.address, lease!.prefixLength, lease!.routers, lease!.mtu], [
    ADDRESS,
    24,
    [SERVER],
    9_000,
  ]);
});

test("a client takes answers to the address that it is going to have", () => {
  const scene = new Scene();
  scene.server = (message, type) =>
    scene.reply(message, type === "discover" ? "offer" : "ack", LEASE, { to: ADDRESS });
  scene.start();
  scene.segment.pass(1);
  equal(scene.client.state, "bound");
  equal(scene.segment.nic.unaddressed, false);
});

test("a client asks again, less and less often, while nobody answers", () => {
  const scene = new Scene();
  scene.start();
  scene.segment.pass(600);
  const gaps = scene.heard.slice(1).map(({ at }, i) => at - scene.heard[i]!.at);
  ok(gaps.length >= 8 && gaps.length <= 20, `${gaps.length}`);
  for (const [i, gap] of gaps.entries()) {
    const want = Math.min(64, 2 ** i);
    ok(gap >= want * 0.75 && gap <= want * 1.25, `gap ${i} is ${gap} s`);
  }
  ok(scene.heard.at(-1)!.message.seconds > 400);
});

test("a client gives an offer up whose server says no more", () => {
  const scene = new Scene();
  let silent = true;
  scene.server = (message, type) => {
    if (type === "discover") scene.reply(message, "offer", LEASE);
    if (type === "request" && !silent) scene.reply(message, "ack", LEASE);
  };
  scene.start();
  scene.segment.pass(10);
  deepEqual(scene.types(), ["discover", "request", "request", "request", "request"]);
  silent = false;
  scene.segment.pass(10);
  equal(scene.client.state, "bound");
});

test("a client renews with its server at T1, with anybody at T2, and lets go at the end", () => {
  const scene = new Scene();
  honest(scene, { ...LEASE, renewalTime: 1_000, rebindingTime: 2_000, leaseTime: 3_000 });
  scene.start();
  scene.segment.pass(900);
  equal(scene.heard.length, 2);
  scene.segment.pass(200);
  const renewal = scene.heard[2]!;
  deepEqual([renewal.to, renewal.from], ["10.0.0.1", "10.0.0.50"]);
  deepEqual(
    [
      renewal.message.clientAddress,
      renewal.message.options.serverId,
      renewal.message.options.requestedAddress,
    ],
    [ADDRESS, undefined, undefined],
  );
  equal(scene.client.state, "bound");
  // From now on nobody answers.
  scene.server = () => {};
  scene.segment.pass(990);
  equal(scene.client.state, "renewing");
  const before = scene.heard.length;
  scene.segment.pass(1_000);
  equal(scene.client.state, "rebinding");
  ok(scene.heard.slice(before).some(({ to, from }) => to === "255.255.255.255" && from === "0.0.0.0"));
  deepEqual(scene.leases.length, 2);
  scene.segment.pass(1_000);
  equal(scene.leases.at(-1), undefined);
  equal(scene.segment.nic.owns(ADDRESS), false);
  equal(scene.client.state, "selecting");
  ok(scene.notes.some((note) => note.includes("is over")), scene.notes.join());
});

test("a lease for ever is never renewed", () => {
  const scene = new Scene();
  honest(scene, { ...LEASE, leaseTime: 0xffffffff, renewalTime: 10 });
  scene.start();
  scene.segment.pass(10_000_000);
  equal(scene.heard.length, 2);
});

test("an absurdly short lease does not make a storm", () => {
  const scene = new Scene();
  honest(scene, { ...LEASE, leaseTime: 1, renewalTime: 0, rebindingTime: 0 });
  scene.start();
  scene.segment.pass(100);
  ok(scene.heard.length < 20, `${scene.heard.length} messages in 100 s`);
});

test("a client declines what somebody has, waits, and asks again", () => {
  const scene = new Scene();
  honest(scene);
  scene.onArp = (arp) => {
    if (arp.senderIp.isUnspecified()) scene.arp({});
  };
  scene.start();
  scene.segment.pass(9);
  deepEqual(scene.types(), ["discover", "request", "decline"]);
  const { message, to } = scene.heard[2]!;
  deepEqual(
    [to, message.options.requestedAddress, message.options.serverId],
    ["255.255.255.255", ADDRESS, SERVER],
  );
  deepEqual(scene.leases, []);
  scene.onArp = () => {};
  scene.segment.pass(3);
  equal(scene.client.state, "bound");
});

test("two clients that probe for one address both see it", () => {
  const scene = new Scene();
  honest(scene);
  scene.onArp = (arp) => {
    if (arp.senderIp.isUnspecified()) scene.arp({ operation: 1, senderIp: ANY4, targetIp: ADDRESS });
  };
  scene.start();
  scene.segment.pass(1);
  deepEqual(scene.types(), ["discover", "request", "decline"]);
});

test("a server that always says NAK is asked less and less often", () => {
  const scene = new Scene();
  scene.server = (message, type) => {
    if (type === "discover") scene.reply(message, "offer", LEASE);
    if (type === "request") scene.reply(message, "nak", { message: "not here" }, { yourAddress: ANY4 });
  };
  scene.start();
  scene.segment.pass(300);
  ok(scene.heard.length < 30, `${scene.heard.length} messages in 300 s`);
  ok(scene.notes.some((note) => note.includes("refused the address: not here")), scene.notes.join());
  equal(scene.client.state === "bound", false);
});

test("NAK to a renewal takes the address away at once, and another is asked for", () => {
  const scene = new Scene();
  honest(scene);
  scene.start();
  scene.segment.pass(1);
  scene.server = (message, type) => {
    if (type === "request") scene.reply(message, "nak", {}, { to: ADDRESS, yourAddress: ANY4 });
  };
  scene.segment.pass(1_900);
  equal(scene.leases[1], undefined);
  equal(scene.types()[3], "discover");
});

test("after the wire was gone a client asks whether the lease holds", () => {
  const scene = new Scene();
  honest(scene);
  scene.start();
  scene.segment.pass(1);
  scene.client.reboot(scene.segment.now);
  scene.segment.pass(1);
  const { message, to } = scene.heard[2]!;
  deepEqual(
    [to, message.options.requestedAddress, message.options.serverId, message.clientAddress.toString()],
    ["255.255.255.255", ADDRESS, undefined, "0.0.0.0"],
  );
  equal(scene.client.state, "bound");
  scene.server = () => {};
  scene.client.reboot(scene.segment.now);
  scene.segment.pass(60);
  // Nobody knows better: it holds as long as it was given.
  equal(scene.client.state, "bound");
  equal(scene.leases.includes(undefined), false);
});

test("a client gives its address back when it ends", () => {
  const scene = new Scene();
  honest(scene);
  scene.start();
  scene.segment.pass(1);
  scene.client.stop(scene.segment.now);
  scene.segment.pass(1);
  const { message, to } = scene.heard[2]!;
  deepEqual([message.options.type, to, message.clientAddress], ["release", "10.0.0.1", ADDRESS]);
  equal(scene.segment.nic.owns(ADDRESS), false);
  scene.segment.pass(10_000);
  equal(scene.heard.length, 3);
});

type Lie = (scene: Scene, message: Dhcpv4Message, type: Dhcpv4Type) => void;
const answer =
  (options: Dhcpv4Options, fields: Partial<Dhcpv4Message> = {}): Lie => (scene, message, type) => {
    if (type === "discover") scene.reply(message, "offer", { ...LEASE, ...options }, fields);
    if (type === "request") scene.reply(message, "ack", { ...LEASE, ...options }, fields);
  };
const LIES: [why: string, lie: Lie][] = [
  ["another transaction", answer({}, { transaction: 1 })],
  ["somebody else's hardware address", answer({}, { hardware: mac("02:00:00:00:00:99") })],
  ["a question instead of an answer", answer({}, { reply: false })],
  ["no address", answer({}, { yourAddress: ANY4 })],
  ["a loopback address", answer({}, { yourAddress: ip("127.0.0.1") })],
  ["a group", answer({}, { yourAddress: ip("224.0.0.1") })],
  ["everybody", answer({}, { yourAddress: ip("255.255.255.255") })],
  ["the address of the network", answer({}, { yourAddress: ip("10.0.0.0") })],
  ["the broadcast address of the network", answer({}, { yourAddress: ip("10.0.0.255") })],
  ["a network that is everything", answer({ prefixLength: 0 })],
  ["a server without a name", answer({ serverId: ANY4 })],
  ["a server that is a group", answer({ serverId: ip("239.1.1.1") })],
  ["an offer by one server and an ACK by another", (scene, message, type) => {
    if (type === "discover") scene.reply(message, "offer", LEASE);
    if (type === "request") scene.reply(message, "ack", { ...LEASE, serverId: ip("10.0.0.66") });
  }],
  ["an offer of one address and an ACK of another", (scene, message, type) => {
    if (type === "discover") scene.reply(message, "offer", LEASE);
    if (type === "request") scene.reply(message, "ack", LEASE, { yourAddress: ip("10.0.0.51") });
  }],
  ["an ACK that nobody asked for", (scene, message, type) => {
    if (type === "discover") scene.reply(message, "ack", LEASE);
  }],
  ["a NAK by another server", (scene, message, type) => {
    if (type === "discover") scene.reply(message, "offer", LEASE);
    if (type === "request") scene.reply(message, "nak", { serverId: ip("10.0.0.66") });
  }],
];
for (const [why, lie] of LIES) {
  test(`a client does not believe ${why}`, () => {
    const scene = new Scene();
    scene.server = (message, type) => lie(scene, message, type);
    scene.start();
    scene.segment.pass(30);
    deepEqual(scene.leases, []);
    ok(scene.heard.length < 20, `${scene.heard.length} messages`);
    const counters = scene.segment.stack.counters.all();
    ok(
      Object.entries(counters).some(([name, value]) =>
        name.startsWith("dhcp.") && !name.endsWith("-sent") && value > 0
      ),
    );
  });
}

test("absurdly short times of a long lease do not make a storm", () => {
  const scene = new Scene();
  honest(scene, { ...LEASE, leaseTime: 86_400, renewalTime: 1, rebindingTime: 2 });
  scene.start();
  scene.segment.pass(40_000);
  deepEqual(scene.types(), ["discover", "request"]);
});

for (
  const [options, fields, says] of [
    [{}, { yourAddress: ip("127.0.0.1") }, "10.0.0.1 offered 127.0.0.1, which no host can have"],
    [
      { prefixLength: 8 },
      { yourAddress: ip("10.0.0.0") },
      "10.0.0.1 offered 10.0.0.0/8, which no host can have",
    ],
    [{ serverId: ip("239.1.1.1") }, {}, "a DHCP server calls itself 239.1.1.1, which no host can be"],
  ] as const
) {
  test(`of offers by thousands it is said once a question: ${says}`, () => {
    const scene = new Scene();
    scene.server = (message) => {
      for (let i = 0; i < 1_000; i++) scene.reply(message, "offer", { ...LEASE, ...options }, fields);
    };
    scene.start();
    scene.segment.pass(30);
    deepEqual(scene.notes, Array(scene.heard.length).fill(says));
    equal(scene.segment.stack.counters.get("dhcp.bad-offers"), 1_000 * scene.heard.length);
    ok(scene.heard.length < 10, `${scene.heard.length} questions`);
  });
}

test("a client leaves out what cannot be a router, a resolver, an MTU or a route", () => {
  const scene = new Scene();
  honest(scene, {
    ...LEASE,
    routers: [ADDRESS, ip("127.0.0.1"), ip("10.0.0.2")],
    dns: [ANY4, ip("255.255.255.255"), ip("9.9.9.9")],
    mtu: 68,
  });
  scene.start();
  scene.segment.pass(1);
  const [lease] = scene.leases;
  deepEqual([lease!.routers, lease!.dns, lease!.mtu], [[ip("10.0.0.2")], [ip("9.9.9.9")], undefined]);
});

test("classless routes take the place of routers (RFC 3442)", () => {
  const scene = new Scene();
  honest(scene, {
    ...LEASE,
    routes: [
      { destination: ANY4, prefixLength: 0, gateway: ip("10.0.0.9") },
      { destination: ip("172.16.0.0"), prefixLength: 12, gateway: ip("10.0.0.8") },
      { destination: ip("127.0.0.0"), prefixLength: 8, gateway: ip("10.0.0.8") },
      { destination: ip("224.0.0.0"), prefixLength: 4, gateway: ip("10.0.0.8") },
      { destination: ip("0.0.0.0"), prefixLength: 8, gateway: ip("10.0.0.8") },
    ],
  });
  scene.start();
  scene.segment.pass(1);
  const [lease] = scene.leases;
  deepEqual(lease!.routers, [ip("10.0.0.9")]);
  deepEqual(lease!.routes.map(({ destination }) => destination.toString()), ["172.16.0.0"]);
});
