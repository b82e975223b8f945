import { test } from "node:test";
import { deepStrictEqual, strictEqual } from "node:assert/strict";
import fc from "fast-check";
import { dashed, parseBool, parseUint, scanFlags } from "../../lib/config/go_flags.ts";

const find = (name: string) =>
  ({ on: { isSwitch: true }, h2: { isSwitch: true }, text: { isSwitch: false }, p: { isSwitch: false } })[
    name
  ];

const SCANS: [why: string, args: string[], flags: [string, string][], rest: string[]][] = [
  ["takes one dash", ["-text=a"], [["text", "a"]], []],
  ["takes two dashes", ["--text=a"], [["text", "a"]], []],
  ["takes the next argument", ["--text", "a"], [["text", "a"]], []],
  ["takes the next argument after one dash", ["-text", "a"], [["text", "a"]], []],
  ["takes a value that looks like a flag", ["-text", "-on"], [["text", "-on"]], []],
  ["takes -- as a value", ["-text", "--"], [["text", "--"]], []],
  ["takes an empty value", ["--text="], [["text", ""]], []],
  ["splits at the first equals sign", ["--text=a=b"], [["text", "a=b"]], []],
  ["lets a switch stand alone", ["-on", "a"], [["on", "true"]], ["a"]],
  ["takes a switch's value after =", ["--on=false", "-on=T"], [["on", "false"], ["on", "T"]], []],
  ["ends at --", ["-on", "--", "-on"], [["on", "true"]], ["-on"]],
  ["ends at the first argument that is no flag", ["-on", "x", "-on"], [["on", "true"]], ["x", "-on"]],
  ["does not read - as a flag", ["-", "-on"], [], ["-", "-on"]],
  ["does not read an empty argument as a flag", ["", "-on"], [], ["", "-on"]],
  ["keeps repeated flags in order", ["-p", "1", "-p=2"], [["p", "1"], ["p", "2"]], []],
  ["reads nothing", [], [], []],
];
for (const [why, args, flags, rest] of SCANS) {
  test(`scanFlags() ${why}`, () => {
    const scan = scanFlags(args, find);
    deepStrictEqual(scan.flags.map(({ name, text }) => [name, text]), flags);
    deepStrictEqual(scan.rest, rest);
    strictEqual(scan.problem, undefined);
    strictEqual(scan.help, false);
  });
}

const PROBLEMS: [args: string[], reason: string, name: string, at: number][] = [
  [["-nope"], "unknown", "nope", 0],
  [["-on", "--nope=1"], "unknown", "nope", 1],
  [["--text"], "no-value", "text", 0],
  [["---on"], "bad-syntax", "---on", 0],
  [["-=x"], "bad-syntax", "-=x", 0],
  [["--=x"], "bad-syntax", "--=x", 0],
  // Go: a boolean's value is never the next argument, so `on` here is followed by a flag that does not exist.
  [["-on", "-false"], "unknown", "false", 1],
];
for (const [args, reason, name, at] of PROBLEMS) {
  test(`scanFlags() finds ${reason} in ${args.join(" ")}`, () => {
    deepStrictEqual(scanFlags(args, find).problem, { reason, name, at });
  });
}

for (const flag of ["-h", "--h", "-help", "--help"]) {
  test(`scanFlags() reads ${flag} as a question`, () => {
    const scan = scanFlags(["-on", flag, "do"], find);
    strictEqual(scan.help, true);
    deepStrictEqual(scan.rest, ["do"]);
  });
}

test("scanFlags() gives back what was joined", () => {
  const flag = fc.oneof(
    fc.tuple(fc.constant("text"), fc.string()),
    fc.tuple(fc.constant("on"), fc.constantFrom("true", "false", "1", "0")),
  );
  fc.assert(fc.property(fc.array(flag), fc.array(fc.string()), fc.boolean(), (flags, rest, two) => {
    const args = flags.map(([name, text]) => `${two ? "--" : "-"}${name}=${text}`);
    const scan = scanFlags([...args, "--", ...rest], find);
    deepStrictEqual(scan.flags.map(({ name, text }) => [name, text]), flags);
    deepStrictEqual(scan.rest, rest);
  }));
});

