/**
 * A learning switch: guests on its ports, and the gateway's interface.
 *
 * Theory of operation
 *
 * ```text
 *   wire ─▶ Port.received ─▶ fromGuest ─┬─ guard: whose MAC, whose IP? ──▶ dropped, and counted by reason
 *                                       ├─ to the gateway's MAC ─────────▶ Nic.ingress
 *                                       ├─ to a MAC of a port ───────────▶ Port.send
 *                                       └─ to a group, to nobody known ──▶ every other port, and the gateway
 *   Nic.egress ─▶ fromGateway ─▶ Port.send, or every port
 *   Port.queue ─▶ GuestWire.send ─▶ wire
 * ```
 *
 * The frame itself goes from wire to wire, held once per port that it waits at; only what the gateway also needs is
 * copied, because the gateway consumes what it reads.
 *
 * A guest is hostile. It cannot take the address of another (`guard.ts`, and the MAC table), fill the tables (its share
 * is bounded), or drown the others in broadcasts; a frame longer than a guest can take is not sent to it. Frames to the reserved group addresses of IEEE 802.1D are never passed on.
 *
 * @module
 */

import type { PortFacts } from "../../stack/facts.ts";
import type { Reactor } from "../../host/reactor.ts";
import { isSendable } from "../../link/datagram_sender.ts";
import { Checksum, Gso, type PacketBuffer } from "../../stack/buffer/packet.ts";
import type { BufferPool } from "../../stack/buffer/pool.ts";
import { type Counter, Counters } from "../../stack/counters.ts";
import { copyOf } from "../../stack/link/copy.ts";
import { Segmenter } from "../../stack/link/segment.ts";
import type { Instant } from "../../stack/time.ts";
import type { IpAddress } from "../../stack/wire/address.ts";
import { completeChecksum } from "../../stack/wire/checksum.ts";
import { ETHERNET_HEADER, MacAddress } from "../../stack/wire/ethernet.ts";
import { addressQuestion } from "./address_question.ts";
import { AddressGuard, type AddressOwners } from "./guard.ts";
import { MacTable } from "./mac_table.ts";
import { Port } from "./port.ts";
import { SOCKET_BUFFER, socketBuffer } from "./socket_buffers.ts";
import { Unfinished } from "./unfinished.ts";
import type { GuestWire } from "./wire.ts";

/** Guests at one time (`switch.port-limit`). */
export const MAX_PORTS = 1_024;
/** Bytes of a VLAN tag: a frame may be that much longer than the MTU says. */
export const VLAN_TAG = 4;

/** The gateway's interface, as far as the switch is concerned. */
export interface GatewayPort {
  readonly mac: MacAddress;
  /** Takes ownership. */
  ingress(frame: PacketBuffer, now: Instant): void;
}

/** How the switch speaks to its owner's log. */
export type Log = (level: "debug" | "info" | "warn" | "error", text: string) => void;

/** What a switch is made of. */
export interface SwitchOptions {
  readonly reactor: Reactor;
  readonly pool: BufferPool;
  readonly mtu: number;
  readonly owners: AddressOwners;
  readonly log: Log;
  /** TCP for this address had better wait (true), or may go on. */
  hold?(address: IpAddress, held: boolean): void;
}

const REASONS = [
  "runt",
  "bad-source",
  "spoofed-gateway",
  "spoofed-mac",
  "address-limit",
  "spoofed-arp",
  "spoofed-ip",
  "ip-limit",
  "spoofed-dhcp",
  "rogue-dhcp",
  "rogue-router",
  "malformed",
  "reserved-group",
  "flood-limit",
  "too-long",
  "hairpin",
] as const;

/** Moves frames between guests and the gateway. */
export class Switch {
  readonly counters = new Counters();
  readonly queueFull: Counter;
  readonly #reactor: Reactor;
  readonly #pool: BufferPool;
  readonly #options: SwitchOptions;
  readonly #maxFrame: number;
  readonly #table = new MacTable();
  readonly #guard: AddressGuard;
  readonly #dropped: Readonly<Record<typeof REASONS[number], Counter>>;
  readonly #ports: (Port | undefined)[] = [];
  /** Ports with frames that have not been written in this turn. */
  #dirty: Port[] = [];
  readonly #segmenter: Segmenter;
  readonly #unfinished: Unfinished;
  #count = 0;
  /** Room of each guest's socket. */
  #buffer = SOCKET_BUFFER;
  #nic: GatewayPort | undefined;
  readonly #log: Log;

