import { test } from "node:test";
import { deepStrictEqual, strictEqual, throws } from "node:assert/strict";
import fc from "fast-check";
import { type JsonNode, JsonSyntaxError, positionAt, readJson } from "../../lib/config/json_reader.ts";

function plain(node: JsonNode): unknown {
  switch (node.kind) {
    case "string":
      return node.text;
    case "number":
      return Number(node.text);
    case "boolean":
      return node.value;
    case "null":
      return null;
    case "array":
      return node.items.map(plain);
    case "object":
      return Object.fromEntries(node.members.map((member) => [member.name, plain(member.value)]));
  }
}

test("readJson() agrees with JSON.parse on documents", () => {
  fc.assert(
    fc.property(fc.jsonValue({ maxDepth: 5 }), fc.constantFrom(undefined, 2, "\t"), (value, space) => {
      const text = JSON.stringify(value, null, space);
      deepStrictEqual(plain(readJson(text)), JSON.parse(text));
    }),
  );
});

test("readJson() agrees with JSON.parse on what is no document", () => {
  const text = fc.string({ unit: fc.constantFrom(...'{}[]",:\\ut1e-+.0truefalsn \n') });
  fc.assert(
    fc.property(text, (one) => {
      let want: unknown;
      try {
        want = JSON.parse(one);
      } catch {
        throws(() => readJson(one), JsonSyntaxError);
        return;
      }
      try {
        deepStrictEqual(plain(readJson(one)), want);
      } catch (error) {
        // Stricter in one thing: JSON.parse lets the last of two equal names win.
        if (!(error instanceof JsonSyntaxError) || !error.message.includes("is repeated")) throw error;
      }
    }),
    { numRuns: 2000 },
  );
});

const WRONG: [text: string, message: string, line: number, column: number][] = [
  ["", "expected a value, found the end", 1, 1],
  ["{", "expected a name in double quotes, found the end", 1, 2],
  ['{\n  "a" 1}', 'expected ":", found "1"', 2, 7],
  ['{"a": 1,\n}', 'expected a name in double quotes, found "}"', 2, 1],
  ['{"a": 1\n "b": 2}', 'expected "," or "}", found "\\""', 2, 2],
  ["[1 2]", 'expected "," or "]", found "2"', 1, 4],
  ["[1,]", 'expected a value, found "]"', 1, 4],
  ["{} x", 'expected the end, found "x"', 1, 4],
  ["// no", 'expected a value, found "/"', 1, 1],
  ['{"a": "b\n"}', "a string does not end, or holds a control character or an unknown escape", 1, 7],
  ['{"a": "\\x"}', "a string does not end, or holds a control character or an unknown escape", 1, 7],
  ['{"a": 1,\r\n "a": 2}', 'the name "a" is repeated', 2, 2],
  ["01", 'expected the end, found "1"', 1, 2],
  ["NaN", 'expected a value, found "N"', 1, 1],
  ["[".repeat(100), "nested deeper than 64", 1, 66],
];
for (const [text, message, line, column] of WRONG) {
  test(`readJson() refuses ${JSON.stringify(text).slice(0, 40)}`, () => {
    throws(() => readJson(text), (error) => {
      if (!(error instanceof JsonSyntaxError)) return false;
      strictEqual(error.message, message);
      deepStrictEqual(positionAt(text, error.at), { line, column });
      return true;
    });
  });
}

test("readJson() keeps every digit of a number", () => {
  deepStrictEqual(readJson("18446744073709551616"), { at: 0, kind: "number", text: "18446744073709551616" });
});

test("readJson() skips a byte order mark", () => strictEqual(readJson("\ufeff[]").kind, "array"));
