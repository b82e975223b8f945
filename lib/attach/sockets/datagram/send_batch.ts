/**
 * The messages of `sendmmsg`, read from the guest many at a time: iovecs by one call, data and names by another.
 *
 * @module
 */

import { GuestVector } from "../../../host/guest_memory.ts";
import { NativeMemory } from "../../../host/memory.ts";
import { MMSGHDR_SIZE, Msghdr, SOCKADDR_SIZE } from "../../../host/structs.ts";
import type { PacketBuffer } from "../../../stack/buffer/packet.ts";
import type { BufferPool } from "../../../stack/buffer/pool.ts";
import { type Call, type CallAddress, parseSockaddr } from "../call.ts";
import { Pieces } from "../message/pieces.ts";

/** Messages read at once. */
const BATCH = 64;
/** Longest datagram of a batch: so a batch is bounded in bytes, too. */
const LONGEST = 16_384;

/** Messages that were read ahead. */
export class SendBatch {
  readonly #pieces = new Pieces();
  readonly #vector = new GuestVector();
  readonly #names = new NativeMemory(BATCH * SOCKADDR_SIZE);
  readonly #nameLengths = new Int32Array(BATCH);
  readonly #packets: (PacketBuffer | undefined)[] = new Array<undefined>(BATCH).fill(undefined);
  /** Bytes of the vector up to and with each message. */
  readonly #ends: number[] = [];
  #from = 0;
  #end = 0;

  /**
   * Has message `i` ready, and those behind it.
   *
   * @param headers our copy of the array
   * @param end one behind the last message
   * @returns 1; 0: it must be read on its own; −1: it cannot be read, or has a name that is none
   */
  fetch(call: Call, pool: BufferPool, headers: NativeMemory, i: number, end: number): number {
    if (i >= this.#from && i < this.#end) return 1;
    this.release();
    const most = this.#pieces.read(call, headers, i, Math.min(end - i, BATCH), false);
    if (most <= 0) return most;
    this.#from = this.#end = i;
    this.#describe(pool, headers, most);
    if (this.#end === i) return 0;
    const read = call.readVector(this.#vector);
    for (let message = i; message < this.#end; message++) {
      const named = this.#nameLengths[message - i] !== 0;
      const whole = this.#ends[message - i]! <= read;
      if (!whole || (named && this.target(message) === undefined)) this.#cut(message);
    }
    return this.#end > i ? 1 : -1;
  }

  /** The data of message `i`, which is the caller's from now on. */
  packet(i: number): PacketBuffer {
    const packet = this.#packets[i - this.#from]!;
    this.#packets[i - this.#from] = undefined;
    return packet;
  }

  /** Where message `i` goes, scratch; undefined: to the peer. */
  target(i: number): CallAddress | undefined {
    const length = this.#nameLengths[i - this.#from]!;
    return length === 0 ? undefined : parseSockaddr(this.#names, (i - this.#from) * SOCKADDR_SIZE, length);
  }

  /** Lets go of what nobody has taken. */
  release(): void {
    this.#cut(this.#from);
  }

  #cut(end: number): void {
    for (let i = end - this.#from; i < this.#end - this.#from; i++) {
      this.#packets[i]?.release();
      this.#packets[i] = undefined;
    }
    this.#end = end;
  }

  /** Says where the data and names of up to `most` messages shall be read to. */
  #describe(pool: BufferPool, headers: NativeMemory, most: number): void {
    this.#vector.clear();
    let isBad = false;
    for (let i = 0; i < most && !isBad; i++) {
      const at = this.#end * MMSGHDR_SIZE;
      const length = this.#pieces.length(i);
      if (length > LONGEST) return;
      const packet = pool.take(length);
      packet.end += length;
      this.#packets[i] = packet;
      this.#end++;
      const name = headers.getPointer(at + Msghdr.name);
      this.#nameLengths[i] = name === 0 ? 0 : headers.view.getInt32(at + Msghdr.nameLength, true);
      isBad = !this.#pieces.add(this.#vector, i, packet.address + packet.start, length) ||
        !this.#vector.add(name, this.#nameLengths[i]!, this.#names.address + i * SOCKADDR_SIZE);
      this.#ends[i] = isBad ? Infinity : this.#vector.length;
    }
  }
}
