/**
 * A TCP/IP stack: the door.
 *
 * Theory of operation
 *
 * The stack is a machine without a clock, a descriptor or a thread. Who drives it (the *pump*) does three things:
 *
 * ```text
 *   nic.ingress(frame, now)     for each frame from the wire
 *   stack.poll(now)             timers, loopback, events to observers; bounded work per call
 *   nic.egress(now)             until it returns undefined, or the wire is full
 * ```
 *
 * and sleeps until a frame comes or `stack.pollAt()`, whichever is first. `pollAt()` is in the past (0) while work is
 * left. Nothing happens between these calls: observers of TCP are called from `poll`, those of UDP and ICMP, and the
 * forwarders, from `ingress`.
 *
 * Instants are microseconds and must not go backwards. Packets handed in belong to the stack, packets handed out to the
 * caller.
 *
 * @module
 */

import { BufferPool } from "./buffer/pool.ts";
import type { PacketBuffer } from "./buffer/packet.ts";
import { type TimerItem, TimerQueue } from "./buffer/timer_queue.ts";
import { Counters } from "./counters.ts";
import type { StackFacts } from "./facts.ts";
import {
  Echo,
  type EchoEndpoint,
  type EchoForwarder,
  type EchoObserver,
  type EchoReply,
} from "./icmp/echo.ts";
import { IcmpInput } from "./icmp/input.ts";
import { Arp } from "./ip/arp.ts";
import { IcmpErrors } from "./ip/icmp_errors.ts";
import type { IcmpErrorKind } from "./ip/icmp_kind.ts";
import type { Tenants } from "./ip/fair_rate.ts";
import { GroupReports } from "./ip/group_reports.ts";
import { type Delivery, IpInput } from "./ip/input.ts";
import { Ndp } from "./ip/ndp.ts";
import type { Neighbour } from "./ip/neighbours.ts";
import { IpOutput } from "./ip/output.ts";
import { type NoPath, PathResolver } from "./ip/path.ts";
import { PathMtuCache } from "./ip/path_mtu.ts";
import { Reassembler } from "./ip/reassembly.ts";
import { RouteTable } from "./ip/routes.ts";
import { DEFAULT_LIMITS, type StackLimits } from "./limits.ts";
import type { FrameObserver } from "./frame_observer.ts";
import { LOOPBACK_CAPABILITIES, LOOPBACK_MTU, turnAround } from "./link/loopback.ts";
import { Nic, type NicEnvironment, type NicOptions } from "./nic.ts";
import { createQdisc } from "./qdisc/qdisc.ts";
import { Tbf } from "./qdisc/tbf.ts";
import { type RawEndpoint, type RawObserver, RawTable } from "./raw/endpoint.ts";
import { snapshotOf } from "./snapshot.ts";
import type { TcpConnection } from "./tcp/connection.ts";
import { TcpDemux } from "./tcp/demux.ts";
import type { TcpError, TcpObserver } from "./tcp/events.ts";
import type { TcpForwarder } from "./tcp/forwarder.ts";
import type { TcpListener, TcpListenRequest } from "./tcp/listener.ts";
import type { TcpOptions } from "./tcp/options.ts";
import { TcpSurroundings } from "./tcp_surroundings.ts";
import { earlier, type Instant } from "./time.ts";
import type { UdpBindRequest, UdpEndpoint } from "./udp/endpoint.ts";
import { Udp, type UdpBindError, type UdpForwarder } from "./udp/udp.ts";
import { IpAddress, type IpFamily } from "./wire/address.ts";
import { type EthernetHeader, MAC_ZERO } from "./wire/ethernet.ts";
import { IpHeader } from "./wire/ip.ts";
import { parseIpv4 } from "./wire/ipv4.ts";
import { parseIpv6 } from "./wire/ipv6.ts";

/** What {@linkcode Stack} is made from. */
export interface StackOptions {
  /** A uniform 32-bit number that nobody can predict. */
  readonly random: () => number;
  /** Shared with the links, so that buffers circulate. Default: one of its own. */
  readonly pool?: BufferPool;
  /** Defaults of all connections. */
  readonly tcp?: Partial<TcpOptions>;
  readonly limits?: Partial<StackLimits>;
}

