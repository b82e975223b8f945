/**
 * The stage's part: installs the filter, and waits until somebody answers what it traps.
 *
 * From the filter on, `sendmsg` and `recvmsg` of this very process would wait for a supervisor that does not listen yet;
 * so the last words go by `write` and `read`. For the same reason the listener cannot be sent: the engine fetches it.
 *
 * @module
 */

import { Errno, errnoText, SystemError } from "../../host/errno.ts";
import { NativeMemory } from "../../host/memory.ts";
import { installFilter } from "../../host/seccomp.ts";
import { close, exitNow, getpid, read, write } from "../../host/sys.ts";
import { assembleFilter } from "./filter.ts";

/**
 * Installs the filter for this thread, the one that becomes the program, and returns when it is supervised.
 *
 * @param socket our end of the socketpair with the engine
 * @param ownNetwork whether we are in a network namespace of our own
 * @throws {Error} when the kernel refuses: no user notification, or somebody's listener is there already
 */
export function trapSockets(socket: number, ownNetwork: boolean): void {
  const filter = assembleFilter(ownNetwork);
  let listener: number;
  try {
    listener = installFilter(filter.address);
  } catch (error) {
    if (!(error instanceof SystemError)) throw error;
    const [why, remedy] = error.errno === Errno.EBUSY
      ? ["a seccomp supervisor watches us already", "if that is sluice, start that one with --attach=tap"]
      : [
        `this kernel, or who started us, does not let us trap them: ${errnoText(error.errno)}`,
        "use --attach=tap",
      ];
    throw new Error(`Cannot answer the program's socket calls: ${why} (${remedy})`, { cause: error });
  }
  const text = new TextEncoder().encode(JSON.stringify({ listener, pid: getpid() }));
  const memory = new NativeMemory(256);
  memory.bytes.set(text);
  write(socket, memory.address, text.length);
  // End of file: the engine is gone, and nobody would answer.
  if (read(socket, memory.address, 256) <= 0) exitNow(125);
  close(listener);
}
