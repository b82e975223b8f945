/**
 * A guest on two networks, of which the second one lies by all its servers and routers: whatever it says, what is the first
 * one's stays its, and what is remembered, sent and told of is bounded.
 *
 * @module
 */

import { equal, ok } from "node:assert/strict";
import { Addressing } from "../../lib/modes/external/addressing.ts";
import { DefaultRoutes } from "../../lib/modes/external/default_routes.ts";
import { Precedence, type RankedNetwork } from "../../lib/modes/external/precedence.ts";
import type { PacketBuffer } from "../../lib/stack/buffer/packet.ts";
import { NO_OFFLOAD } from "../../lib/stack/link/link.ts";
import { IpAddress } from "../../lib/stack/wire/address.ts";
import type { Dhcpv4Options } from "../../lib/stack/wire/dhcpv4.ts";
import type { Dhcpv6Message } from "../../lib/stack/wire/dhcpv6.ts";
import { EtherType } from "../../lib/stack/wire/ethernet.ts";
import { IpProtocol } from "../../lib/stack/wire/ip.ts";
import { claim4, claim6, dhcp6Answer, dhcpAnswer, ndpFrame } from "../support/provider_frames.ts";
import { between, pick } from "../support/random.ts";
import { OURS, Segment } from "../support/segment.ts";
import { ip, mac } from "../support/two_stacks.ts";
import type { FuzzTarget } from "./target.ts";

const GATEWAY = ip("192.168.127.1"), RESOLVER = ip("9.9.9.9"), NEIGHBOUR = ip("192.168.127.77");
/** Somewhere in a /8 that the liar does not know of: one to which it gave a route of its own would be its to have. */
const ELSEWHERE = ip("198.51.100.1"), UNKNOWN = 198;
const AT_HOME = [GATEWAY, RESOLVER, NEIGHBOUR, ELSEWHERE];
const LINK_LOCAL = ip("fe80::ff:fe00:1");
const ROUNDS = 120;
const UDP4 = 14 + 20 + 8, UDP6 = 14 + 40 + 8;

/** What the liar has heard last. */
interface Heard {
  transaction4: number;
  transaction6: number;
  association: number;
}

function address4(random: () => number): IpAddress {
  const own = [GATEWAY, RESOLVER, NEIGHBOUR, ip("10.66.0.50"), ip("127.0.0.1"), ip("255.255.255.255")];
  if (random() % 3 > 0) return pick(random, own);
  const word = random();
  return IpAddress.v4((word >>> 24 === UNKNOWN ? ~word : word) | 0);
}

function address6(random: () => number): IpAddress {
  const word = pick(random, [0x20010db8, 0xfe800000, 0xff020000, 0, random()]) | 0;
  return new IpAddress(6, word, 0, 0, random() % 4);
}

function seconds(random: () => number): number {
  return pick(random, [0, 1, 20, 60, 3_600, 86_400, 0xffffffff, random()]);
}

function someOf<T>(random: () => number, most: number, make: () => T): T[] {
  return Array.from({ length: random() % (most + 1) }, make);
}

function dhcpOptions(random: () => number): Dhcpv4Options {
  const route = () => ({
    destination: address4(random),
    prefixLength: pick(random, [0, 1, 2, 8, 24, 25, 32]),
    gateway: address4(random),
  });
  return {
    ...(random() % 8 > 0 && { leaseTime: seconds(random) }),
    ...(random() % 2 > 0 && { renewalTime: seconds(random), rebindingTime: seconds(random) }),
    prefixLength: pick(random, [0, 1, 8, 24, 24, 26, 30, 31, 32]),
    routers: someOf(random, 3, () => address4(random)),
    dns: someOf(random, 20, () => address4(random)),
    mtu: pick(random, [0, 67, 576, 1_500, 65_535]),
    ...(random() % 2 > 0 && { routes: someOf(random, 60, route) }),
  };
}

