/**
 * Who may speak for an IP address: each belongs to one port, so no guest answers, or sends, in the name of another.
 *
 * Looked at are the source of IPv4 and IPv6 packets, the sender of ARP (RFC 826) and the target of neighbour
 * advertisements (RFC 4861): what the other guests and the gateway would believe. An address belongs to the hardware
 * address that used it first, and so to its port, until its port is gone; one that the DHCP server has leased belongs to the
 * hardware address that it was leased to, and the gateway's own belong to nobody.
 *
 * Who wants an address that has not been used for {@linkcode QUIET} makes us ask its owner, as RFC 6620 section 3.2.3 has it
 * for first come, first served: a kernel answers for its addresses however idle its programs are, and keeps them. Only who
 * is silent to {@linkcode QUESTIONS} questions has no use for it any more.
 *
 * Nor may a guest play server to the others: no DHCP replies (`rogue-dhcp`), no router advertisements or redirects
 * (`rogue-router`, RFC 6105), and no DHCP requests for a hardware address that is not the sender's (`spoofed-dhcp`).
 *
 * Whatever a guest's kernel looks through, so do we: VLAN tags that name no VLAN, SNAP headers (RFC 1042), IPv6 extension
 * headers (RFC 7113). A packet that hides its upper layer behind more of them than anybody needs is refused.
 *
 * @module
 */

import type { PacketBuffer } from "../../stack/buffer/packet.ts";
import { type Instant, SECOND } from "../../stack/time.ts";
import { IpAddress } from "../../stack/wire/address.ts";
import { ETHERNET_HEADER, EtherType } from "../../stack/wire/ethernet.ts";

/** After this long without use, it is asked whether an address that another port wants is still in use. */
export const QUIET = 60 * SECOND;
/** How often it is asked, and the time for each answer; RFC 6620 has one question, and half a second. */
export const QUESTIONS = 3, QUESTION_TIME = SECOND / 2;
/** IP addresses that one port may use (`switch.ip-limit`). */
export const PORT_IPS = 64;

/** Why a frame must not pass; also the counter, after `switch.`. */
export type Offence =
  | "spoofed-arp"
  | "spoofed-ip"
  | "ip-limit"
  | "spoofed-dhcp"
  | "rogue-dhcp"
  | "rogue-router"
  | "malformed";

/** Who owns addresses by decree. Hardware addresses are two halves, as {@link MacAddress}'. */
export interface AddressOwners {
  /** The gateway's. */
  isOurs(address: IpAddress): boolean;
  /** Whether the address is leased, or pinned, to another hardware address than this one. */
  isAnothers(address: IpAddress, high: number, low: number): boolean;
  /** Whether the address is leased to this hardware address: whoever helped himself to it before must go. */
  isTheirs(address: IpAddress, high: number, low: number): boolean;
}

/** A port, as far as the guard is concerned. */
export interface Guarded {
  readonly id: number;
  /** The addresses that it uses; the guard's own. */
  readonly addresses: IpAddress[];
}

interface Binding {
  port: Guarded;
  high: number;
  low: number;
  usedAt: Instant;
  /** When its port was asked for it last, and how often since it was used. */
  askedAt: Instant;
  asked: number;
  readonly address: IpAddress;
}

const ARP_SENDER_MAC = 8, ARP_SENDER_IP = 14, ARP_LENGTH = 28;
const MORE_FRAGMENTS = 0x2000;
const UDP = 17, DHCP_SERVER = 67, DHCP_CHADDR = 8 + 28;
const ICMPV6 = 58, ROUTER_ADVERTISEMENT = 134, NEIGHBOUR_ADVERTISEMENT = 136, REDIRECT = 137;
const IPV6_HEADER = 40, NA_TARGET = 8;
const DHCPV6_SERVER = 547;
/** Hop-by-hop options, routing, fragment, authentication, destination options, mobility, HIP, shim6. */
const EXTENSIONS: ReadonlySet<number> = new Set([0, 43, 44, 51, 60, 135, 139, 140]);
const FRAGMENT = 44, AUTHENTICATION = 51;
/** Extension headers, and VLAN tags, that are looked through. */
const MAX_EXTENSIONS = 8, MAX_TAGS = 4;
const VLAN_TAG = 0x8100, SERVICE_TAG = 0x88a8;
/** IEEE 802.3: smaller numbers are lengths, and an LLC header follows. */
const FIRST_ETHERTYPE = 0x0600;

/** Binds IP addresses to ports. */
export class AddressGuard {
  readonly #owners: AddressOwners;
  /** By a hash of the address; those that share one are chained by an array. */
  readonly #bindings = new Map<number, Binding[]>();
  readonly #scratch4 = IpAddress.v4(0);
  readonly #scratch6 = new IpAddress(6, 0, 0, 0, 0);
  /** The binding that was used last: one guest sends many packets in a row. */
  #last: Binding | undefined;
  readonly onBound: ((port: Guarded, address: IpAddress, bound: boolean) => void) | undefined;
  readonly #ask: (port: Guarded, address: IpAddress, high: number, low: number) => void;

