import { test } from "node:test";
import { strictEqual } from "node:assert/strict";
import {
  Correspondents,
  MAX_CORRESPONDENTS,
} from "../../../../lib/attach/sockets/impersonate/correspondents.ts";
import { IpAddress } from "../../../../lib/stack/wire/address.ts";

const address = (i: number) => IpAddress.v4(0x0a000000 + i);

test("Correspondents knows whom it was told, and nobody else", () => {
  const some = new Correspondents();
  strictEqual(some.has(address(1)), false);
  some.add(address(1));
  strictEqual(some.has(address(1)), true);
  strictEqual(some.has(address(2)), false);
  strictEqual(some.has(address(2)), false);
  strictEqual(some.has(IpAddress.parse("::a00:1")!), false);
  strictEqual(some.has(address(1)), true);
});

test("Correspondents forgets the one longest without a datagram", () => {
  const some = new Correspondents();
  for (let i = 0; i < MAX_CORRESPONDENTS; i++) strictEqual(some.add(address(i)), false);
  strictEqual(some.has(address(0)), true);
  strictEqual(some.add(address(MAX_CORRESPONDENTS)), true);
  strictEqual(some.has(address(0)), true);
  strictEqual(some.has(address(1)), false);
});
