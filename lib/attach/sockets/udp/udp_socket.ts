/**
 * A UDP socket of the guest (udp(7)).
 *
 * The stack's endpoints are bound once and for all, a socket is bound, connected and disconnected as it likes. Each change
 * closes the endpoint and binds another; nothing can arrive in between. Which ports may be shared is decided in ports.ts.
 *
 * @module
 */

import { AF, IP, IPV6, SO, SOL, UDP } from "../../../host/constants.ts";
import { realTime } from "../../../host/clock.ts";
import { Errno } from "../../../host/errno.ts";
import { type AddressWords, SocketAddress } from "../../../host/structs.ts";
import type { PacketBuffer } from "../../../stack/buffer/packet.ts";
import type { SocketFacts } from "../../../stack/facts.ts";
import type { IcmpErrorKind, IcmpReport } from "../../../stack/ip/icmp_kind.ts";
import type { Nic } from "../../../stack/nic.ts";
import type { Stack } from "../../../stack/stack.ts";
import type { Instant } from "../../../stack/time.ts";
import type { UdpEndpoint, UdpObserver } from "../../../stack/udp/endpoint.ts";
import type { IpAddress } from "../../../stack/wire/address.ts";
import type { IpHeader } from "../../../stack/wire/ip.ts";
import type { UdpHeader } from "../../../stack/wire/udp.ts";
import type { Call, CallAddress } from "../call.ts";
import {
  anyOf,
  bindErrno,
  isBroadcast,
  orLoopback,
  sendErrno,
  targetErrno,
  toIp,
} from "../datagram/address.ts";
import { DatagramSocket } from "../datagram/datagram_socket.ts";
import { errnoOf, Origin, typeOf } from "../datagram/error_queue.ts";
import { pairGone } from "../datagram/outbox.ts";
import type { SendControl } from "../datagram/send_control.ts";
import type { SocketsContext } from "../guest_socket.ts";
import { boundDevice } from "../options/socket_level.ts";
import { GroupInterface } from "./group_interface.ts";
import { Memberships } from "./memberships.ts";
import { type PortHolder, UdpPorts } from "./ports.ts";
import { udpOption } from "./udp_options.ts";

const UDP_HEADER = 8;
/** `IP_MULTICAST_TTL`, `IP_MULTICAST_LOOP` and their sisters of IPv6. */
const MULTICAST_TTL = 33, MULTICAST_LOOP = 34, MULTICAST_HOPS = 18, MULTICAST_LOOP6 = 19;
const MTU_DISCOVER_DO = 2;

/** A UDP socket. */
export class UdpSocket extends DatagramSocket implements UdpObserver, PortHolder {
  readonly memberships: Memberships;
  readonly groupInterface: GroupInterface;
  readonly #ports: UdpPorts<UdpSocket>;
  #endpoint: UdpEndpoint | undefined;
  /** What `bind` named; undefined: any. A connected socket has an address from its route beside. */
  #address: IpAddress | undefined;
  #port = 0;
  #portAsked = false;
  #peer: IpAddress | undefined;
  #peerPort = 0;
  #peerScope = 0;
  /** Of a connected socket. */
  #source: IpAddress | undefined;
  readonly #local = new SocketAddress();
  readonly #remote = new SocketAddress();

  constructor(context: SocketsContext, near: number, inode: number, domain: number) {
    super(context, near, inode, domain, 2, 17, "udp");
    this.#ports = UdpPorts.of(context.stack);
    this.memberships = new Memberships(context.stack);
    this.groupInterface = new GroupInterface(context.stack, this.values);
  }

