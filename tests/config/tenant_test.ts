import { test } from "node:test";
import { deepStrictEqual, ok, strictEqual } from "node:assert/strict";
import fc from "fast-check";
import { type Assignment, FLAG, formatProblem, type Origin } from "../../lib/config/origin.ts";
import { resolve, tryResolve } from "../../lib/config/resolve.ts";

type Pairs = readonly (readonly [name: string, text: string])[];

const OPERATOR: Origin = { kind: "file", path: "op.toml", line: 1, column: 1 };
const G = "dev.gvisor.flag.";
const S = "dev.sluice.flag.";
const N = "io.containerd.nerdbox.network.";
const NET = "socket=/p,mode=unixgram,mac=02:00:00:00:00:0";

function assignments(operator: Pairs, annotations: Pairs): Assignment[] {
  return [
    ...operator.map(([flag, text]) => ({ flag, text, origin: OPERATOR })),
    ...annotations.map(([key, value]) => ({ flag: "annotation", text: `${key}=${value}`, origin: FLAG })),
  ];
}

const CEILING = 'raising the limit requires flag "allow-flag-override" to be enabled';
const DISABLED = "flag override disabled, use --allow-flag-override to enable it";
const permission = (flag: string, value: string) =>
  `error setting flag ${flag}="${value}": setting ${flag}="${value}" requires flag "allow-flag-override" to be enabled`;
const RATE: Pairs = [["qdisc-tbf-rate", "1000000"]];
const BURST: Pairs = [["qdisc-tbf-burst", "65536"]];
const TBF: Pairs = [["qdisc", "tbf"], ...RATE, ...BURST];
const OPEN: Pairs = [["allow-flag-override", "true"]];

