/**
 * Timestamps of one connection (RFC 7323): our clock, the peer's, and protection against wrapped sequence numbers.
 *
 * @module
 */

import { type Instant, MILLISECOND, SECOND } from "../time.ts";
import { COOKIE_TIMESTAMP_BITS } from "./syn_cookie.ts";

/** RFC 7323 section 5.5: a TS.Recent older than this proves nothing any more. */
const OUTDATED = 24 * 24 * 3_600 * SECOND;
/** Linux' `TCP_PAWS_WINDOW`: one tick of disorder is forgiven. */
const TOLERANCE = 1;

/** Our clock for TSval: milliseconds, whole. */
export function timestampClock(now: Instant): number {
  return Math.floor(now / MILLISECOND);
}

/** The timestamps of one connection. */
export class Timestamps {
  /** Both sides sent the option in their SYN. */
  enabled = false;
  /** TS.Recent. */
  recent = 0;
  #recentAt = 0 as Instant;
  /** Added to our clock: uptime is nobody's business. */
  readonly offset: number;

  constructor(offset: number) {
    this.offset = offset;
  }

  /** TSval of a segment that leaves now. */
  value(now: Instant): number {
    return (timestampClock(now) + this.offset) | 0;
  }

  /** TSval of a SYN cookie: its low bits carry options. Never ahead of the clock, lest PAWS drop what follows. */
  cookieValue(options: number, now: Instant): number {
    const step = 1 << COOKIE_TIMESTAMP_BITS;
    const clock = timestampClock(now);
    let value = clock - clock % step + options;
    if (value > clock) value -= step;
    return (value + this.offset) | 0;
  }

  /** What the peer echoed, in our clock; NaN if it echoes nothing of ours. */
  echo(timestampEcho: number, now: Instant): number {
    if (timestampEcho === 0) return NaN;
    const age = (this.value(now) - timestampEcho) | 0;
    return age < 0 ? NaN : timestampClock(now) - age;
  }

  /** RFC 7323 section 5.3 R1: the segment is older than what was received. */
  isOld(value: number, now: Instant): boolean {
    return ((this.recent - value) | 0) > TOLERANCE && now - this.#recentAt < OUTDATED;
  }

  /** R3: remembers a timestamp to echo, of a segment that does not begin behind what was acknowledged. */
  update(value: number, now: Instant): void {
    if (((value - this.recent) | 0) < 0 && now - this.#recentAt < OUTDATED) return;
    this.recent = value;
    this.#recentAt = now;
  }

  /** The first one, of a SYN. */
  synchronize(value: number, now: Instant): void {
    this.enabled = true;
    this.recent = value;
    this.#recentAt = now;
  }
}
