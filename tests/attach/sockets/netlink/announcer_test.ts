/** Who hears of changes, and what that may cost. */

import { test } from "node:test";
import { deepStrictEqual, strictEqual } from "node:assert/strict";
import { announcerOf, EFFORT, MAX_LISTENERS } from "../../../../lib/attach/sockets/netlink/announcer.ts";
import type { SocketsContext } from "../../../../lib/attach/sockets/guest_socket.ts";
import { UNASKED } from "../../../../lib/attach/sockets/netlink/notices.ts";
import { NO_OFFLOAD } from "../../../../lib/stack/link/link.ts";
import { Stack } from "../../../../lib/stack/stack.ts";
import { seeded } from "../../../support/random.ts";
import { mac } from "../../../support/two_stacks.ts";

function world() {
  const stack = new Stack({ random: seeded(1) });
  const context = {
    stack,
    counters: stack.counters,
    reactor: { now: () => 1_000_000 },
    supervisor: { setDeadline: () => {} },
  } as unknown as SocketsContext;
  return { stack, announcer: announcerOf(context) };
}

test("listeners are bounded, and who finds no place is counted", () => {
  const { stack, announcer } = world();
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

test("changes are told one by one, and beyond what that may cost once a second, as a difference", () => {
  const { stack, announcer } = world();
  const nic = stack.addNic({
    name: "eth0",
    mac: mac("02:00:00:00:00:01"),
    mtu: 1_500,
    capabilities: NO_OFFLOAD,
  });
  let heard = 0;
  announcer.changed({ listens: true, hear: (notices) => heard += notices.length });
  const limited = () => stack.counters.get("sockets.limit.announcements");
  let changes = 0;
  for (; limited() === 0 && changes < EFFORT; changes++) {
    nic.txQueueLength = changes;
    announcer.announce(UNASKED);
  }
  deepStrictEqual([heard, limited()], [changes - 1, 1]);
  announcer.onDeadline();
  strictEqual(heard, changes);
  nic.txQueueLength = 0;
  announcer.announce(UNASKED);
  deepStrictEqual([heard, limited()], [changes + 1, 1]);
});
