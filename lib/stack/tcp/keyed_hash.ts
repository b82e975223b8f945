/**
 * HalfSipHash-2-4 over 32-bit words: the keyed function that RFC 6528 (initial sequence numbers), RFC 6056 (port
 * selection) and RFC 4987 (SYN cookies) ask for, without BigInt and without allocation.
 *
 * HalfSipHash has a key of 64 bits; two more secret words are absorbed first, so that 128 bits must be guessed.
 *
 * @module
 */

import type { AddressWords } from "../wire/address.ts";

/** A secret function of four-tuples. */
export class KeyedHash {
  readonly #k0: number;
  readonly #k1: number;
  readonly #salt0: number;
  readonly #salt1: number;
  #v0 = 0;
  #v1 = 0;
  #v2 = 0;
  #v3 = 0;

  /** @param random a source of uniform 32-bit numbers; four are drawn */
  constructor(random: () => number) {
    this.#k0 = random() | 0;
    this.#k1 = random() | 0;
    this.#salt0 = random() | 0;
    this.#salt1 = random() | 0;
  }

  /** A 32-bit digest (signed) of a connection's name and one more word. */
  tuple(
    local: AddressWords,
    localPort: number,
    remote: AddressWords,
    remotePort: number,
    extra: number,
  ): number {
    this.#v0 = this.#k0;
    this.#v1 = this.#k1;
    this.#v2 = 0x6c796765 ^ this.#k0;
    this.#v3 = 0x74656462 ^ this.#k1;
    this.#absorb(this.#salt0);
    this.#absorb(this.#salt1);
    this.#absorb(local.a);
    this.#absorb(local.b);
    this.#absorb(local.c);
    this.#absorb(local.d);
    this.#absorb(remote.a);
    this.#absorb(remote.b);
    this.#absorb(remote.c);
    this.#absorb(remote.d);
    this.#absorb((localPort << 16) | remotePort);
    this.#absorb(extra | 0);
    this.#absorb(12 << 26); // the length byte of the reference implementation: 48 bytes
    this.#v2 ^= 0xff;
    this.#round();
    this.#round();
    this.#round();
    this.#round();
    return this.#v1 ^ this.#v3;
  }

  #absorb(word: number): void {
    this.#v3 ^= word;
    this.#round();
    this.#round();
    this.#v0 ^= word;
  }

  #round(): void {
    let v0 = this.#v0;
    let v1 = this.#v1;
    let v2 = this.#v2;
    let v3 = this.#v3;
    v0 = (v0 + v1) | 0;
    v1 = ((v1 << 5) | (v1 >>> 27)) ^ v0;
    v0 = (v0 << 16) | (v0 >>> 16);
    v2 = (v2 + v3) | 0;
    v3 = ((v3 << 8) | (v3 >>> 24)) ^ v2;
    v0 = (v0 + v3) | 0;
    v3 = ((v3 << 7) | (v3 >>> 25)) ^ v0;
    v2 = (v2 + v1) | 0;
    v1 = ((v1 << 13) | (v1 >>> 19)) ^ v2;
    v2 = (v2 << 16) | (v2 >>> 16);
    this.#v0 = v0;
    this.#v1 = v1;
    this.#v2 = v2;
    this.#v3 = v3;
  }
}
