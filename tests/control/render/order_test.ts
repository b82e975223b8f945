import { deepEqual } from "node:assert/strict";
import { test } from "node:test";
import { compareRoutes } from "../../../lib/control/render/order.ts";
import { route } from "../fake_engine.ts";

// Each list is what the kernel printed for these routes, added in another order.
const V4 = [
  "default",
  "10.0.0.0/24",
  "10.0.0.0/8",
  "10.0.2.0/24",
  "10.7.0.1/32",
  "192.168.0.0/16",
  "203.0.113.0/24",
];
const V6 = [
  "2001:db8::1/128",
  "2001:db8:1::/48",
  "2001:db8::/32",
  "fd00::/64",
  "fd01::1/128",
  "fe80::/64",
  "default",
];

for (const [family, wanted] of [[4, V4], [6, V6]] as const) {
  test(`compareRoutes() lists IPv${family} as the kernel does`, () => {
    const routes = wanted.map((destination) => route(family, destination));
    for (const mixed of [[...routes].reverse(), [...routes.slice(3), ...routes.slice(0, 3)]]) {
      deepEqual(mixed.sort(compareRoutes).map(({ destination }) => destination), wanted);
    }
  });
}

test("compareRoutes() puts the lower metric first", () => {
  const routes = [route(4, "default", { metric: 100 }), route(4, "default", { metric: 5 })];
  deepEqual(routes.sort(compareRoutes).map(({ metric }) => metric), [5, 100]);
});
