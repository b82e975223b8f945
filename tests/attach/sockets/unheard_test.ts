/** Calls whose thread was interrupted in the moment of the answer, and came again. */

import { test } from "node:test";
import { deepStrictEqual, strictEqual } from "node:assert/strict";
import { MOST_UNHEARD, UnheardAnswers } from "../../../lib/attach/sockets/unheard.ts";
import { Errno } from "../../../lib/host/errno.ts";
import { NativeMemory } from "../../../lib/host/memory.ts";
import { Counters } from "../../../lib/stack/counters.ts";
import { OwnCalls } from "../../support/own_call.ts";

function bench() {
  const counters = new Counters();
  return { counters, calls: new OwnCalls(), answers: new UnheardAnswers(counters) };
}

test("UnheardAnswers gives the same call of the same thread its answer, once", () => {
  const { calls, answers } = bench();
  answers.keep(calls.call(3, 4), 7);
  strictEqual(answers.take(calls.call(3, 4)), 7);
  strictEqual(answers.take(calls.call(3, 4)), undefined);
  calls.close();
});

test("UnheardAnswers forgets when the thread comes with another call", () => {
  const { calls, answers } = bench();
  answers.keep(calls.call(3, 4), 7);
  strictEqual(answers.take(calls.call(3, 5)), undefined);
  strictEqual(answers.take(calls.call(3, 4)), undefined);
  answers.keep(calls.call(3, 4), 7);
  const other = calls.call(3, 4);
  other.nr++;
  strictEqual(answers.take(other), undefined);
  calls.close();
});

test("UnheardAnswers does not give a thread another's answer, and drops those of threads that are gone", () => {
  const { calls, answers } = bench();
  const [mine, theirs] = [calls.call(3), calls.call(3)];
  theirs.tid++;
  answers.keep(mine, 1);
  strictEqual(answers.take(theirs), undefined);
  answers.sweep((thread) => thread === theirs.tid);
  strictEqual(answers.size, 0);
  calls.close();
});

test("UnheardAnswers keeps no more than it may, and counts what it drops", () => {
  const { calls, answers, counters } = bench();
  const call = calls.call(3);
  for (let i = 0; i <= MOST_UNHEARD; i++) {
    call.tid++;
    answers.keep(call, i);
  }
  strictEqual(answers.size, MOST_UNHEARD);
  strictEqual(counters.slot("sockets.limit.unheard").value, 1);
  strictEqual(counters.slot("sockets.unheard").value, MOST_UNHEARD + 1);
  calls.close();
});

test("an answer that is not heard is kept, unless it would be stale, or its giver undoes what was done", () => {
  const { calls } = bench();
  calls.valid = false;
  calls.call().reply(12);
  calls.call().fail(Errno.EINPROGRESS);
  calls.call().fail(Errno.EAGAIN);
  calls.call().fail(Errno.EINTR);
  strictEqual(calls.call().tryReply(1), false);
  strictEqual(calls.call().tryFail(Errno.ECONNREFUSED), false);
  // Carried out anew by the kernel, when the thread comes again.
  calls.call().pass();
  deepStrictEqual(calls.unheard, [12, -Errno.EINPROGRESS]);
  calls.close();
});

test("what is answered because a call is dead is no answer", () => {
  const { calls } = bench();
  const call = calls.call();
  calls.valid = false;
  strictEqual(call.replaceDescriptor(0, 0), -Errno.ENOENT);
  strictEqual(call.interrupted, true);
  call.fail(Errno.ENOENT);
  const { address } = new NativeMemory(8);
  strictEqual(calls.call().readInto(address, 8, address), false);
  strictEqual(calls.call().readBytes(1, 8), undefined);
  deepStrictEqual(calls.unheard, []);
  calls.close();
});
