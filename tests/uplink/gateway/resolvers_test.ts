import { deepStrictEqual } from "node:assert/strict";
import { test } from "node:test";
import { Resolvers } from "../../../lib/uplink/gateway/resolvers.ts";
import { ANY4 } from "../../../lib/stack/wire/address.ts";

const [A, B, C] = [1, 2, 3].map((port) => ({ address: ANY4, port })) as [
  { address: typeof ANY4; port: number },
  { address: typeof ANY4; port: number },
  { address: typeof ANY4; port: number },
];

test("prefer() moves a resolver to the front and leaves orders that somebody holds alone", () => {
  const resolvers = new Resolvers([A, B, C]);
  const held = resolvers.inOrder();
  resolvers.prefer(C);
  deepStrictEqual(resolvers.inOrder(), [C, A, B]);
  resolvers.prefer(C);
  deepStrictEqual(resolvers.inOrder(), [C, A, B]);
  deepStrictEqual(held, [A, B, C]);
});
