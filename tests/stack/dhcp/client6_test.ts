import { test } from "node:test";
import { deepEqual, equal, ok } from "node:assert/strict";
import type { PacketBuffer } from "../../../lib/stack/buffer/packet.ts";
import { Dhcpv6Client } from "../../../lib/stack/dhcp/client6.ts";
import type { Dhcpv6Information, Dhcpv6Lease } from "../../../lib/stack/dhcp/lease6.ts";

import { completeChecksum, startChecksum } from "../../../lib/stack/wire/checksum.ts";
import {
  type Dhcpv6Association,
  type Dhcpv6Message,
  Dhcpv6Status,
  emitDhcpv6,
  parseDhcpv6,
} from "../../../lib/stack/wire/dhcpv6.ts";
import { emitEthernet, EtherType } from "../../../lib/stack/wire/ethernet.ts";
import { IpHeader, IpProtocol } from "../../../lib/stack/wire/ip.ts";
import { emitIpv6, parseIpv6 } from "../../../lib/stack/wire/ipv6.ts";
import { emitUdp, parseUdp, UDP_CHECKSUM, UdpHeader } from "../../../lib/stack/wire/udp.ts";
import { roomy } from "../../support/bytes.ts";
import { OURS, Segment, THEIRS } from "../../support/segment.ts";
import { ip } from "../../support/two_stacks.ts";

const SERVER = ip("fe80::2"), ADDRESS = ip("2001:db8::50"), RESOLVER = ip("2001:db8::1");
const LINK_LOCAL = ip("fe80::ff:fe00:1");
const DUID = Uint8Array.of(0, 3, 0, 1, 2, 0, 0, 0, 0, 2);
const ETHERNET = 14;

/** A client, and a server that the test writes. */
class Scene {
  readonly segment = new Segment();
  readonly client: Dhcpv6Client;
  readonly heard: { at: number; message: Dhcpv6Message; to: string; from: string }[] = [];
  readonly leases: (Dhcpv6Lease | undefined)[] = [];
  readonly information: Dhcpv6Information[] = [];
  readonly notes: string[] = [];
  server: (message: Dhcpv6Message) => void = () => {};

  constructor(linkLocal = true) {
    const { segment } = this;
    if (linkLocal) segment.nic.addAddress(LINK_LOCAL, 64);
    this.client = new Dhcpv6Client(segment.stack, segment.nic, {
      onLease: (lease) => this.leases.push(lease),
      onInformation: (information) => this.information.push(information),
      onNote: (text) => this.notes.push(text),
    });
    segment.onFrame = (frame) => this.#hear(frame);
    segment.drive(this.client);
  }

  start(what: "address" | "information" = "address"): void {
    this.client.start(what, this.segment.now);
    this.segment.pass(0);
  }

  types(): string[] {
    return this.heard.map(({ message }) => message.type);
  }

  /** An answer to `request`. */
  reply(request: Dhcpv6Message, type: "advertise" | "reply", fields: Partial<Dhcpv6Message> = {}): void {
    const p = roomy("", 128, 1_000);
    emitDhcpv6(p, {
      type,
      transaction: request.transaction,
      clientId: request.clientId!,
      serverId: DUID,
      ...fields,
    });
    emitUdp(p, 547, 546);
    startChecksum(p, SERVER, LINK_LOCAL, IpProtocol.udp, UDP_CHECKSUM);
    completeChecksum(p);
    const header = { source: SERVER, destination: LINK_LOCAL, protocol: IpProtocol.udp };
    emitIpv6(p, { ...header, hopLimit: 64, trafficClass: 0 });
    emitEthernet(p, OURS, THEIRS, EtherType.ipv6);
    this.segment.inject(p);
  }

  #hear(frame: PacketBuffer): void {
    if (frame.view.getUint16(frame.start + 12) !== EtherType.ipv6) return;
    frame.start += ETHERNET;
    const header = new IpHeader();
    equal(parseIpv6(frame, header), undefined);
    if (header.protocol !== IpProtocol.udp) return;
    const udp = new UdpHeader();
    equal(parseUdp(frame, udp), undefined);
    deepEqual([udp.sourcePort, udp.destinationPort], [546, 547]);
    const message = parseDhcpv6(frame);
    if (typeof message === "string") throw new Error(message);
    this.heard.push({
      at: this.segment.now / 1e6,
      message,
      to: header.destination.toString(),
      from: header.source.toString(),
    });
    this.server(message);
  }
}

