import { test } from "node:test";
import { match, strictEqual, throws } from "node:assert/strict";
import { FLAG } from "../../lib/config/origin.ts";
import { resolve } from "../../lib/config/resolve.ts";

/** Settings of a command line, given as `name=value`. */
function settings(...flags: string[]) {
  return resolve(flags.map((text) => {
    const [flag = "", value = ""] = text.split("=");
    return { flag, text: value, origin: FLAG };
  }));
}

test("network=tsi brings the attachment and the host's loopback along, and says why", () => {
  const { settings: set, values } = settings("network=tsi");
  strictEqual(set.attach, "sockets");
  strictEqual(set.hostLoopback, true);
  for (const name of ["attach", "host-loopback"]) {
    const value = values.find(({ flag }) => flag.name === name)!;
    strictEqual(value.origins[0]!.kind, "derived");
  }
});

test("network=tsi leaves the host's loopback alone when somebody says so", () => {
  strictEqual(settings("network=tsi", "host-loopback=false").settings.hostLoopback, false);
  strictEqual(settings("network=sandbox-passthrough").settings.hostLoopback, false);
});

test("network=tsi knows no attachment but sockets", () => {
  throws(() => settings("network=tsi", "attach=tap"), /attach=tap cannot be used with network=tsi/);
});

for (const flag of ["publish-all", "tsi-handoff"]) {
  test(`${flag} belongs to network=tsi`, () => {
    throws(
      () => settings(`${flag}=true`),
      new RegExp(`${flag} means nothing with network=sandbox-passthrough`),
    );
    match(String(settings("network=tsi", `${flag}=true`).settings.network), /tsi/);
  });
}
