import { test } from "node:test";
import { equal } from "node:assert/strict";
import { TimerQueue } from "../../../lib/stack/buffer/timer_queue.ts";
import { type Instant, NEVER } from "../../../lib/stack/time.ts";
import { between, pick, seeded } from "../../support/random.ts";

interface Item {
  timerAt: Instant;
  timerIndex: number;
}
const item = (): Item => ({ timerAt: NEVER, timerIndex: -1 });
const at = (n: number) => n as Instant;

test("TimerQueue.next() is NEVER when nothing is armed", () => {
  const queue = new TimerQueue<Item>();
  equal(queue.next(), NEVER);
  equal(queue.popDue(at(1e15)), undefined);
});

test("TimerQueue.popDue() returns what is due, in order, and disarms it", () => {
  const queue = new TimerQueue<Item>();
  const [a, b, c] = [item(), item(), item()];
  queue.set(a, at(30));
  queue.set(b, at(10));
  queue.set(c, at(20));
  equal(queue.next(), 10);
  equal(queue.popDue(at(9)), undefined);
  equal(queue.popDue(at(25)), b);
  equal(b.timerAt, NEVER);
  equal(b.timerIndex, -1);
  equal(queue.popDue(at(25)), c);
  equal(queue.popDue(at(25)), undefined);
  equal(queue.next(), 30);
});

test("TimerQueue.set() moves a timer both ways, and NEVER cancels it", () => {
  const queue = new TimerQueue<Item>();
  const [a, b] = [item(), item()];
  queue.set(a, at(10));
  queue.set(b, at(20));
  queue.set(a, at(30));
  equal(queue.next(), 20);
  queue.set(a, at(5));
  equal(queue.next(), 5);
  queue.set(a, NEVER);
  equal(queue.next(), 20);
  equal(queue.size, 1);
  queue.cancel(a);
  equal(queue.size, 1);
});

test("TimerQueue agrees with a sorted list on any sequence of calls", () => {
  const seed = 21;
  const random = seeded(seed);
  const queue = new TimerQueue<Item>();
  const items = Array.from({ length: 60 }, item);
  const armed = new Map<Item, number>();
  for (let step = 0; step < 20_000; step++) {
    const one = pick(random, items);
    const first = Math.min(Infinity, ...armed.values());
    equal(queue.next(), first, `seed ${seed} step ${step}`);
    equal(queue.size, armed.size);
    switch (random() % 4) {
      case 0:
        queue.cancel(one);
        armed.delete(one);
        break;
      case 1: {
        const now = at(between(random, 0, 1000));
        const due = queue.popDue(now);
        equal(due === undefined, first > now);
        if (due === undefined) break;
        equal(armed.get(due), first);
        armed.delete(due);
        break;
      }
      default: {
        const when = between(random, 0, 1000);
        queue.set(one, at(when));
        armed.set(one, when);
      }
    }
  }
});
