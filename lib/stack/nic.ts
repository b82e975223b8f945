/**
 * A network interface: Ethernet in, Ethernet out, addresses, neighbours, a queueing discipline.
 *
 * Theory of operation
 *
 * ```text
 *            ingress(frame)                                    egress()
 *                 │                                               ▲
 *          Ethernet filter                                     dequeue
 *                 │                                               │
 *      ARP ◄──────┼──────► IP input                             qdisc
 *       │                                                         ▲ enqueue
 *       └── transmit ◄── IP output ◄── UDP, ICMP (pushed) ────────┤
 *                                                                 │ one segment at a time
 *                        ready connections, in turn (pulled) ── segmenter
 * ```
 *
 * Datagrams are pushed into the qdisc as they are made, and dropped when it refuses them. TCP is pulled: only when the
 * qdisc has nothing more to give, the next ready connection is asked for one packet. So data waits in send queues, not
 * in front of the wire; a slow wire is back-pressure; and connections take turns packet by packet.
 *
 * What the link cannot do is done on the way into the qdisc: cutting super-packets (`link/segment.ts`) and completing
 * checksums. Thus a shaper counts the very bytes that the wire will carry.
 *
 * @module
 */

import { Gso, type PacketBuffer } from "./buffer/packet.ts";
import type { BufferPool } from "./buffer/pool.ts";
import type { Counter, Counters } from "./counters.ts";
import type { QdiscFacts } from "./facts.ts";
import type { FrameSource } from "./frame_source.ts";
import { dropReason, type FrameObserver, INTERFACE_DOWN, QUEUE_FULL } from "./frame_observer.ts";
import { type Neighbour, NeighbourCache, type NeighbourContext } from "./ip/neighbours.ts";
import type { RouterAdvertisement } from "./ip/router.ts";
import { linkLocalOf } from "./ip/interface_id.ts";
import { InterfaceAddresses } from "./ip/interface_addresses.ts";
import { prefixOf, type RouteTable } from "./ip/routes.ts";
import { type InterfaceAddress, scopeOf } from "./ip/source_address.ts";
import { Coalescer } from "./link/coalesce.ts";
import type { LinkCapabilities } from "./link/link.ts";
import { Segmenter } from "./link/segment.ts";
import { Fifo } from "./qdisc/fifo.ts";
import type { Qdisc } from "./qdisc/qdisc.ts";
import { type ReadyQueue, ReadyRing } from "./ready_ring.ts";
import type { TcpConnection } from "./tcp/connection.ts";
import type { TcpPath } from "./tcp/context.ts";
import { type Instant, NEVER } from "./time.ts";
import { IpAddress, type IpFamily } from "./wire/address.ts";
import { completeChecksum } from "./wire/checksum.ts";
import {
  emitEthernet,
  ETHERNET_HEADER,
  EthernetHeader,
  EtherType,
  type MacAddress,
  parseEthernet,
} from "./wire/ethernet.ts";
import type { ArpRepr } from "./wire/arp.ts";
import { MALFORMED, type Malformed } from "./wire/malformed.ts";
import type { RouterAdvertisementMessage } from "./wire/ndp.ts";

/** Largest IP packet there is. */
const MAX_IP_PACKET = 65_535;

