import { test } from "node:test";
import { deepStrictEqual, ok, strictEqual } from "node:assert/strict";
import { formatOrigin } from "../../lib/config/origin.ts";
import { commandLine } from "../support/command_line.ts";

// A command line of runsc from a request for this program, verbatim but for the two words that must change.
const RUNSC = "runsc -platform=kvm -rootless -ignore-cgroups -network=host -host-uds=all -host-fifo=open " +
  "-file-access=shared -overlay2=none do -force-overlay=false -- bash -li";
const IGNORED = "sluice: ignored flags of runsc that mean nothing here: " +
  "--platform, --ignore-cgroups, --host-fifo, --file-access, --overlay2, --force-overlay\n";

test("main() runs a command line of runsc", async () => {
  const [name, ...args] = RUNSC.replace("runsc", "sluice").replace("=host ", "=sandbox-passthrough ").split(
    " ",
  );
  strictEqual(name, "sluice");
  const { status, stdout, stderr, context } = await commandLine(args);
  strictEqual(stderr, IGNORED);
  strictEqual(status, 0);
  strictEqual(stdout, "");
  deepStrictEqual(context?.args, ["bash", "-li"]);
  strictEqual(context?.settings.network, "sandbox-passthrough");
  strictEqual(context?.settings.rootless, true);
  strictEqual(context?.settings.hostUds, "all");
});

test("main() refuses ignored flags with --strict", async () => {
  const { status, stderr, context } = await commandLine([
    "--strict",
    "-platform=kvm",
    "do",
    "-quiet",
    "--",
    "true",
  ]);
  strictEqual(status, 2);
  strictEqual(
    stderr,
    "sluice: flags of runsc that mean nothing here: --platform, --quiet (--strict forbids them)\n",
  );
  strictEqual(context, undefined);
});

test("main() knows which ignored flags take a value", async () => {
  const { context, stderr } = await commandLine([
    "-platform",
    "kvm",
    "-root",
    "/x",
    "-systemd-cgroup",
    "do",
    "ls",
  ]);
  deepStrictEqual(context?.args, ["ls"]);
  strictEqual(stderr.includes("--platform, --root, --systemd-cgroup"), true);
});

const RUNS: [line: string, args: string[], field: string, want: unknown][] = [
  ["-network=host do true", ["true"], "network", "host"],
  ["--network=host do true", ["true"], "network", "host"],
  ["--network host do true", ["true"], "network", "host"],
  ["-network host run true", ["true"], "network", "host"],
  ["do --network host -- true", ["true"], "network", "host"],
  ["--network host do --network none -- true", ["true"], "network", "none"],
  ["--gso=false do true", ["true"], "gso", false],
  ["--debug do true", ["true"], "debug", true],
  ["--debug do true --debug=false", ["true", "--debug=false"], "debug", true],
  ["do bash -li", ["bash", "-li"], "network", "sandbox-passthrough"],
  ["do -- -li", ["-li"], "network", "sandbox-passthrough"],
  ["do -- -- x", ["--", "x"], "network", "sandbox-passthrough"],
  ["do --cwd /tmp true", ["true"], "cwd", "/tmp"],
  ["-- do true", ["true"], "network", "sandbox-passthrough"],
  ["do", [], "network", "sandbox-passthrough"],
];
for (const [line, args, field, want] of RUNS) {
  test(`main() reads sluice ${line}`, async () => {
    const { context, stderr, status } = await commandLine(line.split(" "));
    strictEqual(stderr, "");
    strictEqual(status, 0);
    deepStrictEqual(context?.args, args);
    deepStrictEqual(context?.settings[field as "network"] as unknown, want);
  });
}

test("main() adds up published ports from both sides of the command", async () => {
  const { context } = await commandLine([
    "-p",
    "80:80",
    "do",
    "-p=81:81",
    "--publish",
    "82:82/udp",
    "--",
    "true",
  ]);
  deepStrictEqual(context?.settings.publish.map((one) => one.hostPort), [80, 81, 82]);
});

test("main() gives a command its own flags", async () => {
  const { context } = await commandLine(
    ["attach", "--pid=7", "-q", "--tag", "a", "-tag=b", "--mtu", "1400", "--pid", "8", "rest"],
  );
  strictEqual(context?.flags.get("pid"), "8");
  strictEqual(context?.flags.has("quick"), true);
  strictEqual(context?.flags.has("nothing"), false);
  deepStrictEqual(context?.flags.all("tag"), ["a", "b"]);
  strictEqual(context?.settings.mtu, 1400);
  deepStrictEqual(context?.args, ["rest"]);
  const off = await commandLine(["attach", "--quick=false"]);
  strictEqual(off.context?.flags.has("quick"), false);
});

