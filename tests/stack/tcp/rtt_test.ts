import { ok, strictEqual } from "node:assert/strict";
import { test } from "node:test";
import { RTO_LIMITS, RttEstimator } from "../../../lib/stack/tcp/rtt.ts";
import { WindowedMin } from "../../../lib/stack/tcp/windowed_min.ts";
import { type Instant, MILLISECOND, SECOND } from "../../../lib/stack/time.ts";

const at = (microseconds: number): Instant => microseconds as Instant;

test("RttEstimator starts with the initial timeout and no measurement", () => {
  const rtt = new RttEstimator();
  strictEqual(rtt.rto, SECOND);
  strictEqual(rtt.srtt, 0);
  strictEqual(rtt.minRtt, 0);
});

test("RttEstimator.sample() sets SRTT to R and RTTVAR to R/2 at first", () => {
  const rtt = new RttEstimator();
  rtt.sample(400 * MILLISECOND, at(0));
  strictEqual(rtt.srtt, 400_000);
  strictEqual(rtt.rttvar, 200_000);
  strictEqual(rtt.rto, 400_000 + 4 * 200_000);
});

test("RttEstimator.sample() uses the old SRTT for RTTVAR", () => {
  const rtt = new RttEstimator();
  rtt.sample(400 * MILLISECOND, at(0));
  rtt.sample(800 * MILLISECOND, at(1));
  strictEqual(rtt.rttvar, 200_000 + (400_000 - 200_000) / 4);
  strictEqual(rtt.srtt, 450_000);
});

// RTO = SRTT + max(200 ms, 4·RTTVAR): the variance has decayed after many equal samples.
const STEADY: [rtt: number, rto: number][] = [
  [100, 200_100],
  [MILLISECOND, 201_000],
  [20 * MILLISECOND, 220_000],
  [SECOND, 1_200_000],
  [119 * SECOND, 119_200_000],
  [200 * SECOND, 120_000_000],
];
for (const [sample, rto] of STEADY) {
  test(`RttEstimator settles at ${rto} µs on a path of ${sample} µs`, () => {
    const rtt = new RttEstimator();
    for (let i = 0; i < 200; i++) rtt.sample(sample, at(i));
    strictEqual(rtt.rto, rto);
    strictEqual(rtt.minRtt, sample);
  });
}

test("RttEstimator.sample() counts a round trip of no time as a measurement", () => {
  const rtt = new RttEstimator();
  rtt.sample(0, at(0));
  strictEqual(rtt.srtt, 1);
});

test("RttEstimator.backoff() doubles up to the maximum", () => {
  const rtt = new RttEstimator();
  const seen: number[] = [];
  for (let i = 0; i < 9; i++) {
    rtt.backoff();
    seen.push(rtt.rto / SECOND);
  }
  strictEqual(seen.join(" "), "2 4 8 16 32 64 120 120 120");
  strictEqual(rtt.backoffs, 9);
  rtt.undoBackoff();
  strictEqual(rtt.rto, SECOND);
  strictEqual(rtt.backoffs, 0);
});

test("RttEstimator.undoOneBackoff() takes back one step, and not more than there were", () => {
  const rtt = new RttEstimator();
  for (let i = 0; i < 3; i++) rtt.backoff();
  rtt.undoOneBackoff();
  strictEqual(rtt.rto, 4 * SECOND);
  strictEqual(rtt.backoffs, 2);
  for (let i = 0; i < 5; i++) rtt.undoOneBackoff();
  strictEqual(rtt.rto, SECOND);
  strictEqual(rtt.backoffs, 0);
});

test("RttEstimator.sample() ends back-off", () => {
  const rtt = new RttEstimator();
  rtt.backoff();
  rtt.sample(10 * MILLISECOND, at(0));
  strictEqual(rtt.backoffs, 0);
  strictEqual(rtt.rto, 210_000);
});

test("RttEstimator takes other limits", () => {
  const rtt = new RttEstimator({ ...RTO_LIMITS, min: SECOND, initial: 3 * SECOND });
  strictEqual(rtt.rto, 3 * SECOND);
  rtt.sample(MILLISECOND, at(0));
  strictEqual(rtt.rto, 1_001_000);
});

test("WindowedMin follows a falling series at once", () => {
  const min = new WindowedMin(1000);
  for (const [value, time] of [[50, 0], [40, 1], [30, 2], [30, 3]] as const) {
    strictEqual(min.sample(value, at(time)), value);
  }
});

test("WindowedMin forgets a minimum that has left the window", () => {
  const min = new WindowedMin(1000);
  min.sample(10, at(0));
  for (let t = 10; t <= 990; t += 10) strictEqual(min.sample(20, at(t)), 10, `at ${t}`);
  ok(min.sample(20, at(1001)) === 20);
});

test("WindowedMin starts anew after a window of silence", () => {
  const min = new WindowedMin(1000);
  min.sample(10, at(0));
  strictEqual(min.sample(99, at(5000)), 99);
});

test("WindowedMin is at least the true minimum of the window, and one that was seen in it", () => {
  const WINDOW = 1000;
  let state = 12345;
  const random = () => (state = Math.imul(state, 1664525) + 1013904223 | 0) >>> 8;
  const min = new WindowedMin(WINDOW);
  const seen: [number, number][] = [];
  for (let t = 0; t < 20_000; t += 1 + random() % 40) {
    const value = 100 + random() % 1000;
    seen.push([t, value]);
    const got = min.sample(value, at(t));
    const recent = seen.filter(([when]) => t - when <= WINDOW).map(([, v]) => v);
    ok(got >= Math.min(...recent), `at ${t}: ${got} is less than all of ${recent}`);
    ok(recent.includes(got), `at ${t}: ${got} is none of ${recent}`);
  }
});