/** What {@linkcode Stack.addNic} takes. */
export interface NicOptions {
  /** As `ip link` shows it, e.g. `eth0`. */
  readonly name: string;
  readonly mac: MacAddress;
  /** Largest IP packet on the wire, in bytes; 1280 to 65535. */
  readonly mtu: number;
  readonly capabilities: LinkCapabilities;
  /** Default: a fifo of 1000 packets. */
  readonly qdisc?: Qdisc;
  /**
   * Shapes what arrives, on behalf of an interface at the other end of the wire that cannot: a guest whose kernel sends.
   * Whoever moves frames in passes them through it. Statistics and `setQdiscRate` mean this one, if it is there.
   */
  readonly inbound?: Qdisc;
  /** Accept packets for any destination IP address: the interface of a gateway. */
  readonly promiscuous?: boolean;
  /** Send from any source IP address. */
  readonly spoofing?: boolean;
  /** Learn neighbours from the packets that they send, so that a reply needs no question. */
  readonly learnNeighbours?: boolean;
  /** Cut super-packets for a link that takes none; without it TCP sends segment by segment. Default true. */
  readonly softwareGso?: boolean;
  /** Merge frames that arrive from a link without offload: `link/coalesce.ts`. They go in with the next poll. */
  readonly coalesce?: boolean;
  /** The link's offload is software: while somebody captures, it is done here, and a capture has what the wire carries. */
  readonly showWire?: boolean;
  /** Announce our addresses anew when somebody else on the link claims one (RFC 5227 section 2.4). */
  readonly defendAddresses?: boolean;
  /** Tell routers and switches which groups are heard here; see ip/group_reports.ts. */
  readonly reportGroups?: boolean;
  /** Answer router solicitations (RFC 4861 section 6.2). */
  readonly routerAdvertisement?: RouterAdvertisement;
  /** In which order TCP sends. Default: every connection in turn. */
  readonly ready?: ReadyQueue;
  /** There is no wire and nobody to ask for addresses: what leaves by it is gone. Linux' `dummy`. */
  readonly discards?: boolean;
}

/** What {@linkcode Nic.addAddress} may be told beside the address. */
export interface AddAddressOptions extends Partial<Omit<InterfaceAddress, "address" | "prefixLength">> {
  /** Neither a route nor a link-local address comes along; whoever adds it adds those that there are. */
  readonly alone?: boolean;
}

/** What an interface needs from its stack. */
export interface NicEnvironment {
  readonly pool: BufferPool;
  readonly counters: Counters;
  readonly routes: RouteTable;
  /** May change while the stack runs. */
  readonly frameObservers: readonly FrameObserver[];
  readonly limits: { readonly neighbours: number; readonly pendingPackets: number };
  /** Told the instant of each call that comes from outside. */
  readonly clock: { now: Instant };
  random(): number;
  setTimer(item: Neighbour, at: Instant): void;
  solicit(nic: Nic, entry: Neighbour, unicast: boolean, now: Instant): void;
  neighbourUnreachable(nic: Nic, packet: PacketBuffer, now: Instant): void;
  /** Cursor at the payload of the Ethernet frame. They own nothing. */
  arpInput(nic: Nic, packet: PacketBuffer, now: Instant): void;
  ipInput(nic: Nic, packet: PacketBuffer, family: IpFamily, ethernet: EthernetHeader, now: Instant): void;
  /** Puts IP and Ethernet headers on what a connection dispatched, and enqueues it. Takes ownership. */
  sendTcp(connection: TcpConnection, packet: PacketBuffer, now: Instant): void;
}

/** Who follows what others on the link say about addresses: a client of DHCP, of router advertisements. */
export interface LinkWatch {
  /** Any ARP packet. */
  onArp?(arp: ArpRepr, now: Instant): void;
  /** RFC 4861 section 6.3.4; `from` is the router's link-local address. */
  onRouterAdvertisement?(message: RouterAdvertisementMessage, from: IpAddress, now: Instant): void;
  /** Somebody says that `target` is theirs, or asks whether they may have it (RFC 4862 section 5.4). */
  onClaim?(target: IpAddress, now: Instant): void;
}

/** Counters of one direction. */
export class Traffic {
  bytes = 0;
  packets = 0;
  errors = 0;
  dropped = 0;
}

