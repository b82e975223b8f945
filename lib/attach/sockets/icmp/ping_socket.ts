/**
 * A ping socket of the guest: `SOCK_DGRAM` of ICMP or ICMPv6. It sends echo requests and hears the replies to its own
 * identifier, which is its port.
 *
 * @module
 */

import { AF, IP, IPPROTO, IPV6, SOL } from "../../../host/constants.ts";
import { realTime } from "../../../host/clock.ts";
import { Errno } from "../../../host/errno.ts";
import { SocketAddress } from "../../../host/structs.ts";
import type { PacketBuffer } from "../../../stack/buffer/packet.ts";
import type { EchoEndpoint, EchoObserver } from "../../../stack/icmp/echo.ts";
import type { IcmpErrorKind, IcmpReport } from "../../../stack/ip/icmp_kind.ts";
import type { Instant } from "../../../stack/time.ts";
import type { IpAddress } from "../../../stack/wire/address.ts";
import { onesComplementSum } from "../../../stack/wire/checksum.ts";
import type { Call, CallAddress } from "../call.ts";
import { anyOf, bindErrno, orLoopback, sendErrno, targetErrno, toIp } from "../datagram/address.ts";
import { DatagramSocket } from "../datagram/datagram_socket.ts";
import { errnoOf, Origin, typeOf } from "../datagram/error_queue.ts";
import type { SendControl } from "../datagram/send_control.ts";
import type { SocketsContext } from "../guest_socket.ts";

/** Bytes of an echo header: type, code, checksum, identifier, sequence. */
const HEADER = 8;
const REQUEST4 = 8, REPLY4 = 0, REQUEST6 = 128, REPLY6 = 129;

/** A ping socket. */
export class PingSocket extends DatagramSocket implements EchoObserver {
  #endpoint: EchoEndpoint | undefined;
  #address: IpAddress | undefined;
  #peer: IpAddress | undefined;
  #source: IpAddress | undefined;
  readonly #local = new SocketAddress();
  readonly #remote = new SocketAddress();

  constructor(context: SocketsContext, near: number, inode: number, domain: number) {
    super(context, near, inode, domain, 2, domain === AF.INET ? IPPROTO.ICMP : IPPROTO.ICMPV6, "ping");
  }

  get bound(): boolean {
    return this.#endpoint !== undefined;
  }
  get connected(): boolean {
    return this.#peer !== undefined;
  }
  protected get peerIp(): IpAddress | undefined {
    return this.#peer;
  }

  protected localAddress(): SocketAddress {
    const address = this.#address ?? this.#source ?? anyOf(this.domain);
    return this.#local.set(address, this.#endpoint?.identifier ?? 0);
  }

  protected peerAddress(): SocketAddress | undefined {
    return this.#peer === undefined ? undefined : this.#remote.set(this.#peer, 0);
  }

