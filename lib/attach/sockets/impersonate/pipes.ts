/**
 * Pipes that bytes are spliced through: from a socket into a pipe, and from the pipe into a socket, the pages are passed on
 * and never copied.
 *
 * A pipe is empty between two uses, so a few serve all connections: only one that could not be emptied, because the far
 * socket was full, stays with its connection.
 *
 * @module
 */

import { O } from "../../../host/arch.ts";
import { F } from "../../../host/constants.ts";
import { NativeMemory } from "../../../host/memory.ts";
import { close, fcntl, pipe2 } from "../../../host/sys.ts";

/** Room asked for. What all pipes of a user may have is limited too (`pipe-user-pages-soft`); beyond it there is less. */
const PIPE_SIZE = 1 << 20;
/** Empty pipes that are kept. */
const KEPT = 16;

/** A pipe. */
export interface Pipe {
  readonly read: number;
  readonly write: number;
  /** Bytes that it takes in one write, while it is empty. */
  readonly room: number;
}

const pair = new NativeMemory(8);

/** A stock of empty pipes. */
export class Pipes {
  readonly #idle: Pipe[] = [];

  /** An empty pipe; undefined: there are no descriptors left. */
  take(): Pipe | undefined {
    const kept = this.#idle.pop();
    if (kept !== undefined) return kept;
    if (pipe2(pair.address, O.CLOEXEC | O.NONBLOCK) < 0) return undefined;
    const read = pair.words[0]!, write = pair.words[1]!;
    const given = fcntl(write, F.SETPIPE_SZ, PIPE_SIZE);
    return { read, write, room: given > 0 ? given : fcntl(write, F.GETPIPE_SZ, 0) };
  }

  /** Gives an empty pipe back. */
  give(pipe: Pipe): void {
    if (this.#idle.length < KEPT) this.#idle.push(pipe);
    else this.discard(pipe);
  }

  /** Closes a pipe, and forgets what is in it. */
  discard(pipe: Pipe): void {
    close(pipe.read);
    close(pipe.write);
  }

  close(): void {
    for (const pipe of this.#idle.splice(0)) this.discard(pipe);
  }
}
