import { ok, strictEqual } from "node:assert/strict";
import { test } from "node:test";
import { cubeRoot, Cubic } from "../../../../lib/stack/tcp/congestion/cubic.ts";
import { type Instant, MILLISECOND, SECOND } from "../../../../lib/stack/time.ts";

const MSS = 1000;
const at = (microseconds: number): Instant => microseconds as Instant;

/** Acknowledges whole windows until `until`, one RTT each; returns the windows in segments. */
function run(cubic: Cubic, from: number, until: number, rtt: number): number[] {
  const windows: number[] = [];
  for (let now = from + rtt; now <= until; now += rtt) {
    const window = cubic.cwnd;
    // Spread over the round: the curve is a function of time, and a whole round at once would be early.
    for (let acked = 0; acked < window; acked += MSS) {
      cubic.onAck(MSS, at(now - rtt + Math.floor(rtt * acked / window)), rtt, window);
    }
    windows.push(cubic.cwnd / MSS);
  }
  return windows;
}

/** CUBIC just after a loss at `segments`. */
function afterLoss(segments: number): Cubic {
  const cubic = new Cubic({ mss: MSS, initialWindow: segments * MSS });
  cubic.onEnterRecovery(segments * MSS, at(0));
  cubic.onExitRecovery(at(0));
  return cubic;
}

test("cubeRoot() is exact to a few parts in 10¹⁵", () => {
  for (const x of [1e-9, 0.001, 0.5, 1, 2, 7.999, 8, 27, 1000, 750, 12345.678, 1e9, 1e15]) {
    const y = cubeRoot(x);
    ok(Math.abs(y * y * y - x) <= 1e-14 * x, `${x}: ${y}`);
  }
  strictEqual(cubeRoot(0), 0);
  strictEqual(cubeRoot(-1), 0);
  strictEqual(cubeRoot(NaN), 0);
});

test("Cubic is back at W_max after K seconds, and flat there", () => {
  const cubic = afterLoss(1000);
  const k = Math.cbrt(0.3 * 1000 / 0.4) * SECOND; // 9.08 s
  const windows = run(cubic, 0, k, 100 * MILLISECOND);
  ok(Math.abs(windows.at(-1)! - 1000) < 3, `${windows.at(-1)}`);
  // Concave: the first second brings more than the last one.
  const first = windows[9]! - 700;
  const last = windows.at(-1)! - windows.at(-11)!;
  ok(first > 80 && last < 3, `${first} ${last}`);
});

test("Cubic probes beyond W_max with the third power", () => {
  const cubic = afterLoss(1000);
  const k = Math.cbrt(0.3 * 1000 / 0.4) * SECOND;
  run(cubic, 0, k, 100 * MILLISECOND);
  const windows = run(cubic, k, k + 5 * SECOND, 100 * MILLISECOND);
  // C·t³ = 0.4·125 = 50 segments.
  ok(Math.abs(windows.at(-1)! - 1050) < 8, `${windows.at(-1)}`);
});

test("Cubic does not depend on the round-trip time on long paths", () => {
  const at20 = run(afterLoss(2000), 0, 10 * SECOND, 200 * MILLISECOND).at(-1)!;
  const at50 = run(afterLoss(2000), 0, 10 * SECOND, 500 * MILLISECOND).at(-1)!;
  ok(Math.abs(at20 - at50) / at20 < 0.02, `${at20} ${at50}`);
});

test("Cubic is Reno's equal on short paths", () => {
  // 1 ms, 20 segments: Reno with β = 0.7 gains α = 0.529 segments per round until cwnd_prior, then one.
  const windows = run(afterLoss(20), 0, 50 * MILLISECOND, MILLISECOND);
  const rounds = Math.ceil(6 / 0.529);
  const want = 20 + (50 - rounds);
  ok(Math.abs(windows.at(-1)! - want) < 3, `${windows.at(-1)} instead of ${want}`);
});

test("Cubic grows by no more than half a window per round", () => {
  const cubic = afterLoss(100);
  const windows = run(cubic, 0, 60 * SECOND, SECOND);
  for (let i = 1; i < windows.length; i++) ok(windows[i]! <= 1.51 * windows[i - 1]!, `${i}: ${windows[i]}`);
});

test("Cubic gives way by fast convergence when it loses again below W_max", () => {
  const slow = afterLoss(1000); // W_max 1000, window 700
  slow.onEnterRecovery(700 * MSS, at(1)); // W_max 700·0.85 = 595, window 490
  slow.onExitRecovery(at(1));
  const k = Math.cbrt((595 - 490) / 0.4) * SECOND;
  const windows = run(slow, 0, k, 50 * MILLISECOND);
  ok(Math.abs(windows.at(-1)! - 595) < 3, `${windows.at(-1)}`);
});

