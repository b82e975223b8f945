/**
 * The pieces of data of several messages at once: the iovecs that an array of `struct mmsghdr` points to, read by one call.
 *
 * Only messages without control messages and with few pieces are taken, which is all that programs in a hurry send; the
 * others go one by one.
 *
 * @module
 */

import { GuestVector, MAX_PIECES } from "../../../host/guest_memory.ts";
import { NativeMemory } from "../../../host/memory.ts";
import { IOVEC_SIZE, MMSGHDR_SIZE, Msghdr, SOCKADDR_SIZE } from "../../../host/structs.ts";
import type { Call } from "../call.ts";

/** Most pieces of one message here. */
const FEW = 16;

/** Most pieces of all of them, which leaves room in a vector for as many names as there are messages in a batch. */
const ALL = MAX_PIECES - 64;

/** Iovecs of consecutive messages. */
export class Pieces {
  readonly #iovecs = new NativeMemory(ALL * IOVEC_SIZE);
  readonly #vector = new GuestVector();
  /** Index of each message's first iovec, and one behind the last. */
  readonly #first: number[] = [0];

  /**
   * Reads those of the messages from `from` on, up to `most` of them.
   *
   * @param headers our copy of the array
   * @param ignoreControl whether control messages do not matter, as for a receive that has none to tell
   * @returns how many; 0: the first must go on its own; −1: it cannot be read. Nothing has been answered
   */
  read(call: Call, headers: NativeMemory, from: number, most: number, ignoreControl: boolean): number {
    const { view } = headers;
    this.#vector.clear();
    let count = 0, total = 0;
    for (; count < most; count++) {
      const at = (from + count) * MMSGHDR_SIZE;
      const pieces = headers.getPointer(at + Msghdr.iovLength);
      const control = headers.getPointer(at + Msghdr.control) !== 0 &&
        headers.getPointer(at + Msghdr.controlLength) !== 0;
      const nameLength = view.getInt32(at + Msghdr.nameLength, true);
      const named = headers.getPointer(at + Msghdr.name) !== 0;
      if (pieces < 1 || pieces > FEW || total + pieces > ALL) break;
      if ((control && !ignoreControl) || (named && (nameLength < 0 || nameLength > SOCKADDR_SIZE))) break;
      const to = this.#iovecs.address + total * IOVEC_SIZE;
      if (!this.#vector.add(headers.getPointer(at + Msghdr.iov), pieces * IOVEC_SIZE, to)) break;
      total += pieces;
      this.#first[count + 1] = total;
    }
    if (count === 0) return 0;
    const read = call.readVector(this.#vector);
    while (count > 0 && this.#first[count]! * IOVEC_SIZE > read) count--;
    return count > 0 ? count : -1;
  }

  /** Bytes of data, or room for them, of message `i`. */
  length(i: number): number {
    let length = 0;
    for (let at = this.#first[i]!; at < this.#first[i + 1]!; at++) {
      length += this.#iovecs.getPointer(at * IOVEC_SIZE + 8);
    }
    return length;
  }

  /** Adds up to `length` bytes of message `i` to `vector`; they are at `local` here. False: no room. */
  add(vector: GuestVector, i: number, local: number, length: number): boolean {
    for (let at = this.#first[i]!; at < this.#first[i + 1]! && length > 0; at++) {
      const size = Math.min(this.#iovecs.getPointer(at * IOVEC_SIZE + 8), length);
      if (!vector.add(this.#iovecs.getPointer(at * IOVEC_SIZE), size, local)) return false;
      local += size;
      length -= size;
    }
    return true;
  }
}
