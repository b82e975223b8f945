import { test } from "node:test";
import { deepStrictEqual, strictEqual, throws } from "node:assert/strict";
import type { HostNetwork, PublishRule } from "../../../../lib/attach/sockets/impersonate/network.ts";
import { Errno } from "../../../../lib/host/errno.ts";
import { ip as at } from "../../../support/two_stacks.ts";
import { hostNetwork as network } from "./host_network.ts";

/** Where a destination leads, in words. */
function leads(one: HostNetwork, address: string, port: number, inside = false): string {
  const destination = one.destination("tcp", at(address), port, () => inside);
  if (destination.to === "host") return `host ${destination.place.address} ${destination.place.port}`;
  return destination.to === "inside" ? "inside" : `errno ${destination.errno}`;
}

test("HostNetwork.destination() dials ordinary addresses and the host's loopback", () => {
  const one = network();
  strictEqual(leads(one, "192.0.2.1", 80), "host 192.0.2.1 80");
  strictEqual(leads(one, "2001:db8::1", 80), "host 2001:db8::1 80");
  strictEqual(leads(one, "127.0.0.1", 80), "host 127.0.0.1 80");
  strictEqual(leads(one, "::1", 80), "host ::1 80");
});

test("HostNetwork.destination() prefers who listens inside", () => {
  strictEqual(leads(network(), "127.0.0.1", 80, true), "inside");
  strictEqual(leads(network(), "192.0.2.1", 80, true), "host 192.0.2.1 80");
});

test("HostNetwork.destination() leaves the host's loopback alone when that is said, but for resolvers", () => {
  const one = network({ hostLoopback: false });
  strictEqual(leads(one, "127.0.0.1", 80), "inside");
  strictEqual(leads(one, "::1", 80), "inside");
  strictEqual(leads(one, "127.0.0.53", 53), "host 127.0.0.53 53");
  strictEqual(leads(one, "127.0.0.53", 80), "inside");
});

test("HostNetwork.destination() never reaches link-local addresses, but for resolvers, and counts it", () => {
  const one = network();
  strictEqual(leads(one, "169.254.169.254", 80), `errno ${Errno.ENETUNREACH}`);
  strictEqual(leads(one, "fe80::1", 80), `errno ${Errno.ENETUNREACH}`);
  strictEqual(leads(one, "169.254.1.1", 53), "host 169.254.1.1 53");
  strictEqual(one.counters.get("tsi.policy.link-local"), 2);
});

test("HostNetwork.destination() keeps groups and broadcasts inside", () => {
  strictEqual(leads(network(), "224.0.0.1", 80), "inside");
  strictEqual(leads(network(), "255.255.255.255", 80), "inside");
});

test("HostNetwork.destination() never reaches our own control API", () => {
  const one = network({ controlPort: 8080 });
  strictEqual(leads(one, "127.0.0.1", 8080), "inside");
  strictEqual(leads(one, "127.0.0.1", 8081), "host 127.0.0.1 8081");
});

test("HostNetwork.destination() finds the guest's own published port under the guest's number", () => {
  const one = network({ hostLoopback: false });
  let settled = 0;
  const holder = {
    protocol: "tcp",
    guestPort: 80,
    place: { address: at("0.0.0.0"), port: 8080 },
    settle: () => void settled++,
  } as const;
  one.bound(holder);
  strictEqual(leads(one, "127.0.0.1", 80), "host 127.0.0.1 8080");
  strictEqual(settled, 1);
  strictEqual(leads(one, "::1", 80), "inside");
  strictEqual(one.guestPort("tcp", holder.place), 80);
  one.unbound(holder);
  strictEqual(leads(one, "127.0.0.1", 80), "inside");
  strictEqual(one.guestPort("tcp", holder.place), 8080);
});

test("HostNetwork.destination() does not see a port that is closed while it looks", () => {
  const one = network({ hostLoopback: false });
  const holder = {
    protocol: "tcp",
    guestPort: 80,
    place: { address: at("::"), port: 80 },
    settle: () => one.unbound(holder),
  } as const;
  one.bound(holder);
  strictEqual(leads(one, "127.0.0.1", 80), "inside");
});