test("main() leaves the arguments of a command without flags alone", async () => {
  const { context } = await commandLine(["--mtu=1400", "raw", "-tuanp", "--", "-x", "--mtu"]);
  deepStrictEqual(context?.args, ["-tuanp", "--", "-x", "--mtu"]);
  strictEqual(context?.settings.mtu, 1400);
});

const REFUSED: [line: string, status: number, stderr: string][] = [
  ["", 2, "sluice: wrong usage: no command is named (sluice do -- PROGRAM runs one; sluice help)"],
  ["--netwrok=host do true", 2, "sluice: wrong usage: unknown flag --netwrok (did you mean --network?)"],
  ["do --netwrok=host true", 2, "sluice: wrong usage: unknown flag --netwrok (did you mean --network?)"],
  ["-zzzzzz do", 2, "sluice: wrong usage: unknown flag --zzzzzz (sluice help)"],
  ["-x do", 2, "sluice: wrong usage: unknown flag -x (sluice help)"],
  ["--cwd=/ do true", 2, 'sluice: wrong usage: unknown flag --cwd (--cwd goes after "do")'],
  ["version --mtu=1", 2, "sluice: wrong usage: unknown flag --mtu (--mtu goes before the command)"],
  ["attach --pdi=1", 2, "sluice: wrong usage: unknown flag --pdi (did you mean --pid?)"],
  [
    "attach --quick=perhaps",
    2,
    'sluice: wrong usage: invalid boolean value "perhaps" for flag --quick: parse error (true or false)',
  ],
  ["--mtu", 2, "sluice: wrong usage: flag needs an argument: --mtu"],
  ["-p", 2, "sluice: wrong usage: flag needs an argument: -p"],
  ["---mtu=1 do", 2, "sluice: wrong usage: bad flag syntax: ---mtu=1"],
  ["verison", 2, 'sluice: wrong usage: unknown command "verison" (did you mean version?)'],
  [
    "curl",
    2,
    'sluice: wrong usage: unknown command "curl" (sluice help; to run a program: sluice do -- curl)',
  ],
  ["version extra", 2, 'sluice: wrong usage: version takes no argument, got "extra"'],
  ["help verison", 2, 'sluice: wrong usage: unknown command "verison" (did you mean version?)'],
  ["--qdisc=htb do true", 2, 'sluice: wrong usage: invalid qdisc "htb" (one of none, fifo, tbf)'],
  [
    "--network=bridge do true",
    2,
    'sluice: wrong usage: invalid network type "bridge" (one of none, host, sandbox, sandbox-passthrough, tsi)',
  ],
  [
    "--qdisc=tbf --qdisc-tbf-rate=1 do true",
    2,
    "sluice: wrong usage: qdisc=tbf requires setting qdisc-tbf-burst (bytes)",
  ],
  [
    "--qdisc=tbf do true",
    2,
    "sluice: wrong usage: qdisc=tbf requires setting qdisc-tbf-rate (bytes per second); " +
    "qdisc=tbf requires setting qdisc-tbf-burst (bytes)",
  ],
  [
    "--qdisc-tbf-rate=1mbit do true",
    2,
    'sluice: wrong usage: invalid value "1mbit" for flag --qdisc-tbf-rate: parse error (a plain integer, without a unit)',
  ],
  [
    "--qdisc-tbf-burst=4294967296 do true",
    2,
    "sluice: wrong usage: qdisc-tbf-burst must be <= 4294967295, got: 4294967296",
  ],
  [
    "--address=10.0.2.9/32 do true",
    2,
    "sluice: wrong usage: gateway=10.0.2.2 cannot be the guest's router: it is outside 10.0.2.9/32 (set --address and --gateway)",
  ],
  [
    "--config=none.toml do true",
    125,
    "sluice: cannot use the configuration: none.toml: cannot be read: no such file or directory",
  ],
  [
    "--config=bad.toml do true",
    125,
    'sluice: cannot use the configuration: bad.toml:2:1: unknown key "qdsic" (did you mean "qdisc"?)',
  ],
  [
    "--config=tbf.toml do true",
    125,
    "sluice: cannot use the configuration: tbf.toml:1:1: qdisc=tbf requires setting qdisc-tbf-burst (bytes)",
  ],
  [
    "--config=strict.toml do true",
    125,
    "sluice: flags of runsc that mean nothing here: --platform (--strict forbids them)",
  ],
  [
    "--config=worse.toml do true",
    125,
    'sluice: cannot use the configuration: worse.toml:1:1: "mtu" must be an integer, not a string; and 2 more: ' +
    "sluice config check worse.toml",
  ],
  ["--a\u001b[31m\nb=1 do", 2, "sluice: wrong usage: unknown flag --a\\x1b[31m b (sluice help)"],
  ["broken", 125, "sluice: cannot go on: it broke"],
  [
    "config",
    2,
    "sluice: wrong usage: config needs to know what to do (config show, or config check [FILE…])",
  ],
  [
    "config shwo",
    2,
    'sluice: wrong usage: unknown command "config shwo" (config show, or config check [FILE…])',
  ],
  ["config show x", 2, "sluice: wrong usage: config show takes -j and nothing else"],
  [
    "config check",
    2,
    "sluice: wrong usage: config check needs something to check (config check FILE…, or flags before it: --config, --bundle, --pod, --annotation)",
  ],
];
const FILES = {
  "bad.toml": `mtu = 1500\nqdsic = "tbf"\n`,
  "tbf.toml": `qdisc = "tbf"\nqdisc-tbf-rate = 5\n`,
  "worse.toml": `mtu = "x"\ngso = 1\nnonsense = 2\n`,
  "strict.toml": `strict = true\nplatform = "kvm"\n`,
  "good.toml": `mtu = 1400\nnetwork = "none"\npublish = "1:1"\nqdisc = "none"\n`,
  "more.json": `{\n "network": "host",\n "publish": "2:2"}`,
};
for (const [line, status, stderr] of REFUSED) {
  test(`main() answers ${status} to sluice ${JSON.stringify(line)}`, async () => {
    const ran = await commandLine(line === "" ? [] : line.split(" "), FILES);
    strictEqual(ran.stderr, `${stderr}\n`);
    strictEqual(ran.status, status);
    strictEqual(ran.stdout, "");
    strictEqual(ran.context, undefined);
  });
}