/** What {@linkcode Stack.tcpConnect} takes. */
export interface TcpConnectOptions {
  /** Absent: chosen by the route (RFC 6724). One that is not ours needs a `nic` that may spoof. */
  readonly localAddress?: IpAddress;
  /** 0 or absent: an ephemeral port. */
  readonly localPort?: number;
  readonly remoteAddress: IpAddress;
  readonly remotePort: number;
  /** The only interface to use. */
  readonly nic?: Nic;
  readonly observer?: TcpObserver;
  readonly options?: Partial<TcpOptions>;
}

/** Timers served in one poll. */
const TIMERS_PER_POLL = 1_024;
/** Loopback frames turned around in one poll. */
const LOOPBACK_PER_POLL = 256;

/** Anything with a timer. */
interface Timed extends TimerItem {
  onTimer(now: Instant): void;
}

/** A TCP/IP stack. */
export class Stack {
  readonly pool: BufferPool;
  readonly counters: Counters = new Counters();
  readonly routes: RouteTable = new RouteTable();
  readonly limits: StackLimits;
  /** Whose addresses are; guests have shares of limits then. */
  readonly tenants: Tenants = {};
  /** Always there, index 1. */
  readonly loopback: Nic;
  readonly tcp: TcpDemux;
  readonly udp: Udp;
  readonly echo: Echo;
  readonly raw: RawTable;
  readonly pathMtus: PathMtuCache;
  readonly paths: PathResolver;
  readonly groups: GroupReports;
  /** The instant of the call that is being served. */
  readonly #clock: { now: Instant } = { now: 0 as Instant };
  readonly #random: () => number;
  readonly #nics: Nic[] = [];
  /** An index is never given out again. */
  #lastIndex = 1;
  readonly #frameObservers: FrameObserver[] = [];
  readonly #timers = new TimerQueue<Timed>();
  readonly #environment: NicEnvironment;
  readonly #output: IpOutput;
  readonly #errors: IcmpErrors;
  readonly #ndp: Ndp;
  readonly #tcpSurroundings: TcpSurroundings;
  readonly #quoted = new IpHeader();

