import { test } from "node:test";
import { deepStrictEqual, strictEqual } from "node:assert/strict";
import fc from "fast-check";
import { parse } from "smol-toml";
import { locateKeys, pathOf } from "../../lib/config/toml_positions.ts";

const DOCUMENT = `# a comment = 1
first = 1
  indented = "two" # third = 3
"quoted key" = '''
inside = 4
'''
dotted . "and.quoted" = """
\\"""inside = 5
"""
list = [
  "a = 1", # b = 2
  { c = 3 },
]
inline = { d = 4, e = [5] }
[table]
key = 'it''s'

  [ "odd name".sub ]
  key = true
[[many]]
last=0`;

test("locateKeys() finds every key and nothing else", () => {
  const wanted: [path: string[], line: number, column: number][] = [
    [["first"], 2, 1],
    [["indented"], 3, 3],
    [["quoted key"], 4, 1],
    [["dotted", "and.quoted"], 7, 1],
    [["list"], 10, 1],
    [["inline"], 14, 1],
    [["table"], 15, 2],
    [["table", "key"], 16, 1],
    [["odd name", "sub"], 18, 4],
    [["odd name", "sub", "key"], 19, 3],
    [["many"], 20, 3],
    [["many", "last"], 21, 1],
  ];
  deepStrictEqual(
    [...locateKeys(DOCUMENT)],
    wanted.map(([path, line, column]) => [pathOf(...path), { line, column }]),
  );
});

test("locateKeys() finds the keys of any document", () => {
  const key = fc.stringMatching(/^[a-z]{1,6}$/);
  const value = fc.oneof(
    fc.string().map((text) => JSON.stringify(text.replaceAll(/[^ -~]/g, ""))),
    fc.constantFrom(
      "1",
      "true",
      "[1,\n 2]",
      "'''\nx = 1\n'''",
      '"""\ny = "2"\n"""',
      "{ z = 3 }",
      "1.5 # c = 1",
    ),
  );
  fc.assert(
    fc.property(
      fc.uniqueArray(key, { maxLength: 8 }),
      fc.array(value, { minLength: 8, maxLength: 8 }),
      (keys, values) => {
        const lines: string[] = [];
        const wanted: [string, number][] = [];
        for (const [i, name] of keys.entries()) {
          wanted.push([name, lines.join("\n").split("\n").length + (lines.length > 0 ? 1 : 0)]);
          lines.push(`${name} = ${values[i]}`);
        }
        const text = lines.join("\n");
        parse(text);
        deepStrictEqual([...locateKeys(text)].map(([path, place]) => [path, place.line]), wanted);
      },
    ),
  );
});

test("locateKeys() comes to an end on any text", () => {
  const text = fc.string({ unit: fc.constantFrom(..."ab\"'\\[]{}=.#\n \t1") });
  fc.assert(fc.property(text, (one) => strictEqual(locateKeys(one) instanceof Map, true)), { numRuns: 1000 });
});
