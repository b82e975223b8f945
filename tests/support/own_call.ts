/**
 * Trapped calls without a trap: the guest is this process itself, whose memory is read as any guest's.
 *
 * @module
 */

import process from "node:process";
import { Call, type CallHost } from "../../lib/attach/sockets/call.ts";
import { F } from "../../lib/host/constants.ts";
import { Errno } from "../../lib/host/errno.ts";
import { GuestFiles } from "../../lib/host/guest_files.ts";
import { GuestMemory } from "../../lib/host/guest_memory.ts";
import { NativeMemory } from "../../lib/host/memory.ts";
import { Notification, NOTIFICATION_SIZE, type SeccompListener } from "../../lib/host/seccomp.ts";
import { fcntl } from "../../lib/host/sys.ts";

/** Makes calls, and keeps what they were answered with: a value, −errno, or `"passed"`. */
export class OwnCalls {
  /** Answers in order. */
  readonly answers: (number | "passed")[] = [];
  readonly memory = new GuestMemory();
  readonly files = new GuestFiles();
  /** Answers that the thread has missed, and is given when it comes again. */
  readonly unheard: number[] = [];
  /** False: the thread has been interrupted. */
  valid = true;
  /** Where the numbers of descriptors go that a call is answered with; absent: the guest has no room for any. */
  descriptors: number[] | undefined;
  readonly #notification = new NativeMemory(NOTIFICATION_SIZE);
  readonly #host: CallHost;

  constructor() {
    const listener = {
      notification: this.#notification,
      isValid: () => this.valid,
      respond: (_low: number, _high: number, result: number, flags = 0) => {
        if (!this.valid) return false;
        this.answers.push(flags === 0 ? result : "passed");
        return true;
      },
      addDescriptor: (_low: number, _high: number, fd: number) => {
        if (!this.valid) return -Errno.ENOENT;
        const copy = this.descriptors === undefined ? -Errno.EMFILE : fcntl(fd, F.DUPFD_CLOEXEC, 0);
        if (copy >= 0) this.descriptors?.push(copy);
        return copy;
      },
    } as unknown as SeccompListener;
    const { memory, files } = this;
    const unheard = (_call: Call, result: number) => this.unheard.push(result);
    this.#host = { listener, memory, files, held: () => {}, settled: () => {}, unheard };
  }

  /** A call with these arguments. */
  call(...args: readonly number[]): Call {
    this.#notification.bytes.fill(0);
    this.#notification.words[Notification.pid >> 2] = process.pid;
    args.forEach((value, i) => this.#notification.setPointer(Notification.argument + 8 * i, value));
    return new Call(this.#host).take();
  }

  close(): void {
    this.files.close();
  }
}
