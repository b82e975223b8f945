/**
 * What a mode that ended without an end left undone, put back: for `sluice restore-netns`, and for the end of a session
 * whose data plane failed.
 *
 * @module
 */

import { runtimeDirectory } from "../host/files.ts";
import { type Restored, restoreNamespace } from "../uplink/device/lease.ts";

export type { Restored } from "../uplink/device/lease.ts";

/** Puts back what a process that is no more left undone; undefined if nothing is. Throws if that process still runs. */
export function restoreLeftBehind(): Restored | undefined {
  return restoreNamespace(runtimeDirectory());
}

/** Puts back what this very process has not. */
export function restoreOwn(): Restored | undefined {
  return restoreNamespace(runtimeDirectory(), true);
}
