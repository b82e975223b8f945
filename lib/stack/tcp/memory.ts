/**
 * How much memory the queues of all connections may hold together: what `tcp_mem` is to Linux, with shares.
 *
 * Theory of operation
 *
 * A connection's own buffers bound what it holds; tens of thousands of connections bound nothing. So each one charges what its
 * queues hold, as buffers rather than bytes, to the account of the guest whose it is. Dynamic thresholds (see
 * `fair_share.ts`) say how much a guest may have: as much as is free. One greedy guest gets half of it, two a third each, and
 * whoever comes next always finds something.
 *
 * | the account holds …       | its connections …                                                                           |
 * | ------------------------- | ------------------------------------------------------------------------------------------- |
 * | less than is free         | have the buffers that their options say                                                     |
 * | as much: *pressed*        | queue {@linkcode LEAST} once the peer has acknowledged everything; offer a segment of window |
 * | twice as much: *full*     | take {@linkcode LEAST} of what arrives, whatever window was promised; the peer sends it again |
 *
 * So every connection goes on, however slowly, and a guest that takes nothing has its share and 2 × LEAST for each connection.
 * What is owed to a connection that was pressed needs no list of its own: it holds something, and goes on when that leaves.
 *
 * @module
 */

import { HEADROOM } from "../buffer/packet.ts";
import { MEDIUM } from "../buffer/pool.ts";

/** Bytes that a connection may hold in each direction in any case: what fits a buffer of the middle size. */
export const LEAST: number = MEDIUM - HEADROOM;

/** What all accounts share. */
interface Purse {
  free: number;
  readonly counters: { bump(name: string): void };
}

/** What the connections of one guest hold. */
export class MemoryAccount {
  #held = 0;
  #wasPressed = false;
  readonly #purse: Purse;

  constructor(purse: Purse) {
    this.#purse = purse;
  }

  /** Bytes. */
  get held(): number {
    return this.#held;
  }

  /** It holds as much as is left for others. */
  get pressed(): boolean {
    return this.#held >= this.#purse.free;
  }

  /** It holds twice as much as is left for others. */
  get full(): boolean {
    return this.#held >= 2 * this.#purse.free;
  }

  /** Holds `bytes` more, or less if negative. */
  charge(bytes: number): void {
    const purse = this.#purse;
    this.#held += bytes;
    purse.free -= bytes;
    const pressed = this.#held >= purse.free;
    if (pressed === this.#wasPressed) return;
    this.#wasPressed = pressed;
    if (pressed) purse.counters.bump("tcp.memory-pressure");
  }
}

/** The accounts. */
export class TcpMemory {
  readonly #purse: Purse;
  readonly #limit: number;
  readonly #accounts = new Map<number, MemoryAccount>();

  /** @param limit bytes */
  constructor(limit: number, counters: { bump(name: string): void }) {
    this.#limit = limit;
    this.#purse = { free: limit, counters };
  }

  /** Bytes that all connections hold. */
  get held(): number {
    return this.#limit - this.#purse.free;
  }

  /** The account of a guest, by a small number that is used again for others. */
  account(tenant: number): MemoryAccount {
    let account = this.#accounts.get(tenant);
    if (account === undefined) this.#accounts.set(tenant, account = new MemoryAccount(this.#purse));
    return account;
  }
}
