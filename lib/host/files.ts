/**
 * Where this user's files of running instances are.
 *
 * @module
 */

import process from "node:process";

/** `$XDG_RUNTIME_DIR/sluice`; without one, `/run/sluice` for root and a directory of the user's own in /tmp for others. */
export function runtimeDirectory(): string {
  const given = process.env["XDG_RUNTIME_DIR"];
  if (given !== undefined && given.startsWith("/")) return `${given}/sluice`;
  const user = process.getuid?.() ?? 0;
  return user === 0 ? "/run/sluice" : `/tmp/sluice-${user}`;
}