  get bound(): boolean {
    return this.#port !== 0;
  }
  get connected(): boolean {
    return this.#peer !== undefined;
  }
  protected get peerIp(): IpAddress | undefined {
    return this.#peer;
  }
  get holdsAddress(): IpAddress | undefined {
    return this.#address;
  }
  get hearsV4(): boolean {
    return this.domain === AF.INET || (!this.#v6only && (this.#address?.family ?? 4) === 4);
  }
  get hearsV6(): boolean {
    return this.domain === AF.INET6 && (this.#address?.family ?? 6) === 6;
  }
  get reuseAddress(): boolean {
    return (this.values.get(SOL.SOCKET, SO.REUSEADDR) ?? 0) !== 0;
  }
  get reusePort(): boolean {
    return (this.values.get(SOL.SOCKET, SO.REUSEPORT) ?? 0) !== 0;
  }
  get device(): string | undefined {
    return boundDevice(this);
  }
  get #v6only(): boolean {
    return (this.values.get(SOL.IPV6, IPV6.V6ONLY) ?? 0) !== 0;
  }
  get #nic(): Nic | undefined {
    const { device } = this;
    return device === undefined ? undefined : this.context.stack.nic(device);
  }

  letGo(): boolean {
    if (!pairGone(this.near)) return false;
    this.closed();
    return true;
  }

  override endpointFacts(stack: Stack): SocketFacts | undefined {
    return stack === this.context.stack ? this.#endpoint?.facts() : undefined;
  }

  protected localAddress(): SocketAddress {
    const address = this.#address ?? this.#source ?? anyOf(this.domain);
    return this.#local.set(address, this.#port);
  }

