import { equal, ok } from "node:assert/strict";
import { test } from "node:test";
import { READ_CHUNKS, readSize } from "../../../lib/link/stream_io.ts";
import { turnAmong } from "../../../lib/uplink/gateway/tcp_relays.ts";

test("turnAmong() lets few flows have long turns, so long that one read can fill them, and many short ones", () => {
  equal(turnAmong(1), turnAmong(8));
  ok(turnAmong(9) < turnAmong(8));
  equal(turnAmong(9), turnAmong(16_384));
  for (const mtu of [1_500, 9_000, 65_520]) {
    ok(READ_CHUNKS * readSize({ mtu, gsoMaxSize: 65_535 }, 6) >= turnAmong(1), `MTU ${mtu}`);
  }
});
