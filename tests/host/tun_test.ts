import { test } from "node:test";
import { ok, strictEqual, throws } from "node:assert/strict";
import { openTap, TunError, TunOffload } from "../../lib/host/tun.ts";
import { close } from "../../lib/host/sys.ts";
import { needs } from "../support/capability.ts";
import { inNewNetns } from "../support/netns.ts";

test("openTap() makes a device with offloads, numbered on request", needs("root", "tun"), () => {
  inNewNetns(() => {
    const tap = openTap("tap%d");
    strictEqual(tap.name, "tap0");
    ok((tap.offload & TunOffload.tso4) !== 0 && (tap.offload & TunOffload.tso6) !== 0);
    close(tap.fd);
  });
});

test("openTap() says what to do when the name is taken", needs("root", "tun"), () => {
  inNewNetns(() => {
    const tap = openTap("tap0");
    throws(
      () => openTap("tap0"),
      (error) =>
        error instanceof TunError && error.code === "EBUSY" && error.message.includes("somebody else has"),
    );
    close(tap.fd);
    throws(() => openTap("lo"), (error) => error instanceof TunError && error.code === "EINVAL");
  });
});

test("openTap() refuses a name that is none", () => {
  for (const name of ["", "sixteen-letters!", "a b", "a/b", "a\0b"]) throws(() => openTap(name), RangeError);
});