  protected peerAddress(): SocketAddress | undefined {
    if (this.#peer === undefined || this.#peerPort === 0) return undefined;
    return this.#remote.set(this.#peer, this.#peerPort, this.#peerScope);
  }

  // ——— bind and connect ———

  override bind(call: Call): void {
    const address = call.readSockaddr(call.arg(1), call.int(2));
    if (address === undefined) return;
    const { stack } = this.context;
    const errno = bindErrno(address, call.int(2), this.domain, this.#v6only, stack);
    if (errno !== 0) return void call.fail(errno);
    if (this.#port !== 0) return void call.fail(Errno.EINVAL);
    const ip = toIp(address);
    this.#address = ip.isUnspecified() && address.family === (this.domain === AF.INET ? 4 : 6)
      ? undefined
      : ip;
    if (!this.#claim(address.port)) {
      this.#address = undefined;
      return void call.fail(Errno.EADDRINUSE);
    }
    this.#portAsked = address.port !== 0;
    const failed = this.#open();
    if (failed !== 0) {
      this.#release();
      return void call.fail(failed);
    }
    if (!call.tryReply(0)) this.#release();
  }

  override connect(call: Call): void {
    const address = call.readSockaddr(call.arg(1), call.int(2));
    if (address === undefined) return;
    if (address.rawFamily === AF.UNSPEC) {
      this.#disconnect();
      return void call.reply(0);
    }
    const errno = targetErrno(address, this.domain, this.#v6only, true);
    if (errno !== 0) return void call.fail(errno);
    const { port, scope } = address;
    const target = orLoopback(toIp(address));
    const failed = this.#connect(target, port, scope);
    if (failed !== 0) call.fail(failed);
    else if (!call.tryReply(0)) this.#disconnect();
  }

  #connect(target: IpAddress, port: number, scope: number): number {
    const { stack } = this.context;
    if (isBroadcast(target, stack) && !this.#mayBroadcast) return Errno.EACCES;
    const from = this.#address?.family === target.family ? this.#address : undefined;
    if (this.#address !== undefined && from === undefined && !this.#address.isUnspecified()) {
      return this.#address.family === 6 ? Errno.ENETUNREACH : Errno.EINVAL;
    }
    const nic = this.#nic ?? (target.isMulticast() ? this.groupInterface.of(target.family) : undefined);
    const path = stack.paths.resolve(target, this.now, from?.isMulticast() ? undefined : from, nic);
    if (typeof path === "string") return sendErrno(path);
    if (this.#port === 0 && !this.#claim(0)) return Errno.EAGAIN;
    const before = [this.#peer, this.#peerPort, this.#source] as const;
    this.#peer = target;
    this.#peerPort = port;
    this.#peerScope = scope;
    this.#source = path.source;
    const errno = this.#open();
    if (errno !== 0) [this.#peer, this.#peerPort, this.#source] = before;
    return errno;
  }

  /** `connect(AF_UNSPEC)`: what was not asked for by `bind` goes, too. */
  #disconnect(): void {
    if (this.#peer === undefined) return;
    this.#peer = this.#source = undefined;
    this.#peerPort = this.#peerScope = 0;
    if (!this.#portAsked) {
      const address = this.#address;
      this.#release();
      this.#address = address;
    } else {
      this.#open();
    }
  }

  #claim(port: number): boolean {
    this.#port = this.#ports.claim(this, port);
    return this.#port !== 0;
  }

  #release(): void {
    this.#endpoint?.close();
    this.#endpoint = undefined;
    if (this.#port !== 0) this.#ports.release(this, this.#port);
    this.#port = 0;
    this.#address = undefined;
  }

  /** Binds the endpoint that fits the socket's state. Returns an errno, 0 for none. */
  #open(): number {
    this.#endpoint?.close();
    this.#endpoint = undefined;
    const connected = this.#peer !== undefined && this.#peerPort !== 0;
    let localAddress = connected ? this.#source : this.#address;
    // Both families hear an endpoint without an address.
    if (localAddress === undefined && !(this.hearsV4 && this.hearsV6)) localAddress = anyOf(this.domain);
    const nic = this.#nic;
    const endpoint = this.context.stack.udpBind({
      localPort: this.#port,
      observer: this,
      share: true,
      ...(localAddress !== undefined && { localAddress }),
      ...(connected && { remoteAddress: this.#peer!, remotePort: this.#peerPort }),
      ...(nic !== undefined && { nic }),
    }, this.now);
    if (typeof endpoint === "string") {
      return endpoint === "too-many-endpoints"
        ? Errno.ENOBUFS
        : endpoint === "network-unreachable"
        ? Errno.ENETUNREACH
        : Errno.EADDRNOTAVAIL;
    }
    this.#endpoint = endpoint;
    return 0;
  }

  protected override showRoom(room: boolean): void {
    if (this.#endpoint === undefined) return;
    if (room) this.#endpoint.relieve();
    else this.#endpoint.full = true;
  }

  protected close(): void {
    this.memberships.clear();
    this.#release();
  }

  // ——— datagrams ———

  get #mayBroadcast(): boolean {
    return (this.values.get(SOL.SOCKET, SO.BROADCAST) ?? 0) !== 0;
  }

  protected transmit(packet: PacketBuffer, target: CallAddress | undefined, control: SendControl): number {
    const length = packet.length;
    const errno = this.#transmit(packet, target, control);
    return errno === 0 ? length : -errno;
  }

  #transmit(packet: PacketBuffer, target: CallAddress | undefined, control: SendControl): number {
    let to = this.#peer;
    let port = this.#peerPort;
    // An AF_UNSPEC address for an IPv6 socket is no address (udpv6_sendmsg).
    if (target !== undefined && !(this.domain === AF.INET6 && target.rawFamily === AF.UNSPEC)) {
      const errno = targetErrno(target, this.domain, this.#v6only, false);
      if (errno !== 0) return this.#refuse(packet, errno);
      to = orLoopback(toIp(target));
      port = target.port;
      if (port === 0) return this.#refuse(packet, Errno.EINVAL);
    }
    if (to === undefined || port === 0) return this.#refuse(packet, Errno.EDESTADDRREQ);
    const address = this.#address;
    if (address !== undefined && address.family !== to.family) return this.#refuse(packet, Errno.ENETUNREACH);
    const { stack } = this.context;
    if (!this.#mayBroadcast && isBroadcast(to, stack)) return this.#refuse(packet, Errno.EACCES);
    if (this.#port === 0) {
      if (!this.#claim(0)) return this.#refuse(packet, Errno.EAGAIN);
      const failed = this.#open();
      if (failed !== 0) return this.#refuse(packet, failed);
    }
    const pending = this.takePending();
    if (pending !== 0) return this.#refuse(packet, pending);
    const endpoint = this.#endpoint!;
    const group = to.isMulticast();
    this.#aim(endpoint, group, to.family, control);
    let nic = control.interfaceIndex === 0 ? undefined : stack.nics[control.interfaceIndex - 1];
    if (control.interfaceIndex !== 0 && nic === undefined) return this.#refuse(packet, Errno.ENODEV);
    if (group) nic ??= this.#nic ?? this.groupInterface.of(to.family);
    const source = control.source;
    if (source !== undefined && !stack.owns(source)) {
      return this.#refuse(packet, source.family === 4 ? Errno.ENETUNREACH : Errno.EINVAL);
    }
    const segment = control.segment || (this.values.get(SOL.UDP, UDP.SEGMENT) ?? 0);
    if (segment !== 0 && packet.length > segment) {
      return this.#segments(endpoint, packet, segment, to, port, source, nic);
    }
    if (group) this.#loop(packet, to, port, nic);
    return endpoint.send(packet, this.now, to, port, source, nic) ? 0 : sendErrno(endpoint.sendError);
  }

  /** `UDP_SEGMENT`: the program hands over many datagrams of one size at once. */
  #segments(
    endpoint: UdpEndpoint,
    packet: PacketBuffer,
    size: number,
    to: IpAddress,
    port: number,
    source: IpAddress | undefined,
    nic: Nic | undefined,
  ): number {
    let errno = 0;
    for (let at = packet.start; at < packet.end && errno === 0; at += size) {
      const part = packet.bytes.subarray(at, Math.min(at + size, packet.end));
      const one = this.context.pool.take(part.length);
      one.bytes.set(part, one.start);
      one.end += part.length;
      if (!endpoint.send(one, this.now, to, port, source, nic)) errno = sendErrno(endpoint.sendError);
    }
    packet.release();
    return errno;
  }

  /** Sets the endpoint to what the options, or this one send, ask for. */
  #aim(endpoint: UdpEndpoint, group: boolean, family: 4 | 6, control: SendControl): void {
    const { values } = this;
    const v4 = family === 4;
    const hops = v4
      ? values.get(SOL.IP, group ? MULTICAST_TTL : IP.TTL)
      : values.get(SOL.IPV6, group ? MULTICAST_HOPS : IPV6.UNICAST_HOPS);
    endpoint.hopLimit = control.hopLimit >= 0 ? control.hopLimit : hops ?? (group ? 1 : 64);
    const service = v4 ? values.get(SOL.IP, IP.TOS) : values.get(SOL.IPV6, IPV6.TCLASS);
    endpoint.trafficClass = control.trafficClass >= 0 ? control.trafficClass : service ?? 0;
    const discover = v4 ? values.get(SOL.IP, IP.MTU_DISCOVER) : values.get(SOL.IPV6, IPV6.MTU_DISCOVER);
    endpoint.dontFragment = discover === MTU_DISCOVER_DO;
  }

  #refuse(packet: PacketBuffer, errno: number): number {
    packet.release();
    return errno;
  }

  /** What we send to a group, our own members hear, too (`IP_MULTICAST_LOOP`). The loopback brings it back by itself. */
  #loop(packet: PacketBuffer, group: IpAddress, port: number, nic: Nic | undefined): void {
    const [level, name] = group.family === 4
      ? [SOL.IP, MULTICAST_LOOP] as const
      : [SOL.IPV6, MULTICAST_LOOP6] as const;
    if ((this.values.get(level, name) ?? 1) === 0) return;
    const { stack } = this.context;
    const path = stack.paths.resolve(group, this.now, this.#address, nic);
    if (typeof path === "string" || path.nic === stack.loopback) return;
    for (const member of [...this.#ports.holders(port)]) {
      if (!member.hears(group)) continue;
      member.heard(packet, path.source, this.#port, group, port, path.nic.index, this.#endpoint!.hopLimit);
    }
  }

  /** Whether a datagram to that group is for this socket. */
  hears(group: IpAddress): boolean {
    if (!(group.family === 4 ? this.hearsV4 : this.hearsV6) || this.#peer !== undefined) return false;
    if (this.#address !== undefined && !this.#address.isUnspecified() && !this.#address.equals(group)) {
      return false;
    }
    return this.memberships.hears(group);
  }

  /** A datagram has come, from wherever. False: the guest has closed the socket. */
  heard(
    packet: PacketBuffer,
    source: AddressWords,
    sourcePort: number,
    destination: AddressWords,
    destinationPort: number,
    interfaceIndex: number,
    hopLimit: number,
    trafficClass = 0,
  ): boolean {
    const { arrival } = this;
    arrival.interfaceIndex = interfaceIndex;
    arrival.hopLimit = hopLimit;
    arrival.trafficClass = trafficClass;
    arrival.between(source, sourcePort, destination, destinationPort);
    return this.arrived(packet);
  }

  onUdpDatagram(
    endpoint: UdpEndpoint,
    packet: PacketBuffer,
    ip: IpHeader,
    udp: UdpHeader,
    now: Instant,
  ): void {
    const { source, destination, hopLimit, trafficClass } = ip;
    if (destination.isMulticast() && !this.hears(destination)) return;
    const { nic } = endpoint.last;
    const heard = this.heard(
      packet,
      source,
      udp.sourcePort,
      destination,
      udp.destinationPort,
      nic?.index ?? 0,
      hopLimit,
      trafficClass,
    );
    if (heard) return;
    // It came to a port that nobody has any more.
    this.closed();
    if (nic !== undefined && !destination.isMulticast()) {
      this.context.stack.sendIcmpError("port-unreachable", ip, packet, nic, now);
    }
  }

  onUdpError(
    _endpoint: UdpEndpoint,
    kind: IcmpErrorKind,
    remoteAddress: IpAddress,
    remotePort: number,
    _now: Instant,
    mtu: number,
    report?: IcmpReport,
  ): void {
    const { errno, hard } = errnoOf(kind);
    const v4 = remoteAddress.family === 4;
    const full =
      (v4 && this.domain === AF.INET
        ? this.values.get(SOL.IP, IP.RECVERR)
        : this.values.get(SOL.IPV6, IPV6.RECVERR)) === 1;
    if (!full && (!hard || this.#peer === undefined)) return;
    if (full) {
      const [type, code] = report === undefined ? typeOf(kind, v4 ? AF.INET : AF.INET6) : [
        report.type,
        report.code,
      ];
      const quoted = report?.quoted;
      this.errors.push({
        errno,
        origin: v4 ? Origin.icmp : Origin.icmp6,
        type,
        code,
        info: mtu,
        destination: new SocketAddress().set(remoteAddress, remotePort),
        offender: report === undefined ? undefined : new SocketAddress().set(report.source, 0),
        data: quoted === undefined
          ? new Uint8Array(0)
          : quoted.bytes.subarray(Math.min(quoted.start + UDP_HEADER, quoted.end), quoted.end),
        time: realTime(),
      });
    }
    this.raise(errno);
  }

  // ——— options ———

  override getsockopt(call: Call): void {
    if (!udpOption(this, call, false)) super.getsockopt(call);
  }

  override setsockopt(call: Call): void {
    if (!udpOption(this, call, true)) super.setsockopt(call);
  }

  override changed(level: number, name: number): number {
    if (level === SOL.SOCKET && name === SO.BINDTODEVICE && this.#endpoint !== undefined) this.#open();
    return super.changed(level, name);
  }
}