/** What the operator set, the annotations, and either the settings that must come out or every message. */
const CASES: [operator: Pairs, annotations: Pairs, want: Record<string, unknown> | string[]][] = [
  // Nothing is asked for.
  [[], [], { qdisc: "fifo" }],
  [[], [["example.org/team", "net"], ["dev.gvisor.spec.mount.a.type", "tmpfs"]], { qdisc: "fifo" }],
  // qdisc may only become tbf.
  [RATE, [[G + "qdisc", "tbf"], [G + "qdisc-tbf-burst", "70000"]], {
    qdisc: "tbf",
    qdiscTbfRate: 1e6,
    qdiscTbfBurst: 70000,
  }],
  [[], [[G + "qdisc", "tbf"], [G + "qdisc-tbf-rate", "12500000"], [G + "qdisc-tbf-burst", "1048576"]], {
    qdisc: "tbf",
    qdiscTbfRate: 12500000,
    qdiscTbfBurst: 1048576,
  }],
  [TBF, [[S + "qdisc", "tbf"]], { qdisc: "tbf", qdiscTbfRate: 1e6 }],
  [[], [[G + "qdisc", "fifo"]], [permission("qdisc", "fifo")]],
  [TBF, [[G + "qdisc", "fifo"]], [permission("qdisc", "fifo")]],
  [TBF, [[G + "qdisc", "none"]], [permission("qdisc", "none")]],
  [[], [[G + "qdisc", "pfifo"]], ['error setting flag qdisc="pfifo": invalid qdisc "pfifo"']],
  [[], [[G + "qdisc", ""]], ['error setting flag qdisc="": invalid qdisc ""']],
  [[], [[G + "qdisc", "TBF"]], ['error setting flag qdisc="TBF": invalid qdisc "TBF"']],
  [[...OPEN, ...TBF], [[G + "qdisc", "fifo"]], { qdisc: "fifo" }],
  [OPEN, [[G + "qdisc", "x"]], ['error setting flag qdisc="x": invalid qdisc "x"']],
  // What tbf needs is looked at once, at the end.
  [[], [[G + "qdisc", "tbf"]], [
    "qdisc=tbf requires setting qdisc-tbf-rate",
    "qdisc=tbf requires setting qdisc-tbf-burst",
  ]],
  [[], [[G + "qdisc-tbf-burst", "1"], [G + "qdisc", "tbf"]], ["qdisc=tbf requires setting qdisc-tbf-rate"]],
  [BURST, [[G + "qdisc-tbf-rate", "0"], [G + "qdisc", "tbf"]], ["qdisc=tbf requires setting qdisc-tbf-rate"]],
  [TBF, [[G + "qdisc-tbf-rate", "0"]], ["qdisc=tbf requires setting qdisc-tbf-rate"]],
  [TBF, [[G + "qdisc-tbf-burst", "0"]], ["qdisc=tbf requires setting qdisc-tbf-burst"]],
  [RATE, [[G + "qdisc-tbf-rate", "0"]], { qdisc: "fifo", qdiscTbfRate: 0 }],
  // Rate: at, below and over the ceiling, and over every limit of numbers.
  [RATE, [[G + "qdisc-tbf-rate", "1000000"]], { qdiscTbfRate: 1e6 }],
  [RATE, [[G + "qdisc-tbf-rate", "999999"]], { qdiscTbfRate: 999999 }],
  [RATE, [[G + "qdisc-tbf-rate", "1"]], { qdiscTbfRate: 1 }],
  [RATE, [[G + "qdisc-tbf-rate", "1000001"]], [
    `error setting flag qdisc-tbf-rate="1000001": qdisc-tbf-rate=1000001 exceeds runtime-configured rate 1000000; ${CEILING}`,
  ]],
  [RATE, [[G + "qdisc-tbf-rate", "2000000"]], [
    `error setting flag qdisc-tbf-rate="2000000": qdisc-tbf-rate=2000000 exceeds runtime-configured rate 1000000; ${CEILING}`,
  ]],
  [RATE, [[G + "qdisc-tbf-rate", "0xF4240"]], { qdiscTbfRate: 1e6 }],
  [RATE, [[G + "qdisc-tbf-rate", "0xF4241"]], [
    `error setting flag qdisc-tbf-rate="0xF4241": qdisc-tbf-rate=1000001 exceeds runtime-configured rate 1000000; ${CEILING}`,
  ]],
  [RATE, [[G + "qdisc-tbf-rate", "1_000_000"]], { qdiscTbfRate: 1e6 }],
  [RATE, [[G + "qdisc-tbf-rate", "0o17"]], { qdiscTbfRate: 15 }],
  [RATE, [[G + "qdisc-tbf-rate", "017"]], { qdiscTbfRate: 15 }],
  [RATE, [[G + "qdisc-tbf-rate", "0b11"]], { qdiscTbfRate: 3 }],
  [[], [[G + "qdisc-tbf-rate", "4294967296"]], { qdiscTbfRate: 2 ** 32 }],
  [[], [[G + "qdisc-tbf-rate", "9223372036854775808"]], { qdiscTbfRate: 2 ** 63 }],
  [[], [[G + "qdisc-tbf-rate", "18446744073709551615"]], { qdiscTbfRate: 2 ** 64 }],
  [[["qdisc-tbf-rate", "18446744073709551614"]], [[G + "qdisc-tbf-rate", "18446744073709551615"]], [
    'error setting flag qdisc-tbf-rate="18446744073709551615": qdisc-tbf-rate=18446744073709551615 exceeds ' +
    `runtime-configured rate 18446744073709551614; ${CEILING}`,
  ]],
  [[["qdisc-tbf-rate", "9007199254740992"]], [[G + "qdisc-tbf-rate", "9007199254740993"]], [
    'error setting flag qdisc-tbf-rate="9007199254740993": qdisc-tbf-rate=9007199254740993 exceeds ' +
    `runtime-configured rate 9007199254740992; ${CEILING}`,
  ]],
  ...[
    ["18446744073709551616", "value out of range"],
    ["0x10000000000000000", "value out of range"],
    ["abc", "invalid syntax"],
    ["", "invalid syntax"],
    ["-1", "invalid syntax"],
    ["+1", "invalid syntax"],
    [" 1", "invalid syntax"],
    ["1 ", "invalid syntax"],
    ["1mbit", "invalid syntax"],
    ["1e6", "invalid syntax"],
    ["1.5", "invalid syntax"],
    ["1__0", "invalid syntax"],
    ["_1", "invalid syntax"],
    ["1_", "invalid syntax"],
    ["0x", "invalid syntax"],
    ["0x_", "invalid syntax"],
    ["09", "invalid syntax"],
    ["0b2", "invalid syntax"],
    ["١", "invalid syntax"],
    ["null", "invalid syntax"],
  ].map(([text, why]): [Pairs, Pairs, string[]] => [RATE, [[G + "qdisc-tbf-rate", text!]], [
    `error setting flag qdisc-tbf-rate="${text}": invalid qdisc-tbf-rate annotation "${text}": ` +
    `strconv.ParseUint: parsing "${text}": ${why}`,
  ]]),
  [OPEN, [[G + "qdisc-tbf-rate", "abc"]], ['error setting flag qdisc-tbf-rate="abc": parse error']],
  [OPEN, [[G + "qdisc-tbf-rate", "18446744073709551616"]], [
    'error setting flag qdisc-tbf-rate="18446744073709551616": value out of range',
  ]],
  [[...OPEN, ...RATE], [[G + "qdisc-tbf-rate", "2000000"]], { qdiscTbfRate: 2e6 }],
  // The ceiling holds while the operator's qdisc is fifo, and while it is none.
  [[["qdisc", "none"], ...TBF.slice(1)], [[G + "qdisc", "tbf"], [G + "qdisc-tbf-rate", "1000001"]], [
    `error setting flag qdisc-tbf-rate="1000001": qdisc-tbf-rate=1000001 exceeds runtime-configured rate 1000000; ${CEILING}`,
  ]],
  // An operator's 0 is no ceiling.
  [[["qdisc-tbf-rate", "0"]], [[G + "qdisc-tbf-rate", "5"]], { qdiscTbfRate: 5 }],
  // Burst alike, and its own limit whatever the ceiling.
  [BURST, [[G + "qdisc-tbf-burst", "65536"]], { qdiscTbfBurst: 65536 }],
  [BURST, [[G + "qdisc-tbf-burst", "65537"]], [
    `error setting flag qdisc-tbf-burst="65537": qdisc-tbf-burst=65537 exceeds runtime-configured burst 65536; ${CEILING}`,
  ]],
  [[], [[G + "qdisc-tbf-burst", "4294967295"]], { qdiscTbfBurst: 4294967295 }],
  [[], [[G + "qdisc-tbf-burst", "4294967296"]], [
    "qdisc-tbf-burst must be <= 4294967295, got: 4294967296",
  ]],
  [OPEN, [[G + "qdisc-tbf-burst", "4294967296"]], ["qdisc-tbf-burst must be <= 4294967295, got: 4294967296"]],
  [[], [[G + "qdisc-tbf-burst", "1048576k"]], [
    'error setting flag qdisc-tbf-burst="1048576k": invalid qdisc-tbf-burst annotation "1048576k": ' +
    'strconv.ParseUint: parsing "1048576k": invalid syntax',
  ]],
  // host-uds only becomes stricter; open and create are two permissions.
  [[["host-uds", "all"]], [[G + "host-uds", "open"]], { hostUds: "open" }],
  [[["host-uds", "all"]], [[G + "host-uds", "create"]], { hostUds: "create" }],
  [[["host-uds", "open"]], [[G + "host-uds", "none"]], { hostUds: "none" }],
  [[["host-uds", "open"]], [[G + "host-uds", ""]], { hostUds: "none" }],
  [[["host-uds", "open"]], [[G + "host-uds", "open"]], { hostUds: "open" }],
  [[["host-uds", "open"]], [[G + "host-uds", "create"]], [permission("host-uds", "create")]],
  [[["host-uds", "create"]], [[G + "host-uds", "open"]], [permission("host-uds", "open")]],
  [[["host-uds", "create"]], [[G + "host-uds", "all"]], [permission("host-uds", "all")]],
  [[], [[G + "host-uds", "open"]], [permission("host-uds", "open")]],
  [[], [[G + "host-uds", "some"]], ['error setting flag host-uds="some": invalid host UDS type "some"']],
  [OPEN, [[G + "host-uds", "all"]], { hostUds: "all" }],
  // debug is free.
  [[], [[G + "debug", "true"]], { debug: true }],
  [[["debug", "true"]], [[G + "debug", "F"]], { debug: false }],
  [[], [[G + "debug", "yes"]], ['error setting flag debug="yes": parse error']],
  [[], [[G + "debug", ""]], ['error setting flag debug="": parse error']],
  // Everything else needs permission.
  ...[
    ["network", "none"],
    ["network", "host"],
    ["attach", "tap"],
    ["net-raw", "true"],
    ["gso", "false"],
    ["publish", "80:80"],
    ["pcap-log", "/etc/passwd"],
    ["debug-log", "/etc/passwd"],
    ["external-network", NET + "1"],
    ["allow-flag-override", "true"],
    ["config", "/x.toml"],
    ["annotation", "a=b"],
    ["api", "0.0.0.0:80"],
    ["platform", "kvm"],
    ["file-access", "shared"],
  ].map(([flag, text]): [Pairs, Pairs, string[]] => [[], [[G + flag, text!]], [
    `error setting flag ${flag}="${text}": ${DISABLED}`,
  ]]),
  [OPEN, [[G + "network", "none"], [S + "net-raw", "true"]], { network: "none", netRaw: true }],
  [OPEN, [[G + "network", "plugin"]], ['error setting flag network="plugin": invalid network type "plugin"']],
  [OPEN, [[G + "mtu", "1"]], ["mtu must be from 1280 to 65521, got: 1"]],
  [OPEN, [[G + "config", "/x"]], [
    'error setting flag config="/x": an annotation cannot name a source of configuration',
  ]],
  [[["strict", "false"]], [[G + "allow-flag-override", "true"], [G + "qdisc", "fifo"]], [
    `error setting flag allow-flag-override="true": ${DISABLED}`,
    permission("qdisc", "fifo"),
  ]],
  // Names that no flag has.
  [[], [[G + "nope", "x"]], ['flag "nope" not found. Cannot set it to "x"']],
  [[], [[G, "x"]], ['flag "" not found. Cannot set it to "x"']],
  [[], [[G + "p", "80:80"]], ['flag "p" not found. Cannot set it to "80:80"']],
  [[], [[G + "Qdisc", "tbf"]], ['flag "Qdisc" not found. Cannot set it to "tbf"']],
  [[], [[G + "__proto__", "x"]], ['flag "__proto__" not found. Cannot set it to "x"']],
  [[], [[G + " qdisc", "tbf"]], ['flag " qdisc" not found. Cannot set it to "tbf"']],
  [OPEN, [[G + "nope", "x"]], ['flag "nope" not found. Cannot set it to "x"']],
  // Two names of one flag.
  [RATE, [[G + "qdisc-tbf-rate", "7"], [S + "qdisc-tbf-rate", "7"]], { qdiscTbfRate: 7 }],
  [RATE, [[G + "qdisc-tbf-rate", "7"], [S + "qdisc-tbf-rate", "8"]], [
    `annotations contradict each other: ${G}qdisc-tbf-rate="7" and ${S}qdisc-tbf-rate="8"`,
  ]],
  [[], [[G + "debug", "true"], [G + "debug", "false"]], [
    `annotations contradict each other: ${G}debug="false" and ${G}debug="true"`,
  ]],
  // gVisor's sets of flags.
  [[], [["dev.gvisor.bundle.experimental-high-performance", "true"]], { qdisc: "fifo" }],
  [[], [["dev.gvisor.bundle.x", "yes"]], [
    'invalid value "yes" for annotation "dev.gvisor.bundle.x" (must be set to \'true\' or removed entirely)',
  ]],
  // External networks need no permission.
  [[], [[N + "0", "socket=/p"]], [
    "failed to parse network annotation: missing required field(s): endpoint, mode, mac",
  ]],
  [[], [[N + "0", NET + "1"], [N + "1", NET + "1"]], [
    "two external networks have the MAC address 02:00:00:00:00:01",
  ]],
  [[], [[N + "0", NET + "1"], [N + "0", NET + "2"]], [
    `annotations contradict each other: ${N}0="${NET}1" and ${N}0="${NET}2"`,
  ]],
];
test("the table of annotations has the cases that it must", () => ok(CASES.length >= 60));
for (const [operator, annotations, want] of CASES) {
  const name = (pairs: Pairs) => pairs.map((pair) => pair.join("=")).join(" ") || "nothing";
  test(`tenant: ${name(annotations)} under ${name(operator)}`, () => {
    for (const order of [annotations, annotations.toReversed()]) {
      const { resolved, problems } = tryResolve(assignments(operator, order));
      const messages = problems.map(({ message }) => message);
      if (Array.isArray(want)) deepStrictEqual(messages, want);
      else {
        deepStrictEqual(messages, []);
        const settings = resolved.settings as unknown as Record<string, unknown>;
        for (const [field, value] of Object.entries(want)) strictEqual(settings[field], value, field);
      }
    }
  });
}

