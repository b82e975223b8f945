/**
 * Programs that are started only to see how they end.
 *
 * @module
 */

import { O } from "./arch.ts";
import { check } from "./errno.ts";
import { cString } from "./memory.ts";
import { spawn } from "./spawn.ts";
import { close, open } from "./sys.ts";

/** Starts a program that neither reads nor says anything; returns its process id. Throws {@linkcode SystemError}. */
export function silently(argv: readonly string[]): number {
  const fd = check(open(cString("/dev/null").address, O.RDWR | O.CLOEXEC, 0), "open /dev/null");
  try {
    return spawn({ file: argv[0]!, argv, descriptors: [0, 1, 2].map((to) => ({ from: fd, to })) });
  } finally {
    close(fd);
  }
}
