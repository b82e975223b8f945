/**
 * What process_test.ts runs in a process of its own: things that cannot be undone.
 *
 * @module
 */

import { CLONE, MS } from "../../lib/host/constants.ts";
import { CAP, dropCapabilities, hasCapability } from "../../lib/host/capabilities.ts";
import { check } from "../../lib/host/errno.ts";
import { cString } from "../../lib/host/memory.ts";
import { bindMount, mountEmpty } from "../../lib/host/mount.ts";
import { becomeProgram, setNoFileLimit } from "../../lib/host/process.ts";
import { args, exit, writeStderr } from "../../lib/host/runtime.ts";
import { mount, unshare } from "../../lib/host/sys.ts";

const [what, ...more] = args;
switch (what) {
  case "limits":
    setNoFileLimit([123, 456]);
    becomeProgram("sh", ["sh", "-c", "ulimit -Sn; ulimit -Hn; grep SigIgn /proc/self/status | cut -f2"]);
    break;
  case "capabilities":
    if (!hasCapability(CAP.NET_ADMIN)) exit(3);
    dropCapabilities();
    if (hasCapability(CAP.NET_ADMIN)) exit(4);
    becomeProgram("sh", ["sh", "-c", "grep CapBnd /proc/self/status | cut -f2"]);
    break;
  case "mounts":
    check(unshare(CLONE.NEWNS), "make a mount namespace");
    // Or what is mounted here would appear in the namespace it was copied from.
    check(mount(0, cString("/").address, 0, MS.REC | MS.PRIVATE, 0), "make mounts private");
    bindMount(more[0]!, more[1]!, true);
    mountEmpty(more[2]!);
    becomeProgram("sh", [
      "sh",
      "-c",
      `cat ${more[1]}; ls ${more[2]} | wc -l; (echo x > ${more[1]}) 2>/dev/null || echo ro`,
    ]);
    break;
  default:
    writeStderr(`no such fixture: ${what}\n`);
    exit(2);
}
