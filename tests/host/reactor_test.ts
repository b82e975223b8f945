import { test } from "node:test";
import { deepStrictEqual, ok, strictEqual, throws } from "node:assert/strict";
import { SystemError } from "../../lib/host/errno.ts";
import { NativeMemory } from "../../lib/host/memory.ts";
import { EpollEvents, type LoopHooks, Reactor } from "../../lib/host/reactor.ts";
import { close, dup3, eventfd, read, write } from "../../lib/host/sys.ts";

const one = new NativeMemory(8);
one.words[0] = 1;
const sink = new NativeMemory(8);
const signal = (fd: number) => strictEqual(write(fd, one.address, 8), 8);
const at = (deadline: number): LoopHooks => ({ beforeWait: () => deadline, afterTurn() {} });

test("turn() calls the handler of a ready descriptor with its events", () => {
  const reactor = new Reactor();
  const fd = eventfd(0, 0o4000);
  const seen: number[] = [];
  reactor.add(fd, EpollEvents.in, { onReady: (events) => seen.push(events) });
  reactor.turn(at(0));
  deepStrictEqual(seen, []);
  signal(fd);
  reactor.turn(at(Infinity));
  deepStrictEqual(seen, [EpollEvents.in]);
  reactor.remove(fd);
  reactor.turn(at(0));
  deepStrictEqual(seen, [EpollEvents.in]);
  close(fd);
  reactor.close();
});

test("turn() drops an event for a descriptor that was closed and reopened in the same batch", () => {
  const reactor = new Reactor();
  const a = eventfd(0, 0o4000), b = eventfd(0, 0o4000);
  const seen: string[] = [];
  let reopened = -1;
  const handler = (mine: () => number, other: () => number, name: string) => ({
    onReady() {
      seen.push(name);
      read(mine(), sink.address, 8);
      if (reopened >= 0) return;
      reactor.remove(other());
      // Closed and opened in one step: the runtime's own threads open and close descriptors, too.
      const fresh = eventfd(0, 0o4000);
      reopened = dup3(fresh, other(), 0);
      close(fresh);
      strictEqual(reopened, other());
      reactor.add(reopened, EpollEvents.in, { onReady: () => seen.push("stale") });
    },
  });
  reactor.add(a, EpollEvents.in, handler(() => a, () => b, "a"));
  reactor.add(b, EpollEvents.in, handler(() => b, () => a, "b"));
  signal(a);
  signal(b);
  reactor.turn(at(0));
  strictEqual(seen.length, 1);
  strictEqual(reactor.counters.stale, 1);
  reactor.turn(at(0));
  strictEqual(seen.length, 1);
  close(a);
  close(b);
  reactor.close();
});

test("defer() runs in this turn, and in the next when called from deferred work", () => {
  const reactor = new Reactor();
  const order: string[] = [];
  reactor.defer({
    run() {
      order.push("first");
      reactor.defer({ run: () => order.push("second") });
    },
  });
  const hooks: LoopHooks = { beforeWait: () => Infinity, afterTurn: () => order.push("turn") };
  reactor.turn(hooks);
  reactor.turn(hooks);
  deepStrictEqual(order, ["first", "turn", "second", "turn"]);
  reactor.close();
});

test("run() wakes at its deadline, not before, until stop()", () => {
  const reactor = new Reactor();
  const began = reactor.refresh();
  const deadline = began + 3_300;
  let woke = 0;
  reactor.run({
    beforeWait: () => deadline,
    afterTurn() {
      if (reactor.now() < deadline) return;
      woke = reactor.now();
      reactor.stop();
    },
  });
  ok(woke >= deadline, `woke ${deadline - woke} µs early`);
  reactor.close();
});

test("modify() changes what is waited for", () => {
  const reactor = new Reactor();
  const fd = eventfd(0, 0o4000);
  let writable = 0;
  reactor.add(fd, EpollEvents.in, { onReady: (events) => writable += events & EpollEvents.out });
  reactor.turn(at(0));
  strictEqual(writable, 0);
  reactor.modify(fd, EpollEvents.in | EpollEvents.out);
  reactor.turn(at(0));
  strictEqual(writable, EpollEvents.out);
  close(fd);
  reactor.close();
});

test("add() refuses a descriptor that cannot be watched", () => {
  const reactor = new Reactor();
  throws(() => reactor.add(900_000, EpollEvents.in, { onReady() {} }), SystemError);
  reactor.close();
});
