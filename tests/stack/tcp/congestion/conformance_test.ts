/**
 * What every congestion control must do, whichever it is.
 */

import { ok, strictEqual } from "node:assert/strict";
import { test } from "node:test";
import {
  type CongestionControl,
  type CongestionName,
  createCongestionControl,
} from "../../../../lib/stack/tcp/congestion/congestion.ts";
import { initialWindow, MAX_WINDOW } from "../../../../lib/stack/tcp/congestion/window.ts";
import { type Instant, MILLISECOND, SECOND } from "../../../../lib/stack/time.ts";

const MSS = 1000;
const RTT = 50 * MILLISECOND;
const at = (microseconds: number): Instant => microseconds as Instant;

/** Acknowledges whole windows, one segment at a time, and returns the time afterwards. */
function rounds(control: CongestionControl, count: number, start: Instant): Instant {
  let now = start as number;
  for (let round = 0; round < count; round++) {
    const window = control.cwnd;
    now += RTT;
    for (let acked = 0; acked < window; acked += MSS) control.onAck(MSS, at(now), RTT, window);
  }
  return at(now);
}

const INITIAL: [mss: number, want: number][] = [
  [536, 5360],
  [1000, 10_000],
  [1460, 14_600],
  [1461, 14_600],
  [4000, 14_600],
  [7300, 14_600],
  [8960, 17_920],
  [65_480, 130_960],
];
for (const [mss, want] of INITIAL) {
  test(`initialWindow() is ${want} for a segment of ${mss}`, () => strictEqual(initialWindow(mss), want));
}

