/**
 * Whom a UDP socket has written to: only they are heard by a socket whose port is not published (address-dependent
 * filtering, RFC 4787 section 5).
 *
 * @module
 */

import type { AddressWords } from "../../../host/structs.ts";

/** Addresses that one socket remembers; the one longest without a datagram is forgotten first. */
export const MAX_CORRESPONDENTS = 1_024;

/** A bounded set of addresses. */
export class Correspondents {
  /** Insertion order is the order of last use. */
  readonly #keys = new Set<string>();
  /** The last address that was looked up, so that a stream of datagrams costs no text. */
  #a = 0;
  #b = 0;
  #c = 0;
  #d = 0;
  #known = false;

  /** Remembers `address`. Returns whether another one had to be forgotten for it. */
  add(address: AddressWords): boolean {
    if (this.has(address)) return false;
    this.#keys.add(keyOf(address));
    this.#known = true;
    if (this.#keys.size <= MAX_CORRESPONDENTS) return false;
    for (const oldest of this.#keys) {
      this.#keys.delete(oldest);
      break;
    }
    return true;
  }

  has(address: AddressWords): boolean {
    const { a, b, c, d } = address;
    if (this.#known && a === this.#a && b === this.#b && c === this.#c && d === this.#d) return true;
    this.#a = a;
    this.#b = b;
    this.#c = c;
    this.#d = d;
    const key = keyOf(address);
    this.#known = this.#keys.delete(key);
    if (this.#known) this.#keys.add(key);
    return this.#known;
  }
}

function keyOf({ a, b, c, d }: AddressWords): string {
  return `${a} ${b} ${c} ${d}`;
}
