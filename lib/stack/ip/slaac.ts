/**
 * Stateless address autoconfiguration (RFC 4862) for one interface: follows what routers say.
 *
 * ```text
 *   solicit ──▶ router advertisement ──▶ for each autonomous prefix of 64 bits: prefix + EUI-64
 *   (RFC 4861    │ default router          │ tentative: one solicitation, one second of silence
 *   section 6.3) │ MTU, RDNSS, DNSSL       │ valid until its lifetime ends; renewed by every advertisement
 *                ▼                         ▼
 *              routers, by preference    addresses of the interface
 * ```
 *
 * A machine without a clock: `pollAt` says when `poll` is worth calling. It puts addresses on the interface itself; default
 * routes and resolvers are for whoever made it, since other interfaces have some too.
 *
 * Trust. An advertisement proves no more than that its sender is on the link. Prefixes, routers and resolvers are bounded in
 * number; a lifetime is cut only down to two hours by somebody who might be anybody (RFC 4862 section 5.5.3).
 *
 * @module
 */

import type { LinkWatch, Nic } from "../nic.ts";
import { withInterfaceId } from "./interface_id.ts";
import type { Stack } from "../stack.ts";
import { earlier, type Instant, later, NEVER, SECOND } from "../time.ts";
import { ANY6, IpAddress } from "../wire/address.ts";
import { MacAddress } from "../wire/mac_address.ts";
import { IpProtocol } from "../wire/ip.ts";
import { emitIpv6 } from "../wire/ipv6.ts";
import {
  ALL_ROUTERS,
  emitNdp,
  NDP_HOP_LIMIT,
  type NdpRepr,
  type PrefixInformation,
  type RouterAdvertisementMessage,
  solicitedNode,
} from "../wire/ndp.ts";

/** Bounds of what is remembered; Linux has 16 addresses (`max_addresses`). */
export const MAX_SLAAC_ADDRESSES = 16, MAX_ROUTERS = 8, MAX_RESOLVERS = 8;
/**
 * RFC 4861 section 10 has three solicitations, 4 s apart; RFC 7559 lets the time between them double. A program waits for
 * the first answer, so ours begin with half a second, and end with the four.
 */
const SOLICITATIONS = 5, FIRST_INTERVAL = SECOND / 2, LAST_INTERVAL = 4 * SECOND;
/** RFC 4862 section 5.1: RetransTimer, the time in which a duplicate must speak up. */
const DETECTION_TIME = SECOND;
/** RFC 4862 section 5.5.3 (e). */
const TWO_HOURS = 7_200;
const FOREVER = 0xffffffff;
/** RFC 8200 section 5. */
const MTU_MIN = 1_280;
const PREFERENCE = { high: 2, medium: 1, low: 0 } as const;

interface SlaacAddress {
  readonly address: IpAddress;
  validUntil: Instant;
  /** When it may be used; NEVER: it is used, or it turned out to be somebody else's. */
  detectedAt: Instant;
}

interface Router {
  readonly address: IpAddress;
  preference: number;
  until: Instant;
}

interface Resolver<T> {
  readonly value: T;
  until: Instant;
}

/** Who uses it. */
export interface SlaacObserver {
  /** An address, a router, the MTU or a resolver came or went. */
  onChange(now: Instant): void;
  onNote?(text: string): void;
}

/** Autoconfiguration of one interface. */
export class Slaac implements LinkWatch {
  readonly #stack: Stack;
  readonly #nic: Nic;
  readonly #observer: SlaacObserver;
  readonly #addresses: SlaacAddress[] = [];
  readonly #routers: Router[] = [];
  readonly #servers: Resolver<IpAddress>[] = [];
  readonly #domains: Resolver<string>[] = [];
  #running = false;
  #solicitations = 0;
  #solicitAt: Instant = NEVER;
  #heard = false;
  #dhcp: "address" | "information" | undefined;
  #mtu: number | undefined;
  /** Until when somebody may object to our link-local address. */
  #linkLocalUntil: Instant = NEVER;

  constructor(stack: Stack, nic: Nic, observer: SlaacObserver) {
    this.#stack = stack;
    this.#nic = nic;
    this.#observer = observer;
  }

  /** Whether a router has spoken. */
  get heard(): boolean {
    return this.#heard;
  }

  /** Whether there is an address of a prefix that a router announced. */
  get configured(): boolean {
    return this.#addresses.some(({ address }) => this.#nic.owns(address));
  }

  /** Addresses that will be good soon. */
  get tentative(): boolean {
    return this.#addresses.some(({ detectedAt }) => detectedAt !== NEVER);
  }

  /** The best default router. */
  get router(): IpAddress | undefined {
    let best: Router | undefined;
    for (const router of this.#routers) {
      if (best === undefined || router.preference > best.preference) best = router;
    }
    return best?.address;
  }