/** A network interface of a stack. Made by {@linkcode Stack.addNic}. */
export class Nic implements TcpPath {
  readonly index: number;
  /** {@linkcode Stack.renameNic} changes it. */
  name: string;
  readonly kind: "loopback" | "ether";
  /** Changes in place. */
  readonly mac: MacAddress;
  readonly capabilities: LinkCapabilities;
  /** See {@linkcode NicOptions.discards}. */
  readonly discards: boolean;
  /** Its owner has taken it down: nothing passes in either direction. */
  closed = false;
  /** What `ip link` shows, and no queue obeys: the discipline is the operator's. */
  txQueueLength = 1_000;
  /** Whether there is somebody at the other end of the wire. */
  carrier = true;
  /** A client of DHCP asks for an address: datagrams to addresses that are not ours yet may be for it. */
  unaddressed = false;
  /** Those that are called. */
  readonly watches: LinkWatch[] = [];
  /** Pulled from as connections are. */
  frameSource: FrameSource | undefined = undefined;
  /** Largest IP packet that TCP may hand over uncut; 0 if none. */
  gsoMaxSize: number;
  readonly promiscuous: boolean;
  readonly spoofing: boolean;
  readonly learnNeighbours: boolean;
  readonly neighbours: NeighbourCache;
  readonly rx: Traffic = new Traffic();
  readonly tx: Traffic = new Traffic();
  readonly defendAddresses: boolean;
  readonly reportGroups: boolean;
  /** Whether there is a wire. For those who ask: what is sent without one is the link's to drop. */
  up = true;
  /** See {@linkcode NicOptions.inbound}. */
  readonly inbound: Qdisc | undefined;
  /** May be replaced while the interface runs. */
  routerAdvertisement: RouterAdvertisement | undefined;
  /** A frame that is on its way in was sent to a group or to everybody on the link. */
  linkBroadcast = false;

  #mtu: number;
  #qdisc: Qdisc;
  readonly #addresses = new InterfaceAddresses();
  #throttledUntil: Instant = NEVER;
  readonly #environment: NicEnvironment;
  readonly #softwareGso: boolean;
  readonly #showWire: boolean;
  readonly #ready: ReadyQueue;
  readonly #segmenter: Segmenter;
  readonly #coalescer: Coalescer | undefined = undefined;
  readonly #ethernet = new EthernetHeader();
  readonly #malformed: Readonly<Record<Malformed, Counter>>;

  constructor(index: number, kind: Nic["kind"], options: NicOptions, environment: NicEnvironment) {
    const { mtu, capabilities } = options;
    checkMtu(`add interface ${options.name}`, mtu);
    this.index = index;
    this.kind = kind;
    this.name = options.name;
    this.mac = options.mac;
    this.discards = options.discards ?? false;
    this.#mtu = mtu;
    this.capabilities = capabilities;
    this.promiscuous = options.promiscuous ?? false;
    this.spoofing = options.spoofing ?? false;
    this.learnNeighbours = options.learnNeighbours ?? false;
    this.defendAddresses = options.defendAddresses ?? false;
    this.reportGroups = options.reportGroups ?? false;
    this.routerAdvertisement = options.routerAdvertisement;
    this.inbound = options.inbound;
    this.#environment = environment;
    this.#qdisc = options.qdisc ?? new Fifo();
    this.#ready = options.ready ?? new ReadyRing();
    this.#segmenter = new Segmenter(environment.pool);
    this.#malformed = environment.counters.slots("ethernet", MALFORMED);
    if (options.coalesce === true) {
      const sink = { coalesced: (packet: PacketBuffer, now: Instant) => this.#receive(packet, now) };
      this.#coalescer = new Coalescer(this.mac, sink, environment.counters.slot("ethernet.coalesced"));
    }
    this.#softwareGso = options.softwareGso ?? true;
    this.#showWire = options.showWire ?? false;
    this.gsoMaxSize = this.#largestUncut();
    const context: NeighbourContext = {
      random: () => environment.random(),
      setTimer: (entry, at) => environment.setTimer(entry, at),
      solicit: (entry, unicast, now) => environment.solicit(this, entry, unicast, now),
      transmit: (entry, packet, now) => void this.transmit(packet, entry.mac, entry.address.family, now),
      unreachable: (_entry, packet, now) => environment.neighbourUnreachable(this, packet, now),
      bump: (counter) => environment.counters.bump(counter),
    };
    this.neighbours = new NeighbourCache(context, environment.limits);
  }

  /** Largest IP packet on the wire, in bytes. */
  get mtu(): number {
    return this.#mtu;
  }

  /** Changes the MTU while the interface runs; connections learn it with their next packet. Throws a RangeError. */
  setMtu(mtu: number): void {
    checkMtu(`change ${this.name}`, mtu);
    if (mtu === this.#mtu) return;
    this.#mtu = mtu;
    this.#environment.routes.generation++; // Paths keep it.
  }

  /** Addresses of this interface, in the order in which they came. */
  get addresses(): readonly InterfaceAddress[] {
    return this.#addresses.list;
  }

  /** Takes the interface down or up. Routes and addresses are the caller's to keep: `ip/link_state.ts`. */
  setClosed(closed: boolean): void {
    this.closed = closed;
    this.up = !closed;
    if (closed) {
      this.#qdisc.reset();
      this.neighbours.clear();
    }
    this.#environment.routes.generation++;
  }

  get qdisc(): Qdisc {
    return this.#qdisc;
  }

  /** Replaces the queueing discipline. What waited in the old one is dropped, as `tc qdisc replace` does. */
  setQdisc(qdisc: Qdisc): void {
    this.#qdisc.reset();
    this.#qdisc = qdisc;
    this.gsoMaxSize = this.#largestUncut();
    this.#environment.routes.generation++; // Paths keep the size.
  }

  /** A shaper must be able to let a whole super-packet pass; what we cut ourselves is cut before it gets there. */
  #largestUncut(): number {
    const { gsoMaxSize } = this.capabilities;
    if (gsoMaxSize === 0) return this.#softwareGso ? MAX_IP_PACKET : 0;
    return Math.min(gsoMaxSize, MAX_IP_PACKET, this.#qdisc.maxPacket - ETHERNET_HEADER);
  }

  /**
   * Gives the interface an address, and the stack the route to its prefix. The first IPv6 address brings a link-local
   * one along, as everywhere: without it neighbours that ask from theirs could not be answered (RFC 4291 section 2.8).
   *
   * @throws {RangeError} when the prefix length does not fit the family, or the address is there already
   */
  addAddress(address: IpAddress, prefixLength: number, options: AddAddressOptions = {}): void {
    if (this.owns(address)) {
      throw new RangeError(`Cannot add address ${address}: ${this.name} has it already`);
    }
    const { alone, ...more } = options;
    if (alone !== true) {
      this.#environment.routes.add({
        destination: prefixOf(address, prefixLength),
        prefixLength,
        nic: this,
        protocol: "kernel",
        source: address,
        ...(more.metric === undefined ? {} : { metric: more.metric }),
      });
    }
    this.#addresses.add({ scope: scopeOf(address), ...more, address, prefixLength });
    this.#environment.routes.generation++; // Paths were found without it.
    if (alone !== true && address.family === 6) this.addLinkLocal();
  }

