import { ok } from "node:assert/strict";
import { test } from "node:test";
import { optionsAmong } from "../../../lib/uplink/gateway/tcp_relays.ts";

test("optionsAmong() gives the many less than the few, and all together less than two gigabytes", () => {
  let total = 0;
  let before = Infinity;
  for (let flows = 0; flows < 16_384; flows++) {
    const { sendBufferMax } = optionsAmong(flows);
    ok(sendBufferMax !== undefined && sendBufferMax <= before);
    before = sendBufferMax;
    total += sendBufferMax;
  }
  ok(total < 2 ** 31, `${total} bytes`);
});
