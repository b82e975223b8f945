/**
 * Where a guest of attachment `sockets` is put: in an empty network namespace if the machine lets us make one, and else
 * nowhere. The filter holds without; the namespace is a second wall, and gives abstract unix sockets, /proc/net and a
 * mount namespace of its own.
 *
 * @module
 */

import { enterNew, type NamespaceCommand, type Tools } from "../attach/stage/namespaces.ts";
import { waitStatus } from "../host/exit_status.ts";
import { findInPath } from "../host/runtime.ts";
import { silently } from "../host/silent_spawn.ts";

/** A command that executes the stage, and whether in namespaces of its own. */
export interface SocketsCommand extends NamespaceCommand {
  readonly ownNamespaces: boolean;
}

/** The command for `stage`. */
export function enterIfPossible(stage: readonly string[], root: boolean, tools: Tools): SocketsCommand {
  const harmless = findInPath("true");
  // bubblewrap is no help here: where unshare may not, it may not either.
  if (tools.unshare !== undefined && harmless !== undefined) {
    const { unshare } = tools;
    // Root in a container may lack the capability, and yet be allowed a user namespace of its own.
    for (const asRoot of root ? [true, false] : [false]) {
      if (works(enterNew([harmless], asRoot, { unshare }))) {
        return { ...enterNew(stage, asRoot, { unshare }), ownNamespaces: true };
      }
    }
  }
  return { argv: stage, ownsUserNamespace: false, isMonitored: false, ownNamespaces: false };
}

/** Whether the machine allows it can only be told by doing it: a few milliseconds. */
function works({ argv }: NamespaceCommand): boolean {
  try {
    return waitStatus(silently(argv)) === 0;
  } catch {
    return false;
  }
}
