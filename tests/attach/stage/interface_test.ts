import { test } from "node:test";
import { deepStrictEqual, strictEqual } from "node:assert/strict";
import { raiseTaps } from "../../../lib/attach/stage/interface.ts";
import { RouteNetlink } from "../../../lib/host/rtnetlink.ts";
import { close } from "../../../lib/host/sys.ts";
import { openTap } from "../../../lib/host/tun.ts";
import { needs } from "../../support/capability.ts";
import { inNewNetns } from "../../support/netns.ts";

const IFA_F_TENTATIVE = 0x40;

test(
  "raiseTaps() leaves an interface that follows routers with a link-local address of its own",
  needs("root", "tun"),
  () => {
    for (let round = 0; round < 20; round++) {
      inNewNetns(() => {
        const tap = openTap("eth0");
        try {
          raiseTaps([{ name: "eth0", mac: "02:00:00:00:00:07", routerAdvertisements: "yes" }]);
          const netlink = new RouteNetlink();
          const addresses = netlink.addresses(netlink.link("eth0").index);
          netlink.close();
          deepStrictEqual(addresses.map(({ address }) => address), [
            { family: 6, a: 0xfe800000 | 0, b: 0, c: 0xff, d: 0xfe000007 | 0 },
          ]);
          strictEqual(addresses[0]!.flags & IFA_F_TENTATIVE, 0);
        } finally {
          close(tap.fd);
        }
      });
    }
  },
);
