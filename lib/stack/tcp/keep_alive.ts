/**
 * Keep-alive (RFC 1122 section 4.2.3.6): is a silent peer still there?
 *
 * The deadline is computed, never moved: a segment only stamps `heardAt`.
 *
 * @module
 */

import { type Instant, later, type Microseconds, NEVER } from "../time.ts";
import type { TcpOptions } from "./options.ts";

/** The keep-alive of one connection. */
export class KeepAlive {
  enabled: boolean;
  idle: Microseconds;
  interval: Microseconds;
  count: number;
  /** When something last came from the peer. */
  heardAt: Instant;
  /** Probes without an answer. */
  probes = 0;

  constructor(options: TcpOptions, now: Instant) {
    this.enabled = options.keepAlive;
    this.idle = options.keepAliveIdle;
    this.interval = options.keepAliveInterval;
    this.count = options.keepAliveCount;
    this.heardAt = now;
  }

  /** When to probe, or to give up. */
  get at(): Instant {
    return this.enabled ? later(this.heardAt, this.idle + this.probes * this.interval) : NEVER;
  }

  /** The peer lives. */
  heard(now: Instant): void {
    this.heardAt = now;
    this.probes = 0;
  }

  /** The deadline passed; returns false if the peer is dead. */
  probe(): boolean {
    if (this.probes >= this.count) return false;
    this.probes++;
    return true;
  }
}
