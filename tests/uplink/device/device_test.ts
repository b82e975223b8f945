import { deepStrictEqual, ok, strictEqual } from "node:assert/strict";
import { mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { addressOf } from "../../../lib/host/memory.ts";
import { noFileLimit, setNoFileLimit } from "../../../lib/host/process.ts";
import { Reactor } from "../../../lib/host/reactor.ts";
import { RouteNetlink } from "../../../lib/host/rtnetlink.ts";
import { close } from "../../../lib/host/sys.ts";
import { openTap } from "../../../lib/host/tun.ts";
import { BufferPool } from "../../../lib/stack/buffer/pool.ts";
import { Stack } from "../../../lib/stack/stack.ts";
import { type Instant, NEVER, SECOND } from "../../../lib/stack/time.ts";
import { DeviceUplink } from "../../../lib/uplink/device/device.ts";
import { needs } from "../../support/capability.ts";
import { inNewNetns } from "../../support/netns.ts";
import { seeded } from "../../support/random.ts";

test(
  "what cannot be looked at for want of descriptors is counted, told of once, and looked at again",
  needs("root", "netns", "tun"),
  () => {
    const parent = mkdtempSync(join(tmpdir(), "sluice-device-"));
    const directory = join(parent, "state");
    mkdirSync(directory, { mode: 0o700 });
    const limit = noFileLimit()!;
    const reactor = new Reactor();
    const pool = new BufferPool(addressOf);
    const stack = new Stack({ pool, random: seeded(1) });
    const told: string[] = [];
    try {
      inNewNetns(() => {
        const tap = openTap("eth0");
        const netlink = new RouteNetlink();
        const { index } = netlink.link("eth0");
        netlink.setLinkUp(index);
        netlink.addAddress(index, { family: 4, a: 0, b: 0, c: 0xffff, d: 0x0a000001 }, 24);
        const uplink = new DeviceUplink({
          config: {
            directory,
            force: true,
            gso: false,
            softwareGso: false,
            txChecksumOffload: true,
            rxChecksumOffload: true,
            qdisc: { kind: "none", rate: 0, burst: 0 },
          },
          reactor,
          pool,
          stack,
          log: (level, text) => void told.push(`${level} ${text}`),
        });
        try {
          strictEqual(uplink.pollAt(), NEVER);
          // Descriptor 0 is taken, so no other can be had.
          setNoFileLimit([1, limit[1]]);
          uplink.onReady();
          const at = uplink.pollAt();
          ok(at > reactor.now() && at <= reactor.now() + SECOND);
          uplink.poll((at - 1) as Instant);
          strictEqual(uplink.counters()["device.look-failed"], 1, "not before its time");
          uplink.poll(at);
          strictEqual(uplink.counters()["device.look-failed"], 2);
          setNoFileLimit(limit);
          uplink.poll(uplink.pollAt());
          strictEqual(uplink.pollAt(), NEVER);
          strictEqual(uplink.counters()["device.look-failed"], 2);
          const complaints = told.filter((line) => line.includes("Cannot look"));
          deepStrictEqual(complaints.map((line) => line.replace(/: .* \(/, ": … (")), [
            "warn Cannot look at what has changed in the kernel: … (looking again)",
          ]);
        } finally {
          setNoFileLimit(limit);
          uplink.stop();
          netlink.close();
          close(tap.fd);
        }
      });
    } finally {
      reactor.close();
      rmSync(parent, { recursive: true });
    }
  },
);