  /** Gives the interface the link-local address of its hardware address, unless it has one or needs none. */
  addLinkLocal(): void {
    if (this.kind === "ether" && this.linkLocal === undefined) this.addAddress(linkLocalOf(this.mac), 64);
  }

  /** Says something else about an address that is there already, but not its prefix; false: it is not there. */
  changeAddress(entry: InterfaceAddress): boolean {
    this.#environment.routes.generation++;
    return this.#addresses.replace(entry);
  }

  /** The first IPv6 address that is good on this link only. */
  get linkLocal(): IpAddress | undefined {
    return this.#addresses.linkLocal;
  }

  /** Takes an address away, and the route that came with it. False: it was not there. */
  removeAddress(address: IpAddress): boolean {
    if (!this.#addresses.remove(address)) return false;
    this.#environment.routes.removeWhere((route) =>
      route.nic === this && route.protocol === "kernel" && route.source?.equals(address) === true
    );
    this.#environment.routes.generation++;
    return true;
  }

  /** Whether `address` is one of this interface. */
  owns(address: IpAddress): boolean {
    return this.#addresses.owns(address);
  }

  /** Whether `address` is the directed broadcast address of one of our prefixes. */
  isBroadcast(address: IpAddress): boolean {
    return this.#addresses.isBroadcast(address);
  }

  /** Whether `address` lies on this link, by one of our prefixes. */
  onLink(address: IpAddress): boolean {
    return this.#addresses.onLink(address);
  }

  /** Whether somebody looks at frames, and should see each as it came. */
  get observed(): boolean {
    return this.#environment.frameObservers.length > 0;
  }

  /** Counts, and shows to observers, a frame from the wire that is for somebody behind us. */
  passed(frame: PacketBuffer, now: Instant): void {
    this.rx.packets++;
    this.rx.bytes += frame.totalLength;
    for (const observer of this.#environment.frameObservers) {
      observer.inbound(this, frame, now);
      observer.outcome(undefined);
    }
  }