function given(request: Dhcpv6Message, more: Partial<Dhcpv6Association> = {}): Dhcpv6Association {
  const addresses = [{ address: ADDRESS, preferred: 3_000, valid: 4_000 }];
  return { id: request.association!.id, t1: 1_000, t2: 2_000, addresses, ...more };
}

/** Answers everything as a good server does. */
function honest(scene: Scene): void {
  scene.server = (message) => {
    if (message.type === "release" || message.type === "decline") return;
    const type = message.type === "solicit" ? "advertise" : "reply";
    scene.reply(message, type, { association: given(message), dns: [RESOLVER], searchDomains: ["lan.test"] });
  };
}

test("a client solicits, requests, looks whether somebody has the address, and has it", () => {
  const scene = new Scene();
  honest(scene);
  scene.start();
  scene.segment.pass(0.5);
  equal(scene.client.state, "checking");
  equal(scene.leases.length, 0);
  scene.segment.pass(1);
  deepEqual(scene.types(), ["solicit", "request"]);
  const [solicit, request] = scene.heard;
  deepEqual([solicit!.from, solicit!.to, solicit!.message.rapidCommit], [
    LINK_LOCAL.toString(),
    "ff02::1:2",
    true,
  ]);
  deepEqual(request!.message.serverId, DUID);
  deepEqual(request!.message.association?.addresses.map(({ address }) => `${address}`), [`${ADDRESS}`]);
  equal(scene.client.state, "bound");
  deepEqual(scene.leases.map((lease) => lease?.address), [ADDRESS]);
  deepEqual(scene.information.map(({ dns, searchDomains }) => [dns, searchDomains]), [[[RESOLVER], [
    "lan.test",
  ]]]);
});

test("a server that commits rapidly is taken at its word", () => {
  const scene = new Scene();
  scene.server = (message) =>
    scene.reply(message, "reply", { association: given(message), rapidCommit: true });
  scene.start();
  scene.segment.pass(2);
  deepEqual(scene.types(), ["solicit"]);
  equal(scene.client.state, "bound");
});

test("a client renews with its server, then with any, and lets go at the end", () => {
  const scene = new Scene();
  honest(scene);
  scene.start();
  scene.segment.pass(2);
  scene.segment.pass(1_000);
  deepEqual(scene.types(), ["solicit", "request", "renew"]);
  deepEqual(scene.heard[2]!.message.serverId, DUID);
  scene.server = () => {};
  const from = scene.heard.length;
  scene.segment.pass(4_100);
  const types = scene.types().slice(from);
  equal(types[0], "renew");
  ok(types.includes("rebind"));
  const rebind = scene.heard.slice(from).find(({ message }) => message.type === "rebind")!;
  equal(rebind.message.serverId, undefined);
  equal(scene.leases.at(-1), undefined);
  equal(scene.client.state, "soliciting");
  // Renewals and the search afterwards back off.
  ok(types.length < 60, types.join(" "));
});

test("nobody answers: solicitations become rare", () => {
  const scene = new Scene();
  scene.start();
  scene.segment.pass(3_600);
  ok(scene.heard.length >= 10 && scene.heard.length <= 14, `${scene.heard.length}`);
});

test("an address that somebody has is declined, and asked for again later", () => {
  const scene = new Scene();
  honest(scene);
  scene.start();
  scene.segment.pass(0.2);
  scene.client.onClaim(ADDRESS, scene.segment.now);
  scene.segment.pass(0.2);
  deepEqual(scene.types(), ["solicit", "request", "decline"]);
  equal(scene.client.state, "refused");
  scene.segment.pass(3);
  equal(scene.client.state, "bound");
  ok(scene.notes[0]!.includes("somebody has already"));
});

test("the wire is back: the lease is confirmed, or given up when the network is another one", () => {
  for (const status of [Dhcpv6Status.success, Dhcpv6Status.notOnLink]) {
    const scene = new Scene();
    honest(scene);
    scene.start();
    scene.segment.pass(2);
    scene.server = (message) => {
      if (message.type === "confirm") scene.reply(message, "reply", { status });
    };
    scene.client.reboot(scene.segment.now);
    scene.segment.pass(1);
    equal(scene.client.state, status === Dhcpv6Status.success ? "bound" : "soliciting");
    equal(scene.leases.at(-1) === undefined, status !== Dhcpv6Status.success);
  }
});

