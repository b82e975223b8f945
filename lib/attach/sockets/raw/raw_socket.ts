/**
 * A raw socket of the guest (raw(7)): copies of all packets of one protocol, and packets of that protocol.
 *
 * An IPv4 one hears the IP header, too, and writes it itself with `IP_HDRINCL`; an IPv6 one sees what is behind it. What
 * it is bound and connected to selects what it hears.
 *
 * @module
 */

import { AF, IP, IPPROTO, IPV6, SOCK, SOL } from "../../../host/constants.ts";
import { realTime } from "../../../host/clock.ts";
import { Errno } from "../../../host/errno.ts";
import { SocketAddress } from "../../../host/structs.ts";
import type { PacketBuffer } from "../../../stack/buffer/packet.ts";
import type { IcmpErrorKind, IcmpReport } from "../../../stack/ip/icmp_kind.ts";
import type { Nic } from "../../../stack/nic.ts";
import type { RawEndpoint, RawObserver } from "../../../stack/raw/endpoint.ts";
import type { IpAddress } from "../../../stack/wire/address.ts";
import type { IpHeader } from "../../../stack/wire/ip.ts";
import type { Call, CallAddress } from "../call.ts";
import { anyOf, bindErrno, orLoopback, sendErrno, targetErrno, toIp } from "../datagram/address.ts";
import { DatagramSocket } from "../datagram/datagram_socket.ts";
import { errnoOf, Origin } from "../datagram/error_queue.ts";
import type { SendControl } from "../datagram/send_control.ts";
import type { SocketsContext } from "../guest_socket.ts";
import { filtersOut, IPV6_CHECKSUM } from "../options/raw_level.ts";
import { boundDevice } from "../options/socket_level.ts";

const MTU_DISCOVER_DO = 2;
/** Sockets at once for which the stack has no room any more are refused as the kernel refuses them. */
const LIMIT = "sockets.limit.raw";

/** A raw socket. */
export class RawSocket extends DatagramSocket implements RawObserver {
  readonly #endpoint: RawEndpoint | undefined;
  #address: IpAddress | undefined;
  #peer: IpAddress | undefined;
  #source: IpAddress | undefined;
  readonly #local = new SocketAddress();