  constructor(options: SwitchOptions) {
    this.#options = options;
    this.#reactor = options.reactor;
    this.#pool = options.pool;
    this.#segmenter = new Segmenter(options.pool);
    this.#log = options.log;
    this.#maxFrame = options.mtu + ETHERNET_HEADER;
    this.#unfinished = new Unfinished(this.#maxFrame);
    this.#dropped = this.counters.slots("switch", REASONS);
    this.queueFull = this.counters.slot("vm.queue-full");
    this.#guard = new AddressGuard(
      options.owners,
      (port, address, high, low) => this.#ask(port as Port, address, new MacAddress(high, low)),
      (port, address, bound) => {
        if ((port as Port).congested) options.hold?.(address, bound);
      },
    );
  }

  /** Guests that are connected. */
  get size(): number {
    return this.#count;
  }

  /** The interface of the gateway: all else is guests. Call once, before the first guest comes. */
  join(nic: GatewayPort): void {
    this.#nic = nic;
  }

  /**
   * A guest has come. Undefined: there are too many; the wire is closed.
   *
   * @param open makes the wire for the port, which owns it
   */
  attach(open: (port: Port) => GuestWire): Port | undefined {
    if (this.#count >= MAX_PORTS) {
      this.count("switch.port-limit");
      return undefined;
    }
    let id = 0;
    while (this.#ports[id] !== undefined) id++;
    const port = new Port(this, id, this.#maxFrame);
    this.#ports[id] = port;
    this.#count++;
    port.join(open(port));
    port.buffer(this.#buffer);
    this.#shareBuffers();
    return port;
  }

  /** A guest is gone. */
  detach(port: Port, why: string): void {
    if (this.#ports[port.id] !== port) return;
    this.#ports[port.id] = undefined;
    this.#count--;
    this.#table.forget(port.id);
    port.close();
    this.#shareBuffers();
    this.#guard.forget(port);
    this.#log("info", `${port.name}: ${why}`);
  }

  /** The port whose guest uses this address: its number, or −1. */
  portOf(address: IpAddress): number {
    return this.#guard.portOf(address)?.id ?? -1;
  }

  /** The port whose guest owns this hardware address: its number, or −1. */
  ownerOf({ high, low }: MacAddress): number {
    return this.#table.ownerOf(high, low);
  }

  /** For ports and wires: something went wrong, by name. */
  count(name: string): void {
    this.counters.bump(name);
  }

  /** For ports: there are frames to be written at the end of the turn. */
  dirty(port: Port): void {
    this.#dirty.push(port);
  }

  /** For ports: a queue has grown long, or short again. */
  congestion(port: Port): void {
    const { hold } = this.#options;
    if (hold !== undefined) { for (const address of port.addresses) hold(address, port.congested); }
  }

  /** For ports: whether what is said of a guest's frame is true; else it is dropped. */
  believes(port: Port, frame: PacketBuffer): boolean {
    // One in pieces was merged here, of frames that are.
    if (frame.gso === Gso.none || frame.fragments.length > 0 || this.#unfinished.describe(frame)) return true;
    this.#refuse(port, frame, "malformed");
    return false;
  }

  /** A frame of a guest. Takes ownership. Bounded work, never throws for bad bytes. */
  fromGuest(port: Port, frame: PacketBuffer): void {
    const now = this.#reactor.now() as Instant;
    const { view, start } = frame;
    if (frame.end - start < ETHERNET_HEADER) return this.#refuse(port, frame, "runt");
    const high = view.getUint16(start + 6), low = view.getInt32(start + 8);
    const why = this.#whyRefused(port, frame, high, low, now);
    if (why !== undefined) return this.#refuse(port, frame, why);
    const toHigh = view.getUint16(start), toLow = view.getInt32(start + 2);
    const nic = this.#nic!;
    // No bit is lost between two processes of one machine, and a guest with checksum offload leaves its sums undone
    // without a word: libkrun has no header to say so.
    if (toLow === nic.mac.low && toHigh === nic.mac.high) {
      frame.checksum = Checksum.valid;
      return nic.ingress(frame, now);
    }
    if ((toHigh & 0x0100) !== 0) {
      if (toHigh === 0x0180 && (toLow & 0xfffffff0) === (0xc2000000 | 0)) {
        return this.#refuse(port, frame, "reserved-group");
      }
      if (!port.floods.take(now)) return this.#refuse(port, frame, "flood-limit");
      const copy = copyOf(frame, this.#pool);
      copy.checksum = Checksum.valid;
      nic.ingress(copy, now);
      return this.#floodGuest(port, frame);
    }
    const to = this.#table.lookup(toHigh, toLow, now);
    if (to < 0) {
      return port.floods.take(now) ? this.#floodGuest(port, frame) : this.#refuse(port, frame, "flood-limit");
    }
    if (to === port.id) return this.#refuse(port, frame, "hairpin");
    if (!this.#unfinished.describe(frame)) return this.#refuse(port, frame, "malformed");
    this.#deliver(this.#ports[to]!, frame);
  }

  /** A frame or super-packet of the gateway. Takes ownership. */
  fromGateway(frame: PacketBuffer, now: Instant): void {
    if (!isSendable(frame)) frame = this.#joined(frame);
    const { view, start } = frame;
    const high = view.getUint16(start), low = view.getInt32(start + 2);
    const to = (high & 0x0100) !== 0 ? -1 : this.#table.lookup(high, low, now);
    if (to < 0) this.#floodGateway(frame);
    else this.#deliver(this.#ports[to]!, frame);
  }

  /** Writes what ports have, at the end of a turn. */
  flush(): void {
    const dirty = this.#dirty;
    this.#dirty = [];
    for (let i = 0; i < dirty.length; i++) dirty[i]!.flush();
  }

  ports(): PortFacts[] {
    const macs = new Map<number, string[]>();
    for (const { high, low, port } of this.#table.entries()) {
      const list = macs.get(port) ?? [];
      list.push(String(new MacAddress(high, low)));
      macs.set(port, list);
    }
    const facts: PortFacts[] = [];
    for (const port of this.#ports) {
      if (port === undefined) continue;
      facts.push({
        id: port.id,
        name: port.name,
        macs: macs.get(port.id) ?? [],
        addresses: port.addresses.map(String),
        ...port.counters,
        queued: port.queue.frames,
      });
    }
    return facts;
  }

  close(): void {
    for (const port of this.#ports) if (port !== undefined) this.detach(port, "the switch is closed");
  }

  /** Whether the sender may be who it says it is. */
  #whyRefused(
    port: Port,
    frame: PacketBuffer,
    high: number,
    low: number,
    now: Instant,
  ): typeof REASONS[number] | undefined {
    if (port.lastHigh !== high || port.lastLow !== low) {
      if ((high & 0x0100) !== 0 || (high === 0 && low === 0)) return "bad-source";
      const { mac } = this.#nic!;
      if (low === mac.low && high === mac.high) return "spoofed-gateway";
    }
    let learnt = this.#table.learn(high, low, port.id, now);
    if (learnt === "taken" && this.#isGone(high, low)) {
      learnt = this.#table.learn(high, low, port.id, now);
    }
    if (learnt === "taken") return "spoofed-mac";
    if (learnt === "full") return "address-limit";
    port.lastHigh = high;
    port.lastLow = low;
    return this.#guard.check(frame, port, high, low, now);
  }

  /** Whether the owner of an address is there no more, as when it came back by another socket; then it leaves. */
  #isGone(high: number, low: number): boolean {
    const owner = this.#ports[this.#table.ownerOf(high, low)];
    if (owner === undefined || owner.alive) return false;
    this.detach(owner, "the guest is gone");
    return true;
  }

  #ask(port: Port, address: IpAddress, mac: MacAddress): void {
    this.count("switch.address-questions");
    this.#deliver(port, addressQuestion(this.#pool, address, this.#nic!.mac, mac));
  }

  #shareBuffers(): void {
    const bytes = socketBuffer(this.#count, this.#buffer);
    if (bytes === this.#buffer) return;
    this.#buffer = bytes;
    for (const port of this.#ports) port?.buffer(bytes);
  }

  #deliver(port: Port, frame: PacketBuffer): void {
    // What TCP cuts it to fits: its segment size comes from the MTU of all.
    if (frame.gso !== Gso.none) return port.send(frame);
    if (frame.totalLength <= port.maxFrame) return port.send(frame);
    if (frame.totalLength <= port.maxFrame + VLAN_TAG && isTagged(frame)) return port.send(frame);
    this.#dropped["too-long"].value++;
    frame.release();
  }

  /** To whoever may be meant. A super-packet is cut first: nobody who has a hold on a frame may change it. */
  #floodGateway(packet: PacketBuffer): void {
    if (packet.gso === Gso.none) return this.#flood(undefined, packet);
    this.#segmenter.begin(packet);
    for (let frame = this.#segmenter.next(); frame !== undefined; frame = this.#segmenter.next()) {
      this.#flood(undefined, isSendable(frame) ? frame : this.#joined(frame));
    }
  }

  /** Likewise, of a guest. One that is too long goes to nobody: TCP tries a short one next, and is answered. */
  #floodGuest(port: Port, frame: PacketBuffer): void {
    if (!this.#unfinished.describe(frame)) return this.#refuse(port, frame, "malformed");
    if (frame.gso !== Gso.none) return this.#refuse(port, frame, "too-long");
    this.#flood(port, frame);
  }

  #joined(frame: PacketBuffer): PacketBuffer {
    const copy = copyOf(frame, this.#pool);
    frame.release();
    return copy;
  }

  /** Every port but one gets a hold on the frame. Takes ownership. */
  #flood(from: Port | undefined, frame: PacketBuffer): void {
    completeChecksum(frame);
    for (let i = 0; i < this.#ports.length; i++) {
      const port = this.#ports[i];
      if (port !== undefined && port !== from) this.#deliver(port, frame.retain());
    }
    frame.release();
  }

  #refuse(port: Port, frame: PacketBuffer, why: typeof REASONS[number]): void {
    port.counters.refused++;
    this.#dropped[why].value++;
    frame.release();
  }
}

function isTagged({ view, start }: PacketBuffer): boolean {
  const type = view.getUint16(start + 12);
  return type === 0x8100 || type === 0x88a8;
}
