/**
 * A file that is only ever appended to, from the data-plane thread.
 *
 * @module
 */

import { O } from "./arch.ts";
import { check } from "./errno.ts";
import { cString, NativeMemory } from "./memory.ts";
import { close, open, write } from "./sys.ts";

/** Largest single write; a captured super-packet fits. */
const CHUNK = 128 * 1024;

/** An open file. What cannot be written (a full disk) is counted and dropped: a capture never stops the traffic. */
export class FileSink {
  readonly #fd: number;
  readonly #memory = new NativeMemory(CHUNK);
  /** Bytes that could not be written. */
  lost = 0;

  /** Creates or truncates `path`, readable by its owner. Throws {@linkcode SystemError}. */
  constructor(path: string) {
    const name = cString(path);
    this.#fd = check(open(name.address, O.WRONLY | O.CREAT | O.TRUNC | O.CLOEXEC, 0o600), `write ${path}`);
  }

  write(bytes: Uint8Array): void {
    for (let at = 0; at < bytes.length;) {
      const part = bytes.subarray(at, at + CHUNK);
      this.#memory.bytes.set(part);
      const written = write(this.#fd, this.#memory.address, part.length);
      if (written <= 0) {
        this.lost += bytes.length - at;
        return;
      }
      at += written;
    }
  }

  close(): void {
    close(this.#fd);
  }
}
