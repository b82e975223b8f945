/**
 * Which address is whose: the pool of a DHCP server (RFC 2131 section 4.3.1).
 *
 * ```text
 *   free ──offer──▶ offered ──ack──▶ leased ──release, expiry──▶ free      the last owner gets it back, while it is free
 *     ▲                │ OFFER_TIME                                │
 *     └────────────────┘               declined ◀──────────────────┘ QUARANTINE
 * ```
 *
 * A client is known by its identifier (option 61) or its hardware address. Addresses are IPv4 words. Bounded by the size
 * of the pool: there is no state but one entry per address that has ever been given.
 *
 * A guest may invent clients without end, so a pool that knows guests (`guestOf`) shares addresses among them: who wants one
 * more may have it as long as he holds fewer than are free (dynamic thresholds, Choudhury and Hahne 1998), and what guests
 * hold that are gone is given away when nothing else is left.
 *
 * @module
 */

import { type Instant, later, NEVER, SECOND } from "../time.ts";
import type { MacAddress } from "../wire/mac_address.ts";

/** How long an offer is kept for the client that got it. */
export const OFFER_TIME = 60 * SECOND;
/** How long an address rests that a client says somebody else uses. */
export const QUARANTINE = 600 * SECOND;
/** Most addresses of a pool: those of a /16. */
export const POOL_MAX = 65_534;

/** An address and its owner. */
export interface Lease {
  readonly address: number;
  /** Empty: nobody's, it rests. */
  client: string;
  mac: MacAddress;
  state: "offered" | "leased" | "declined" | "free";
  expiresAt: Instant;
  hostName: string | undefined;
}

/** What the pool is made of: addresses `first` to `last` but for those that are reserved. */
export interface PoolOptions {
  readonly first: number;
  readonly last: number;
  /** Never given to anybody: the gateway's, the host's. */
  readonly reserved: readonly number[];
  /** Addresses of certain clients, by hardware address; in the pool or not. */
  readonly fixed?: readonly { readonly mac: MacAddress; readonly address: number }[];
  /** The guest that has a hardware address now; −1: none. Absent: nobody knows, and addresses are not shared by guest. */
  readonly guestOf?: (mac: MacAddress) => number;
  /** Whether an address is used by somebody else than whoever has this hardware address, lease or not. Absent: never. */
  readonly isUsed?: (address: number, mac: MacAddress) => boolean;
}

/** The pool. */
export class LeasePool {
  readonly #first: number;
  readonly #size: number;
  readonly #reserved: ReadonlySet<number>;
  readonly #fixed = new Map<string, number>();
  readonly #fixedAddresses = new Set<number>();
  readonly #byAddress = new Map<number, Lease>();
  readonly #byClient = new Map<string, Lease>();
  readonly #guestOf: ((mac: MacAddress) => number) | undefined;
  readonly #isUsed: (address: number, mac: MacAddress) => boolean;
  #next = 0;

  constructor({ first, last, reserved, fixed = [], guestOf, isUsed = () => false }: PoolOptions) {
    this.#isUsed = isUsed;
    this.#guestOf = guestOf;
    this.#first = first;
    this.#size = Math.max(0, Math.min(POOL_MAX, last - first + 1));
    this.#reserved = new Set(reserved.map((address) => address | 0));
    for (const { mac, address } of fixed) {
      this.#fixed.set(mac.toString(), address | 0);
      this.#fixedAddresses.add(address | 0);
    }
  }

  /** Leases that hold at `now`. */
  *leases(now: Instant): IterableIterator<Lease> {
    for (const lease of this.#byAddress.values()) {
      if (lease.state === "leased" && lease.expiresAt > now) yield lease;
    }
  }

  /** The lease of an address, if it has one that holds. */
  holder(address: number, now: Instant): Lease | undefined {
    const lease = this.#byAddress.get(address | 0);
    return lease !== undefined && lease.state === "leased" && lease.expiresAt > now ? lease : undefined;
  }

  /** What a client has, or had and nobody else got. */
  of(client: string): Lease | undefined {
    return this.#byClient.get(client);
  }

  /** The address that only this hardware address may have. */
  fixedOf(mac: MacAddress): number | undefined {
    return this.#fixed.get(mac.toString());
  }

  /**
   * An address for a client: its fixed one, the one it has or had, the one it asks for, or another. Undefined: there is
   * none. Keeps it for `OFFER_TIME`.
   */
  offer(client: string, mac: MacAddress, wanted: number | undefined, now: Instant): Lease | undefined {
    const address = this.#choose(client, mac, wanted, now);
    if (address === undefined) return undefined;
    const known = this.#byClient.get(client);
    // Who has it still keeps what he has, whatever becomes of the offer.
    if (known?.address === address && known.state === "leased" && known.expiresAt > now) return known;
    return this.#assign(client, mac, address, "offered", later(now, OFFER_TIME));
  }

