/**
 * A provider whose servers and routers lie, in a process of its own: `lying_provider.ts SOCKET TRANSPORT LIES`, the last as
 * JSON. Prints `ready`, and what it hears that a test may wait for.
 *
 * @module
 */

import process from "node:process";
import { addressOf } from "../../lib/host/memory.ts";
import { Reactor } from "../../lib/host/reactor.ts";
import type { PumpEnd } from "../../lib/link/pump.ts";
import type { PacketBuffer } from "../../lib/stack/buffer/packet.ts";
import { BufferPool } from "../../lib/stack/buffer/pool.ts";
import type { Instant } from "../../lib/stack/time.ts";
import { IpAddress } from "../../lib/stack/wire/address.ts";
import { parseArp } from "../../lib/stack/wire/arp.ts";
import { parseDhcpv4 } from "../../lib/stack/wire/dhcpv4.ts";
import { parseDhcpv6 } from "../../lib/stack/wire/dhcpv6.ts";
import { EthernetHeader, EtherType, parseEthernet } from "../../lib/stack/wire/ethernet.ts";
import { Icmpv6Type } from "../../lib/stack/wire/icmpv6.ts";
import { IpHeader, IpProtocol } from "../../lib/stack/wire/ip.ts";
import { parseIpv4 } from "../../lib/stack/wire/ipv4.ts";
import { parseIpv6 } from "../../lib/stack/wire/ipv6.ts";
import { parseUdp, UdpHeader } from "../../lib/stack/wire/udp.ts";
import { claim4, claim6, dhcp6Answer, dhcpAnswer, ndpFrame } from "./provider_frames.ts";
import { ProviderStandIn } from "./provider_stand_in.ts";
import { ip } from "./two_stacks.ts";

/** What is said. */
export interface Lies {
  /** By DHCP, with its mask: `10.66.0.50/24`. */
  readonly address: string;
  readonly router: string;
  /** Classless routes by way of the router. */
  readonly routes?: readonly string[];
  /** By DHCPv6; somebody has it already. */
  readonly taken6?: string;
  /** Router advertisements without end, of ever other routers and MTUs, once DHCP has had its say. */
  readonly flood?: boolean;
}

/** Frames of a flood between two times that it is listened. */
const TURN = 256;

/** Plays gateway, DHCP server, DHCPv6 server and all routers. */
class Liar implements PumpEnd {
  readonly #lies: Lies;
  readonly #said: PacketBuffer[] = [];
  #flooding = false;
  #left = 0;
  #routers = 0;

  constructor(lies: Lies) {
    this.#lies = lies;
  }

  /** A new turn: a flood leaves time to listen. Returns whether there is one. */
  turn(): boolean {
    this.#left = this.#flooding ? TURN : 0;
    return this.#flooding;
  }

  ingress(frame: PacketBuffer): void {
    const ethernet = new EthernetHeader();
    if (parseEthernet(frame, ethernet) === undefined) this.#hear(frame, ethernet);
    frame.release();
  }

  egress(): PacketBuffer | undefined {
    const frame = this.#said.shift();
    if (frame !== undefined || this.#left === 0) return frame;
    this.#left--;
    this.#routers = (this.#routers + 1) & 0xffff;
    return this.#advertisement(new IpAddress(6, 0xfe800000 | 0, 0, 0, 0x10000 + this.#routers), false);
  }

  #hear(frame: PacketBuffer, ethernet: EthernetHeader): void {
    const header = new IpHeader();
    switch (ethernet.etherType) {
      case EtherType.arp: {
        const arp = parseArp(frame);
        if (typeof arp !== "string" && `${arp.targetIp}` === this.#lies.router) {
          this.#said.push(claim4(arp.targetIp));
        }
        return;
      }
      case EtherType.ipv4:
        if (parseIpv4(frame, header) !== undefined || header.protocol !== IpProtocol.udp) return;
        if (parseUdp(frame, new UdpHeader()) === undefined) this.#answer4(frame);
        return;
      case EtherType.ipv6: {
        if (parseIpv6(frame, header) !== undefined) return;
        const from = header.source.clone();
        if (header.protocol === IpProtocol.icmpv6) return this.#answerNdp(frame, header);
        if (header.protocol !== IpProtocol.udp || parseUdp(frame, new UdpHeader()) !== undefined) return;
        this.#answer6(frame, from, ethernet);
      }
    }
  }

