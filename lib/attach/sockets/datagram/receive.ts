/**
 * One call that receives: `recvfrom`, `recvmsg`, or `recvmmsg` with its many messages, now or when something comes.
 *
 * @module
 */

import { NativeMemory } from "../../../host/memory.ts";
import { MMSGHDR_SIZE, Msghdr } from "../../../host/structs.ts";
import { type Instant, NEVER } from "../../../stack/time.ts";
import type { Call } from "../call.ts";
import type { Deadline } from "../guest_socket.ts";
import { MessageFlag } from "../message/flags.ts";
import { Message } from "../message/message.ts";

/** A result that is no result: the call has been answered already. */
export const ANSWERED = -4_096;

/** Who is told that the time of a waiting receive is over. */
export interface ReceiveOwner {
  expired(receive: Receive): void;
}

/** A receive under way. */
export class Receive implements Deadline {
  timerAt: Instant = NEVER;
  timerIndex = -1;
  readonly message = new Message();
  call!: Call;
  owner!: ReceiveOwner;
  flags = 0;
  /** Guest address of the array of `struct mmsghdr`; 0: a single message. */
  vector = 0;
  /** Messages of the array, and how many are done. */
  count = 1;
  done = 0;
  /** When `recvmmsg` should return with what it has; the kernel, too, looks only after a message. */
  until: Instant = NEVER;
  /** Our copy of the array. */
  #headers: NativeMemory | undefined;

  /** Begins with a single message, which the caller fills in. */
  begin(call: Call, owner: ReceiveOwner, flags: number): this {
    this.call = call;
    this.owner = owner;
    this.flags = flags;
    this.vector = this.done = 0;
    this.count = 1;
    this.until = NEVER;
    return this;
  }

  /** Reads the array of `recvmmsg`, all of it at once. False: answered with EFAULT. */
  readVector(vector: number, count: number): boolean {
    this.vector = vector;
    this.count = count;
    const size = count * MMSGHDR_SIZE;
    const bytes = this.call.readBytes(vector, size);
    if (bytes === undefined) return false;
    if (this.#headers === undefined || this.#headers.bytes.length < size) {
      this.#headers = new NativeMemory(size);
    }
    this.#headers.bytes.set(bytes);
    return true;
  }

  /** Looks at the next message of the array. False: answered with an errno. */
  next(): boolean {
    const at = this.done * MMSGHDR_SIZE;
    return this.message.readCopy(this.call, this.#headers!, at, this.vector + at, this.flags) === 0;
  }

  /** Our copy of the array of `struct mmsghdr`. */
  get headers(): NativeMemory {
    return this.#headers!;
  }

  /** Answers with what has been received. False: a single message was not heard of, or the memory for several is gone. */
  reply(result: number): boolean {
    if (this.vector === 0) return this.call.tryReply(result);
    const size = this.done * MMSGHDR_SIZE;
    if (size > 0 && !this.call.writeFrom(this.vector, size, this.#headers!.address)) return false;
    this.call.reply(result);
    return true;
  }

  /**
   * One message has been received, with this result.
   *
   * @returns whether the call is complete, and how to answer it: −1 for not yet
   */
  received(result: number, now: Instant): number {
    if (this.vector === 0) return result;
    this.#headers!.view.setInt32(this.done * MMSGHDR_SIZE + Msghdr.length, result, true);
    this.done++;
    if ((this.flags & MessageFlag.WAITFORONE) !== 0) this.flags |= MessageFlag.DONTWAIT;
    return this.done === this.count || now >= this.until ? this.done : -1;
  }

  onDeadline(): void {
    this.owner.expired(this);
  }
}
