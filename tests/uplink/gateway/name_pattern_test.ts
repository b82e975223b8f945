import { strictEqual, throws } from "node:assert/strict";
import { test } from "node:test";
import { DnsZones } from "../../../lib/uplink/gateway/dns_zones.ts";
import { MAX_STATES, NamePattern } from "../../../lib/uplink/gateway/name_pattern.ts";
import { between, seeded } from "../../support/random.ts";

const ALPHABET = "ab1-.";

/** An expression that JavaScript understands as Go does. */
function expression(random: () => number, depth: number): string {
  const pick = (of: readonly string[]) => of[between(random, 0, of.length - 1)]!;
  if (depth === 0) {
    return pick(["a", "b", "1", "\\.", ".", "[ab]", "[^a]", "[a-b1]", "\\d", "\\W", "-", "\\b", "^", "$"]);
  }
  const sub = () => expression(random, depth - 1);
  return pick([
    `${sub()}${sub()}`,
    `(?:${sub()}|${sub()})`,
    `(${sub()})*`,
    `(${sub()})+`,
    `(${sub()})?`,
    `(${sub()}){1,3}`,
    `(${sub()}){2}`,
    sub(),
  ]);
}

test("patterns match what JavaScript's own engine matches", () => {
  const seed = 20_251;
  const random = seeded(seed);
  for (let i = 0; i < 3_000; i++) {
    const text = expression(random, 3);
    const pattern = new NamePattern(text);
    const own = new RegExp(text);
    for (let k = 0; k < 10; k++) {
      let name = "";
      while (name.length < between(random, 0, 8)) name += ALPHABET[between(random, 0, ALPHABET.length - 1)];
      strictEqual(pattern.test(name), own.test(name), `/${text}/ on "${name}", seed ${seed}`);
    }
  }
});

test("an expression on which others take for ever takes no time", () => {
  const name = `${"a".repeat(252)}!`;
  for (const text of ["^(a+)+$", "^(a|a)*$", "(.*)*(.*)*(.*)*b", "^(a?){120}a{120}b$", "(()*)*b"]) {
    strictEqual(new NamePattern(text).test(name), false, text);
  }
});

for (
  const text of [
    "(",
    ")",
    "a**",
    "*",
    "[",
    "[b-a]",
    "\\",
    "\\1",
    "(?=a)",
    "(?!a)",
    "a{3,2}",
    "a{9999}",
    "\\x1",
    "((a{100}){100}){100}",
    "(((){1000}){1000}){1000}",
    "(".repeat(10_000),
    "a".repeat(MAX_STATES + 2),
  ]
) {
  test(`refused: ${text.slice(0, 30)}`, () => {
    throws(() => new NamePattern(text), RangeError);
  });
}

test("a zone's patterns are bounded together", () => {
  const zones = new DnsZones();
  const record = { ip: "10.0.0.1", regexp: "a".repeat(1_000) };
  throws(() => zones.add({ name: "big.", records: Array(5).fill(record) }), /too long together/);
  zones.add({ name: "big.", records: Array(4).fill(record) });
  throws(() => zones.add({ name: "big.", records: [record] }), /too long together/);
});
