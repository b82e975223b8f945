import { test } from "node:test";
import { equal } from "node:assert/strict";
import { trim } from "../../../lib/stack/buffer/trim.ts";
import { fragmented, hex, roomy, toHex } from "../../support/bytes.ts";

test("trim() cuts at every length, wherever the fragments are", () => {
  const bytes = hex("000102030405060708");
  for (let own = 0; own <= bytes.length; own++) {
    for (let length = 0; length <= bytes.length; length++) {
      const p = fragmented(bytes, own, [2, 1, 3]);
      trim(p, length);
      equal(p.totalLength, length, `own ${own} length ${length}`);
      equal(toHex(p.toBytes()), toHex(bytes.subarray(0, length)));
    }
  }
});

test("trim() lets go of fragments that it cuts off, and only of those", () => {
  const p = roomy("01");
  const [a, b] = [roomy("0203"), roomy("0405")];
  p.attach(a, a.start, a.end);
  p.attach(b, b.start, b.end);
  trim(p, 2);
  equal(a.references, 2);
  equal(b.references, 1);
  p.release();
  equal(a.references, 1);
});