  constructor(context: SocketsContext, near: number, inode: number, domain: number, protocol: number) {
    super(context, near, inode, domain, SOCK.RAW, protocol, "raw");
    this.#endpoint = context.stack.rawOpen(domain === AF.INET ? 4 : 6, protocol, this);
    if (this.#endpoint === undefined) context.counters.bump(LIMIT);
  }

  get bound(): boolean {
    return this.#address !== undefined;
  }
  get connected(): boolean {
    return this.#peer !== undefined;
  }
  protected get peerIp(): IpAddress | undefined {
    return this.#peer;
  }
  get #v4(): boolean {
    return this.domain === AF.INET;
  }
  get #withHeader(): boolean {
    return this.#v4 && (this.values.get(SOL.IP, IP.HDRINCL) ?? (this.protocol === IPPROTO.RAW ? 1 : 0)) === 1;
  }
  get #nic(): Nic | undefined {
    const device = boundDevice(this);
    return device === undefined ? undefined : this.context.stack.nic(device);
  }

  protected localAddress(): SocketAddress {
    const address = this.#address ?? this.#source ?? anyOf(this.domain);
    return this.#local.set(address, this.protocol);
  }

  /** A peer without a port is none to `getpeername` (`inet_getname`). */
  protected peerAddress(): SocketAddress | undefined {
    return undefined;
  }

  override bind(call: Call): void {
    const address = call.readSockaddr(call.arg(1), call.int(2));
    if (address === undefined) return;
    const errno = bindErrno(address, call.int(2), this.domain, true, this.context.stack);
    if (errno !== 0) return void call.fail(errno);
    const ip = toIp(address);
    this.#address = ip.isUnspecified() ? undefined : ip;
    call.reply(0);
  }

  override connect(call: Call): void {
    const address = call.readSockaddr(call.arg(1), call.int(2));
    if (address === undefined) return;
    if (address.rawFamily === AF.UNSPEC) {
      this.#peer = this.#source = undefined;
      return void call.reply(0);
    }
    const errno = targetErrno(address, this.domain, true, true);
    if (errno !== 0) return void call.fail(errno);
    const target = orLoopback(toIp(address));
    const path = this.context.stack.paths.resolve(target, this.now, this.#address, this.#nic);
    if (typeof path === "string") return void call.fail(sendErrno(path));
    this.#peer = target;
    this.#source = path.source;
    call.reply(0);
  }

  protected close(): void {
    this.#endpoint?.close();
  }

  // ——— sending ———

  protected transmit(packet: PacketBuffer, target: CallAddress | undefined, control: SendControl): number {
    const length = packet.length;
    let to = this.#peer;
    let errno = this.#endpoint === undefined ? Errno.ENOBUFS : 0;
    if (errno === 0 && target !== undefined && target.rawFamily !== AF.UNSPEC) {
      errno = targetErrno(target, this.domain, true, false);
      to = orLoopback(toIp(target));
    }
    if (errno === 0 && to === undefined) errno = Errno.EDESTADDRREQ;
    if (errno === 0) errno = this.takePending();
    if (errno !== 0) {
      packet.release();
      return -errno;
    }
    const failed = this.#transmit(this.#endpoint!, packet, to!, control);
    return failed === 0 ? length : -failed;
  }

  #transmit(endpoint: RawEndpoint, packet: PacketBuffer, to: IpAddress, control: SendControl): number {
    const { stack } = this.context;
    const nic = control.interfaceIndex === 0 ? this.#nic : stack.nics[control.interfaceIndex - 1];
    const source = control.source ?? (this.#address?.isMulticast() ? undefined : this.#address);
    if (
      (control.interfaceIndex !== 0 && nic === undefined) || (source !== undefined && !stack.owns(source))
    ) {
      packet.release();
      return nic === undefined && control.interfaceIndex !== 0 ? Errno.ENODEV : Errno.EINVAL;
    }
    if (this.#withHeader) {
      const error = endpoint.sendWithHeader(packet, to, this.now, nic);
      return error === undefined ? 0 : error === "malformed" ? Errno.EINVAL : sendErrno(error);
    }
    const { values } = this;
    const v4 = this.#v4;
    const hops = v4 ? values.get(SOL.IP, IP.TTL) : values.get(SOL.IPV6, IPV6.UNICAST_HOPS);
    endpoint.hopLimit = control.hopLimit >= 0 ? control.hopLimit : hops ?? (to.isMulticast() ? 1 : 64);
    const service = v4 ? values.get(SOL.IP, IP.TOS) : values.get(SOL.IPV6, IPV6.TCLASS);
    endpoint.trafficClass = control.trafficClass >= 0 ? control.trafficClass : service ?? 0;
    const discover = v4 ? values.get(SOL.IP, IP.MTU_DISCOVER) : values.get(SOL.IPV6, IPV6.MTU_DISCOVER);
    endpoint.dontFragment = discover === MTU_DISCOVER_DO;
    endpoint.checksumOffset = values.get(SOL.RAW, IPV6_CHECKSUM) ?? -1;
    const error = endpoint.send(packet, to, this.now, source, nic);
    return error === undefined ? 0 : sendErrno(error);
  }

  // ——— receiving ———

  onRawPacket(endpoint: RawEndpoint, packet: PacketBuffer, ip: IpHeader): void {
    const { source, destination } = ip;
    // IPPROTO_RAW is for sending (raw(7)).
    if (this.protocol === IPPROTO.RAW) return;
    if (this.#peer !== undefined && !this.#peer.equals(source)) return;
    if (this.#address !== undefined && !this.#address.equals(destination)) return;
    const icmp = this.#v4 ? IPPROTO.ICMP : IPPROTO.ICMPV6;
    if (this.protocol === icmp && packet.length > 0) {
      if (filtersOut(this, packet.view.getUint8(packet.start))) return;
    }
    const { arrival } = this;
    arrival.interfaceIndex = endpoint.lastNic?.index ?? 0;
    arrival.hopLimit = ip.hopLimit;
    arrival.trafficClass = ip.trafficClass;
    arrival.between(source, 0, destination, 0);
    if (this.#v4) packet.start = ip.headerStart;
    if (!this.arrived(packet)) this.closed();
  }

  onRawError(
    _endpoint: RawEndpoint,
    kind: IcmpErrorKind,
    destination: IpAddress,
    mtu: number,
    report: IcmpReport,
  ): void {
    if (this.#peer !== undefined && !this.#peer.equals(destination)) return;
    const v4 = this.#v4;
    const { errno, hard } = errnoOf(kind);
    const full = (v4 ? this.values.get(SOL.IP, IP.RECVERR) : this.values.get(SOL.IPV6, IPV6.RECVERR)) === 1;
    if (!full && (!hard || this.#peer === undefined)) return;
    if (full) {
      const { quoted } = report;
      this.errors.push({
        errno,
        origin: v4 ? Origin.icmp : Origin.icmp6,
        type: report.type,
        code: report.code,
        info: mtu,
        destination: new SocketAddress().set(destination, 0),
        offender: new SocketAddress().set(report.source, 0),
        data: quoted.bytes.subarray(quoted.start, quoted.end),
        time: realTime(),
      });
    }
    this.raise(errno);
  }
}