test("as many annotations as anybody can write are read in little time", () => {
  const many = Array.from({ length: 120_000 }, (_, i) => [`k${i}`, "v"] as const);
  deepStrictEqual(tryResolve(assignments([], many)).problems, []);
});

test("networks follow their suffixes, after the operator's", () => {
  const list = ["10", "9", "eth", "0"].map((name, i) => [N + name, NET + i] as const);
  const { settings } = resolve(assignments([["external-network", `name=op,${NET}9`]], list));
  deepStrictEqual(settings.networks.map(({ name }) => name), ["op", "0", "9", "10", "eth"]);
});

test("origins tell who set what, and whose word the ceiling is", () => {
  const { values, operatorOrigins, ceilings } = resolve(
    assignments([...RATE, ...BURST], [[G + "qdisc-tbf-rate", "5"]]),
  );
  const origins = (flag: string) => values.find((value) => value.flag.name === flag)!.origins;
  deepStrictEqual(origins("qdisc-tbf-rate"), [{ kind: "annotation", key: `${G}qdisc-tbf-rate` }]);
  deepStrictEqual(origins("qdisc-tbf-burst"), [OPERATOR]);
  deepStrictEqual(operatorOrigins["qdisc-tbf-rate"], OPERATOR);
  deepStrictEqual([ceilings.rate, ceilings.tenant], [1000000n, true]);
});

