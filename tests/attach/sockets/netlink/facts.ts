/**
 * The network that `recorded.ts` was recorded in, as our stack would tell it.
 *
 * @module
 */

import type { NetworkFacts } from "../../../../lib/attach/sockets/netlink/rtnetlink.ts";
import type { NicFacts } from "../../../../lib/stack/facts.ts";

const NONE = { bytes: 0, packets: 0, errors: 0, dropped: 0 } as const;
const NOQUEUE: NicFacts["qdisc"] = {
  kind: "none",
  bytes: 0,
  packets: 0,
  drops: 0,
  overlimits: 0,
  requeues: 0,
  backlog: 0,
  qlen: 0,
};

export const LO: NicFacts = {
  index: 1,
  name: "lo",
  kind: "loopback",
  mac: "00:00:00:00:00:00",
  mtu: 65_536,
  up: true,
  qdisc: NOQUEUE,
  rx: NONE,
  tx: NONE,
  addresses: [
    { family: 4, local: "127.0.0.1", prefixLength: 8, scope: "host" },
    { family: 6, local: "::1", prefixLength: 128, scope: "host" },
  ],
};

export const ETH0: NicFacts = {
  index: 2,
  name: "eth0",
  kind: "ether",
  mac: "02:73:6c:00:00:64",
  mtu: 65_520,
  up: true,
  qdisc: NOQUEUE,
  rx: NONE,
  tx: NONE,
  addresses: [
    { family: 4, local: "10.0.2.100", prefixLength: 24, broadcast: "10.0.2.255", scope: "global" },
    { family: 6, local: "fd00::64", prefixLength: 64, scope: "global" },
    { family: 6, local: "fe80::73:6cff:fe00:64", prefixLength: 64, scope: "link" },
  ],
};

const kernel = { metric: 0, protocol: "kernel" } as const;
const fixed = { metric: 0, protocol: "static", scope: "global" } as const;
const MAC = "5a:94:ef:e4:0c:dd";
const LINK_LOCAL = "fe80::73:6cff:fe00:64";

export const FACTS: NetworkFacts = {
  nics: [LO, ETH0],
  routes: [
    { ...kernel, family: 4, destination: "10.0.2.0/24", device: "eth0", source: "10.0.2.100", scope: "link" },
    { ...kernel, family: 4, destination: "127.0.0.0/8", device: "lo", source: "127.0.0.1", scope: "host" },
    { ...fixed, family: 4, destination: "default", gateway: "10.0.2.2", device: "eth0" },
    { ...kernel, family: 6, destination: "::1/128", device: "lo", source: "::1", scope: "host" },
    { ...kernel, family: 6, destination: "fd00::/64", device: "eth0", source: "fd00::64", scope: "global" },
    { ...kernel, family: 6, destination: "fe80::/64", device: "eth0", source: LINK_LOCAL, scope: "link" },
    { ...fixed, family: 6, destination: "default", gateway: "fd00::2", device: "eth0" },
  ],
  neighbours: [
    { address: "10.0.2.2", device: "eth0", mac: MAC, state: "REACHABLE", router: false },
    { address: "fd00::2", device: "eth0", mac: MAC, state: "STALE", router: true },
  ],
};