function lie(random: () => number, heard: Heard): PacketBuffer {
  switch (random() % 6) {
    case 0:
    case 1: {
      const request = { transaction: heard.transaction4, hardware: OURS };
      const yourAddress = random() % 2 === 0 ? ip("10.66.0.50") : address4(random);
      const type = pick(random, ["offer", "ack", "ack", "nak"] as const);
      return dhcpAnswer(request, type, dhcpOptions(random), { yourAddress });
    }
    case 2:
      return ndpFrame(
        {
          kind: "router-advertisement",
          hopLimit: 64,
          managed: random() % 2 === 0,
          otherConfig: random() % 2 === 0,
          preference: pick(random, ["low", "medium", "high"]),
          lifetime: pick(random, [0, 1, 1_800, 65_535]),
          reachableTime: 0,
          retransTimer: 0,
          options: {
            mtu: pick(random, [0, 1_279, 1_280, 9_000, 0xffffffff]),
            prefixes: someOf(random, 12, () => ({
              prefix: address6(random),
              prefixLength: pick(random, [0, 63, 64, 64, 128]),
              onLink: true,
              autonomous: random() % 4 > 0,
              validLifetime: seconds(random),
              preferredLifetime: seconds(random),
            })),
            dns: [{ lifetime: seconds(random), servers: [address6(random), address6(random)] }],
          },
        },
        new IpAddress(6, 0xfe800000 | 0, 0, 0, between(random, 2, 40)),
      );
    case 3: {
      const message: Dhcpv6Message = {
        type: pick(random, ["advertise", "reply"]),
        transaction: heard.transaction6,
        clientId: Uint8Array.of(0, 3, 0, 1, 2, 0, 0, 0, 0, 1),
        serverId: Uint8Array.of(0, 3, 0, random() % 2),
        association: {
          id: heard.association,
          t1: seconds(random),
          t2: seconds(random),
          addresses: someOf(random, 3, () => ({
            address: address6(random),
            preferred: seconds(random),
            valid: seconds(random),
          })),
        },
        rapidCommit: random() % 2 === 0,
        dns: someOf(random, 3, () => address6(random)),
      };
      return dhcp6Answer(message, LINK_LOCAL, OURS);
    }
    case 4:
      return claim4(address4(random));
    default:
      return claim6(
        random() % 2 === 0 ? LINK_LOCAL : address6(random),
        pick(random, [ip("fe80::2"), ip("::")]),
      );
  }
}

function hear(frame: PacketBuffer, heard: Heard): void {
  const { view, start } = frame;
  const type = view.getUint16(start + 12);
  if (type === EtherType.ipv4 && view.getUint8(start + 23) === IpProtocol.udp) {
    heard.transaction4 = view.getUint32(start + UDP4 + 4);
  }
  if (type !== EtherType.ipv6 || view.getUint8(start + 20) !== IpProtocol.udp) return;
  heard.transaction6 = view.getUint32(start + UDP6) & 0xffffff;
  // The client identifier comes first, and has 10 bytes; then perhaps the server's, then the association.
  heard.association = 1;
}

function round(random: () => number): void {
  const segment = new Segment(random());
  const { stack, nic } = segment;
  const homeNic = stack.addNic({
    name: "home",
    mac: mac("02:00:00:00:09:09"),
    mtu: 1_500,
    capabilities: NO_OFFLOAD,
  });
  homeNic.addAddress(ip("192.168.127.2"), 24);
  const home: RankedNetwork = {
    nic: homeNic,
    config: { name: "home" },
    addressing: {
      offered4: undefined,
      offered6: undefined,
      use4: () => {},
      use6: () => {},
      routes: [],
      gateway: (family) => family === 4 ? GATEWAY : undefined,
      dns: [GATEWAY, RESOLVER],
    },
    refuse: () => ok(false, "the first network may do as it likes"),
  };
  const precedence = new Precedence(stack), defaults = new DefaultRoutes(stack);
  let notes = 0;
  const addressing = new Addressing(stack, nic, { addresses: [], dhcp: true, mtu: 1_500, mtuMax: 65_520 }, {
    onChange: () => decide(),
    onNote: () => notes++,
  });
  const networks = [home, { nic, config: { name: "liar" }, addressing, refuse: () => {} }];
  const decide = () => {
    precedence.update(networks);
    defaults.update(networks);
  };
  decide();
  const heard: Heard = { transaction4: 0, transaction6: 0, association: 1 };
  let sent = 0;
  segment.onFrame = (frame) => {
    sent++;
    hear(frame, heard);
  };
  segment.drive(addressing);
  addressing.start(segment.now);
  let passed = 0;
  for (let i = 0; i < ROUNDS; i++) {
    const time = pick(random, [0, 0.2, 0.5, 2, 60]);
    passed += time;
    segment.pass(time);
    segment.inject(lie(random, heard));
    if (random() % 32 === 0) addressing.resume(segment.now);
    for (const host of AT_HOME) {
      equal(stack.routes.lookup(host)?.nic.name, "home", `${host}`);
      ok(host === NEIGHBOUR || !nic.owns(host), `${host} is ours`);
    }
    ok(nic.addresses.length <= 1 + 1 + 1 + 16, `${nic.addresses.length} addresses`);
    ok(stack.routes.size < 200, `${stack.routes.size} routes`);
    ok(addressing.dns.length <= 16 + 8 + 8 && nic.mtu >= 1_280);
  }
  addressing.stop(segment.now);
  segment.pass(1);
  equal(nic.addresses.filter(({ scope }) => scope === "global").length, 0);
  const most = 60 + 10 * ROUNDS + 2 * passed;
  ok(sent < most, `${sent} frames in ${passed} s`);
  ok(notes < 4 * ROUNDS, `${notes} notes`);
}

/** For `scripts/fuzz.ts`. */
export const targets: readonly FuzzTarget[] = [{ name: "networks/two", round }];
