/**
 * A file that somebody reads by a bind mount, and that has lost its name: it is changed by its descriptor.
 *
 * @module
 */

import { O } from "./arch.ts";
import { check } from "./errno.ts";
import { cString } from "./memory.ts";
import { close, open, pwrite } from "./sys.ts";

/** A descriptor to change the file of this name by. Throws {@linkcode SystemError}. */
export function openResolverFile(path: string): number {
  return check(open(cString(path).address, O.WRONLY | O.CLOEXEC, 0), `open ${path}`);
}

/** The guest's resolv.conf. */
export class ResolverFile {
  readonly #fd: number;
  #text: string;
  #length: number;

  /**
   * @param fd from {@linkcode openResolverFile}; ours from now on
   * @param text what the file holds
   */
  constructor(fd: number, text: string) {
    this.#fd = fd;
    this.#text = text;
    this.#length = new TextEncoder().encode(text).length;
  }

  /** In one write, so that nobody reads half of either: what is shorter ends in empty lines. Throws {@linkcode SystemError}. */
  rewrite(text: string): void {
    if (text === this.#text) return;
    const padded = text.padEnd(this.#length, "\n");
    const length = new TextEncoder().encode(padded).length;
    check(pwrite(this.#fd, cString(padded).address, length, 0), "write the guest's resolv.conf");
    this.#text = text;
    this.#length = length;
  }

  close(): void {
    close(this.#fd);
  }
}