/** What is published, what the guest binds, and where that is on the host. */
const BINDS: readonly (readonly [rule: string | undefined, named: string, place: string | undefined])[] = [
  [undefined, "0.0.0.0", "0.0.0.0"],
  [undefined, "127.0.0.1", "127.0.0.1"],
  ["127.0.0.1", "0.0.0.0", "127.0.0.1"],
  ["127.0.0.1", "127.0.0.1", "127.0.0.1"],
  ["127.0.0.1", "192.0.2.1", undefined],
  ["192.0.2.1", "127.0.0.1", undefined],
  ["0.0.0.0", "127.0.0.1", "127.0.0.1"],
  ["0.0.0.0", "::", "0.0.0.0"],
  ["::1", "::", "::1"],
  ["::1", "0.0.0.0", undefined],
  ["127.0.0.1", "::", "127.0.0.1"],
  ["::1", "::1", "::1"],
];

for (const [rule, named, place] of BINDS) {
  test(`-p ${rule ?? "*"}:8080:80 puts ${named}:80 at ${place ?? "nowhere"}`, () => {
    const one: PublishRule = {
      protocol: "tcp",
      hostPort: 8080,
      guestPort: 80,
      ...(rule === undefined ? {} : { hostAddress: at(rule) }),
    };
    const found = network({ publish: [one] }).publishedAs("tcp", at(named), 80, !named.includes(":"));
    strictEqual(found?.address.toString(), place);
    if (place !== undefined) strictEqual(found?.port, 8080);
  });
}

test("HostNetwork.publishedAs() publishes nothing else, unless all is", () => {
  const rule: PublishRule = { protocol: "tcp", hostPort: 8080, guestPort: 80 };
  const one = network({ publish: [rule] });
  strictEqual(one.publishedAs("tcp", at("0.0.0.0"), 81, true), undefined);
  strictEqual(one.publishedAs("udp", at("0.0.0.0"), 80, true), undefined);
  strictEqual(one.publishedAs("tcp", at("0.0.0.0"), 0, true), undefined);
  const all = network({ publish: [rule], publishAll: true });
  strictEqual(all.publishedAs("tcp", at("0.0.0.0"), 80, true)?.port, 8080);
  strictEqual(all.publishedAs("udp", at("0.0.0.0"), 80, true)?.port, 80);
});

test("HostNetwork.publish() takes rules while it runs, and gives them back", () => {
  const rule: PublishRule = { protocol: "tcp", hostPort: 8080, guestPort: 80, hostAddress: at("::1") };
  const one = network();
  one.publish(rule);
  deepStrictEqual(one.forwards(), [{ protocol: "tcp", host: "[::1]:8080", guest: 80 }]);
  throws(() => one.publish(rule), /published already/);
  one.unpublish(rule);
  throws(() => one.unpublish(rule), /Cannot unpublish \[::1\]:8080\/tcp: it is not published/);
});

test("HostNetwork.take() has a limit, and counts who comes beyond", () => {
  const one = network({ maxSockets: 2 });
  deepStrictEqual([one.take(), one.take(), one.take()], [true, true, false]);
  strictEqual(one.counters.get("tsi.limit.sockets"), 1);
  one.give();
  strictEqual(one.take(), true);
});

test("HostNetwork.sockets() names ports as the guest does, its own at the far end as well", () => {
  const one = network();
  const guests = { protocol: "tcp", family: 4, receiveQueue: 0, sendQueue: 0 } as const;
  const facts = [
    { ...guests, state: "LISTEN", local: "0.0.0.0", localPort: 18080, remote: "0.0.0.0", remotePort: 0 },
    {
      ...guests,
      state: "ESTAB",
      local: "127.0.0.1",
      localPort: 40000,
      remote: "127.0.0.1",
      remotePort: 18080,
    },
    {
      ...guests,
      state: "ESTAB",
      local: "192.0.2.9",
      localPort: 40001,
      remote: "192.0.2.1",
      remotePort: 18080,
    },
  ];
  one.handedSockets = () => facts;
  const ports = () => one.sockets().map(({ localPort, remotePort }) => [localPort, remotePort]);
  deepStrictEqual(ports(), [[18080, 0], [40000, 18080], [40001, 18080]]);
  const place = { address: at("0.0.0.0"), port: 18080 };
  const holder = { protocol: "tcp", guestPort: 80, place, settle() {} } as const;
  one.bound(holder);
  deepStrictEqual(ports(), [[80, 0], [40000, 80], [40001, 18080]]);
  one.unbound(holder);
  deepStrictEqual(ports(), [[18080, 0], [40000, 18080], [40001, 18080]]);
});
