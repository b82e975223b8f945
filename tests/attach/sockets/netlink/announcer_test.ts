/** How many sockets of a guest hear of changes. */

import { test } from "node:test";
import { deepStrictEqual, strictEqual } from "node:assert/strict";
import { announcerOf, MAX_LISTENERS } from "../../../../lib/attach/sockets/netlink/announcer.ts";
import type { SocketsContext } from "../../../../lib/attach/sockets/guest_socket.ts";
import { Stack } from "../../../../lib/stack/stack.ts";
import { seeded } from "../../../support/random.ts";

test("listeners are bounded, and who finds no place is counted", () => {
  const stack = new Stack({ random: seeded(1) });
  const context = {
    stack,
    counters: stack.counters,
    reactor: { now: () => 1_000_000 },
    supervisor: { setDeadline: () => {} },
  } as unknown as SocketsContext;
  const announcer = announcerOf(context);
  const listeners = Array.from({ length: MAX_LISTENERS }, () => ({ listens: true, hear: () => {} }));
  const before = listeners.map((listener) => {
    const { full } = announcer;
    announcer.changed(listener);
    return full;
  });
  deepStrictEqual([before.some((full) => full), announcer.full], [false, true]);
  strictEqual(stack.counters.get("sockets.limit.listeners"), 1);
  announcer.changed(Object.assign(listeners[0]!, { listens: false }));
  strictEqual(announcer.full, false);
});