  override bind(call: Call): void {
    const address = call.readSockaddr(call.arg(1), call.int(2));
    if (address === undefined) return;
    const errno = bindErrno(address, call.int(2), this.domain, true, this.context.stack);
    if (errno !== 0) return void call.fail(errno);
    if (this.#endpoint !== undefined) return void call.fail(Errno.EINVAL);
    const ip = toIp(address);
    if (!this.#open(address.port)) return void call.fail(Errno.EADDRINUSE);
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
    const path = this.context.stack.paths.resolve(target, this.now, this.#address);
    if (typeof path === "string") return void call.fail(sendErrno(path));
    if (this.#endpoint === undefined && !this.#open(0)) return void call.fail(Errno.EAGAIN);
    this.#peer = target;
    this.#source = path.source;
    call.reply(0);
  }

  /** Takes the identifier, any for 0. False: it is taken. */
  #open(identifier: number): boolean {
    this.#endpoint = this.context.stack.echoOpen(this, identifier === 0 ? undefined : identifier);
    return this.#endpoint !== undefined;
  }

  protected close(): void {
    this.#endpoint?.close();
    this.#endpoint = undefined;
  }

  protected transmit(packet: PacketBuffer, target: CallAddress | undefined, control: SendControl): number {
    const length = packet.length;
    const errno = this.#transmit(packet, target, control);
    return errno === 0 ? length : -errno;
  }

  #transmit(packet: PacketBuffer, target: CallAddress | undefined, control: SendControl): number {
    let to = this.#peer;
    let errno = 0;
    if (packet.length < HEADER) errno = Errno.EINVAL;
    else if (target !== undefined) {
      errno = targetErrno(target, this.domain, true, false);
      to = orLoopback(toIp(target));
    }
    if (errno === 0 && to === undefined) errno = Errno.EDESTADDRREQ;
    if (errno === 0) {
      const { view, start } = packet;
      const request = this.domain === AF.INET ? REQUEST4 : REQUEST6;
      // Nothing but questions, as Linux has it (ping_supported).
      if (view.getUint8(start) !== request || view.getUint8(start + 1) !== 0) errno = Errno.EINVAL;
    }
    if (errno === 0 && this.#endpoint === undefined && !this.#open(0)) errno = Errno.EAGAIN;
    if (errno === 0) errno = this.takePending();
    if (errno !== 0) {
      packet.release();
      return errno;
    }
    const endpoint = this.#endpoint!;
    const sequence = packet.view.getUint16(packet.start + 6);
    packet.start += HEADER;
    const hops = this.domain === AF.INET
      ? this.values.get(SOL.IP, IP.TTL)
      : this.values.get(SOL.IPV6, IPV6.UNICAST_HOPS);
    endpoint.hopLimit = control.hopLimit >= 0 ? control.hopLimit : hops ?? 64;
    const source = control.source ?? this.#address;
    if (source !== undefined && !this.context.stack.owns(source)) {
      packet.release();
      return Errno.EINVAL;
    }
    const error = endpoint.send(to!, sequence, packet, this.now, source);
    return error === undefined ? 0 : sendErrno(error);
  }

  onEchoReply(
    endpoint: EchoEndpoint,
    source: IpAddress,
    sequence: number,
    hopLimit: number,
    payload: PacketBuffer,
    now: Instant,
  ): void {
    // Identifiers of both families are one table; a socket has one family.
    if ((source.family === 4) !== (this.domain === AF.INET)) return;
    if (this.#peer !== undefined && !this.#peer.equals(source)) return;
    const message = this.#message(this.domain === AF.INET ? REPLY4 : REPLY6, endpoint.identifier, sequence);
    if (message === undefined) return;
    message.end += payload.copyTo(message.bytes, message.end);
    this.#sum(message);
    const { arrival, context } = this;
    const path = context.stack.paths.resolve(source.clone(), now, this.#address);
    const destination = typeof path === "string" ? anyOf(this.domain) : path.source;
    arrival.interfaceIndex = typeof path === "string" ? 0 : path.nic.index;
    arrival.hopLimit = hopLimit;
    arrival.trafficClass = 0;
    arrival.between(source, 0, destination, endpoint.identifier);
    this.arrived(message);
    message.release();
  }

  /** An echo message that has no data yet. */
  #message(type: number, identifier: number, sequence: number): PacketBuffer | undefined {
    const message = this.context.pool.take(0xffff);
    const { view, start } = message;
    view.setUint8(start, type);
    view.setUint8(start + 1, 0);
    view.setUint16(start + 2, 0);
    view.setUint16(start + 4, identifier);
    view.setUint16(start + 6, sequence);
    message.end = start + HEADER;
    return message;
  }

  #sum(message: PacketBuffer): void {
    if (this.domain !== AF.INET) return; // That of ICMPv6 covers addresses that the reader may not know.
    const { view, start, end } = message;
    let sum = onesComplementSum(view, start, end, 0);
    while (sum > 0xffff) sum = (sum & 0xffff) + (sum >>> 16);
    view.setUint16(start + 2, ~sum & 0xffff);
  }

  onEchoError(
    endpoint: EchoEndpoint,
    kind: IcmpErrorKind,
    destination: IpAddress,
    sequence: number,
    _now: Instant,
    report?: IcmpReport,
  ): void {
    const v4 = this.domain === AF.INET;
    if ((destination.family === 4) !== v4) return;
    const { errno, hard } = errnoOf(kind);
    const full = (v4 ? this.values.get(SOL.IP, IP.RECVERR) : this.values.get(SOL.IPV6, IPV6.RECVERR)) === 1;
    if (!full && (!hard || this.#peer === undefined)) return;
    if (full) {
      const [type, code] = report === undefined ? typeOf(kind, this.domain) : [report.type, report.code];
      const quoted = this.#message(v4 ? REQUEST4 : REQUEST6, endpoint.identifier, sequence)!;
      this.errors.push({
        errno,
        origin: v4 ? Origin.icmp : Origin.icmp6,
        type,
        code,
        info: 0,
        destination: new SocketAddress().set(destination, 0),
        // Nobody but ourselves: Linux names the address of ours that it would have sent from.
        offender: new SocketAddress().set(
          report?.source ?? this.#source ?? this.#ownAddress(destination),
          0,
        ),
        data: quoted.bytes.subarray(quoted.start, quoted.end),
        time: realTime(),
      });
      quoted.release();
    }
    this.raise(errno);
  }

  #ownAddress(destination: IpAddress): IpAddress {
    const path = this.context.stack.paths.resolve(destination.clone(), this.now, this.#address);
    return typeof path === "string" ? anyOf(this.domain) : path.source;
  }
}
