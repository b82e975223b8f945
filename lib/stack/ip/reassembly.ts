/**
 * Putting fragmented datagrams together again, both families (RFC 791, RFC 815, RFC 8200 section 4.5).
 *
 * Theory of operation
 *
 * Each datagram in the making owns one buffer that is as large as a datagram can be. A fragment is copied to its place
 * on arrival, so nothing of the frames that brought it is kept, and a guest cannot pin 64 KiB per 8 bytes. A
 * `RangeSet` remembers which bytes are there.
 *
 * Overlaps. RFC 5722 section 4: "the entire datagram … and any constituent fragments, including those not yet
 * received, MUST be silently discarded". Linux does this for IPv4 too, and so do we: the entry stays until its timer,
 * without a buffer, to swallow the rest. A fragment whose bytes are already there, byte for byte, is a duplicate made by
 * the network and does no harm (RFC 8200 section 4.5 allows to keep the datagram then).
 *
 * Bounds: `limits.datagrams` at once (the oldest makes room; of several guests, the oldest of whoever has his share),
 * {@linkcode MAX_GAPS} holes in each, 30 s (IPv4) or 60 s (IPv6) of patience. So the memory is at most `datagrams` × 64 KiB,
 * whatever arrives.
 *
 * @module
 */

import type { PacketBuffer } from "../buffer/packet.ts";
import { HEADROOM } from "../buffer/packet.ts";
import { type BufferPool, LARGE } from "../buffer/pool.ts";
import { RangeSet } from "../buffer/range_set.ts";
import { FairShare } from "../fair_share.ts";
import type { Nic } from "../nic.ts";
import { type Instant, later, NEVER, SECOND } from "../time.ts";
import { IpAddress } from "../wire/address.ts";
import { onesComplementSum } from "../wire/checksum.ts";
import { Ecn, type IpHeader } from "../wire/ip.ts";
import { IPV6_HEADER } from "../wire/ipv6.ts";
import type { Tenants } from "./fair_rate.ts";

/** RFC 1122 section 3.3.2 wants 60 to 120 s; Linux' `ipfrag_time` is 30 s, and shorter is safer. */
export const REASSEMBLY_TIMEOUT_V4 = 30 * SECOND;
/** RFC 8200 section 4.5: 60 s. */
export const REASSEMBLY_TIMEOUT_V6 = 60 * SECOND;
/** Holes in one datagram at once. Enough for 64 KiB over the smallest IPv6 MTU with every other fragment lost. */
export const MAX_GAPS = 32;

/** Where the payload begins in a datagram's buffer: the longest IPv4 header fits in front. */
const PAYLOAD = HEADROOM + 60;
const MAX_LENGTH = 0xffff;

/** What reassembly needs from its surroundings. */
export interface ReassemblyContext {
  readonly pool: BufferPool;
  /** Absent: there is one guest. */
  readonly tenants?: Tenants;
  setTimer(datagram: Datagram, at: Instant): void;
  /** The first fragment came, the rest did not: at its IP header, not owned (RFC 792, RFC 4443 section 3.3 code 1). */
  reassemblyTimedOut(packet: PacketBuffer, nic: Nic, now: Instant): void;
  bump(counter: string): void;
}

/** One datagram in the making. */
export class Datagram {
  readonly source = IpAddress.v4(0);
  readonly destination = IpAddress.v4(0);
  identification = 0;
  tenant = 0;
  protocol = 0;
  nic: Nic | undefined = undefined;
  readonly ranges = new RangeSet(MAX_GAPS);
  /** Undefined: nothing is awaited, or what comes is to be swallowed. */
  buffer: PacketBuffer | undefined = undefined;
  busy = false;
  /** Payload length, once the last fragment came; -1 before. */
  length = -1;
  /** Bytes of the first fragment's IP header in front of the payload; 0 before it came. */
  headerLength = 0;
  /** The protocol the first fragment names. */
  firstProtocol = 0;
  sawCongestion = false;
  sawNotCapable = false;
  timerAt: Instant = NEVER;
  timerIndex = -1;
  readonly #owner: Reassembler;

  constructor(owner: Reassembler) {
    this.#owner = owner;
  }

  onTimer(now: Instant): void {
    this.#owner.expire(this, now);
  }
}

/** All datagrams in the making. */
export class Reassembler {
  readonly #context: ReassemblyContext;
  readonly #slots: Datagram[] = [];
  readonly #share: FairShare;
  #used = 0;

