/** Port ids of netlink sockets. */

import { test } from "node:test";
import { ok, strictEqual } from "node:assert/strict";
import { NetlinkPorts } from "../../../../lib/attach/sockets/netlink/ports.ts";
import { MAX_SOCKETS } from "../../../../lib/attach/sockets/socket_table.ts";

test("the first socket of a process has its number, the others go down from −4097", () => {
  const ports = new NetlinkPorts();
  strictEqual(ports.takeAny(77), 77);
  strictEqual(ports.takeAny(77), -4_097);
  strictEqual(ports.takeAny(0), -4_098);
  ok(!ports.take(77) && !ports.take(-4_097));
  ok(ports.take(-4_099));
  strictEqual(ports.takeAny(77), -4_100);
  ports.release(77);
  strictEqual(ports.takeAny(77), 77);
});

test("as many as there may be sockets are found without looking at each other", () => {
  const ports = new NetlinkPorts();
  const looks: number[] = [];
  for (let i = 0; i < MAX_SOCKETS; i++) looks.push(ports.takeAny(1));
  strictEqual(new Set(looks).size, MAX_SOCKETS);
  strictEqual(looks.at(-1), -4_097 - (MAX_SOCKETS - 2));
});
