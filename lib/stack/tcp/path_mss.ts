/**
 * How large a segment may be: the peer's wish, the route, what ICMP said, and what silence says.
 *
 * ICMP (RFC 1191, RFC 8201) may only lower the size, not below what every link must carry, and is forgotten after ten
 * minutes. Where ICMP is filtered, large segments vanish without a word: after two time-outs in a row the size goes down
 * to one that passes nearly everywhere, after four to the minimum (the black-hole detection of RFC 8899 section 4.2
 * without its probes upwards: the route's MTU is tried again with the next connection).
 *
 * @module
 */

import { type Instant, later, NEVER, SECOND } from "../time.ts";
import type { IpFamily } from "../wire/address.ts";
import { DEFAULT_MSS_V4, DEFAULT_MSS_V6, MIN_SEND_MSS } from "./peer_syn.ts";

/** RFC 1191 section 6.3: ten minutes. */
const EXPIRY = 600 * SECOND;
/** Linux' `ip_rt_min_pmtu`, and RFC 8200's minimum link MTU. */
const MIN_MTU_V4 = 552;
const MIN_MTU_V6 = 1_280;
/** Segments that pass nearly every tunnel, and every IPv4 host (RFC 1122 section 3.3.2: 576). */
const SAFE_MSS = 1_220;
const LEAST_MSS = 536;
/** Time-outs after which nothing passes, whatever its size. */
const BLACKOUT_TIMEOUTS = 6;

/** Longest IP packets (Linux' `IP_MAX_MTU` and `IP6_MAX_MTU`): the loopback's MTU is a byte more than IPv4 can say. */
const MAX_MTU_V4 = 65_535;
const MAX_MTU_V6 = 65_535 + 40;

/** Bytes of IP and TCP header without options. */
export function headersOf(family: IpFamily): number {
  return family === 4 ? 40 : 60;
}

/** The segment size of one connection. */
export class PathMss {
  /** The MTU in force. */
  mtu: number;
  readonly #family: IpFamily;
  /** From the peer's SYN. */
  #peer: number;
  #icmpMtu = Infinity;
  #icmpUntil: Instant = NEVER;
  #blackHole = Infinity;
  #blackHoleUntil: Instant = NEVER;

  constructor(family: IpFamily, mtu: number) {
    this.#family = family;
    this.mtu = mtu;
    this.#peer = family === 4 ? DEFAULT_MSS_V4 : DEFAULT_MSS_V6;
  }

  /** The MSS option of the peer's SYN; 0: it sent none. */
  setPeer(mss: number): void {
    if (mss !== 0) this.#peer = mss;
  }

  /** ICMP reported `mtu` (0: a router before RFC 1191). */
  onTooBig(mtu: number, now: Instant): void {
    const least = this.#family === 4 ? MIN_MTU_V4 : MIN_MTU_V6;
    this.#icmpMtu = Math.min(this.#icmpMtu, Math.max(mtu === 0 ? 576 : mtu, least));
    this.#icmpUntil = later(now, EXPIRY);
  }

  /**
   * `timeouts` retransmissions in a row vanished, the last one of a segment of `mss` bytes. Returns true if the size goes down.
   * When small ones vanish as well it is not for their size: an outage must not leave small segments behind.
   */
  onTimeouts(timeouts: number, mss: number, now: Instant): boolean {
    if (timeouts >= BLACKOUT_TIMEOUTS) {
      this.#blackHole = Infinity;
      return false;
    }
    const next = timeouts >= 4 ? LEAST_MSS : SAFE_MSS;
    if (timeouts < 2 || mss <= next) return false;
    this.#blackHole = next;
    this.#blackHoleUntil = later(now, EXPIRY);
    return true;
  }

  /** Payload per segment, before options, with a route of that MTU. */
  current(routeMtu: number, now: Instant): number {
    if (now >= this.#icmpUntil) {
      this.#icmpMtu = Infinity;
      this.#icmpUntil = NEVER;
    }
    if (now >= this.#blackHoleUntil) {
      this.#blackHole = Infinity;
      this.#blackHoleUntil = NEVER;
    }
    this.mtu = Math.min(routeMtu, this.#longest, this.#icmpMtu);
    const mss = Math.min(this.#peer, this.mtu - headersOf(this.#family), this.#blackHole);
    return Math.max(mss, MIN_SEND_MSS);
  }

  /** What we ask of the peer. */
  advertised(routeMtu: number, most: number): number {
    const mtu = Math.min(routeMtu, this.#longest);
    const mss = Math.min(Math.max(mtu - headersOf(this.#family), MIN_SEND_MSS), 65_535);
    return most > 0 ? Math.min(most, mss) : mss;
  }

  get #longest(): number {
    return this.#family === 4 ? MAX_MTU_V4 : MAX_MTU_V6;
  }
}