test("main() applies files in order, then the command line, and knows the origins", async () => {
  const { context } = await commandLine(
    ["--mtu=1300", "--config", "good.toml", "--config=more.json", "do", "-p", "3:3", "true"],
    FILES,
  );
  const origins = Object.fromEntries(
    context!.resolved.values.map((one) => [one.flag.name, one.origins.map(formatOrigin)]),
  );
  strictEqual(context?.settings.mtu, 1300);
  strictEqual(context?.settings.network, "host");
  strictEqual(context?.settings.qdisc, "none");
  deepStrictEqual(context?.settings.publish.map((one) => one.hostPort), [1, 2, 3]);
  deepStrictEqual(context?.settings.config, ["good.toml", "more.json"]);
  deepStrictEqual(origins.mtu, ["command line"]);
  deepStrictEqual(origins.network, ["more.json:2"]);
  deepStrictEqual(origins.qdisc, ["good.toml:4"]);
  deepStrictEqual(origins.publish, ["good.toml:3", "more.json:3", "command line"]);
  deepStrictEqual(origins.gso, ["default"]);
});

test("main() reads the runtime of Docker's daemon.json", async () => {
  const daemon = `{"runtimes": {"sluice": {"runtimeArgs": ["--network=none", "--platform=kvm"]}}}`;
  const ran = await commandLine(["--config=d.json", "--runtime=sluice", "do", "true"], { "d.json": daemon });
  strictEqual(ran.context?.settings.network, "none");
  strictEqual(ran.stderr, "sluice: ignored flags of runsc that mean nothing here: --platform\n");
});

test("main() gives commands that need no configuration the defaults, whatever the files say", async () => {
  const { status, stdout } = await commandLine(["--config=bad.toml", "version"], FILES);
  strictEqual(status, 0);
  strictEqual(stdout, "sluice 0.1.0 (test 1.0)\n");
});

for (const line of ["--help", "-h", "help", "--mtu=1 --help do true", "--network=nonsense -help"]) {
  test(`main() prints the help for sluice ${line}`, async () => {
    const { status, stdout, stderr } = await commandLine(line.split(" "));
    strictEqual(stderr, "");
    strictEqual(status, 0);
    ok(stdout.includes("usage: sluice [flags] COMMAND"));
  });
}
for (const line of ["do --help", "do -h", "do --mtu=1 -help true", "run --help"]) {
  test(`main() prints the help of do for sluice ${line}`, async () => {
    const { status, stdout, context } = await commandLine(line.split(" "));
    strictEqual(status, 0);
    ok(stdout.includes("--cwd DIR") && stdout.includes("--network MODE"));
    strictEqual(context, undefined);
  });
}
test("main() leaves a program's --help to the program", async () => {
  const { context } = await commandLine(["do", "ls", "--help"]);
  deepStrictEqual(context?.args, ["ls", "--help"]);
});

for (const flag of ["--version", "-version"]) {
  test(`main() answers ${flag}`, async () => {
    const { stdout } = await commandLine([flag]);
    strictEqual(stdout, "sluice 0.1.0 (test 1.0)\n");
  });
}