test("scanFlags() loses no argument, whatever they are", () => {
  fc.assert(
    fc.property(
      fc.array(fc.oneof(fc.string(), fc.constantFrom("-on", "--text", "--", "-h", "---"))),
      (args) => {
        const { rest } = scanFlags(args, find);
        deepStrictEqual(rest, args.slice(args.length - rest.length));
      },
    ),
  );
});

test("dashed() writes names as Go's users do", () => {
  strictEqual(dashed("p"), "-p");
  strictEqual(dashed("publish"), "--publish");
});

for (const text of ["1", "t", "T", "true", "TRUE", "True"]) {
  test(`parseBool() reads ${text} as true`, () => strictEqual(parseBool(text), true));
}
for (const text of ["0", "f", "F", "false", "FALSE", "False"]) {
  test(`parseBool() reads ${text} as false`, () => strictEqual(parseBool(text), false));
}
for (const text of ["", "yes", "no", "on", "tRUE", "2", " true"]) {
  test(`parseBool() refuses "${text}"`, () => strictEqual(parseBool(text), undefined));
}

// The cases of Go's strconv tests that base 0 and 64 bits are about.
const NUMBERS: [text: string, want: bigint | string][] = [
  ["0", 0n],
  ["1", 1n],
  ["12345", 12345n],
  ["18446744073709551615", 18446744073709551615n],
  ["18446744073709551616", "value out of range"],
  ["18446744073709551620", "value out of range"],
  ["0x", "parse error"],
  ["0X", "parse error"],
  ["0x1", 1n],
  ["0Xff", 255n],
  ["0xffffffffffffffff", 18446744073709551615n],
  ["0x10000000000000000", "value out of range"],
  ["01777777777777777777777", 18446744073709551615n],
  ["01777777777777777777778", "parse error"],
  ["02000000000000000000000", "value out of range"],
  ["0200000000000000000000", 2n ** 61n],
  ["0b", "parse error"],
  ["0b101", 5n],
  ["0B101", 5n],
  ["0o", "parse error"],
  ["0o377", 255n],
  ["0O377", 255n],
  ["017", 15n],
  ["08", "parse error"],
  ["1_2_3_4_5", 12345n],
  ["_12345", "parse error"],
  ["1__2345", "parse error"],
  ["12345_", "parse error"],
  ["0_12_3", 83n],
  ["0x_1_f", 31n],
  ["0b_1_1", 3n],
  ["0o_7", 7n],
  ["_0x1", "parse error"],
  ["0_x1", "parse error"],
  ["0x1_", "parse error"],
  ["0__1", "parse error"],
  ["", "parse error"],
  ["-1", "parse error"],
  ["+1", "parse error"],
  [" 1", "parse error"],
  ["1 ", "parse error"],
  ["1mbit", "parse error"],
  ["1k", "parse error"],
  ["1e6", "parse error"],
  ["1.0", "parse error"],
  ["١", "parse error"],
];
for (const [text, want] of NUMBERS) {
  test(`parseUint() reads "${text}" as Go does`, () => strictEqual(parseUint(text), want));
}

test("parseUint() reads back every number in every base", () => {
  fc.assert(fc.property(fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }), (n) => {
    strictEqual(parseUint(n.toString()), n);
    strictEqual(parseUint(`0x${n.toString(16)}`), n);
    strictEqual(parseUint(`0o${n.toString(8)}`), n);
    strictEqual(parseUint(`0${n.toString(8)}`), n);
    strictEqual(parseUint(`0b${n.toString(2)}`), n);
  }));
});

test("parseUint() survives any text", () => {
  fc.assert(fc.property(fc.string(), (text) => {
    const value = parseUint(text);
    if (typeof value === "bigint") strictEqual(/^[0-9a-fA-FxXoObB_]+$/.test(text), true);
  }));
});
