import { test } from "node:test";
import { deepStrictEqual, match, strictEqual } from "node:assert/strict";
import { loadFile, loadSources } from "../../lib/config/load.ts";
import { FLAG, formatOrigin, formatProblem } from "../../lib/config/origin.ts";
import { resolve } from "../../lib/config/resolve.ts";

const reader = (files: Record<string, string>) => (path: string) => {
  const text = files[path];
  if (text === undefined) throw new Error(`Cannot read ${path}: no such file or directory`);
  return text;
};

async function load(path: string, text: string, runtime?: string) {
  const contents = await loadFile(path, { runtime, readText: reader({ [path]: text }) });
  return {
    set: contents.assignments.map(({ flag, text, origin }) =>
      `${flag}=${text} @${formatOrigin(origin).split(":")[1]}`
    ),
    problems: contents.problems.map(formatProblem),
    ignored: contents.ignored,
  };
}

const GOOD: [why: string, path: string, text: string, set: string[], runtime?: string][] = [
  [
    "reads our own TOML",
    "s.toml",
    `# all kinds\nnetwork = "none"\ngso = false\nrootless = "auto"\nmtu = 0x5dc\npublish = ["80:80", "81:81/udp"]\np = "1:1"\n`,
    [
      "network=none @2",
      "gso=false @3",
      "rootless=auto @4",
      "mtu=1500 @5",
      "publish=80:80 @6",
      "publish=81:81/udp @6",
      "publish=1:1 @7",
    ],
  ],
  [
    "reads a table of annotations in TOML",
    "s.toml",
    `[annotation]\n"a.b/c" = "d"\n`,
    ["annotation=a.b/c=d @1"],
  ],
  [
    "reads our own JSON",
    "s.json",
    `{\n  "network": "none",\n  "rootless": true,\n  "qdisc-tbf-rate": 18446744073709551615,\n  "publish": ["80:80"],\n  "annotation": {"a": "b"}\n}`,
    [
      "network=none @2",
      "rootless=true @3",
      "qdisc-tbf-rate=18446744073709551615 @4",
      "publish=80:80 @5",
      "annotation=a=b @6",
    ],
  ],
  [
    "reads the table of serve in TOML",
    "s.toml",
    `mtu = 1400\n[serve]\nlisten = ["unixstream:///a", "unixgram:///b"]\nlease-time = 600\nssh-port = "-1"\nenable-tso = true\n`,
    [
      "mtu=1400 @1",
      "serve.listen=unixstream:///a @3",
      "serve.listen=unixgram:///b @3",
      "serve.lease-time=600 @4",
      "serve.ssh-port=-1 @5",
      "serve.enable-tso=true @6",
    ],
  ],
  [
    "reads the table of serve in JSON",
    "s.json",
    `{"serve": {\n"subnet": "10.1.0.0/16",\n"lease": "02:00:00:00:00:01=10.1.0.9"}}`,
    ["serve.subnet=10.1.0.0/16 @2", "serve.lease=02:00:00:00:00:01=10.1.0.9 @3"],
  ],
  ["reads an empty TOML file", "s.toml", "", []],
  ["reads an empty JSON object", "s.json", "{}", []],
  [
    "reads runtimeArgs of Docker's daemon.json as flags",
    "daemon.json",
    `{\n "log-driver": "journald",\n "runtimes": {\n  "other": {"path": "/o"},\n  "sluice": {\n   "path": "/usr/bin/sluice",\n   "runtimeArgs": [\n    "--network=host",\n    "-gso=0",\n    "--qdisc",\n    "tbf",\n    "-p", "80:80"]}}}`,
    ["network=host @8", "gso=0 @9", "qdisc=tbf @10", "publish=80:80 @12"],
    "sluice",
  ],
  ["needs no runtimeArgs", "daemon.json", `{"runtimes": {"sluice": {"path": "/x"}}}`, [], "sluice"],
  [
    "reads a file of our own beside a --runtime",
    "s.json",
    `{"network": "host"}`,
    ["network=host @1"],
    "sluice",
  ],
  [
    "reads the containerd shim's flags",
    "shim.toml",
    `log_level = "debug"\nbinary_name = "x"\n[runsc_config]\n  network = "host"\n  qdisc-tbf-rate = "12_500_000"\n[sluice_config]\n  gso = "0"\n`,
    ["network=host @4", "qdisc-tbf-rate=12_500_000 @5", "gso=0 @7"],
  ],
  [
    "applies [sluice_config] after [runsc_config], wherever it stands",
    "shim.toml",
    `[sluice_config]\nnetwork = "none"\n[runsc_config]\nnetwork = "host"\n`,
    ["network=host @4", "network=none @2"],
  ],
];
for (const [why, path, text, set, runtime] of GOOD) {
  test(`loadFile() ${why}`, async () => {
    deepStrictEqual(await load(path, text, runtime), { set, problems: [], ignored: [] });
  });
}

