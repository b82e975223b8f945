/**
 * The messages of `recvmmsg`, received and written to the guest many at a time: datagrams out of the pair by one call,
 * iovecs by another, data and names by a third.
 *
 * @module
 */

import { GuestVector } from "../../../host/guest_memory.ts";
import { NativeMemory } from "../../../host/memory.ts";
import { MMSGHDR_SIZE, Msghdr, SOCKADDR_SIZE, writeSockaddr } from "../../../host/structs.ts";
import { MSG } from "../../../host/constants.ts";
import type { Instant } from "../../../stack/time.ts";
import { Pieces } from "../message/pieces.ts";
import { Arrival } from "./arrival.ts";
import type { Inbox } from "./inbox.ts";
import { BATCH, batchOf, ROOM } from "./outbox.ts";
import type { Receive } from "./receive.ts";

/** Several messages of one `recvmmsg`. */
export class ReceiveBatch {
  /** Datagrams that the last {@linkcode deliver} took out of the pair. */
  taken = 0;
  readonly #pieces = new Pieces();
  readonly #vector = new GuestVector();
  readonly #names = new NativeMemory(BATCH * SOCKADDR_SIZE);
  readonly #arrivals: Arrival[] = [];
  readonly #slots: number[] = [];
  /** Bytes of the vector up to and with message `i`. */
  readonly #ends: number[] = [];
  #count = 0;

  /**
   * Reads where the next messages of the call want their data.
   *
   * @param waiting datagrams that wait, or more
   * @returns false: it is not worth it, or not possible; nothing has been answered
   */
  prepare(receive: Receive, waiting: number): boolean {
    const most = Math.min(BATCH, receive.count - receive.done, waiting);
    if (most < 2) return false;
    this.#count = this.#pieces.read(receive.call, receive.headers, receive.done, most, true);
    return this.#count >= 2;
  }

  /**
   * Takes datagrams and writes them to the guest.
   *
   * @param far the guest's end, borrowed
   * @returns how many messages the guest has got; {@linkcode taken} may be more, if its memory is gone
   */
  deliver(receive: Receive, inbox: Inbox, far: number, v6: boolean, now: Instant): number {
    const { batch } = batchOf();
    const count = inbox.takeMany(far, batch, this.#count, this.#arrivals, this.#slots);
    this.taken = count;
    this.#vector.clear();
    for (let i = 0; i < count; i++) this.#describe(receive, i, v6);
    const written = count === 0 ? 0 : receive.call.writeVector(this.#vector);
    let done = 0;
    while (done < count && this.#ends[done]! <= written) {
      const { length } = this.#arrivals[done]!;
      const copied = Math.min(length, this.#pieces.length(done));
      const flags = receive.message.flags;
      receive.received((flags & MSG.TRUNC) !== 0 ? length : copied, now);
      done++;
    }
    return done;
  }

  #describe(receive: Receive, i: number, v6: boolean): void {
    const { headers } = receive;
    const at = (receive.done + i) * MMSGHDR_SIZE;
    const { length, source } = this.#arrivals[i]!;
    const copied = Math.min(length, this.#pieces.length(i));
    const { room } = batchOf();
    this.#pieces.add(this.#vector, i, room.address + this.#slots[i]! * ROOM, copied);
    const name = headers.getPointer(at + Msghdr.name);
    const nameRoom = headers.view.getInt32(at + Msghdr.nameLength, true);
    if (name !== 0 && nameRoom > 0) {
      const { a, b, c, d, port, scope } = source;
      const address = v6 ? { family: 6, a, b, c, d } as const : source;
      const size = writeSockaddr(this.#names.view, i * SOCKADDR_SIZE, address, port, scope);
      this.#vector.add(name, Math.min(size, nameRoom), this.#names.address + i * SOCKADDR_SIZE);
      headers.view.setInt32(at + Msghdr.nameLength, size, true);
    }
    headers.setPointer(at + Msghdr.controlLength, 0);
    headers.view.setInt32(at + Msghdr.flags, length > copied ? MSG.TRUNC : 0, true);
    this.#ends[i] = this.#vector.length;
  }
}
