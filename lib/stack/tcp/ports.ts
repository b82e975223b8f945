/**
 * Ephemeral ports: RFC 6056 section 3.3.3, "simple hash-based port selection".
 *
 * The hash of the destination gives each destination its own walk through the range, so an attacker cannot guess the
 * ports that we use towards others, and reuse of one four-tuple is as late as can be.
 *
 * @module
 */

import type { AddressWords } from "../wire/address.ts";
import { KeyedHash } from "./keyed_hash.ts";

/** Linux' `ip_local_port_range`. */
export const EPHEMERAL_FIRST = 32_768;
/** The last one, included. */
export const EPHEMERAL_LAST = 60_999;

const RANGE = EPHEMERAL_LAST - EPHEMERAL_FIRST + 1;

/** Whether a port can be taken. */
export interface PortUse {
  isFree(local: AddressWords, localPort: number, remote: AddressWords, remotePort: number): boolean;
}

/** Picks ephemeral ports. */
export class EphemeralPorts {
  readonly #hash: KeyedHash;
  #next: number;

  constructor(random: () => number) {
    this.#hash = new KeyedHash(random);
    this.#next = (random() >>> 0) % RANGE;
  }

  /** A free port for a connection to `remote`, or 0 when all are taken. Bounded by the size of the range. */
  pick(local: AddressWords, remote: AddressWords, remotePort: number, use: PortUse): number {
    const offset = this.#hash.tuple(local, 0, remote, remotePort, 0) >>> 0;
    for (let tries = 0; tries < RANGE; tries++) {
      const port = EPHEMERAL_FIRST + (offset + this.#next) % RANGE;
      this.#next = (this.#next + 1) % RANGE;
      if (use.isFree(local, port, remote, remotePort)) return port;
    }
    return 0;
  }
}