test("problems name the annotation, and its place in a file", () => {
  const [given] = tryResolve(assignments([], [[G + "qdisc", "fifo"]])).problems;
  strictEqual(formatProblem(given!), `annotation ${G}qdisc: ${permission("qdisc", "fifo")}`);
  const origin: Origin = { kind: "annotation", key: `${G}qdisc`, path: "pod.yaml", line: 4, column: 5 };
  const [read] = tryResolve([{ flag: "annotation", text: `${G}qdisc=fifo`, origin }]).problems;
  strictEqual(formatProblem(read!), `pod.yaml:4:5: ${permission("qdisc", "fifo")}`);
});

test("flags of runsc that a pod may set and that mean nothing here are named", () => {
  deepStrictEqual(resolve(assignments([], [[G + "strace", "true"], [G + "overlay2", "none"]])).ignored, [
    "overlay2",
    "strace",
  ]);
  deepStrictEqual(resolve(assignments(OPEN, [[G + "platform", "kvm"]])).ignored, ["platform"]);
});

const anyText = fc.oneof(
  fc.string(),
  fc.constantFrom(
    "tbf",
    "fifo",
    "none",
    "all",
    "open",
    "true",
    "1",
    "999",
    "1000000",
    "1000001",
    "0x7fffffff",
  ),
  fc.bigInt({ min: 0n, max: 1n << 65n }).map(String),
);
const anyKey = fc.oneof(
  fc.constantFrom(...["qdisc", "qdisc-tbf-rate", "qdisc-tbf-burst", "host-uds", "debug", "network"]
    .flatMap((flag) => [G + flag, S + flag])),
  fc.string({ minLength: 1 }).filter((text) => !text.includes("=")).map((text) => G + text),
);

