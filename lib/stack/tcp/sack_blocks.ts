/**
 * The SACK blocks that a receiver reports (RFC 2018 section 4, RFC 2883).
 *
 * "The first SACK block ... MUST specify the contiguous block of data containing the segment which triggered this ACK",
 * and the others repeat the most recent ones. Four are remembered, which is what a header can carry; what the
 * reassembly queue holds beyond them was reported before (Linux' `selective_acks`).
 *
 * @module
 */

import type { TcpHeader } from "../wire/tcp.ts";
import { seqGe, seqGt, seqLe, seqLt } from "./sequence.ts";

const MAX_BLOCKS = 4;

/** Most recent first. Allocated with the first segment out of order. */
export class SackBlocks {
  readonly #left: Int32Array = new Int32Array(MAX_BLOCKS);
  readonly #right: Int32Array = new Int32Array(MAX_BLOCKS);
  #count = 0;

  get count(): number {
    return this.#count;
  }

  /** `[left, right)` has arrived out of order: the block that contains it comes to the front. */
  add(left: number, right: number): void {
    // Absorb every block that touches the new one. Absorbing may make it touch others: at most four rounds.
    for (let i = 0; i < this.#count;) {
      if (seqGt(this.#left[i]!, right) || seqLt(this.#right[i]!, left)) {
        i++;
        continue;
      }
      if (seqLt(this.#left[i]!, left)) left = this.#left[i]!;
      if (seqGt(this.#right[i]!, right)) right = this.#right[i]!;
      this.#remove(i);
      i = 0;
    }
    const last = Math.min(this.#count, MAX_BLOCKS - 1);
    for (let i = last; i > 0; i--) {
      this.#left[i] = this.#left[i - 1]!;
      this.#right[i] = this.#right[i - 1]!;
    }
    this.#left[0] = left;
    this.#right[0] = right;
    this.#count = last + 1;
  }

  /** RCV.NXT moved: blocks below it are history. */
  advance(next: number): void {
    for (let i = 0; i < this.#count;) {
      if (seqGe(next, this.#right[i]!)) this.#remove(i);
      else {
        if (seqLt(this.#left[i]!, next)) this.#left[i] = next;
        i++;
      }
    }
  }

  /** Whether `[left, right)` lies in a block that is reported. */
  covers(left: number, right: number): boolean {
    for (let i = 0; i < this.#count; i++) {
      if (seqLe(this.#left[i]!, left) && seqLe(right, this.#right[i]!)) return true;
    }
    return false;
  }

  /** Appends to the blocks in `header`, up to `most` in all. */
  write(header: TcpHeader, most: number): void {
    for (let i = 0; i < this.#count && header.sackCount < most; i++) {
      header.sackLeft[header.sackCount] = this.#left[i]!;
      header.sackRight[header.sackCount] = this.#right[i]!;
      header.sackCount++;
    }
  }

  clear(): void {
    this.#count = 0;
  }

  #remove(at: number): void {
    this.#count--;
    for (let i = at; i < this.#count; i++) {
      this.#left[i] = this.#left[i + 1]!;
      this.#right[i] = this.#right[i + 1]!;
    }
  }
}