test("Cubic does not count time in which the window was not used", () => {
  const used = afterLoss(1000);
  run(used, 0, 2 * SECOND, 100 * MILLISECOND);
  const idle = afterLoss(1000);
  run(idle, 0, SECOND, 100 * MILLISECOND);
  for (let t = SECOND; t <= 30 * SECOND; t += 100_000) idle.onAck(MSS, at(t), 100_000, 10 * MSS);
  const before = idle.cwnd;
  run(idle, 30 * SECOND, 31 * SECOND, 100 * MILLISECOND);
  ok(before < used.cwnd);
  ok(Math.abs(idle.cwnd - used.cwnd) < 0.03 * used.cwnd, `${idle.cwnd} ${used.cwnd}`);
});

test("Cubic.undo() brings back the curve", () => {
  const plain = afterLoss(1000);
  const undone = afterLoss(1000);
  run(plain, 0, 2 * SECOND, 100 * MILLISECOND);
  run(undone, 0, 2 * SECOND, 100 * MILLISECOND);
  undone.onEnterRecovery(700 * MSS, at(2 * SECOND));
  undone.undo();
  strictEqual(undone.cwnd, plain.cwnd);
  run(plain, 2 * SECOND, 4 * SECOND, 100 * MILLISECOND);
  run(undone, 2 * SECOND, 4 * SECOND, 100 * MILLISECOND);
  ok(Math.abs(undone.cwnd - plain.cwnd) <= 2, `${undone.cwnd} ${plain.cwnd}`);
});

test("Cubic starts its curve at the window of the first avoidance after a timeout", () => {
  const cubic = afterLoss(1000);
  cubic.onTimeout(700 * MSS, at(SECOND));
  strictEqual(cubic.ssthresh, 490 * MSS);
  let now: number = SECOND;
  while (cubic.cwnd < cubic.ssthresh) {
    now = now + 100_000, cubic.onAck(cubic.cwnd, at(now), 100_000, cubic.cwnd);
  }
  // K = 0, W_max = 490: convex from the start, 490 + 0.4·5³ after five seconds.
  const windows = run(cubic, now, now + 5 * SECOND, 100 * MILLISECOND);
  ok(Math.abs(windows.at(-1)! - 540) < 12, `${windows.at(-1)}`);
});

/** One round of slow start: every segment of a window acknowledged with this RTT. */
function round(cubic: Cubic, now: number, rtt: number): void {
  const window = cubic.cwnd;
  for (let acked = 0; acked < window; acked += MSS) {
    cubic.onRttSample(rtt);
    cubic.onAck(MSS, at(now), rtt, window);
  }
}

test("Cubic leaves slow start after five conservative rounds when the delay rises", () => {
  const cubic = new Cubic({ mss: MSS, initialWindow: 16 * MSS });
  round(cubic, 50_000, 50_000);
  round(cubic, 100_000, 50_000);
  strictEqual(cubic.cwnd, 64 * MSS);
  round(cubic, 160_000, 60_000); // 50 + max(4, 50/8) = 56.25 ms is the threshold
  ok(cubic.cwnd < 90 * MSS, `slows down within the round: ${cubic.cwnd}`);
  for (let i = 0; i < 3; i++) round(cubic, 220_000 + 60_000 * i, 60_000);
  strictEqual(cubic.ssthresh, Infinity);
  round(cubic, 400_000, 60_000);
  ok(cubic.ssthresh < Infinity, "conservative slow start is over");
  const { cwnd } = cubic;
  round(cubic, 460_000, 60_000);
  ok(cubic.cwnd < 1.1 * cwnd, `avoidance: ${cwnd} → ${cubic.cwnd}`);
});

test("Cubic leaves conservative slow start when the delay rises once more: it was no jitter", () => {
  const cubic = new Cubic({ mss: MSS, initialWindow: 16 * MSS });
  round(cubic, 50_000, 50_000);
  round(cubic, 110_000, 60_000);
  round(cubic, 170_000, 64_000);
  strictEqual(cubic.ssthresh, Infinity);
  round(cubic, 240_000, 68_000); // 60 + 60/8 = 67.5 ms is the threshold
  ok(cubic.ssthresh < Infinity);
});

test("Cubic resumes slow start when the delay falls again: it was jitter", () => {
  const cubic = new Cubic({ mss: MSS, initialWindow: 16 * MSS });
  round(cubic, 50_000, 50_000);
  round(cubic, 100_000, 60_000);
  round(cubic, 150_000, 50_000);
  const { cwnd } = cubic;
  round(cubic, 200_000, 50_000);
  strictEqual(cubic.cwnd, 2 * cwnd);
});

test("Cubic ignores jitter below the threshold, and delay without HyStart", () => {
  const calm = new Cubic({ mss: MSS, initialWindow: 16 * MSS });
  for (let i = 0; i < 4; i++) round(calm, i * 1000, 1000 + 900 * i);
  strictEqual(calm.cwnd, 256 * MSS);
  const without = new Cubic({ mss: MSS, initialWindow: 16 * MSS, hystart: false });
  for (let i = 0; i < 4; i++) round(without, i * 100_000, 50_000 * (i + 1));
  strictEqual(without.cwnd, 256 * MSS);
});