  constructor(options: StackOptions) {
    this.#random = options.random;
    this.pool = options.pool ?? new BufferPool();
    this.limits = { ...DEFAULT_LIMITS, ...options.limits };
    const limits = this.limits;
    this.pathMtus = new PathMtuCache(limits.pathMtus);
    this.paths = new PathResolver(this);
    this.#output = new IpOutput(this.pool, this.counters, this.paths);
    const { pool, counters, paths, tenants } = this;
    const output = this.#output;
    const random = () => this.random();
    const owns = (address: IpAddress) => this.owns(address);
    const setTimer = (item: Timed, at: Instant) => this.#timers.set(item, at);
    const bump = (counter: string) => counters.bump(counter);
    this.#errors = new IcmpErrors({ pool, counters, paths, output, tenants, owns }, {
      perSecond: limits.icmpErrorsPerSecond,
      burst: limits.icmpErrorBurst,
    });
    const icmpError = this.#errors.send.bind(this.#errors);
    const clock = this.#clock;
    this.#tcpSurroundings = new TcpSurroundings({
      pool,
      counters,
      paths,
      output,
      errors: this.#errors,
      tenants,
      clock,
      random,
      setTimer,
    });
    this.tcp = new TcpDemux(this.#tcpSurroundings, options.tcp, limits.tcp);
    this.udp = new Udp({ pool, counters, paths, output, limits, random, owns, icmpError });
    const spoofingNic = (destination: IpAddress) => this.#spoofingNic(destination);
    this.echo = new Echo({ pool, counters, paths, output, tenants, limits, random, icmpError, spoofingNic });
    this.raw = new RawTable(paths, output, limits.rawEndpoints);
    const arp = new Arp(pool, counters);
    const ndp = this.#ndp = new Ndp({ pool, counters, paths, output });
    const reassembler = new Reassembler({
      pool,
      tenants,
      setTimer,
      bump,
      reassemblyTimedOut: (packet, nic, now) => this.#quote("reassembly-time-exceeded", packet, nic, now),
    }, limits);
    const { echo, udp, tcp, raw, pathMtus } = this;
    const icmp = new IcmpInput({ counters, ndp, echo, udp, tcp, raw, pathMtus });
    const surroundings = this.#tcpSurroundings;
    this.groups = new GroupReports({ pool, counters, clock, nics: () => this.#nics });
    const input = new IpInput({
      groupQuery: (nic, family, now) => this.groups.queried(nic, family, now),
      counters,
      owns,
      tcpInput: (nic, packet, ip, now) => surroundings.input(tcp, nic, packet, ip, now),
      udpInput: (nic, packet, ip, delivery: Delivery, now) => udp.input(nic, packet, ip, delivery, now),
      icmpInput: (nic, packet, ip, delivery, ethernet, now) =>
        icmp.input(nic, packet, ip, delivery, ethernet, now),
      rawInput: (nic, packet, ip, now) => raw.input(nic, packet, ip, now),
      icmpError,
    }, reassembler);
    this.#environment = {
      pool,
      counters,
      routes: this.routes,
      frameObservers: this.#frameObservers,
      limits,
      clock,
      random,
      setTimer,
      solicit: (nic: Nic, entry: Neighbour, unicast: boolean, now: Instant) =>
        (entry.address.family === 4 ? arp : ndp).solicit(nic, entry, unicast, now),
      neighbourUnreachable: (nic, packet, now) => {
        this.#undeliverable(packet, nic, now);
        packet.release();
      },
      arpInput: (nic, packet, now) => arp.input(nic, packet, now),
      ipInput: (nic: Nic, packet: PacketBuffer, family: IpFamily, ethernet: EthernetHeader, now: Instant) =>
        input.input(nic, packet, family, ethernet, now),
      sendTcp: (connection: TcpConnection, packet: PacketBuffer, now: Instant) =>
        surroundings.send(connection, packet, now),
    };
    this.loopback = new Nic(1, "loopback", {
      name: "lo",
      mac: MAC_ZERO,
      mtu: LOOPBACK_MTU,
      capabilities: LOOPBACK_CAPABILITIES,
      qdisc: createQdisc({ kind: "none" }),
    }, this.#environment);
    this.#nics.push(this.loopback);
    this.loopback.addAddress(IpAddress.v4(0x7f000001), 8, { scope: "host" });
    this.loopback.addAddress(new IpAddress(6, 0, 0, 0, 1), 128, { scope: "host" });
  }

  /** Has `observer` see every frame of every interface, the loopback's too. Returns what ends it. */
  observeFrames(observer: FrameObserver): () => void {
    this.#frameObservers.push(observer);
    return () => {
      const at = this.#frameObservers.indexOf(observer);
      if (at >= 0) this.#frameObservers.splice(at, 1);
    };
  }

  /** Every interface, by index. */
  get nics(): readonly Nic[] {
    return this.#nics;
  }

  /** The first interface that is not the loopback. */
  get firstNic(): Nic | undefined {
    return this.#nics[1];
  }

  /** Adds an interface. Throws a RangeError for an MTU out of range or a name that is taken. */
  addNic(options: NicOptions): Nic {
    if (this.#nics.some((nic) => nic.name === options.name)) {
      throw new RangeError(`Cannot add interface ${options.name}: the name is taken`);
    }
    const nic = new Nic(++this.#lastIndex, "ether", options, this.#environment);
    this.#nics.push(nic);
    this.routes.generation++;
    return nic;
  }

  /** Takes an interface away, with its routes. What is connected by it finds no way any more. */
  removeNic(nic: Nic): void {
    const at = this.#nics.indexOf(nic);
    if (at <= 0) return;
    this.#nics.splice(at, 1);
    nic.setClosed(true);
    nic.reset();
    this.routes.removeWhere((route) => route.nic === nic);
  }

  /** Gives an interface another name. Throws a RangeError for a name that is taken. */
  renameNic(nic: Nic, name: string): void {
    if (this.nic(name) !== undefined) {
      throw new RangeError(`Cannot rename ${nic.name} to ${name}: the name is taken`);
    }
    nic.name = name;
  }

  /** The interface of that name. */
  nic(name: string): Nic | undefined {
    return this.#nics.find((nic) => nic.name === name);
  }

  /** Whether `address` is one of ours; all of 127.0.0.0/8 is. */
  owns(address: IpAddress): boolean {
    const nics = this.#nics;
    for (let i = 0; i < nics.length; i++) if (nics[i]!.owns(address)) return true;
    return address.isLoopback();
  }

  /** A uniform 32-bit number. */
  random(): number {
    return this.#random();
  }

  /** A frame from the wire, cursor at its Ethernet header. Takes ownership. Bounded; never throws for bad bytes. */
  ingress(nic: Nic, packet: PacketBuffer, now: Instant): void {
    nic.ingress(packet, now);
  }

  /** The next frame of the first interface: for users with only one. */
  egress(now: Instant): PacketBuffer | undefined {
    return this.firstNic?.egress(now);
  }

  /** Timers that are due, frames on the loopback, events to observers. Bounded: see {@linkcode pollAt}. */
  poll(now: Instant): void {
    this.#clock.now = now;
    for (let i = 1; i < this.#nics.length; i++) this.#nics[i]!.settle(now);
    for (let i = 0; i < TIMERS_PER_POLL; i++) {
      const item = this.#timers.popDue(now);
      if (item === undefined) break;
      item.onTimer(now);
    }
    for (let i = 0; i < LOOPBACK_PER_POLL; i++) {
      const frame = this.loopback.egress(now);
      if (frame === undefined) break;
      this.loopback.ingress(turnAround(frame), now);
    }
    for (let i = 1; i < this.#nics.length; i++) if (this.#nics[i]!.discards) discard(this.#nics[i]!, now);
    this.#tcpSurroundings.deliver(now);
  }

  /** When {@linkcode poll} or `egress` is next worth calling: 0 if work is left now, NEVER if only a packet can wake us. */
  pollAt(): Instant {
    if (this.#tcpSurroundings.pending || this.loopback.hasEgress) return 0 as Instant;
    let at = this.#timers.next();
    for (let i = 1; i < this.#nics.length; i++) {
      const nic = this.#nics[i]!;
      if (nic.unsettled || (nic.discards && nic.hasEgress)) return 0 as Instant;
      at = earlier(at, nic.pollAt());
    }
    return at;
  }

  /** Opens a connection. Addresses are kept, not copied. */
  tcpConnect(request: TcpConnectOptions, now: Instant): TcpConnection | TcpError {
    this.#clock.now = now;
    const { remoteAddress, remotePort, localPort, observer, options, nic, localAddress } = request;
    const path = this.paths.resolve(remoteAddress, now, localAddress, nic);
    if (typeof path === "string") return path;
    if (path.hardware !== undefined && path.nic !== this.loopback) return "network-unreachable";
    return this.tcp.connect({
      localAddress: path.source,
      remoteAddress,
      remotePort,
      path,
      ...(localPort !== undefined && { localPort }),
      ...(observer !== undefined && { observer }),
      ...(options !== undefined && { options }),
    }, now);
  }

  /** Listens on a port of an address of ours, or of all of them. */
  tcpListen(request: TcpListenRequest, now: Instant): TcpListener | TcpError {
    this.#clock.now = now;
    return this.tcp.listen(request, now);
  }

  /** Takes connections to which no listener answers: what makes a gateway. */
  get tcpForwarder(): TcpForwarder | undefined {
    return this.tcp.forwarder;
  }
  set tcpForwarder(forwarder: TcpForwarder | undefined) {
    this.tcp.forwarder = forwarder;
  }

  /** Binds a UDP port. Addresses are kept, not copied. */
  udpBind(request: UdpBindRequest, now: Instant): UdpEndpoint | UdpBindError {
    this.#clock.now = now;
    return this.udp.bind(request, now);
  }

  /** Takes datagrams for which there is no endpoint, except on the loopback. */
  get udpForwarder(): UdpForwarder | undefined {
    return this.udp.forwarder;
  }
  set udpForwarder(forwarder: UdpForwarder | undefined) {
    this.udp.forwarder = forwarder;
  }

  /** Takes echo requests to addresses that are not ours. */
  get echoForwarder(): EchoForwarder | undefined {
    return this.echo.forwarder;
  }
  set echoForwarder(forwarder: EchoForwarder | undefined) {
    this.echo.forwarder = forwarder;
  }

  /** Opens an endpoint that asks for echoes. Undefined: the identifier is taken, or there are too many. */
  echoOpen(observer: EchoObserver, identifier?: number): EchoEndpoint | undefined {
    return this.echo.open(observer, identifier);
  }

  /** Sends an echo reply in the name of the address that was asked. False: there is no way, or no room. */
  sendEchoReply(reply: EchoReply, now: Instant): boolean {
    this.#clock.now = now;
    return this.echo.reply(reply, now);
  }

  /**
   * Answers a received packet with an ICMP error, if the rules and the rate limit allow. Does not own `packet`.
   *
   * @param value the MTU of `packet-too-big`, a pointer into the packet
   * @param from who speaks, if `nic` may spoof; absent: whoever of us it concerns
   */
  sendIcmpError(
    kind: IcmpErrorKind,
    ip: IpHeader,
    packet: PacketBuffer,
    nic: Nic,
    now: Instant,
    value?: number,
    from?: IpAddress,
  ): void {
    this.#errors.send(kind, ip, packet, nic, now, value, 0, from);
  }

  /** Sends what `nic.routerAdvertisement` says to everybody on its link. */
  advertiseRouter(nic: Nic, now: Instant): void {
    this.#clock.now = now;
    this.#ndp.advertise(nic, now);
  }

  /** Opens a raw endpoint. Undefined: there are too many. */
  rawOpen(family: IpFamily, protocol: number, observer: RawObserver): RawEndpoint | undefined {
    return this.raw.open(family, protocol, observer);
  }

  /**
   * Changes the shaping of an interface while it runs.
   *
   * @throws {RangeError} when there is no such interface, it is not shaped, or the values cannot work
   */
  setQdiscRate(device: string, rate: number, burst: number, now: Instant): void {
    const nic = this.nic(device);
    if (nic === undefined) {
      throw new RangeError(`Cannot change qdisc of ${device}: there is no such interface`);
    }
    const qdisc = nic.inbound ?? nic.qdisc;
    if (!(qdisc instanceof Tbf)) {
      throw new RangeError(`Cannot change qdisc of ${device}: it is ${qdisc.kind}, not tbf`);
    }
    qdisc.change(rate, burst, now);
  }

  /** Everything about this stack as plain data. */
  snapshot(): StackFacts {
    return snapshotOf(this, this.#clock.now);
  }

  /** A packet at its IP header that a neighbour never took: tell whoever sent it. */
  #undeliverable(packet: PacketBuffer, nic: Nic, now: Instant): void {
    const quoted = this.#parse(packet);
    if (quoted === undefined || quoted.fragmentOffset !== 0) return;
    const { source, destination, protocol } = quoted;
    const { view, start } = packet;
    if (protocol === 6 && packet.length >= 8) {
      this.tcp.handleIcmpError(
        source.clone(),
        view.getUint16(start),
        destination.clone(),
        view.getUint16(start + 2),
        "host-unreachable",
        0,
        view.getInt32(start + 4),
        now,
      );
    } else if (protocol === 17 && packet.length >= 4) {
      const [from, to] = [view.getUint16(start), view.getUint16(start + 2)];
      this.udp.error("host-unreachable", source, from, destination, to, 0, nic, now);
    } else if (isEchoRequest(quoted, packet)) {
      const { view, start } = packet;
      this.echo.failed(
        "host-unreachable",
        destination,
        view.getUint16(start + 4),
        view.getUint16(start + 6),
        now,
      );
    }
  }

  /** Sends an error about a packet that is at its IP header. */
  #quote(kind: IcmpErrorKind, packet: PacketBuffer, nic: Nic, now: Instant): void {
    const quoted = this.#parse(packet);
    if (quoted !== undefined) this.#errors.send(kind, quoted, packet, nic, now);
  }

  #parse(packet: PacketBuffer): IpHeader | undefined {
    const quoted = this.#quoted;
    const v4 = packet.length > 0 && packet.view.getUint8(packet.start) >>> 4 === 4;
    const reason = v4 ? parseIpv4(packet, quoted, false, true) : parseIpv6(packet, quoted, true);
    return reason === undefined ? quoted : undefined;
  }

  /** The interface whose link holds `destination` and that may speak for others. */
  #spoofingNic(destination: IpAddress): Nic | undefined {
    return this.#nics.find((nic) => nic.spoofing && nic.onLink(destination));
  }
}

/** What leaves by an interface without a wire. */
function discard(nic: Nic, now: Instant): void {
  for (let i = 0; i < LOOPBACK_PER_POLL; i++) {
    const frame = nic.egress(now);
    if (frame === undefined) return;
    frame.release();
  }
}

/** Whether a packet, at its transport header, is a question that we asked. */
function isEchoRequest(ip: IpHeader, packet: PacketBuffer): boolean {
  if (packet.length < 8) return false;
  const type = packet.view.getUint8(packet.start);
  return ip.family === 4 ? ip.protocol === 1 && type === 8 : ip.protocol === 58 && type === 128;
}

export type { NoPath };
