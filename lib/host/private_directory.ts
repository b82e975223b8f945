/**
 * A directory that only this user may enter, made when it is needed, for sockets without a name that anybody need know.
 *
 * @module
 */

import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

/** A directory of mode 0700, which goes with `remove`. */
export interface PrivateDirectory {
  /** A path in it that was never given before. */
  newPath(): string;
  remove(): void;
}

/** One whose name begins with `prefix`, below the directory for temporary files. */
export function privateDirectory(prefix: string): PrivateDirectory {
  let path: string | undefined;
  let given = 0;
  return {
    newPath: () => join(path ??= mkdtempSync(join(tmpdir(), prefix)), String(++given)),
    remove: () => {
      if (path !== undefined) rmSync(path, { recursive: true, force: true });
    },
  };
}
