/**
 * What IPv4 and IPv6 headers have in common, so that everything above IP needs only one kind of header.
 *
 * @module
 */

import { IpAddress, type IpFamily } from "./address.ts";

/** IANA protocol numbers. */
export const IpProtocol = {
  hopByHop: 0,
  icmp: 1,
  tcp: 6,
  udp: 17,
  ipv6Routing: 43,
  ipv6Fragment: 44,
  icmpv6: 58,
  none: 59,
  destinationOptions: 60,
} as const;

/** The two low bits of the traffic class (RFC 3168 section 5). */
export const Ecn = { notCapable: 0, capable1: 1, capable0: 2, congestionExperienced: 3 } as const;

/** What an ICMP "parameter problem" about this packet would say. */
export class ParameterProblem {
  /** ICMP code; -1 when there is nothing to report. */
  code = -1;
  /** Offset of the culprit from the start of the IP header. */
  pointer = 0;
  /** RFC 4443 section 2.4 (e.3): report it even if the packet went to a group. */
  evenIfMulticast = false;
}

/** What is needed to build an IP header. */
export interface IpFields {
  readonly source: IpAddress;
  readonly destination: IpAddress;
  readonly protocol: number;
  readonly hopLimit: number;
  /** DSCP << 2 | ECN. */
  readonly trafficClass: number;
  /** IPv4 only; 16 bits. */
  readonly identification?: number;
  /** IPv4 only. */
  readonly dontFragment?: boolean;
  /** IPv4 only; for IPv6 see `emitIpv6Fragment`. */
  readonly moreFragments?: boolean;
  /** IPv4 only; bytes, a multiple of 8. */
  readonly fragmentOffset?: number;
  /** IPv6 only; 20 bits. */
  readonly flowLabel?: number;
}

/** A parsed IP header of either family, for reuse: its addresses are scratch, `clone()` what must last. */
export class IpHeader implements IpFields {
  family: IpFamily = 4;
  readonly source: IpAddress = IpAddress.v4(0);
  readonly destination: IpAddress = IpAddress.v4(0);
  /** Of the payload at the packet's cursor: behind all extension headers that were walked. */
  protocol = 0;
  hopLimit = 0;
  trafficClass = 0;
  /** IPv6 only. */
  flowLabel = 0;
  /** 16 bits in IPv4; 32 bits (unsigned) in IPv6, 0 without fragment header. */
  identification = 0;
  dontFragment = false;
  moreFragments = false;
  /** Bytes. */
  fragmentOffset = 0;
  /** Index into the packet's `bytes` of the IP header. */
  headerStart = 0;
  /** Bytes of the header with its options and the extension headers that were walked: payload = start + length. */
  headerLength = 0;
  /** IPv4 options, or IPv6 extension headers other than a fragment header. */
  hasOptions = false;
  /** Offset from `headerStart` of the field that holds `protocol`: what ICMPv6 points at if we do not speak it. */
  protocolOffset = 0;
  readonly parameterProblem: ParameterProblem = new ParameterProblem();

  /** Whether this is a part of a datagram, to be reassembled. */
  get isFragment(): boolean {
    return this.moreFragments || this.fragmentOffset !== 0;
  }

  /** Makes this header equal to another one, but for `parameterProblem`. */
  copyFrom(other: IpHeader): this {
    copyAddress(this.source, other.source);
    copyAddress(this.destination, other.destination);
    this.family = other.family;
    this.protocol = other.protocol;
    this.hopLimit = other.hopLimit;
    this.trafficClass = other.trafficClass;
    this.flowLabel = other.flowLabel;
    this.identification = other.identification;
    this.dontFragment = other.dontFragment;
    this.moreFragments = other.moreFragments;
    this.fragmentOffset = other.fragmentOffset;
    this.headerStart = other.headerStart;
    this.headerLength = other.headerLength;
    this.hasOptions = other.hasOptions;
    this.protocolOffset = other.protocolOffset;
    return this;
  }
}

function copyAddress(into: IpAddress, from: IpAddress): void {
  into.family = from.family;
  into.a = from.a;
  into.b = from.b;
  into.c = from.c;
  into.d = from.d;
}