  /** What a router says DHCPv6 has: addresses (and information), information alone, or nothing. */
  get dhcp(): "address" | "information" | undefined {
    return this.#dhcp;
  }

  /** What the router says of the link's MTU. */
  get mtu(): number | undefined {
    return this.#mtu;
  }

  /** Resolvers (RFC 8106), and domains to search. */
  get dns(): readonly IpAddress[] {
    return this.#servers.map(({ value }) => value);
  }
  get searchDomains(): readonly string[] {
    return this.#domains.map(({ value }) => value);
  }

  /** Asks for routers; call it again when the wire was gone and is back. */
  start(now: Instant): void {
    if (!this.#running) {
      this.#running = true;
      this.#nic.watches.push(this);
      const linkLocal = withInterfaceId(LINK_LOCAL, this.#nic.mac);
      // Optimistic (RFC 4429): made of a hardware address that somebody chose to be unique; a duplicate is noticed and said.
      if (this.#nic.linkLocal === undefined) this.#nic.addAddress(linkLocal, 64);
      this.#linkLocalUntil = later(now, DETECTION_TIME);
      this.#detect(linkLocal, now);
    }
    this.#solicitations = 0;
    this.#solicitAt = now;
    this.poll(now);
  }

  stop(): void {
    this.#running = false;
    this.#solicitAt = NEVER;
    const at = this.#nic.watches.indexOf(this);
    if (at >= 0) this.#nic.watches.splice(at, 1);
    for (const { address } of this.#addresses) this.#nic.removeAddress(address);
    this.#addresses.length =
      this.#routers.length =
      this.#servers.length =
      this.#domains.length =
        0;
  }

  /** When {@linkcode poll} has something to do. */
  pollAt(): Instant {
    let at = this.#solicitAt;
    for (const { validUntil, detectedAt } of this.#addresses) {
      at = earlier(at, earlier(validUntil, detectedAt));
    }
    for (const list of [this.#routers, this.#servers, this.#domains]) {
      for (const { until } of list) at = earlier(at, until);
    }
    return at;
  }

  poll(now: Instant): void {
    if (now >= this.#solicitAt) this.#solicit(now);
    let changed = false;
    for (let i = this.#addresses.length - 1; i >= 0; i--) {
      const entry = this.#addresses[i]!;
      if (now >= entry.validUntil) {
        this.#addresses.splice(i, 1);
        this.#nic.removeAddress(entry.address);
        changed = true;
      } else if (now >= entry.detectedAt) {
        entry.detectedAt = NEVER;
        if (!this.#nic.owns(entry.address)) this.#nic.addAddress(entry.address, 64);
        changed = true;
      }
    }
    for (const list of [this.#routers, this.#servers, this.#domains]) {
      for (let i = list.length - 1; i >= 0; i--) {
        if (now < list[i]!.until) continue;
        list.splice(i, 1);
        changed = true;
      }
    }
    if (changed) this.#observer.onChange(now);
  }

  onRouterAdvertisement(message: RouterAdvertisementMessage, from: IpAddress, now: Instant): void {
    const { options, lifetime, preference, managed, otherConfig } = message;
    this.#heard = true;
    // Once said, it stays: routers that say different things of one link are in error (RFC 4861 section 6.2.7).
    if (managed) this.#dhcp = "address";
    else if (otherConfig) this.#dhcp ??= "information";
    this.#solicitAt = NEVER;
    this.#noteRouter(from, PREFERENCE[preference], lifetime, now);
    for (const prefix of options.prefixes ?? []) this.#notePrefix(prefix, now);
    const { mtu } = options;
    if (mtu !== undefined && mtu >= MTU_MIN && mtu <= 65_535) this.#mtu = mtu;
    for (const { servers, lifetime } of options.dns ?? []) {
      for (const server of servers) {
        if (isResolver(server)) {
          this.#note(this.#servers, server, (other) => other.equals(server), lifetime, now);
        }
      }
    }
    for (const { domains, lifetime } of options.search ?? []) {
      for (const domain of domains) {
        this.#note(this.#domains, domain, (other) => other === domain, lifetime, now);
      }
    }
    this.#observer.onChange(now);
  }

  /** RFC 4862 section 5.4.3 and 5.4.4. */
  onClaim(target: IpAddress, now: Instant): void {
    const entry = this.#addresses.find(({ address, detectedAt }) =>
      detectedAt !== NEVER && address.equals(target)
    );
    if (
      entry === undefined && !(now < this.#linkLocalUntil && this.#nic.linkLocal?.equals(target) === true)
    ) return;
    if (entry !== undefined) entry.detectedAt = NEVER;
    else this.#linkLocalUntil = now; // Once is enough, however often it is said.
    this.#stack.counters.bump("slaac.duplicates");
    this.#observer.onNote?.(`somebody else has ${target}`);
    this.#observer.onChange(now);
  }

  #noteRouter(address: IpAddress, preference: number, lifetime: number, now: Instant): void {
    const at = this.#routers.findIndex((router) => router.address.equals(address));
    const until = later(now, lifetime * SECOND);
    if (lifetime === 0) {
      if (at >= 0) this.#routers.splice(at, 1);
    } else if (at >= 0) {
      this.#routers[at]!.preference = preference;
      this.#routers[at]!.until = until;
    } else if (this.#routers.length < MAX_ROUTERS) {
      this.#routers.push({ address, preference, until });
    } else this.#stack.counters.bump("slaac.too-many-routers");
  }

  /** RFC 4862 section 5.5.3. */
  #notePrefix(information: PrefixInformation, now: Instant): void {
    const { prefix, prefixLength, autonomous, validLifetime, preferredLifetime } = information;
    if (!autonomous || prefixLength !== 64 || preferredLifetime > validLifetime) return;
    if (!isUnicastPrefix(prefix)) return;
    const address = withInterfaceId(prefix, this.#nic.mac);
    const until = validLifetime === FOREVER ? NEVER : later(now, validLifetime * SECOND);
    const known = this.#addresses.find((entry) => entry.address.equals(address));
    if (known !== undefined) {
      const floor = later(now, TWO_HOURS * SECOND);
      if (validLifetime > TWO_HOURS || until > known.validUntil) known.validUntil = until;
      else if (known.validUntil > floor) known.validUntil = floor;
      return;
    }
    if (validLifetime === 0 || this.#nic.owns(address)) return;
    if (this.#addresses.length >= MAX_SLAAC_ADDRESSES) {
      this.#stack.counters.bump("slaac.too-many-addresses");
      return;
    }
    this.#addresses.push({
      address,
      validUntil: until,
      detectedAt: later(now, DETECTION_TIME),
    });
    this.#detect(address, now);
  }

  #solicit(now: Instant): void {
    const source = this.#nic.linkLocal;
    if (this.#solicitations++ >= SOLICITATIONS || source === undefined) {
      this.#solicitAt = NEVER;
      return;
    }
    this.#solicitAt = later(now, Math.min(FIRST_INTERVAL * 2 ** (this.#solicitations - 1), LAST_INTERVAL));
    this.#stack.counters.bump("slaac.solicitations-sent");
    const options = { sourceLinkLayer: this.#nic.mac };
    this.#send(source, ALL_ROUTERS, { kind: "router-solicitation", options }, now);
  }

  /** What RFC 8106 section 5.3.1 does with a resolver or a domain of an advertisement. */
  #note<T>(
    list: Resolver<T>[],
    value: T,
    same: (other: T) => boolean,
    lifetime: number,
    now: Instant,
  ): void {
    const at = list.findIndex((entry) => same(entry.value));
    const until = lifetime === FOREVER ? NEVER : later(now, lifetime * SECOND);
    if (lifetime === 0) {
      if (at >= 0) list.splice(at, 1);
    } else if (at >= 0) list[at]!.until = until;
    else if (list.length < MAX_RESOLVERS) list.push({ value, until });
    else this.#stack.counters.bump("slaac.too-many-resolvers");
  }

  /** RFC 4862 section 5.4.2: from nobody, to the group of whoever might have it. */
  #detect(target: IpAddress, now: Instant): void {
    this.#send(ANY6, solicitedNode(target), { kind: "neighbour-solicitation", target, options: {} }, now);
  }

  #send(source: IpAddress, destination: IpAddress, repr: NdpRepr, now: Instant): void {
    const packet = this.#stack.pool.take(0);
    emitNdp(packet, repr, source, destination);
    emitIpv6(packet, {
      source,
      destination,
      protocol: IpProtocol.icmpv6,
      hopLimit: NDP_HOP_LIMIT,
      trafficClass: 0,
    });
    this.#nic.transmit(packet, MacAddress.multicast6(destination), 6, now);
  }
}

/** RFC 4291: 0000::/8 is no place for hosts, not even where ::1 and the mapped addresses are not. */
function isUnicastPrefix(prefix: IpAddress): boolean {
  return prefix.a >>> 24 !== 0 && !prefix.isLinkLocal() && !prefix.isMulticast();
}

function isResolver(server: IpAddress): boolean {
  return !server.isMulticast() && !server.isUnspecified() && !server.isLoopback() && !server.isV4Mapped();
}

const LINK_LOCAL: IpAddress = new IpAddress(6, 0xfe800000 | 0, 0, 0, 0);