const BAD: [path: string, text: string, problems: string[], runtime?: string][] = [
  ["s.toml", `mtu = 1\n  qdsic = "tbf"`, [`s.toml:2:3: unknown key "qdsic" (did you mean "qdisc"?)`]],
  ["s.toml", `zzzzzz = 1`, [`s.toml:1:1: unknown key "zzzzzz"`]],
  ["s.toml", `[network]\nmode = "host"`, [`s.toml:1:2: "network" must be a string, not a table`]],
  ["s.toml", `a.b = 1`, [`s.toml:1:1: unknown key "a"`]],
  ["s.toml", `mtu = "1500"`, [`s.toml:1:1: "mtu" must be an integer, not a string`]],
  ["s.toml", `mtu = 1500.0`, [`s.toml:1:1: "mtu" must be an integer, not a number with a fraction`]],
  ["s.toml", `mtu = 2026-01-01`, [`s.toml:1:1: "mtu" must be an integer, not a date`]],
  ["s.toml", `gso = "true"`, [`s.toml:1:1: "gso" must be true or false, not a string`]],
  ["s.toml", `gso = 1`, [`s.toml:1:1: "gso" must be true or false, not an integer`]],
  ["s.toml", `rootless = "yes"`, [`s.toml:1:1: "rootless" must be true, false or "auto", not a string`]],
  ["s.toml", `network = true`, [`s.toml:1:1: "network" must be a string, not a boolean`]],
  ["s.toml", `network = ["none"]`, [`s.toml:1:1: "network" must be a string, not a list`]],
  ["s.toml", `publish = [80]`, [
    `s.toml:1:1: "publish" must be a string or a list of strings, not an integer`,
  ]],
  ["s.toml", `[annotation]\nx = 1`, [`s.toml:1:2: "x" in "annotation" must be a string, not an integer`]],
  ["s.toml", `config = "x"`, [
    `s.toml:1:1: "config" cannot be set in a file (only --config on the command line)`,
  ]],
  ["s.toml", `runtime = "x"`, [
    `s.toml:1:1: "runtime" cannot be set in a file (only --runtime on the command line)`,
  ]],
  ["s.toml", `cwd = "/"`, [`s.toml:1:1: unknown key "cwd"`]],
  ["s.json", `{"mtu": null}`, [`s.json:1:2: "mtu" must be an integer, not null`]],
  ["s.json", `{"mtu": 1e3}`, [
    `s.json:1:2: "mtu" must be an integer, not a number with a fraction or an exponent`,
  ]],
  ["s.json", `{\n "netwrok": "x",\n "gso": 1}`, [
    `s.json:2:2: unknown key "netwrok" (did you mean "network"?)`,
    `s.json:3:2: "gso" must be true or false, not an integer`,
  ]],
  ["s.json", `[]`, ["s.json:1:1: must be an object with flag names as keys"]],
  ["s.json", `{\n  "gso": tru\n}`, [`s.json:2:10: not JSON: expected a value, found "t"`]],
  ["daemon.json", `{\n "runtimes": {"a": {}}}`, [
    "daemon.json:2:2: this is Docker's daemon.json, and no runtime is named (add --runtime NAME)",
  ]],
  [
    "daemon.json",
    `{"runtimes": {"a": {}, "b": {}}}`,
    ['daemon.json:1:2: no runtime "c" (there are a, b)'],
    "c",
  ],
  ["daemon.json", `{"runtimes": {}}`, ['daemon.json:1:2: no runtime "c" (there are none)'], "c"],
  ["daemon.json", `{"runtimes": {"a": {"runtimeArgs": "--gso"}}}`, [
    "daemon.json:1:36: runtimeArgs must be a list of strings",
  ], "a"],
  ["daemon.json", `{"runtimes": {"a": {"runtimeArgs": ["--gso", 1]}}}`, [
    "daemon.json:1:46: runtimeArgs must be a list of strings",
  ], "a"],
  ["daemon.json", `{"runtimes": {"a": {"runtimeArgs": [\n"--gso",\n"--netwrok=x"]}}}`, [
    "daemon.json:3:1: unknown flag --netwrok (did you mean --network?)",
  ], "a"],
  ["daemon.json", `{"runtimes": {"a": {"runtimeArgs": ["--mtu"]}}}`, [
    "daemon.json:1:37: flag needs an argument: --mtu",
  ], "a"],
  ["daemon.json", `{"runtimes": {"a": {"runtimeArgs": ["---x"]}}}`, [
    "daemon.json:1:37: bad flag syntax: ---x",
  ], "a"],
  ["daemon.json", `{"runtimes": {"a": {"runtimeArgs": ["--gso", "true"]}}}`, [
    'daemon.json:1:46: runtimeArgs: "true" is not a flag',
  ], "a"],
  ["daemon.json", `{"runtimes": {"a": {"runtimeArgs": ["--config=x"]}}}`, [
    'daemon.json:1:37: "config" cannot be set in a file (only --config on the command line)',
  ], "a"],
  ["shim.toml", `[runsc_config]\nqdisc-tbf-rate = 5`, [
    'shim.toml:2:1: "qdisc-tbf-rate" in [runsc_config] must be a string, not an integer (qdisc-tbf-rate = "…")',
  ]],
  ["shim.toml", `[sluice_config]\nnetwrok = "x"`, [
    'shim.toml:2:1: unknown key "netwrok" (did you mean "network"?)',
  ]],
  ["shim.toml", `network = "host"\n[sluice_config]\n`, [
    'shim.toml:1:1: unknown key "network" (flags belong into [sluice_config])',
  ]],
  ["shim.toml", `log_levle = "x"\n[sluice_config]\n`, [
    'shim.toml:1:1: unknown key "log_levle" (did you mean "log_level"?)',
  ]],
  ["s.ini", "", ["s.ini: cannot tell its format (name it .json or .toml, or .yaml if it is gvproxy's)"]],
];
for (const [path, text, problems, runtime] of BAD) {
  test(`loadFile() refuses ${path}: ${text.replaceAll("\n", "⏎").slice(0, 60)}`, async () => {
    deepStrictEqual((await load(path, text, runtime)).problems, problems);
  });
}