  #answer4(frame: PacketBuffer): void {
    const message = parseDhcpv4(frame);
    if (typeof message === "string") return;
    const { type } = message.options;
    if (type !== "discover" && type !== "request") return;
    const { address, router, routes = [], flood = false } = this.#lies;
    const [yourAddress, prefixLength] = cidr(address);
    const gateway = ip(router);
    const options = {
      leaseTime: 3_600,
      prefixLength,
      routers: [gateway],
      dns: [gateway],
      ...(routes.length > 0 && {
        routes: routes.map(cidr).map(([destination, length]) => ({
          destination,
          prefixLength: length,
          gateway,
        })),
      }),
    };
    this.#said.push(dhcpAnswer(message, type === "discover" ? "offer" : "ack", options, { yourAddress }));
    if (type === "request") this.#flooding = flood;
  }

  #answerNdp(frame: PacketBuffer, { source }: IpHeader): void {
    const type = frame.view.getUint8(frame.start);
    const taken = this.#lies.taken6;
    if (type === Icmpv6Type.routerSolicitation && taken !== undefined) {
      this.#said.push(this.#advertisement(ip("fe80::2"), true));
    }
    if (type !== Icmpv6Type.neighbourSolicitation || !source.isUnspecified() || taken === undefined) return;
    const target = IpAddress.readV6(frame.view, frame.start + 8);
    if (`${target}` === taken) this.#said.push(claim6(target));
  }

  #answer6(frame: PacketBuffer, from: IpAddress, { source }: EthernetHeader): void {
    const message = parseDhcpv6(frame);
    if (typeof message === "string" || this.#lies.taken6 === undefined) return;
    console.log(message.type);
    if (message.type !== "solicit" || message.clientId === undefined) return;
    const given = { address: ip(this.#lies.taken6), preferred: 3_000, valid: 4_000 };
    const association = { id: message.association?.id ?? 0, t1: 0, t2: 0, addresses: [given] };
    const { transaction, clientId } = message;
    const names = { transaction, clientId, serverId: Uint8Array.of(0, 3, 0, 1, 2, 0, 0, 0, 0, 2) };
    this.#said.push(
      dhcp6Answer({ type: "reply", ...names, association, rapidCommit: true }, from, source),
    );
  }

  #advertisement(from: IpAddress, managed: boolean): PacketBuffer {
    return ndpFrame({
      kind: "router-advertisement",
      hopLimit: 64,
      managed,
      otherConfig: false,
      preference: "high",
      lifetime: 9_000,
      reachableTime: 0,
      retransTimer: 0,
      options: managed ? {} : { mtu: 1_280 + this.#routers % 200 },
    }, from);
  }
}

function cidr(text: string): [IpAddress, number] {
  const [address, length] = text.split("/");
  return [ip(address!), Number(length)];
}

const [path = "", transport = "", lies = ""] = process.argv.slice(2);
const reactor = new Reactor();
const liar = new Liar(JSON.parse(lies) as Lies);
const standIn = new ProviderStandIn(
  reactor,
  new BufferPool(addressOf),
  path,
  transport === "unixgram" ? "unixgram" : "unixstream",
  liar,
);
standIn.open();
console.log("ready");
reactor.run({
  beforeWait: () => liar.turn() ? reactor.now() : Infinity,
  afterTurn: () => standIn.flush(reactor.now() as Instant),
});
