import { strictEqual } from "node:assert/strict";
import { test } from "node:test";
import { carriedHopLimit } from "../../../lib/uplink/gateway/host_socket.ts";

test("carriedHopLimit() takes one hop from a low limit, and leaves the rest to the host", () => {
  for (const [hopLimit, want] of [[0, 1], [1, 1], [2, 1], [3, 2], [32, 31], [33, -1], [64, -1], [255, -1]]) {
    strictEqual(carriedHopLimit(hopLimit!), want);
  }
});
