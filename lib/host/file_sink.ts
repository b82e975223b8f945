/**
 * A file that is only ever appended to, from the data-plane thread.
 *
 * @module
 */

import { O } from "./arch.ts";
import { check, Errno, errnoText } from "./errno.ts";
import { cString, NativeMemory } from "./memory.ts";
import { close, ftruncate, open, write } from "./sys.ts";

/** Largest single write; a captured super-packet fits. */
const CHUNK = 128 * 1024;

/**
 * An open file. What cannot be written (a full disk) is counted and dropped: a capture never stops the traffic. What is
 * written is written whole, so a file of records stays one, and goes on when there is room again.
 */
export class FileSink {
  readonly #fd: number;
  readonly #memory = new NativeMemory(CHUNK);
  readonly #onLost: ((why: string) => void) | undefined;
  /** Bytes in the file. */
  #length = 0;
  /** A part of a record is in it that could not be taken back: nothing that follows would make sense. */
  #torn = false;
  /** Bytes that could not be written. */
  lost = 0;

  /**
   * Creates or truncates `path`, readable by its owner. Throws {@linkcode SystemError}.
   *
   * @param onLost called once, when something could not be written
   */
  constructor(path: string, onLost?: (why: string) => void) {
    const name = cString(path);
    // Appending, because what is taken back moves the end and not the offset.
    const flags = O.WRONLY | O.CREAT | O.TRUNC | O.APPEND | O.CLOEXEC;
    this.#fd = check(open(name.address, flags, 0o600), `write ${path}`);
    this.#onLost = onLost;
  }

  /** Writes one record, all of it or nothing: false. */
  write(bytes: Uint8Array): boolean {
    if (this.#torn) return this.#lose(bytes.length, Errno.EIO);
    for (let at = 0; at < bytes.length;) {
      const part = bytes.subarray(at, at + CHUNK);
      this.#memory.bytes.set(part);
      const written = write(this.#fd, this.#memory.address, part.length);
      if (written === -Errno.EINTR) continue;
      if (written <= 0) {
        // A pipe cannot be shortened.
        if (at > 0) this.#torn = ftruncate(this.#fd, this.#length) < 0;
        return this.#lose(bytes.length, -written);
      }
      at += written;
    }
    this.#length += bytes.length;
    return true;
  }

  close(): void {
    close(this.#fd);
  }

  #lose(bytes: number, errno: number): false {
    if (this.lost === 0) this.#onLost?.(errnoText(errno));
    this.lost += bytes;
    return false;
  }
}
