/**
 * What routers told us about path MTUs (RFC 1191, RFC 8201).
 *
 * Bounded, and forgetful: an estimate is dropped after ten minutes, so that a larger MTU can be found again (RFC 1191
 * section 6.3: "an implementation … SHOULD NOT … in less than 5 minutes"; the recommended value is 10 minutes).
 *
 * @module
 */

import type { IpAddress } from "../wire/address.ts";
import { type Instant, later, MILLISECOND, SECOND } from "../time.ts";
import { AddressEntry, AddressTable } from "./address_table.ts";

/** How long an estimate holds. */
export const PATH_MTU_LIFETIME = 600 * SECOND;

/** RFC 791: every IPv4 node forwards 68 bytes; below Linux' `min_pmtu` of 552 an answer smells of an attack. */
export const MINIMUM_PATH_MTU_V4 = 552;

/** RFC 8200 section 5: every IPv6 link carries 1280 bytes. */
export const MINIMUM_PATH_MTU_V6 = 1_280;

class PathMtu extends AddressEntry {
  mtu = 0;
  expires = 0 as Instant;
}

/** Path MTU by destination. */
export class PathMtuCache {
  /** Changes whenever an estimate does. */
  generation = 1;
  readonly #table: AddressTable<PathMtu>;

  /** @param capacity most destinations remembered */
  constructor(capacity: number) {
    this.#table = new AddressTable(capacity);
  }

  get size(): number {
    return this.#table.size;
  }

  /** The estimate for `destination`, or 0 for "nobody complained". */
  lookup(destination: IpAddress, now: Instant): number {
    if (this.#table.size === 0) return 0;
    const entry = this.#table.get(destination);
    if (entry === undefined) return 0;
    if (entry.expires > now) return entry.mtu;
    this.#table.delete(entry);
    this.generation++;
    return 0;
  }

  /**
   * Notes that a packet of `quoted` bytes to `destination` was too big for a link of `reported` bytes.
   *
   * Returns the new estimate, or 0 when the report is not believed: it must lower the estimate and be smaller than
   * the packet it complains about (RFC 8201 section 4: a node must not raise its estimate from such a message).
   *
   * @param quoted 0: not known
   * @param reported the next-hop MTU; 0 from a router older than RFC 1191, which then means "guess from the plateaus"
   * @param current the MTU in use for that destination
   */
  reduce(destination: IpAddress, reported: number, quoted: number, current: number, now: Instant): number {
    let mtu = reported;
    if (destination.family === 4) {
      if (mtu === 0) mtu = plateauBelow(quoted === 0 ? current : Math.min(quoted, current));
      mtu = Math.max(mtu, MINIMUM_PATH_MTU_V4);
    } else {
      // RFC 8201 section 4: "A node MUST NOT reduce its estimate of the Path MTU below the IPv6 minimum link MTU".
      mtu = Math.max(mtu, MINIMUM_PATH_MTU_V6);
    }
    if (mtu >= current) return 0;
    if (quoted !== 0 && mtu >= quoted) return 0;
    let entry = this.#table.get(destination);
    if (entry === undefined) {
      entry = new PathMtu(destination.clone());
      this.#table.add(entry);
    }
    entry.mtu = mtu;
    entry.expires = later(now, PATH_MTU_LIFETIME);
    this.generation++;
    return mtu;
  }
}

/** RFC 1191 section 7.1, table 7-1. */
const PLATEAUS = [32_000, 17_914, 8_166, 4_352, 2_002, 1_492, 1_006, 508, 296, 68] as const;

function plateauBelow(size: number): number {
  for (const plateau of PLATEAUS) if (plateau < size) return plateau;
  return PLATEAUS[PLATEAUS.length - 1]!;
}

/** How long a path keeps an MTU it looked up before it looks again. */
export const PATH_MTU_RECHECK = 500 * MILLISECOND;