  constructor(context: ReassemblyContext, limits: { readonly datagrams: number }) {
    this.#context = context;
    this.#share = new FairShare(limits.datagrams);
    for (let i = 0; i < limits.datagrams; i++) this.#slots.push(new Datagram(this));
  }

  /** Datagrams in the making. */
  get size(): number {
    return this.#used;
  }

  /**
   * Takes a fragment: cursor at its payload, `ip` its header. Does not own it. Returns the whole datagram, at its IP
   * header and the caller's, if this was the last part of it.
   */
  add(packet: PacketBuffer, ip: IpHeader, nic: Nic, now: Instant): PacketBuffer | undefined {
    const datagram = this.#find(ip, nic) ?? this.#begin(ip, nic, now);
    const buffer = datagram.buffer;
    if (buffer === undefined) {
      this.#context.bump("ip.reassembly-swallowed");
      return undefined;
    }
    const start = ip.fragmentOffset;
    const length = packet.totalLength;
    const end = start + length;
    if (length === 0 && ip.moreFragments) return this.#poison(datagram, "ip.reassembly-empty");
    // The end is said once: a fragment beyond it, or another end, is a forgery.
    if (
      datagram.length >= 0 ? end > datagram.length || (!ip.moreFragments && end !== datagram.length) : false
    ) {
      return this.#poison(datagram, "ip.reassembly-bad-end");
    }
    if (!ip.moreFragments) {
      const { ranges } = datagram;
      if (ranges.count > 0 && ranges.end(ranges.count - 1) > end) {
        return this.#poison(datagram, "ip.reassembly-bad-end");
      }
      datagram.length = end;
    }
    const before = datagram.ranges.covered;
    if (!datagram.ranges.add(start, end)) return this.#poison(datagram, "ip.reassembly-too-many-gaps");
    const fresh = datagram.ranges.covered - before;
    if (fresh !== length) {
      if (fresh === 0 && same(packet, buffer, PAYLOAD + start)) {
        this.#context.bump("ip.reassembly-duplicate");
        return undefined;
      }
      return this.#poison(datagram, "ip.reassembly-overlap");
    }
    packet.copyTo(buffer.bytes, PAYLOAD + start);
    const ecn = ip.trafficClass & 3;
    if (ecn === Ecn.congestionExperienced) datagram.sawCongestion = true;
    else if (ecn === Ecn.notCapable) datagram.sawNotCapable = true;
    if (start === 0) this.#keepHeader(datagram, packet, ip);
    if (datagram.length < 0 || datagram.ranges.covered !== datagram.length) return undefined;
    return this.#complete(datagram);
  }

  /** The timer of a datagram is due. */
  expire(datagram: Datagram, now: Instant): void {
    if (!datagram.busy) return;
    const { buffer, nic, ranges } = datagram;
    if (buffer !== undefined && nic !== undefined) {
      this.#context.bump("ip.reassembly-timeout");
      // RFC 792, RFC 8200 section 4.5: only "if the first fragment … has been received".
      if (datagram.headerLength > 0) {
        buffer.start = PAYLOAD - datagram.headerLength;
        buffer.end = PAYLOAD + ranges.end(0);
        this.#context.reassemblyTimedOut(buffer, nic, now);
      }
    }
    this.#end(datagram);
  }

  /** Forgets everything that waits. */
  reset(): void {
    for (const datagram of this.#slots) if (datagram.busy) this.#end(datagram);
  }

  #find(ip: IpHeader, nic: Nic): Datagram | undefined {
    const slots = this.#slots;
    for (let i = 0; i < slots.length; i++) {
      const slot = slots[i]!;
      // RFC 8200 section 4.5: IPv6 datagrams are told apart without the protocol.
      if (
        slot.busy && slot.identification === ip.identification && slot.nic === nic &&
        (ip.family === 6 || slot.protocol === ip.protocol) && slot.source.equals(ip.source) &&
        slot.destination.equals(ip.destination)
      ) return slot;
    }
    return undefined;
  }

