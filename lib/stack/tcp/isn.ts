/**
 * Initial sequence numbers and timestamp offsets (RFC 6528, RFC 7323 section 7.1).
 *
 * RFC 6528 section 3: "ISN = M + F(localip, localport, remoteip, remoteport, secretkey)", M a clock of 4 µs: an
 * attacker who sees his own connections learns nothing about those of others, and the numbers of one four-tuple still
 * grow monotonically, which TIME-WAIT reuse rests on.
 *
 * @module
 */

import type { Instant } from "../time.ts";
import type { AddressWords } from "../wire/address.ts";
import { KeyedHash } from "./keyed_hash.ts";

/** Numbers no peer can predict. */
export class InitialSequence {
  readonly #sequence: KeyedHash;
  readonly #timestamp: KeyedHash;

  constructor(random: () => number) {
    this.#sequence = new KeyedHash(random);
    this.#timestamp = new KeyedHash(random);
  }

  /** The initial sequence number of a connection that begins now (int32). */
  sequence(
    local: AddressWords,
    localPort: number,
    remote: AddressWords,
    remotePort: number,
    now: Instant,
  ): number {
    const m = Math.floor(now / 4) % 0x1_0000_0000;
    return (m + this.#sequence.tuple(local, localPort, remote, remotePort, 0)) | 0;
  }

  /** What is added to the clock in TSval: the same for all connections between two hosts, so that PAWS and TIME-WAIT
   * reuse work across them, and uptime is not told (RFC 7323 section 7.1). */
  timestampOffset(local: AddressWords, remote: AddressWords): number {
    return this.#timestamp.tuple(local, 0, remote, 0, 1);
  }
}
