/**
 * A file with our process id, for as long as something runs.
 *
 * @module
 */

import { removeFile, writeText } from "../host/files.ts";
import { ownProcessId } from "../host/runtime_files.ts";
import { Failure } from "./command.ts";

/** Runs `body` with the file in place; without a path there is none. */
export async function withPidFile<T>(path: string | undefined, body: () => Promise<T>): Promise<T> {
  if (path === undefined) return await body();
  // The number and nothing else, as gvproxy's: not every reader passes a line's end over.
  if (!writeText(path, `${ownProcessId}`)) {
    throw new Failure(`Cannot write ${path}`, "--pid-file names a file");
  }
  try {
    return await body();
  } finally {
    removeFile(path);
  }
}
