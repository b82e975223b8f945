import { ok, strictEqual } from "node:assert/strict";
import { test } from "node:test";
import { Reno } from "../../../../lib/stack/tcp/congestion/reno.ts";
import type { Instant } from "../../../../lib/stack/time.ts";

const MSS = 1000;
const at = (microseconds: number): Instant => microseconds as Instant;

function inAvoidance(segments: number): Reno {
  const reno = new Reno({ mss: MSS, initialWindow: 2 * segments * MSS });
  reno.onEcn(0, at(0));
  strictEqual(reno.cwnd, segments * MSS);
  return reno;
}

// Appropriate byte counting: one segment per window of bytes, however many ACKs it comes in.
for (const perAck of [1, 2, 5, 20]) {
  test(`Reno grows by one segment per window acknowledged ${perAck} segments at a time`, () => {
    const reno = inAvoidance(20);
    for (let acked = 0; acked < 20; acked += perAck) reno.onAck(perAck * MSS, at(acked), 1000, 20 * MSS);
    const grown = reno.cwnd - 20 * MSS;
    ok(grown > 0.95 * MSS && grown <= MSS, `${grown}`);
  });
}

test("Reno crosses from slow start to avoidance within one acknowledgement", () => {
  const reno = inAvoidance(10);
  reno.onTimeout(10 * MSS, at(1));
  strictEqual(reno.ssthresh, 5 * MSS);
  reno.onAck(MSS, at(2), 1000, MSS);
  reno.onAck(MSS, at(3), 1000, 2 * MSS);
  strictEqual(reno.cwnd, 3 * MSS);
  // Two segments up to ssthresh; the other three buy 3/5 of a segment.
  reno.onAck(5 * MSS, at(4), 1000, 5 * MSS);
  strictEqual(reno.cwnd, 5 * MSS + 600);
});
