/**
 * A kernel that a virtual machine can boot.
 *
 * @module
 */

import { existsSync, readdirSync } from "node:fs";
import { join } from "node:path";

/** A kernel of this machine that a VM can boot, with its modules; undefined if there is none. */
export function findKernel(): { readonly image: string; readonly modules: string } | undefined {
  for (const name of existsSync("/boot") ? readdirSync("/boot").sort().reverse() : []) {
    if (!name.startsWith("vmlinuz-")) continue;
    const modules = join("/lib/modules", name.slice("vmlinuz-".length));
    if (existsSync(join(modules, "modules.dep"))) return { image: join("/boot", name), modules };
  }
  return undefined;
}