  #begin(ip: IpHeader, nic: Nic, now: Instant): Datagram {
    const { tenants } = this.#context;
    const tenant = tenants?.of?.(ip.source) ?? 0;
    const hasHisShare = tenants?.of !== undefined && this.#share.held(tenant) > 0 &&
      !this.#share.admits(tenant);
    const datagram = hasHisShare ? this.#oldestOf(tenant) : this.#freeOrOldest();
    if (datagram.busy) {
      this.#context.bump("ip.reassembly-evicted");
      this.#end(datagram);
    }
    copyAddress(datagram.source, ip.source);
    copyAddress(datagram.destination, ip.destination);
    datagram.identification = ip.identification;
    datagram.tenant = tenant;
    this.#share.add(tenant);
    datagram.protocol = ip.protocol;
    datagram.nic = nic;
    datagram.busy = true;
    datagram.length = -1;
    datagram.headerLength = 0;
    datagram.sawCongestion = false;
    datagram.sawNotCapable = false;
    datagram.ranges.clear();
    datagram.buffer = this.#context.pool.take(LARGE - HEADROOM);
    this.#used++;
    const patience = ip.family === 4 ? REASSEMBLY_TIMEOUT_V4 : REASSEMBLY_TIMEOUT_V6;
    this.#context.setTimer(datagram, later(now, patience));
    return datagram;
  }

  #freeOrOldest(): Datagram {
    let oldest = this.#slots[0]!;
    for (let i = 0; i < this.#slots.length; i++) {
      const slot = this.#slots[i]!;
      if (!slot.busy) return slot;
      if (slot.timerAt < oldest.timerAt) oldest = slot;
    }
    return oldest;
  }

  /** Of a tenant who has one. */
  #oldestOf(tenant: number): Datagram {
    let oldest: Datagram | undefined;
    for (let i = 0; i < this.#slots.length; i++) {
      const slot = this.#slots[i]!;
      if (!slot.busy || slot.tenant !== tenant) continue;
      if (oldest === undefined || slot.timerAt < oldest.timerAt) oldest = slot;
    }
    return oldest!;
  }

  /** Copies the first fragment's header in front of the payload; IPv6 without extension headers. */
  #keepHeader(datagram: Datagram, packet: PacketBuffer, ip: IpHeader): void {
    const length = ip.family === 4 ? ip.headerLength : IPV6_HEADER;
    const { bytes } = datagram.buffer!;
    bytes.set(packet.bytes.subarray(ip.headerStart, ip.headerStart + length), PAYLOAD - length);
    datagram.headerLength = length;
    datagram.firstProtocol = ip.protocol;
  }

  #complete(datagram: Datagram): PacketBuffer | undefined {
    const buffer = datagram.buffer!;
    const { headerLength, length } = datagram;
    const at = PAYLOAD - headerLength;
    const { view } = buffer;
    const v4 = datagram.source.family === 4;
    if (length + (v4 ? headerLength : 0) > MAX_LENGTH) {
      return this.#poison(datagram, "ip.reassembly-too-long");
    }
    // RFC 3168 section 5.3: a congested fragment marks the whole, but not one that is not ECN-capable.
    if (datagram.sawCongestion && datagram.sawNotCapable) {
      return this.#poison(datagram, "ip.reassembly-ecn-mismatch");
    }
    if (v4) {
      view.setUint16(at + 2, headerLength + length);
      view.setUint16(at + 6, 0);
      if (datagram.sawCongestion) view.setUint8(at + 1, view.getUint8(at + 1) | Ecn.congestionExperienced);
      view.setUint16(at + 10, 0);
      view.setUint16(at + 10, ~onesComplementSum(view, at, PAYLOAD, 0));
    } else {
      view.setUint16(at + 4, length);
      view.setUint8(at + 6, datagram.firstProtocol);
      if (datagram.sawCongestion) {
        view.setUint8(at + 1, view.getUint8(at + 1) | Ecn.congestionExperienced << 4);
      }
    }
    buffer.start = at;
    buffer.end = PAYLOAD + length;
    datagram.buffer = undefined;
    this.#end(datagram);
    this.#context.bump("ip.reassembled");
    return buffer;
  }

  /** Drops what has come, and swallows what will. */
  #poison(datagram: Datagram, counter: string): undefined {
    this.#context.bump(counter);
    datagram.buffer?.release();
    datagram.buffer = undefined;
    return undefined;
  }

  #end(datagram: Datagram): void {
    this.#context.setTimer(datagram, NEVER);
    datagram.buffer?.release();
    datagram.buffer = undefined;
    datagram.busy = false;
    datagram.nic = undefined;
    this.#share.remove(datagram.tenant);
    this.#used--;
  }
}

function copyAddress(into: IpAddress, from: IpAddress): void {
  into.family = from.family;
  into.a = from.a;
  into.b = from.b;
  into.c = from.c;
  into.d = from.d;
}

/** Whether the payload of `packet` is what `buffer` holds from index `at` on. */
function same(packet: PacketBuffer, buffer: PacketBuffer, at: number): boolean {
  if (packet.fragments.length > 0) return false;
  for (let i = packet.start; i < packet.end; i++) {
    if (packet.bytes[i] !== buffer.bytes[at++]) return false;
  }
  return true;
}
