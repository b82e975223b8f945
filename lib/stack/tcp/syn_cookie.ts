/**
 * SYN cookies (RFC 4987 section 3.6): when the backlog is full, the state of a half-open connection is put into the
 * initial sequence number, and forgotten until the third segment brings it back.
 *
 * Linux' encoding: `hash(tuple) + peer's ISN + (minute << 24) + ((hash(tuple, minute) + mssIndex) & 0xffffff)`. The minute
 * makes a cookie valid for two minutes; the index of one of eight segment sizes is what else fits. Window scale, SACK
 * and ECN ride in the low six bits of our timestamp, which the peer echoes, if it does timestamps.
 *
 * @module
 */

import { type Instant, SECOND } from "../time.ts";
import type { AddressWords } from "../wire/address.ts";
import { KeyedHash } from "./keyed_hash.ts";
import type { PeerSyn } from "./peer_syn.ts";

/** How long a cookie may be old, in periods of 64 s. */
const MAX_AGE = 2;
const PERIOD = 64 * SECOND;
/** Segment sizes that a cookie can name, ascending. */
const SEGMENTS: readonly number[] = [216, 536, 1_220, 1_440, 1_460, 8_960, 32_728, 65_460];

/** Bits of the timestamp that carry options. */
export const COOKIE_TIMESTAMP_BITS = 6;
const SCALE_MASK = 15;
const NO_SCALE = 15;
const SACK_BIT = 16;
const ECN_BIT = 32;

/** Makes and verifies cookies. */
export class SynCookies {
  readonly #outer: KeyedHash;
  readonly #inner: KeyedHash;

  constructor(random: () => number) {
    this.#outer = new KeyedHash(random);
    this.#inner = new KeyedHash(random);
  }

  /** The initial sequence number to answer a SYN with. */
  issue(
    local: AddressWords,
    localPort: number,
    remote: AddressWords,
    remotePort: number,
    sequence: number,
    mss: number,
    now: Instant,
  ): number {
    let index = SEGMENTS.length - 1;
    while (index > 0 && SEGMENTS[index]! > mss) index--;
    const period = Math.floor(now / PERIOD) & 0xff;
    const inner = this.#inner.tuple(local, localPort, remote, remotePort, period);
    return (this.#outer.tuple(local, localPort, remote, remotePort, 0) + sequence + (period << 24) +
      ((inner + index) & 0xffffff)) | 0;
  }

  /**
   * The segment size in a cookie, or 0 if it is none of ours or too old.
   *
   * @param cookie the acknowledgement number less one
   * @param sequence the peer's initial sequence number: that of the segment less one
   */
  verify(
    local: AddressWords,
    localPort: number,
    remote: AddressWords,
    remotePort: number,
    sequence: number,
    cookie: number,
    now: Instant,
  ): number {
    const rest = (cookie - this.#outer.tuple(local, localPort, remote, remotePort, 0) - sequence) | 0;
    const period = rest >>> 24;
    const age = ((Math.floor(now / PERIOD) & 0xff) - period) & 0xff;
    if (age >= MAX_AGE) return 0;
    const index = (rest - this.#inner.tuple(local, localPort, remote, remotePort, period)) & 0xffffff;
    return index < SEGMENTS.length ? SEGMENTS[index]! : 0;
  }
}

/** The options of a SYN, for the low bits of a timestamp. */
export function cookieOptions(syn: PeerSyn): number {
  return (syn.windowScale < 0 ? NO_SCALE : syn.windowScale) | (syn.sackPermitted ? SACK_BIT : 0) |
    (syn.ecn ? ECN_BIT : 0);
}

/** The other way round; `timestamp` is our clock as the peer echoed it, its offset taken off. */
export function readCookieOptions(timestamp: number, into: PeerSyn): void {
  const scale = timestamp & SCALE_MASK;
  into.windowScale = scale === NO_SCALE ? -1 : scale;
  into.sackPermitted = (timestamp & SACK_BIT) !== 0;
  into.ecn = (timestamp & ECN_BIT) !== 0;
}
