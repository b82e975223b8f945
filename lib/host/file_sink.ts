/**
 * A file that is only ever appended to, from the data-plane thread.
 *
 * @module
 */

import { O } from "./arch.ts";
import { F } from "./constants.ts";
import { check, Errno, errnoText } from "./errno.ts";
import { cString, NativeMemory } from "./memory.ts";
import { close, fcntl, ftruncate, open, write } from "./sys.ts";

/** Largest single write; a captured super-packet fits. */
const CHUNK = 128 * 1024;
/** Bytes that a pipe may hold for a reader that is slow; what an ordinary user may ask for. */
const PIPE_SIZE = 1_048_576;

/**
 * An open file. What cannot be written (a full disk, a pipe that nobody reads) is counted and dropped: a capture never stops
 * the traffic. What is written is written whole, so a file of records stays one, and goes on when there is room again.
 *
 * A disk that fills up in the middle of a record has the part taken back. A pipe keeps it, and gets the rest before anything
 * else. A FIFO is opened for reading as well, where nobody reads it yet: who waits for a reader is not us.
 */
export class FileSink {
  readonly #fd: number;
  readonly #memory = new NativeMemory(CHUNK);
  readonly #onLost: ((why: string) => void) | undefined;
  /** Bytes in the file. */
  #length = 0;
  /** A part of a record is in it that could not be taken back: nothing that follows would make sense. */
  #torn = false;
  /** What a pipe has not taken of a record that it has begun. */
  #rest: Uint8Array | undefined;
  /** Bytes that could not be written. */
  lost = 0;

  /**
   * Creates or truncates `path`, readable by its owner. Throws {@linkcode SystemError}.
   *
   * @param onLost called once, when something could not be written
   * @param waits whether to wait for who reads a pipe
   */
  constructor(path: string, onLost?: (why: string) => void, waits = false) {
    const name = cString(path);
    // Appending, because what is taken back moves the end and not the offset.
    const flags = O.WRONLY | O.CREAT | O.TRUNC | O.APPEND | O.CLOEXEC | (waits ? 0 : O.NONBLOCK);
    let fd = open(name.address, flags, 0o600);
    if (fd === -Errno.ENXIO) fd = open(name.address, O.RDWR | O.CLOEXEC | O.NONBLOCK, 0);
    this.#fd = check(fd, `write ${path}`);
    this.#onLost = onLost;
    // Fails for everything but a pipe.
    if (!waits) fcntl(fd, F.SETPIPE_SZ, PIPE_SIZE);
  }

  /** Writes one record, all of it or nothing: false. */
  write(bytes: Uint8Array): boolean {
    if (this.#torn) return this.#lose(bytes.length, Errno.EIO);
    if (!this.#finish()) return this.#lose(bytes.length, Errno.EAGAIN);
    const [written, errno] = this.#put(bytes);
    if (written < bytes.length) {
      if (written === 0 || errno !== Errno.EAGAIN) {
        // A pipe cannot be shortened.
        if (written > 0) this.#torn = ftruncate(this.#fd, this.#length) < 0;
        return this.#lose(bytes.length, errno);
      }
      this.#rest = bytes.slice(written);
    }
    this.#length += bytes.length;
    return true;
  }

  /** Writes what is left of the last record. False: there is still some. */
  #finish(): boolean {
    if (this.#rest === undefined) return true;
    const [written, errno] = this.#put(this.#rest);
    this.#rest = written === this.#rest.length ? undefined : this.#rest.subarray(written);
    // Whoever reads next begins in the middle of a record.
    if (errno !== 0 && errno !== Errno.EAGAIN) this.#torn = true;
    return this.#rest === undefined;
  }

  /** Bytes written, and why not all of them. */
  #put(bytes: Uint8Array): readonly [written: number, errno: number] {
    for (let at = 0; at < bytes.length;) {
      const part = bytes.subarray(at, at + CHUNK);
      this.#memory.bytes.set(part);
      const written = write(this.#fd, this.#memory.address, part.length);
      if (written === -Errno.EINTR) continue;
      if (written <= 0) return [at, -written];
      at += written;
    }
    return [bytes.length, 0];
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