  /** Whether a client may have this address now. */
  admits(client: string, mac: MacAddress, address: number, now: Instant): boolean {
    address |= 0;
    const fixed = this.fixedOf(mac);
    if (fixed !== undefined) return fixed === address;
    if (this.#fixedAddresses.has(address) || !this.#inPool(address)) return false;
    if (!this.#isFreeFor(client, address, now)) return false;
    const own = this.#byClient.get(client);
    if (this.#isUsed(address, mac) && (own?.address !== address || own.state === "free")) return false;
    return this.#byClient.get(client)?.address === address || this.mayHaveMore(mac, now);
  }

  /** Whether the guest with this hardware address may have one more address, by its share. */
  mayHaveMore(mac: MacAddress, now: Instant): boolean {
    const guest = this.#guestOf?.(mac) ?? -1;
    if (guest < 0) return true;
    let held = 0, free = this.#size - this.#reserved.size;
    for (const lease of this.#byAddress.values()) {
      if (!isHeld(lease, now)) continue;
      const holder = this.#guestOf!(lease.mac);
      if (holder === guest) held++;
      if (holder >= 0) free--;
    }
    return held < free;
  }

  /** Gives a client an address that it may have, until `expiresAt`. */
  lease(client: string, mac: MacAddress, address: number, expiresAt: Instant): Lease {
    return this.#assign(client, mac, address | 0, "leased", expiresAt);
  }

  /** The client gives its address back; it will get the same again, if nobody needs it. */
  release(client: string, address: number): boolean {
    const lease = this.#byClient.get(client);
    if (lease === undefined || lease.address !== (address | 0)) return false;
    lease.state = "free";
    lease.expiresAt = NEVER;
    return true;
  }

  /** The client says that somebody else uses the address. */
  decline(client: string, address: number, now: Instant): boolean {
    const lease = this.#byClient.get(client);
    if (lease === undefined || lease.address !== (address | 0)) return false;
    this.#byClient.delete(client);
    lease.client = "";
    lease.state = "declined";
    lease.expiresAt = later(now, QUARANTINE);
    return true;
  }

  #choose(client: string, mac: MacAddress, wanted: number | undefined, now: Instant): number | undefined {
    const fixed = this.fixedOf(mac);
    if (fixed !== undefined) return fixed;
    const known = this.#byClient.get(client);
    const isHis = known !== undefined && this.#isFreeFor(client, known.address, now);
    if (isHis && (isHeld(known, now) || !this.#isUsed(known.address, mac))) return known.address;
    if (!this.mayHaveMore(mac, now)) return undefined;
    if (wanted !== undefined && this.admits(client, mac, wanted, now)) return wanted | 0;
    // Addresses that nobody ever had, in order; then those that nobody has any more; then those that somebody has taken
    // without asking: a guest that helps itself must not starve the others.
    let taken: number | undefined;
    for (let i = this.#next; i < this.#size; i++) {
      const address = (this.#first + i) | 0;
      const isKnown = this.#byAddress.has(address);
      if (isKnown || this.#reserved.has(address) || this.#fixedAddresses.has(address)) {
        if (i === this.#next) this.#next++;
      } else if (!this.#isUsed(address, mac)) return address;
      else taken ??= address;
    }
    for (const lease of this.#byAddress.values()) {
      if (this.#fixedAddresses.has(lease.address) || !this.#isFreeFor(client, lease.address, now)) continue;
      if (!this.#isUsed(lease.address, mac)) return lease.address;
      taken ??= lease.address;
    }
    if (taken !== undefined) return taken;
    for (const lease of this.#byAddress.values()) {
      if (this.#guestOf !== undefined && this.#guestOf(lease.mac) < 0) return lease.address;
    }
    return undefined;
  }

  #inPool(address: number): boolean {
    const place = (address >>> 0) - (this.#first >>> 0);
    return place >= 0 && place < this.#size && !this.#reserved.has(address);
  }

  #isFreeFor(client: string, address: number, now: Instant): boolean {
    const lease = this.#byAddress.get(address);
    return lease === undefined || !isHeld(lease, now) || lease.client === client;
  }

  #assign(
    client: string,
    mac: MacAddress,
    address: number,
    state: "offered" | "leased",
    expiresAt: Instant,
  ): Lease {
    const before = this.#byClient.get(client);
    if (before !== undefined && before.address !== address) {
      before.client = "";
      before.state = "free";
      this.#byClient.delete(client);
    }
    let lease = this.#byAddress.get(address);
    if (lease === undefined) {
      lease = { address, client, mac, state, expiresAt, hostName: undefined };
      this.#byAddress.set(address, lease);
    } else if (lease.client !== client && lease.client !== "") this.#byClient.delete(lease.client);
    lease.client = client;
    lease.mac = mac;
    lease.state = state;
    lease.expiresAt = expiresAt;
    this.#byClient.set(client, lease);
    return lease;
  }
}

function isHeld({ state, expiresAt }: Lease, now: Instant): boolean {
  return state !== "free" && expiresAt > now;
}
