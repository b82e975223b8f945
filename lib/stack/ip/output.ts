/**
 * IP on the way out: header, fragmentation at the source, and the hand-over to the neighbour on the link.
 *
 * @module
 */

import { Gso, type PacketBuffer } from "../buffer/packet.ts";
import type { BufferPool } from "../buffer/pool.ts";
import { Slicer } from "../buffer/slicer.ts";
import type { Counters } from "../counters.ts";
import type { Instant } from "../time.ts";
import { IpAddress } from "../wire/address.ts";
import { completeChecksum } from "../wire/checksum.ts";
import { type IpFields, IpProtocol } from "../wire/ip.ts";
import { emitIpv4, IPV4_HEADER } from "../wire/ipv4.ts";
import { emitIpv6, emitIpv6Fragment, IPV6_FRAGMENT_HEADER, IPV6_HEADER } from "../wire/ipv6.ts";
import type { IpPath, PathResolver } from "./path.ts";

/** Hop limit of what we originate (RFC 1700's 64, as everybody's). */
export const DEFAULT_HOP_LIMIT = 64;

/** Why a packet was not sent. */
export type OutputError = "message-size" | "no-buffer-space";

/** The fields of the header to write; one object, reused for each packet. */
class OutgoingHeader implements IpFields {
  source: IpAddress = IpAddress.v4(0);
  destination: IpAddress = IpAddress.v4(0);
  protocol = 0;
  hopLimit = DEFAULT_HOP_LIMIT;
  trafficClass = 0;
  identification = 0;
  dontFragment = false;
  moreFragments = false;
  fragmentOffset = 0;
}

/** Sends transport packets along paths. */
export class IpOutput {
  readonly #pool: BufferPool;
  readonly #counters: Counters;
  readonly #paths: PathResolver;
  readonly #header = new OutgoingHeader();
  readonly #slicer = new Slicer();

  constructor(pool: BufferPool, counters: Counters, paths: PathResolver) {
    this.#pool = pool;
    this.#counters = counters;
    this.#paths = paths;
  }

  /**
   * Sends a packet whose cursor is at its transport header. Takes ownership, whatever it returns.
   *
   * Never drops a TCP packet for want of room: it is only called for those while the qdisc takes them.
   *
   * @param dontFragment refuse with `message-size` instead of cutting; IPv4 routers see it as DF
   */
  send(
    path: IpPath,
    packet: PacketBuffer,
    protocol: number,
    hopLimit: number,
    trafficClass: number,
    dontFragment: boolean,
    now: Instant,
  ): OutputError | undefined {
    this.#paths.refresh(path, now);
    // First of all: a question to the neighbour is a packet of its own, and would use the header below.
    const resolved = this.#resolve(path, now);
    const header = this.#header;
    header.source = path.source;
    header.destination = path.destination;
    header.protocol = protocol;
    header.hopLimit = hopLimit;
    header.trafficClass = trafficClass;
    header.dontFragment = dontFragment;
    header.moreFragments = false;
    header.fragmentOffset = 0;
    const payload = packet.totalLength;
    const v4 = path.destination.family === 4;
    const length = payload + (v4 ? IPV4_HEADER : IPV6_HEADER);
    if (length > path.mtu && packet.gso === Gso.none) {
      if (dontFragment || length > 0xffff) {
        packet.release();
        return "message-size";
      }
      return this.#fragment(path, packet, payload, resolved, now);
    }
    if (v4) {
      header.identification = path.identification = (path.identification + 1) & 0xffff;
      emitIpv4(packet, header, payload);
    } else {
      emitIpv6(packet, header, payload);
    }
    return this.#link(path, packet, resolved, now);
  }

  /**
   * Sends a packet whose cursor is at a complete IP header, as it is: what does not fit is refused. Takes ownership,
   * whatever it returns.
   */
  sendComplete(path: IpPath, packet: PacketBuffer, now: Instant): OutputError | undefined {
    this.#paths.refresh(path, now);
    const resolved = this.#resolve(path, now);
    if (packet.totalLength <= path.mtu) return this.#link(path, packet, resolved, now);
    packet.release();
    return "message-size";
  }

  /** Whether the next hop's hardware address is known; asks for it if not. */
  #resolve(path: IpPath, now: Instant): boolean {
    if (path.hardware !== undefined) return true;
    const { neighbours } = path.nic;
    let neighbour = path.neighbour;
    if (neighbour === undefined || !neighbour.attached) {
      neighbour = path.neighbour = neighbours.entry(path.nextHop);
    }
    return neighbours.use(neighbour, now);
  }

  /** Hands a packet with a complete IP header to the next hop. Takes ownership. */
  #link(path: IpPath, packet: PacketBuffer, resolved: boolean, now: Instant): OutputError | undefined {
    const { nic, neighbour } = path;
    if (!resolved) {
      nic.neighbours.hold(neighbour!, packet);
      return undefined;
    }
    const hardware = path.hardware ?? neighbour!.mac;
    return nic.transmit(packet, hardware, path.destination.family, now) ? undefined : "no-buffer-space";
  }

  /** RFC 791 section 2.3, RFC 8200 section 4.5: parts of the largest multiple of 8 bytes that fits. */
  #fragment(
    path: IpPath,
    packet: PacketBuffer,
    payload: number,
    resolved: boolean,
    now: Instant,
  ): OutputError | undefined {
    completeChecksum(packet); // It covers the whole, so it cannot be left to the link.
    const header = this.#header;
    const v4 = path.destination.family === 4;
    const overhead = v4 ? IPV4_HEADER : IPV6_HEADER + IPV6_FRAGMENT_HEADER;
    const room = (path.mtu - overhead) & ~7;
    path.identification = (path.identification + 1) | 0;
    const protocol = header.protocol;
    let error: OutputError | undefined;
    this.#slicer.begin(packet, packet.start);
    for (let offset = 0; offset < payload && error === undefined; offset += room) {
      const size = Math.min(room, payload - offset);
      const more = offset + size < payload;
      const part = this.#pool.take(0);
      this.#slicer.take(size, part);
      if (v4) {
        header.identification = path.identification & 0xffff;
        header.moreFragments = more;
        header.fragmentOffset = offset;
        emitIpv4(part, header, size);
      } else {
        emitIpv6Fragment(part, protocol, offset, more, path.identification >>> 0);
        header.protocol = IpProtocol.ipv6Fragment;
        emitIpv6(part, header, size + IPV6_FRAGMENT_HEADER);
      }
      this.#counters.bump("ip.fragments-sent");
      error = this.#link(path, part, resolved, now);
    }
    packet.release();
    return error;
  }
}