  /** A frame from the wire, cursor at its Ethernet header. Takes ownership. Bounded work, never throws for bad bytes. */
  ingress(packet: PacketBuffer, now: Instant): void {
    const { frameObservers } = this.#environment;
    const coalescer = this.#coalescer;
    if (frameObservers.length > 0) {
      // Each is told what became of its own frame.
      coalescer?.flush(now);
      this.#ingressObserved(packet, now, frameObservers);
    } else if (coalescer !== undefined) {
      this.rx.packets++;
      this.rx.bytes += packet.totalLength;
      coalescer.take(packet, now);
    } else this.#ingress(packet, now);
  }

  /** Whether frames wait for {@linkcode settle}. */
  get unsettled(): boolean {
    return this.#coalescer !== undefined && this.#coalescer.pending;
  }

  /** Takes in what waited for more of its kind. */
  settle(now: Instant): void {
    this.#coalescer?.flush(now);
  }

  #ingressObserved(packet: PacketBuffer, now: Instant, observers: readonly FrameObserver[]): void {
    const { counters } = this.#environment;
    const bumped: string[] = [];
    for (const observer of observers) observer.inbound(this, packet, now);
    counters.trace = bumped;
    this.#ingress(packet, now);
    counters.trace = undefined;
    const dropped = dropReason(bumped);
    for (const observer of observers) observer.outcome(dropped);
  }

  #ingress(packet: PacketBuffer, now: Instant): void {
    this.rx.packets++;
    this.rx.bytes += packet.totalLength;
    this.#receive(packet, now);
  }

  #receive(packet: PacketBuffer, now: Instant): void {
    const { rx } = this;
    this.#environment.clock.now = now;
    if (this.closed) {
      this.#environment.counters.bump(INTERFACE_DOWN);
      rx.dropped++;
      packet.release();
      return;
    }
    const ethernet = this.#ethernet;
    const reason = parseEthernet(packet, ethernet);
    if (reason !== undefined) {
      this.#environment.counters.count(this.#malformed[reason]);
      rx.errors++;
    } else if (ethernet.destination.equals(this.mac)) {
      this.linkBroadcast = false;
      this.#dispatch(packet, ethernet, now);
    } else if (ethernet.destination.isMulticast()) {
      this.linkBroadcast = true;
      this.#dispatch(packet, ethernet, now);
      this.linkBroadcast = false;
    } else {
      this.#environment.counters.bump("ethernet.other-host");
      rx.dropped++;
    }
    packet.release();
  }

  #dispatch(packet: PacketBuffer, ethernet: EthernetHeader, now: Instant): void {
    switch (ethernet.etherType) {
      case EtherType.ipv4:
        return this.#environment.ipInput(this, packet, 4, ethernet, now);
      case EtherType.ipv6:
        return this.#environment.ipInput(this, packet, 6, ethernet, now);
      case EtherType.arp:
        return this.#environment.arpInput(this, packet, now);
      default:
        this.#environment.counters.bump("ethernet.unknown-type");
        this.rx.dropped++;
    }
  }

  /** The next frame for the wire, the caller's to release; undefined when there is none for now. */
  egress(now: Instant): PacketBuffer | undefined {
    const qdisc = this.#qdisc;
    if (this.unsettled) this.settle(now);
    this.#environment.clock.now = now;
    for (;;) {
      const frame = qdisc.dequeue(now);
      if (frame !== undefined) {
        this.#throttledUntil = NEVER;
        this.tx.packets++;
        this.tx.bytes += frame.totalLength;
        this.#observe(frame, now);
        return frame;
      }
      // A shaper that holds packets back says with `full` how much of TCP may wait there and not in the send queues. Not
      // nothing: datagrams that keep its queue filled would shut TCP out.
      if (qdisc.full || !this.#pull(now)) {
        this.#throttledUntil = qdisc.pollAt();
        return undefined;
      }
    }
  }

  /** When a shaper that made `egress` return nothing will have something. */
  pollAt(): Instant {
    return this.#throttledUntil;
  }

  /** Whether `egress` may have a frame: false is certain. */
  get hasEgress(): boolean {
    return this.#ready.length > 0 || this.#segmenter.busy || (this.frameSource?.waiting ?? 0) > 0 ||
      (this.#throttledUntil === NEVER && this.#qdisc.pollAt() !== NEVER);
  }

  /** A connection has something to send by this interface. */
  wantsDispatch(connection: TcpConnection): void {
    this.#ready.push(connection);
  }

  /** Moves one packet of TCP into the qdisc. False: there is none. */
  #pull(now: Instant): boolean {
    const segment = this.#segmenter.next();
    if (segment !== undefined) {
      this.#enqueue(segment, now);
      return true;
    }
    for (;;) {
      const connection = this.#ready.shift();
      if (connection === undefined) return this.#pullFrame(now);
      const packet = connection.dispatch(now);
      if (packet === undefined) continue;
      this.#ready.sent(packet.totalLength);
      this.#ready.push(connection);
      this.#environment.sendTcp(connection, packet, now);
      return true;
    }
  }

  #pullFrame(now: Instant): boolean {
    const frame = this.frameSource?.next();
    if (frame === undefined) return false;
    this.#queue(frame, now);
    return true;
  }

  /**
   * Puts the Ethernet header on an IP packet and queues it. Takes ownership.
   *
   * @returns false when it was dropped for want of room
   */
  transmit(packet: PacketBuffer, destination: MacAddress, family: IpFamily, now: Instant): boolean {
    return this.transmitFrame(packet, destination, family === 4 ? EtherType.ipv4 : EtherType.ipv6, now);
  }

  /** As {@linkcode transmit}, for any EtherType. */
  transmitFrame(packet: PacketBuffer, destination: MacAddress, etherType: number, now: Instant): boolean {
    emitEthernet(packet, destination, this.mac, etherType);
    return this.#queue(packet, now);
  }

  /** A whole frame, which is cut if the link does not do it. */
  #queue(packet: PacketBuffer, now: Instant): boolean {
    if (packet.gso === Gso.none || this.#leaves(this.capabilities.gsoMaxSize > 0)) {
      return this.#enqueue(packet, now);
    }
    if (!this.#segmenter.busy) {
      this.#segmenter.begin(packet);
      return true;
    }
    // It waited for its neighbour and comes out of turn: cut it at once.
    const segmenter = new Segmenter(this.#environment.pool);
    segmenter.begin(packet);
    let sent = true;
    for (let part = segmenter.next(); part !== undefined; part = segmenter.next()) {
      sent = this.#enqueue(part, now) && sent;
    }
    return sent;
  }

  /** Whether what the link `can` do is left to it. */
  #leaves(can: boolean): boolean {
    return can && !(this.#showWire && this.observed);
  }

  #enqueue(packet: PacketBuffer, now: Instant): boolean {
    if (!this.#leaves(this.capabilities.txChecksum)) completeChecksum(packet);
    if (!this.closed && this.#qdisc.enqueue(packet, now)) {
      this.#throttledUntil = NEVER;
      return true;
    }
    this.tx.dropped++;
    if (this.closed) this.#environment.counters.bump(INTERFACE_DOWN);
    this.#observe(packet, now, this.closed ? INTERFACE_DOWN : QUEUE_FULL);
    packet.release();
    return false;
  }

  #observe(frame: PacketBuffer, now: Instant, dropped?: string): void {
    const { frameObservers } = this.#environment;
    for (let i = 0; i < frameObservers.length; i++) frameObservers[i]!.outbound(this, frame, now, dropped);
  }

  /** Lets go of everything that waits. */
  reset(): void {
    this.#qdisc.reset();
    this.inbound?.reset();
    this.#segmenter.reset();
    this.#coalescer?.reset();
  }

  /** For statistics. */
  qdiscFacts(): QdiscFacts {
    return (this.inbound ?? this.#qdisc).facts();
  }
}

function checkMtu(what: string, mtu: number): void {
  if (Number.isInteger(mtu) && mtu >= 576 && mtu <= 65_536) return;
  throw new RangeError(`Cannot ${what}: MTU ${mtu} is not 576 to 65536`);
}
