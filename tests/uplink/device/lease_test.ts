import { deepStrictEqual, ok, strictEqual, throws } from "node:assert/strict";
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { test } from "node:test";
import { networkIdentity } from "../../../lib/host/network_namespace.ts";
import { RouteNetlink } from "../../../lib/host/rtnetlink.ts";
import type { AddressWords } from "../../../lib/host/structs.ts";
import { close } from "../../../lib/host/sys.ts";
import { openTap } from "../../../lib/host/tun.ts";
import { Lease, LeaseTaken, restoreNamespace } from "../../../lib/uplink/device/lease.ts";
import { needs } from "../../support/capability.ts";
import { inNewNetns } from "../../support/netns.ts";

const MACHINE = needs("root", "netns", "tun");
const OURS: AddressWords = { family: 4, a: 0, b: 0, c: 0xffff, d: 0x0a000001 };
const SECOND: AddressWords = { ...OURS, d: 0x0a000002 };
const ROUTER: AddressWords = { ...OURS, d: 0x0a0000fe };

/** A namespace with an interface that has two addresses and a default route, and a directory for the state file. */
function withDevice(body: (netlink: RouteNetlink, directory: string, take: () => Lease) => void): void {
  const parent = mkdtempSync(join(tmpdir(), "sluice-lease-"));
  const directory = join(parent, "state");
  mkdirSync(directory, { mode: 0o700 });
  try {
    inNewNetns(() => {
      const tap = openTap("eth0");
      const netlink = new RouteNetlink();
      try {
        const { index, mac } = netlink.link("eth0");
        netlink.setLinkUp(index);
        for (const address of [OURS, SECOND]) netlink.addAddress(index, address, 24);
        netlink.addRoute({ family: 4, gateway: ROUTER, index, metric: 9 });
        body(netlink, directory, () => Lease.take(directory, [{ index, name: "eth0", mac }], () => {}));
      } finally {
        netlink.close();
        close(tap.fd);
      }
    });
  } finally {
    rmSync(parent, { recursive: true });
  }
}

/** IPv4 as the kernel has it, in its order. */
function known(netlink: RouteNetlink) {
  return {
    addresses: netlink.addresses().filter(({ address }) => address.family === 4).map(({ address }) =>
      address.d
    ),
    routes: netlink.routes().filter(({ family }) => family === 4),
  };
}

test(
  "Lease takes all there is, and gives it back in the same order",
  MACHINE,
  () =>
    withDevice((netlink, directory, take) => {
      const before = known(netlink);
      strictEqual(before.routes.length, 2);
      const lease = take();
      deepStrictEqual(known(netlink), { addresses: [], routes: [] });
      strictEqual(readdirSync(directory).length, 1);
      deepStrictEqual(lease.release(), { devices: ["eth0"], failures: [] });
      deepStrictEqual(known(netlink), before);
      deepStrictEqual(readdirSync(directory), []);
      deepStrictEqual(lease.release().devices, [], "a second release does nothing");
    }),
);

test(
  "Lease.takeAddress() makes a later address one of those that come back, once",
  MACHINE,
  () =>
    withDevice((netlink, _directory, take) => {
      const lease = take();
      const { index } = netlink.link("eth0");
      for (let i = 0; i < 3; i++) {
        netlink.addAddress(index, { ...OURS, d: 0x0a000009 }, 24);
        for (const raw of lease.intruders()) lease.takeAddress(raw);
        deepStrictEqual(known(netlink).addresses, []);
      }
      lease.release();
      deepStrictEqual(known(netlink).addresses, [0x0a000001, 0x0a000002, 0x0a000009]);
    }),
);

test(
  "restoreNamespace() leaves what a living process holds, unless that is ourselves at our end",
  MACHINE,
  () =>
    withDevice((netlink, directory, take) => {
      const before = known(netlink);
      take();
      throws(
        () => restoreNamespace(directory),
        (error) => error instanceof LeaseTaken && error.pid === process.pid,
      );
      deepStrictEqual(known(netlink).addresses, []);
      deepStrictEqual(restoreNamespace(directory, true), { devices: ["eth0"], failures: [] });
      deepStrictEqual(known(netlink), before);
      strictEqual(restoreNamespace(directory), undefined);
    }),
);

test(
  "restoreNamespace() does again what was done by half",
  MACHINE,
  () =>
    withDevice((netlink, directory, take) => {
      const before = known(netlink);
      take();
      const [name] = readdirSync(directory);
      const state = JSON.parse(readFileSync(join(directory, name!), "utf8"));
      writeFileSync(join(directory, name!), JSON.stringify({ ...state, pid: 2 ** 30 }));
      netlink.addAddress(netlink.link("eth0").index, OURS, 24);
      deepStrictEqual(restoreNamespace(directory)?.failures, []);
      deepStrictEqual(known(netlink), before);
    }),
);

test(
  "restoreNamespace() says what fails, and lets the next one try",
  MACHINE,
  () =>
    withDevice((netlink, directory, take) => {
      const before = known(netlink);
      const lease = take();
      const { index } = netlink.link("eth0");
      netlink.setLinkDown(index);
      const { failures } = lease.release();
      ok(
        failures.length > 0 && failures.every((line) => /^Cannot put back a route: /.test(line)),
        String(failures),
      );
      netlink.setLinkUp(index);
      deepStrictEqual(restoreNamespace(directory)?.failures, []);
      deepStrictEqual(known(netlink), before);
    }),
);

test(
  "restoreNamespace() believes no file but a whole one of this boot",
  MACHINE,
  () =>
    withDevice((netlink, directory, take) => {
      take();
      const [name] = readdirSync(directory);
      const path = join(directory, name!);
      const good = JSON.parse(readFileSync(path, "utf8"));
      const bad: unknown[] = [
        "",
        "{",
        null,
        [],
        { ...good, version: 2 },
        { ...good, inode: "x" },
        { ...good, devices: [{ index: 1, name: "../../all", mac: "" }] },
        { ...good, devices: [null] },
        { ...good, addresses: ["0a"] },
        { ...good, addresses: "0a" },
        { ...good, routes: [7] },
        { ...good, neighbours: undefined },
      ];
      for (const value of bad) {
        const text = typeof value === "string" ? value : JSON.stringify(value);
        writeFileSync(path, text);
        throws(() => restoreNamespace(directory), /is not a state file of ours \(remove it\)/, text);
        strictEqual(readFileSync(path, "utf8"), text);
      }
      // Nonsense that is well-formed is refused by the kernel, line by line.
      const nonsense = { ...good, pid: 2 ** 30, addresses: ["ffffffffffffffff"], routes: ["00".repeat(12)] };
      writeFileSync(path, JSON.stringify(nonsense));
      deepStrictEqual(known(netlink).addresses, []);
      ok(restoreNamespace(directory)!.failures.length > 0);
      writeFileSync(path, JSON.stringify({ ...good, boot: "another" }));
      strictEqual(restoreNamespace(directory), undefined);
      deepStrictEqual(readdirSync(directory), []);
      strictEqual(good.inode, networkIdentity().inode);
    }),
);
