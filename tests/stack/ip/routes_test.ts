import { equal, throws } from "node:assert/strict";
import { test } from "node:test";
import { broadcastOf, inPrefix, prefixOf, RouteTable } from "../../../lib/stack/ip/routes.ts";
import type { Nic } from "../../../lib/stack/nic.ts";
import { ip } from "../../support/two_stacks.ts";

const eth0 = { name: "eth0" } as Nic;
const eth1 = { name: "eth1" } as Nic;

function add(table: RouteTable, prefix: string, nic: Nic, gateway?: string, metric?: number) {
  const [address, length] = prefix.split("/");
  return table.add({
    destination: ip(address!),
    prefixLength: Number(length),
    nic,
    ...(gateway !== undefined && { gateway: ip(gateway) }),
    ...(metric !== undefined && { metric }),
  });
}

const table = new RouteTable();
add(table, "0.0.0.0/0", eth0, "10.0.0.254", 100);
add(table, "0.0.0.0/0", eth1, "10.1.0.254", 50);
add(table, "10.0.0.0/8", eth0, "10.0.0.253");
add(table, "10.0.0.0/24", eth0);
add(table, "10.0.0.77/32", eth1);
add(table, "::/0", eth0, "fe80::1");
add(table, "fd00::/8", eth1, "fe80::2");
add(table, "fd00:1:2:3::/64", eth0);
add(table, "fd00:1:2:3:8000::/65", eth1);

const LOOKUPS: [destination: string, gateway: string | undefined, nic: Nic][] = [
  ["10.0.0.1", undefined, eth0],
  ["10.0.0.77", undefined, eth1],
  ["10.9.9.9", "10.0.0.253", eth0],
  ["8.8.8.8", "10.1.0.254", eth1],
  ["fd00:1:2:3::1", undefined, eth0],
  ["fd00:1:2:3:8000::1", undefined, eth1],
  ["fd00:1:2:4::1", "fe80::2", eth1],
  ["2001:db8::1", "fe80::1", eth0],
];
for (const [destination, gateway, nic] of LOOKUPS) {
  test(`RouteTable.lookup() sends ${destination} ${gateway === undefined ? "on the link" : `via ${gateway}`}`, () => {
    const route = table.lookup(ip(destination));
    equal(route?.gateway?.toString(), gateway);
    equal(route?.nic, nic);
  });
}

test("RouteTable.lookup() keeps to one interface if it must", () => {
  equal(table.lookup(ip("8.8.8.8"), eth0)?.gateway?.toString(), "10.0.0.254");
  equal(table.lookup(ip("10.0.0.77"), eth0)?.prefixLength, 24);
});

test("RouteTable.add() prefers the older of equals", () => {
  const routes = new RouteTable();
  const first = add(routes, "10.0.0.0/24", eth0);
  add(routes, "10.0.0.0/24", eth1);
  equal(routes.lookup(ip("10.0.0.1")), first);
});

test("RouteTable.remove() forgets a route, and the generation moves", () => {
  const routes = new RouteTable();
  const route = add(routes, "10.0.0.0/24", eth0);
  const { generation } = routes;
  equal(routes.remove(route), true);
  equal(routes.remove(route), false);
  equal(routes.lookup(ip("10.0.0.1")), undefined);
  equal(routes.generation > generation, true);
});

test("RouteTable.add() refuses what cannot be", () => {
  throws(
    () => add(new RouteTable(), "10.0.0.0/33", eth0),
    /Cannot add route to 10\.0\.0\.0\/33: prefix length/,
  );
  throws(() => add(new RouteTable(), "10.0.0.0/8", eth0, "fe80::1"), /other address family/);
});

const PREFIXES: [address: string, prefix: string, length: number, want: boolean][] = [
  ["10.0.0.1", "10.0.0.0", 31, true],
  ["10.0.0.2", "10.0.0.0", 31, false],
  ["255.255.255.255", "0.0.0.0", 0, true],
  ["::1", "0.0.0.0", 0, false],
  ["fd00::ffff:0:1", "fd00::fffe:0:1", 96, false],
  ["fd00::ffff:0:1", "fd00::fffe:0:1", 79, true],
  ["fd00::1", "fd00::1", 128, true],
  ["fd00::1", "fd00::2", 128, false],
];
for (const [address, prefix, length, want] of PREFIXES) {
  test(`inPrefix() says ${want} for ${address} in ${prefix}/${length}`, () => {
    equal(inPrefix(ip(address), ip(prefix), length), want);
  });
}

test("broadcastOf() and prefixOf() give the ends of a prefix", () => {
  equal(broadcastOf(ip("10.0.5.7"), 22)?.toString(), "10.0.7.255");
  equal(broadcastOf(ip("10.0.5.7"), 31), undefined);
  equal(broadcastOf(ip("fd00::1"), 64), undefined);
  equal(prefixOf(ip("10.0.5.7"), 22).toString(), "10.0.4.0");
  equal(prefixOf(ip("fd00:1:2:3:4::5"), 64).toString(), "fd00:1:2:3::");
});
