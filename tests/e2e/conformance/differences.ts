/**
 * Where the answers of the socket interface differ from Linux', what they are instead, and why they must be.
 *
 * @module
 */

import { deepStrictEqual, ok } from "node:assert/strict";

/** Lines that may be printed where the kernel prints something else. */
interface Difference {
  readonly lines: RegExp;
  readonly reason: string;
}

const DIFFERENCES: readonly Difference[] = [
  {
    lines: /^(connect_epoll_refused: recv|unlike_failed: recv): ECONNRESET$/,
    reason:
      "recv() is not trapped, and the error of unix sockets is always ECONNRESET; SO_ERROR names the true one",
  },
  {
    lines: /^option_values: set \d+ 1 12 to /,
    reason: "SO_PRIORITY above 6 takes CAP_NET_ADMIN over the network, which nobody in the sandbox has",
  },
  {
    lines: /^unlike_idle: (events: none|recv: EAGAIN|send: EAGAIN)$/,
    reason: "a pair has no state of not being connected: it takes nothing, and has nothing",
  },
  {
    lines: /^unlike_idle: recv of a listener: EAGAIN$/,
    reason: "the same: recv() is not trapped",
  },
  {
    lines: /^unlike_urgent: (alone: IN\|PRI\|OUT|counted: 5)$/,
    reason: "a unix socket polls readable, and counts, for a byte that is out of band as for any other",
  },
  {
    lines: /^unlike_refused: (events( \(2\))?: IN\|OUT|recv: b''|send: 1)$/,
    reason:
      "the error of a pair is its end, so an empty datagram makes who does not ask by a trapped call look",
  },
];

/** Asserts that `ours` is what `kernel` is, but for what is known. Only what differs is shown. */
export function sameAnswers(ours: string, kernel: string, least: number): void {
  const expected = kernel.trimEnd().split("\n"), answers = ours.trimEnd().split("\n");
  ok(expected.length > least, `${expected.length} checks`);
  const known = (line: string) => DIFFERENCES.some(({ lines }) => lines.test(line));
  const surprises = answers.flatMap((line, i) =>
    line === expected[i] || known(line) ? [] : [[line, expected[i]]]
  );
  deepStrictEqual(surprises, []);
  deepStrictEqual(answers.length, expected.length);
}