const NAMES: CongestionName[] = ["reno", "cubic"];
const BETA = { reno: 0.5, cubic: 0.7 };
for (const name of NAMES) {
  const fresh = (initial = 10 * MSS) => createCongestionControl(name, { mss: MSS, initialWindow: initial });

  test(`${name} starts in slow start with the initial window`, () => {
    const control = createCongestionControl(name, { mss: 1460 });
    strictEqual(control.name, name);
    strictEqual(control.cwnd, 14_600);
    strictEqual(control.ssthresh, Infinity);
  });

  test(`${name} doubles the window each round in slow start`, () => {
    const control = fresh();
    rounds(control, 3, at(0));
    strictEqual(control.cwnd, 80 * MSS);
  });

  test(`${name} grows by every byte of a stretched acknowledgement in slow start`, () => {
    const control = fresh(100 * MSS);
    control.onAck(64 * MSS, at(RTT), RTT, 100 * MSS);
    strictEqual(control.cwnd, 164 * MSS);
  });

  test(`${name} does not grow while the window is not used`, () => {
    const control = fresh(100 * MSS);
    for (let i = 0; i < 1000; i++) control.onAck(MSS, at(i * 1000), RTT, 10 * MSS);
    strictEqual(control.cwnd, 100 * MSS, "slow start");
    control.onEcn(100 * MSS, at(2 * SECOND));
    const cwnd = control.cwnd;
    for (let i = 0; i < 1000; i++) control.onAck(MSS, at(3 * SECOND + i * 1000), RTT, cwnd / 2);
    strictEqual(control.cwnd, cwnd, "avoidance");
  });

  test(`${name} ignores acknowledgements of nothing`, () => {
    const control = fresh();
    control.onAck(0, at(1), RTT, 10 * MSS);
    strictEqual(control.cwnd, 10 * MSS);
  });

  test(`${name} reduces by its factor, stands still in recovery, and leaves with ssthresh`, () => {
    const control = fresh(100 * MSS);
    control.onEnterRecovery(90 * MSS, at(RTT));
    const want = 100 * MSS * BETA[name];
    strictEqual(control.ssthresh, want);
    strictEqual(control.cwnd, want);
    control.onEnterRecovery(90 * MSS, at(RTT));
    strictEqual(control.ssthresh, want, "entering twice counts once");
    rounds(control, 1, at(RTT));
    strictEqual(control.cwnd, want);
    control.onExitRecovery(at(3 * RTT));
    strictEqual(control.cwnd, want);
    rounds(control, 1, at(3 * RTT));
    ok(control.cwnd > want, "grows again");
  });

  test(`${name} learns from a slow start that overshot what the path holds`, () => {
    const control = fresh(100 * MSS);
    control.onEnterRecovery(100 * MSS, at(RTT));
    control.onSurvivors(80 * MSS);
    const entry = 100 * MSS * BETA[name];
    strictEqual(control.ssthresh, Math.min(entry, 68 * MSS), "all of it would keep the queue full");
    control.onSurvivors(10 * MSS);
    const least = Math.round(0.85 * 50 * MSS);
    strictEqual(control.ssthresh, Math.min(entry, least), "a half arrived one round trip before");
    strictEqual(control.cwnd, control.ssthresh);
    control.onExitRecovery(at(2 * RTT));
    strictEqual(control.cwnd, control.ssthresh);
    control.undo();
    strictEqual(control.cwnd, 100 * MSS);
    strictEqual(control.ssthresh, Infinity);
  });

  test(`${name} does not count survivors outside of slow start, nor outside of recovery`, () => {
    const control = fresh(100 * MSS);
    control.onSurvivors(10 * MSS);
    strictEqual(control.cwnd, 100 * MSS);
    control.onEcn(100 * MSS, at(RTT));
    const cwnd = control.cwnd;
    control.onEnterRecovery(cwnd, at(2 * RTT));
    const { ssthresh } = control;
    control.onSurvivors(10 * MSS);
    strictEqual(control.ssthresh, ssthresh);
  });

  test(`${name} is never below two segments after loss`, () => {
    const control = fresh(2 * MSS);
    for (let i = 0; i < 5; i++) {
      control.onEnterRecovery(2 * MSS, at(i));
      strictEqual(control.ssthresh, 2 * MSS);
      control.onExitRecovery(at(i));
      strictEqual(control.cwnd, 2 * MSS);
    }
  });

  test(`${name} falls to one segment on timeout, and timeouts in a row hold ssthresh`, () => {
    const control = fresh(100 * MSS);
    control.onTimeout(100 * MSS, at(SECOND));
    const want = 100 * MSS * BETA[name];
    strictEqual(control.cwnd, MSS);
    strictEqual(control.ssthresh, want);
    control.onTimeout(MSS, at(3 * SECOND));
    control.onTimeout(MSS, at(7 * SECOND));
    strictEqual(control.cwnd, MSS);
    strictEqual(control.ssthresh, want);
    rounds(control, 3, at(8 * SECOND));
    strictEqual(control.cwnd, 8 * MSS, "slow start up to ssthresh");
    control.onTimeout(8 * MSS, at(9 * SECOND));
    strictEqual(
      control.ssthresh,
      Math.max(2 * MSS, Math.floor(8 * MSS * BETA[name])),
      "a new loss counts anew",
    );
  });

  test(`${name} pays once when recovery ends in a timeout`, () => {
    const control = fresh(100 * MSS);
    control.onEnterRecovery(100 * MSS, at(SECOND));
    control.onTimeout(50 * MSS, at(2 * SECOND));
    strictEqual(control.ssthresh, 100 * MSS * BETA[name]);
    strictEqual(control.cwnd, MSS);
    control.undo();
    strictEqual(control.cwnd, 100 * MSS, "and undo goes back to before both");
    strictEqual(control.ssthresh, Infinity);
  });

  test(`${name}.undo() takes back a reduction, once`, () => {
    const control = fresh(100 * MSS);
    control.undo();
    strictEqual(control.cwnd, 100 * MSS, "nothing to take back");
    control.onEnterRecovery(100 * MSS, at(SECOND));
    control.undo();
    strictEqual(control.cwnd, 100 * MSS);
    strictEqual(control.ssthresh, Infinity);
    control.onAck(MSS, at(2 * SECOND), RTT, 100 * MSS);
    strictEqual(control.cwnd, 101 * MSS, "slow start goes on");
    control.undo();
    strictEqual(control.cwnd, 101 * MSS);
  });

  test(`${name}.undo() never makes the window smaller`, () => {
    const control = fresh(4 * MSS);
    control.onTimeout(4 * MSS, at(SECOND));
    control.onExitRecovery(at(SECOND));
    const now = rounds(control, 30, at(SECOND));
    const cwnd = control.cwnd;
    ok(cwnd > 4 * MSS);
    control.undo();
    strictEqual(control.cwnd, cwnd);
    ok(now > 0);
  });

  test(`${name}.onEcn() reduces without standing still, and not within recovery`, () => {
    const control = fresh(100 * MSS);
    control.onEcn(100 * MSS, at(SECOND));
    const want = 100 * MSS * BETA[name];
    strictEqual(control.cwnd, want);
    control.onEnterRecovery(100 * MSS, at(2 * SECOND));
    const { ssthresh } = control;
    control.onEcn(100 * MSS, at(2 * SECOND));
    strictEqual(control.ssthresh, ssthresh);
  });

  // RFC 5681 section 4.1 in the manner of Linux: half for every RTO of silence, not below the restart window.
  const IDLE: [rtos: number, cwnd: number][] = [[0.5, 160], [1, 160], [1.5, 80], [2.5, 40], [3.5, 20], [
    4.5,
    10,
  ], [99, 10]];
  for (const [rtos, cwnd] of IDLE) {
    test(`${name}.onIdleRestart() leaves ${cwnd} of 160 segments after ${rtos} timeouts`, () => {
      const control = fresh();
      const now = rounds(control, 4, at(0));
      strictEqual(control.cwnd, 160 * MSS);
      control.onIdleRestart(at(now + rtos * SECOND), SECOND);
      strictEqual(control.cwnd, cwnd * MSS);
    });
  }

  test(`${name}.onIdleRestart() remembers three quarters of the window, and is harmless before the first ACK`, () => {
    const control = fresh();
    control.onIdleRestart(at(100 * SECOND), SECOND);
    strictEqual(control.cwnd, 10 * MSS);
    rounds(control, 4, at(0));
    control.onEcn(160 * MSS, at(SECOND));
    const { cwnd } = control;
    control.ssthresh = 2 * MSS;
    control.onIdleRestart(at(60 * SECOND), SECOND);
    strictEqual(control.ssthresh, cwnd - (cwnd >> 2));
  });

  test(`${name}.setMss() leaves the window, but for one segment at least`, () => {
    const control = fresh(10 * MSS);
    control.setMss(500);
    strictEqual(control.cwnd, 10 * MSS);
    control.onTimeout(10 * MSS, at(SECOND));
    strictEqual(control.cwnd, 500);
    control.setMss(1400);
    strictEqual(control.cwnd, 1400);
  });

  test(`${name} keeps the window a whole number and within bounds whatever happens`, () => {
    const seed = 20_161;
    let state = seed;
    const random = () => (state = Math.imul(state, 1664525) + 1013904223 | 0) >>> 8;
    const control = fresh();
    let now = 0;
    for (let i = 0; i < 20_000; i++) {
      now += random() % 100_000;
      const flight = random() % (2 * control.cwnd);
      switch (random() % 12) {
        case 0:
          control.onEnterRecovery(flight, at(now));
          break;
        case 1:
        case 2:
          control.onExitRecovery(at(now));
          break;
        case 3:
          if (random() % 8 === 0) control.onTimeout(flight, at(now));
          break;
        case 4:
          control.onEcn(flight, at(now));
          break;
        case 5:
          control.undo();
          break;
        case 6:
          control.onIdleRestart(at(now), 1 + random() % SECOND);
          break;
        default:
          control.onRttSample(1 + random() % SECOND, at(now));
          control.onAck(random() % (64 * MSS), at(now), random() % SECOND, flight);
      }
      const { cwnd, ssthresh } = control;
      ok(
        Number.isInteger(cwnd) && cwnd >= MSS && cwnd <= MAX_WINDOW,
        `seed ${seed}, step ${i}: cwnd ${cwnd}`,
      );
      ok(ssthresh >= 2 * MSS, `seed ${seed}, step ${i}: ssthresh ${ssthresh}`);
    }
  });
}