  /** @param ask asks the owner of an address, at its hardware address, for a word that it is there */
  constructor(
    owners: AddressOwners,
    ask: (port: Guarded, address: IpAddress, high: number, low: number) => void,
    onBound?: (port: Guarded, address: IpAddress, bound: boolean) => void,
  ) {
    this.#owners = owners;
    this.#ask = ask;
    this.onBound = onBound;
  }

  /** What is wrong with a frame of `port` (cursor at its Ethernet header, at least that long), if anything. */
  check(frame: PacketBuffer, port: Guarded, high: number, low: number, now: Instant): Offence | undefined {
    const { view } = frame;
    let at = frame.start + ETHERNET_HEADER;
    let type = view.getUint16(at - 2);
    // Priority tags (VLAN 0) say nothing of where a frame belongs, and receivers take them off.
    for (let tags = 0; type === VLAN_TAG || type === SERVICE_TAG; tags++) {
      if (tags === MAX_TAGS || at + 4 > frame.end) return "malformed";
      if ((view.getUint16(at) & 0xfff) !== 0) return undefined;
      type = view.getUint16(at + 2);
      at += 4;
    }
    if (type < FIRST_ETHERTYPE && isSnap(frame, at)) {
      type = view.getUint16(at + 6);
      at += 8;
    }
    const length = frame.end - at;
    switch (type) {
      case EtherType.ipv4:
        if (length < 20) return undefined;
        this.#scratch4.d = view.getInt32(at + 12);
        if (view.getUint8(at + 9) === UDP) {
          const offence = checkDhcp(frame, at, high, low);
          if (offence !== undefined) return offence;
        }
        // DHCP: who has no address yet.
        return this.#scratch4.d === 0 ? undefined : this.#claim(this.#scratch4, port, high, low, now);
      case EtherType.arp:
        if (length < ARP_LENGTH) return undefined;
        if (view.getUint16(at + ARP_SENDER_MAC) !== high || view.getInt32(at + ARP_SENDER_MAC + 2) !== low) {
          return "spoofed-arp";
        }
        this.#scratch4.d = view.getInt32(at + ARP_SENDER_IP);
        // RFC 5227: a probe says nothing about its sender.
        return this.#scratch4.d === 0 ? undefined : this.#claim(this.#scratch4, port, high, low, now);
      case EtherType.ipv6: {
        if (length < IPV6_HEADER) return undefined;
        const offence = this.#claim6(view, at + 8, port, high, low, now);
        return offence ?? this.#checkIpv6(frame, at, port, high, low, now);
      }
    }
    return undefined;
  }

  /** The port that uses `address`. */
  portOf(address: IpAddress): Guarded | undefined {
    return this.#bindings.get(hashOf(address))?.find((one) => one.address.equals(address))?.port;
  }

  /** A port is gone: its addresses are free. */
  forget(port: Guarded): void {
    while (port.addresses.length > 0) this.#unbind(port, port.addresses[0]!);
  }