test("no annotation makes anything laxer", () => {
  const operator: Pairs = [...TBF, ["host-uds", "open"]];
  fc.assert(fc.property(fc.array(fc.tuple(anyKey, anyText), { maxLength: 6 }), (pairs) => {
    const { settings } = tryResolve(assignments(operator, pairs)).resolved;
    const untouched = tryResolve(assignments(operator, [])).resolved.settings;
    strictEqual(settings.qdisc, "tbf");
    ok(settings.qdiscTbfRate <= 1e6 && settings.qdiscTbfBurst <= 65536);
    ok(settings.hostUds === "open" || settings.hostUds === "none");
    const changed = { qdiscTbfRate: 0, qdiscTbfBurst: 0, hostUds: "none", debug: true, annotations: {} };
    deepStrictEqual({ ...settings, ...changed }, { ...untouched, ...changed });
  }));
});

test("the order of annotations never matters", () => {
  const shuffled = fc.uniqueArray(fc.tuple(anyKey, anyText), { selector: ([key]) => key, maxLength: 6 })
    .chain((pairs) => fc.tuple(fc.constant(pairs), fc.shuffledSubarray(pairs, { minLength: pairs.length })));
  fc.assert(fc.property(shuffled, ([one, two]) => {
    const outcome = (pairs: Pairs) => {
      const { resolved, problems } = tryResolve(assignments(TBF, pairs));
      return {
        ...resolved,
        assignments: [],
        values: [],
        settings: { ...resolved.settings, annotations: {} },
        problems,
      };
    };
    deepStrictEqual(outcome(one), outcome(two));
  }));
});