test("the wire is back and nobody answers: the lease holds", () => {
  const scene = new Scene();
  honest(scene);
  scene.start();
  scene.segment.pass(2);
  scene.server = () => {};
  scene.client.reboot(scene.segment.now);
  scene.segment.pass(30);
  deepEqual(scene.types().slice(2), ["confirm", "confirm", "confirm", "confirm"]);
  equal(scene.client.state, "bound");
});

test("a server that forgot the lease is asked for another, one without addresses less and less often", () => {
  const scene = new Scene();
  honest(scene);
  scene.start();
  scene.segment.pass(2);
  scene.server = (message) => {
    const association = given(message, { addresses: [], status: Dhcpv6Status.noBinding });
    scene.reply(message, message.type === "solicit" ? "advertise" : "reply", { association });
  };
  const from = scene.heard.length;
  scene.segment.pass(1_100);
  const types = scene.types().slice(from);
  deepEqual(types.slice(0, 2), ["renew", "solicit"]);
  equal(scene.leases.at(-1), undefined);
  ok(types.length < 20, types.join(" "));
  equal(scene.segment.stack.counters.get("dhcpv6.refusals-received"), 1);
});

test("answers to somebody else, of another server, or of no worth are not taken", () => {
  const wrong: readonly ((message: Dhcpv6Message) => Partial<Dhcpv6Message>)[] = [
    (message) => ({ association: given(message), transaction: (message.transaction + 1) & 0xffffff }),
    (message) => ({ association: given(message), clientId: DUID }),
    (message) => ({ association: given(message, { id: 9 }) }),
    (message) => ({ association: given(message, { t1: 9, t2: 3 }) }),
    (message) => ({
      association: given(message, { addresses: [{ address: ADDRESS, preferred: 2, valid: 1 }] }),
    }),
    (message) => ({
      association: given(message, { addresses: [{ address: ip("ff02::1"), preferred: 900, valid: 900 }] }),
    }),
    (message) => ({
      association: given(message, { addresses: [{ address: ip("fe80::9"), preferred: 900, valid: 900 }] }),
    }),
    (message) => ({ association: given(message), serverId: new Uint8Array() }),
    (message) => ({ association: given(message), status: Dhcpv6Status.notOnLink }),
    (message) => ({ association: given(message, { status: Dhcpv6Status.noAddresses }) }),
  ];
  for (const fields of wrong) {
    const scene = new Scene();
    scene.server = (message) => scene.reply(message, "advertise", fields(message));
    scene.start();
    scene.segment.pass(20);
    equal(scene.client.state, "soliciting");
    ok(scene.notes.length <= 1, scene.notes.join("; "));
  }
  const scene = new Scene();
  scene.server = (message) => {
    if (message.type === "solicit") scene.reply(message, "advertise", { association: given(message) });
    else scene.reply(message, "reply", { association: given(message), serverId: Uint8Array.of(1) });
  };
  scene.start();
  scene.segment.pass(3);
  equal(scene.client.state, "requesting");
});

test("information alone is asked for again when it is old, and given up for an address", () => {
  const scene = new Scene();
  scene.server = (message) => scene.reply(message, "reply", { dns: [RESOLVER], refresh: 700 });
  scene.start("information");
  scene.segment.pass(1_000);
  deepEqual(scene.types(), ["information-request", "information-request"]);
  equal(scene.heard[0]!.message.association, undefined);
  honest(scene);
  scene.client.start("address", scene.segment.now);
  scene.segment.pass(2);
  equal(scene.client.state, "bound");
  scene.client.start("information", scene.segment.now);
  equal(scene.client.state, "bound");
});

test("the address is given back at the end", () => {
  const scene = new Scene();
  honest(scene);
  scene.start();
  scene.segment.pass(2);
  scene.client.stop(scene.segment.now);
  scene.segment.pass(100);
  deepEqual(scene.types(), ["solicit", "request", "release"]);
  equal(scene.leases.at(-1), undefined);
  equal(scene.client.pollAt(), Infinity);
});

test("without a link-local address nothing is sent, and that is counted", () => {
  const scene = new Scene(false);
  scene.start();
  scene.segment.pass(10);
  equal(scene.heard.length, 0);
  ok(scene.segment.stack.counters.get("dhcpv6.no-link-local")! > 0);
});