  /** What is behind an IPv6 header at `at`, which is whole. */
  #checkIpv6(
    { view, end }: PacketBuffer,
    at: number,
    port: Guarded,
    high: number,
    low: number,
    now: Instant,
  ): Offence | undefined {
    let next = view.getUint8(at + 6);
    at += IPV6_HEADER;
    for (let headers = 0; EXTENSIONS.has(next); headers++) {
      if (headers === MAX_EXTENSIONS || at + 8 > end) return "malformed";
      // What comes later is of use only with the first fragment, which we have seen.
      if (next === FRAGMENT && (view.getUint16(at + 2) & 0xfff8) !== 0) return undefined;
      const units = view.getUint8(at + 1);
      const length = next === FRAGMENT ? 8 : next === AUTHENTICATION ? 4 * (units + 2) : 8 * (units + 1);
      next = view.getUint8(at);
      at += length;
    }
    if (next === UDP && at + 2 <= end && view.getUint16(at) === DHCPV6_SERVER) return "rogue-dhcp";
    if (next !== ICMPV6) return undefined;
    if (at + 8 > end) return "malformed";
    const type = view.getUint8(at);
    if (type === ROUTER_ADVERTISEMENT || type === REDIRECT) return "rogue-router";
    if (type !== NEIGHBOUR_ADVERTISEMENT || at + NA_TARGET + 16 > end) return undefined;
    return this.#claim6(view, at + NA_TARGET, port, high, low, now);
  }

  #claim6(
    view: DataView,
    at: number,
    port: Guarded,
    high: number,
    low: number,
    now: Instant,
  ): Offence | undefined {
    const address = this.#scratch6;
    address.a = view.getInt32(at);
    address.b = view.getInt32(at + 4);
    address.c = view.getInt32(at + 8);
    address.d = view.getInt32(at + 12);
    return address.isUnspecified() ? undefined : this.#claim(address, port, high, low, now);
  }

  /** `address` is scratch. */
  #claim(
    address: IpAddress,
    port: Guarded,
    high: number,
    low: number,
    now: Instant,
  ): Offence | undefined {
    const last = this.#last;
    if (last !== undefined && last.port === port && last.address.equals(address)) {
      last.usedAt = now;
      return undefined;
    }
    if (this.#owners.isOurs(address) || this.#owners.isAnothers(address, high, low)) return "spoofed-ip";
    const hash = hashOf(address);
    const chain = this.#bindings.get(hash);
    if (chain !== undefined) {
      for (let i = 0; i < chain.length; i++) {
        const binding = chain[i]!;
        if (!binding.address.equals(address)) continue;
        if (binding.port !== port) {
          const moved = binding.high === high && binding.low === low;
          if (!moved && !this.#owners.isTheirs(address, high, low) && !this.#isGivenUp(binding, now)) {
            return "spoofed-ip";
          }
          this.#unbind(binding.port, binding.address);
          return this.#claim(address, port, high, low, now);
        }
        binding.high = high;
        binding.low = low;
        binding.usedAt = now;
        this.#last = binding;
        return undefined;
      }
    }
    if (port.addresses.length >= PORT_IPS && !this.#expire(port, now)) return "ip-limit";
    const binding: Binding = {
      port,
      high,
      low,
      usedAt: now,
      askedAt: 0 as Instant,
      asked: 0,
      address: address.clone(),
    };
    const current = this.#bindings.get(hash);
    if (current === undefined) this.#bindings.set(hash, [binding]);
    else current.push(binding);
    port.addresses.push(binding.address);
    this.#last = binding;
    this.onBound?.(port, binding.address, true);
    return undefined;
  }

  /** Whether the owner of an address has none any more; asks it if need be. */
  #isGivenUp(binding: Binding, now: Instant): boolean {
    if (now - binding.usedAt <= QUIET) return false;
    if (binding.usedAt >= binding.askedAt) binding.asked = 0;
    if (binding.asked > 0 && now - binding.askedAt < QUESTION_TIME) return false;
    if (binding.asked >= QUESTIONS) return true;
    binding.asked++;
    binding.askedAt = now;
    this.#ask(binding.port, binding.address, binding.high, binding.low);
    return false;
  }

  /** Frees what `port` has not used for long. */
  #expire(port: Guarded, now: Instant): boolean {
    for (const address of [...port.addresses]) {
      const binding = this.#bindings.get(hashOf(address))?.find((one) => one.address === address);
      if (binding !== undefined && now - binding.usedAt > QUIET) this.#unbind(port, address);
    }
    return port.addresses.length < PORT_IPS;
  }

  #unbind(port: Guarded, address: IpAddress): void {
    const hash = hashOf(address);
    const chain = this.#bindings.get(hash)?.filter((one) => one.address !== address) ?? [];
    if (chain.length === 0) this.#bindings.delete(hash);
    else this.#bindings.set(hash, chain);
    port.addresses.splice(port.addresses.indexOf(address), 1);
    this.#last = undefined;
    this.onBound?.(port, address, false);
  }
}

/** Whether an LLC header is followed by an EtherType (RFC 1042, and IEEE 802.1H's bridge tunnel). */
function isSnap({ view, end }: PacketBuffer, at: number): boolean {
  if (at + 8 > end || view.getUint16(at) !== 0xaaaa || view.getUint8(at + 2) !== 0x03) return false;
  const organisation = view.getUint8(at + 3) << 16 | view.getUint16(at + 4);
  return organisation === 0 || organisation === 0xf8;
}

/**
 * What is wrong with a UDP datagram whose IPv4 header is at `at`, as DHCP. Fragments but the first pass: they are of use
 * only with it. No client cuts its messages, so the first of one for the server is refused, whatever is in it.
 */
function checkDhcp(frame: PacketBuffer, at: number, high: number, low: number): Offence | undefined {
  const { view } = frame;
  const fragment = view.getUint16(at + 6);
  if ((fragment & 0x1fff) !== 0) return undefined;
  const isCut = (fragment & MORE_FRAGMENTS) !== 0;
  const udp = at + ((view.getUint8(at) & 15) << 2);
  if (udp + 8 > frame.end) return isCut ? "malformed" : undefined;
  if (view.getUint16(udp) === DHCP_SERVER) return "rogue-dhcp";
  if (view.getUint16(udp + 2) !== DHCP_SERVER) return undefined;
  if (isCut) return "spoofed-dhcp";
  if (udp + DHCP_CHADDR + 6 > frame.end) return undefined;
  const chaddr = udp + DHCP_CHADDR;
  return view.getUint16(chaddr) === high && view.getInt32(chaddr + 2) === low ? undefined : "spoofed-dhcp";
}

function hashOf({ a, b, c, d }: IpAddress): number {
  let hash = Math.imul(a ^ b, 0x9e3779b1) ^ Math.imul(c, 0x85ebca6b) ^ d;
  hash = Math.imul(hash ^ (hash >>> 16), 0x45d9f3b);
  return hash ^ (hash >>> 15);
}
