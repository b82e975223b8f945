import { test } from "node:test";
import { strictEqual } from "node:assert/strict";
import { Watchdog } from "../../lib/engine/watchdog.ts";

const TIMES = { interval: 5, hurry: 5 };
const NEVER = () => new Promise<void>(() => {});

test("an engine that never answers is given up after two questions", async () => {
  let asked = 0;
  await new Promise<void>((resolve) => new Watchdog(() => (asked++, NEVER()), resolve, TIMES));
  strictEqual(asked, 2);
});

test("a question that cannot be put is no answer", async () => {
  const refused = () => Promise.reject(new Error("its ear is full"));
  await new Promise<void>((resolve) => new Watchdog(refused, resolve, TIMES));
});

test("an engine that answers lives, even when it is asked to hurry", async () => {
  let asked = 0;
  let stuck = false;
  const done = Promise.withResolvers<void>();
  const dog = new Watchdog(
    () => {
      if (++asked === 10) done.resolve();
      return Promise.resolve();
    },
    () => stuck = true,
    TIMES,
  );
  dog.hurry();
  await done.promise;
  dog.close();
  strictEqual(stuck, false);
});

test("in a hurry one question is enough", async () => {
  let asked = 0;
  await new Promise<void>((resolve) => {
    const dog = new Watchdog(() => (asked++, NEVER()), resolve, { interval: 3_600_000, hurry: 1 });
    dog.hurry();
    dog.hurry();
  });
  strictEqual(asked, 1);
});
