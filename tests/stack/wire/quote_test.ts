import { test } from "node:test";
import { equal } from "node:assert/strict";
import { parseQuote, Quote } from "../../../lib/stack/wire/quote.ts";
import { tight } from "../../support/bytes.ts";
import { type FrameName, FRAMES } from "../../support/frames.ts";

const CASES: [name: FrameName, sourcePort: number, destinationPort: number, sequence: number][] = [
  ["syn4", 37_050, 80, 2_282_609_528 | 0],
  ["syn6", 33_646, 80, 2_250_220_039 | 0],
  ["udp4", 52_055, 53, 0],
  ["udp6", 35_985, 53, 0],
  ["echoRequest4", 9776, 1, 0],
  ["echoRequest6", 9777, 1, 0],
  ["echoReply4", 0, 0, 0],
];
for (const [name, sourcePort, destinationPort, sequence] of CASES) {
  test(`parseQuote() finds whom an error about ${name} concerns`, () => {
    const bytes = FRAMES[name].subarray(14);
    const headerLength = bytes[0]! >>> 4 === 4 ? 20 : 40;
    const quote = new Quote();
    const p = tight(bytes.subarray(0, headerLength + 8));
    equal(parseQuote(p, quote), undefined);
    equal(quote.sourcePort, sourcePort);
    equal(quote.destinationPort, destinationPort);
    equal(quote.sequence, sequence);
    equal(p.start, headerLength);
    for (let n = 0; n < headerLength + 8; n++) {
      equal(parseQuote(tight(bytes.subarray(0, n)), quote), "truncated", `${n} bytes`);
    }
  });
}

test("parseQuote() reads the quotation inside of a real error", () => {
  for (const [name, at] of [["unreachable4", 42], ["unreachable6", 62]] as const) {
    const quote = new Quote();
    equal(parseQuote(tight(FRAMES[name].subarray(at)), quote), undefined);
    equal(quote.destinationPort, 53);
  }
});

test("parseQuote() does not look for ports in later fragments", () => {
  const bytes = FRAMES.udp4.slice(14, 14 + 20);
  bytes[7] = 1;
  const quote = new Quote();
  quote.sourcePort = 1;
  equal(parseQuote(tight(bytes), quote), undefined);
  equal(quote.sourcePort, 0);
});