test("loadFile() tells where TOML is broken", async () => {
  const { problems } = await load("s.toml", `mtu = 1500\nnetwork = "none\n`);
  strictEqual(problems.length, 1);
  match(problems[0]!, /^s\.toml:2:\d+: not TOML: [^\n]+$/);
});

test("loadFile() gives the system's reason for an unreadable file", async () => {
  const { problems } = await loadFile("s.json", { readText: reader({}) });
  deepStrictEqual(problems.map(formatProblem), ["s.json: cannot be read: no such file or directory"]);
});

test("loadFile() collects flags of runsc that mean nothing here", async () => {
  const shim = await load("shim.toml", `[runsc_config]\nplatform = "kvm"\nnetwork = "none"\n`);
  deepStrictEqual(shim, { set: ["network=none @3"], problems: [], ignored: ["platform"] });
  const own = await load("s.json", `{"directfs": false}`);
  deepStrictEqual(own, { set: [], problems: [], ignored: ["directfs"] });
});

const lineOf = (...pairs: [flag: string, text: string][]) =>
  pairs.map(([flag, text]) => ({ flag, text, origin: FLAG }));

test("loadSources() applies files in order, later wins, and the command line after them", async () => {
  const files = { "a.toml": `mtu = 1400\npublish = "1:1"`, "b.json": `{"mtu": 1500, "publish": ["2:2"]}` };
  const line = lineOf(["config", "a.toml"], ["config", "b.json"], ["publish", "3:3"]);
  const { settings } = resolve((await loadSources(line, reader(files))).assignments);
  strictEqual(settings.mtu, 1500);
  deepStrictEqual(settings.publish.map((one) => one.hostPort), [1, 2, 3]);
});

test("loadSources() has the problems of all files", async () => {
  const line = lineOf(["config", "a.toml"], ["config", "b.json"], ["bundle", "/b/"], ["pod", "p.yaml"]);
  const { problems } = await loadSources(line, reader({ "a.toml": "x = 1" }));
  deepStrictEqual(problems.map(formatProblem), [
    'a.toml:1:1: unknown key "x"',
    "b.json: cannot be read: no such file or directory",
    "p.yaml: cannot be read: no such file or directory",
    "/b/config.json: cannot be read: no such file or directory",
  ]);
});

test("loadSources() reads the annotations of a pod and of a bundle, also of those that a file names", async () => {
  const files = {
    "s.toml": `bundle = "/b"`,
    "/b/config.json": `{"annotations": {"dev.gvisor.flag.qdisc-tbf-rate": "5"}}`,
    "p#1.yaml": `kind: Pod\nmetadata: {annotations: {dev.gvisor.flag.debug: "true"}}`,
  };
  const { assignments } = await loadSources(lineOf(["config", "s.toml"], ["pod", "p#1.yaml"]), reader(files));
  const { settings } = resolve(assignments);
  deepStrictEqual([settings.qdiscTbfRate, settings.debug], [5, true]);
});
