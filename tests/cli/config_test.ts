import { test } from "node:test";
import { deepStrictEqual, match, ok, strictEqual } from "node:assert/strict";
import { commandLine } from "../support/command_line.ts";

const FILES = {
  "serve.toml": `[serve]\nlisten = ["unixstream:///a"]\nsubnet = "10.1.0.0/16"\n`,
  "unserved.toml":
    `[serve]\nlisten = 5.5\nsubnet = "ten"\nlisen = "x"\nready-fd = 3\nec2-metadata-access = true\nenable-tso = "yes"\n`,
  "good.toml": `mtu = 1400\n`,
  "ignored.toml": `platform = "kvm"\n`,
  "bad.toml": `qdisc = "tbf"\nqdsic = 1\nmtu = "x"\npublish = "80"\ngso = 5\n`,
  "operator.toml": `qdisc-tbf-rate = 1000000\nhost-uds = "open"\n`,
  "pod.yaml": `kind: Pod
metadata:
  annotations:
    dev.gvisor.flag.qdisc: tbf
    dev.gvisor.flag.qdisc-tbf-rate: "2000000"
    dev.gvisor.flag.network: host
`,
  "fits.yaml": `kind: Pod
metadata:
  annotations:
    dev.gvisor.flag.qdisc: tbf
    dev.gvisor.flag.qdisc-tbf-rate: "0x1000"
    dev.gvisor.flag.qdisc-tbf-burst: "70000"
`,
  "/b/config.json": `{"annotations": {"dev.gvisor.flag.strace": "true", "x": "\\u001b[31m"}}`,
  "daemon.json": `{"runtimes": {"s": {"runtimeArgs": ["--mtu=5"]}}}`,
};

test("config show prints every flag with its origin", async () => {
  const { stdout, status } = await commandLine(
    ["--config=good.toml", "--network=none", "config", "show"],
    FILES,
  );
  strictEqual(status, 0);
  const rows = Object.fromEntries(
    stdout.trimEnd().split("\n").map((line) => {
      const [name, value, ...origin] = line.split(/ {2,}/);
      return [name, [value, origin.join(" ")]];
    }),
  );
  deepStrictEqual(rows.mtu, ["1400", "good.toml:1"]);
  deepStrictEqual(rows.network, ["none", "command line"]);
  deepStrictEqual(rows.dns, ["10.0.2.3", "default"]);
  deepStrictEqual(rows.config, ["good.toml", "command line"]);
});

for (const flag of ["-j", "--json", "-j=true"]) {
  test(`config show ${flag} prints JSON`, async () => {
    const { stdout } = await commandLine(["--config=good.toml", "config", "show", flag], FILES);
    const facts = JSON.parse(stdout) as Record<string, { value: unknown; origin: string }>;
    deepStrictEqual(facts.mtu, { value: 1400, origin: "good.toml:1" });
    deepStrictEqual(facts.gso, { value: true, origin: "default" });
  });
}

test("config knows the table of serve", async () => {
  const shown = await commandLine(["--config=serve.toml", "config", "show"], FILES);
  match(shown.stdout, /\nserve\.listen +unixstream:\/\/\/a +serve\.toml:2\nserve\.subnet +10\.1\.0\.0\/16 /);
  const json = await commandLine(["--config=serve.toml", "config", "show", "-j"], FILES);
  deepStrictEqual(JSON.parse(json.stdout)["serve.listen"], {
    value: ["unixstream:///a"],
    origin: "serve.toml:2",
    origins: ["serve.toml:2"],
  });
  strictEqual((await commandLine(["config", "check", "serve.toml"], FILES)).stdout, "serve.toml: ok\n");
  const { status, stderr } = await commandLine(["config", "check", "unserved.toml"], FILES);
  strictEqual(status, 1);
  deepStrictEqual(stderr.trimEnd().split("\n"), [
    'unserved.toml:2:1: "listen" in [serve] must be a string or a list of strings, not a number with a fraction',
    'unserved.toml:4:1: unknown key "lisen" in [serve] (did you mean "listen"?)',
    'unserved.toml:5:1: "ready-fd" cannot be set in a file (only --ready-fd)',
    'unserved.toml:6:1: "ec2-metadata-access" is not supported: 169.254.0.0/16 is never reached',
    'unserved.toml:7:1: "enable-tso" in [serve] must be true or false, not a string',
    'unserved.toml:3:1: serve.subnet: "ten": failed to parse subnet "ten"',
  ]);
});

test("config check prints all problems at once", async () => {
  const { status, stderr, stdout } = await commandLine([
    "config",
    "check",
    "good.toml",
    "bad.toml",
    "no.json",
  ], FILES);
  strictEqual(status, 1);
  strictEqual(stdout, "good.toml: ok\n");
  deepStrictEqual(stderr.trimEnd().split("\n"), [
    'bad.toml:2:1: unknown key "qdsic" (did you mean "qdisc"?)',
    'bad.toml:3:1: "mtu" must be an integer, not a string',
    'bad.toml:5:1: "gso" must be true or false, not an integer',
    'bad.toml:4:1: invalid value "80" for flag --publish: want [addr:]hostport:[guestaddr:]guestport[/tcp|udp]',
    "bad.toml:1:1: qdisc=tbf requires setting qdisc-tbf-rate (bytes per second)",
    "bad.toml:1:1: qdisc=tbf requires setting qdisc-tbf-burst (bytes)",
    "no.json: cannot be read: no such file or directory",
  ]);
});

test("config check is content with a good file", async () => {
  deepStrictEqual(await commandLine(["config", "check", "good.toml"], FILES), {
    status: 0,
    stdout: "good.toml: ok\n",
    stderr: "",
    context: undefined,
  });
});

test("config check names ignored flags, and refuses them with --strict", async () => {
  const ran = await commandLine(["config", "check", "ignored.toml"], FILES);
  strictEqual(ran.status, 0);
  strictEqual(ran.stderr, "ignored.toml: ignored flags of runsc that mean nothing here: --platform\n");
  strictEqual((await commandLine(["--strict", "config", "check", "ignored.toml"], FILES)).status, 1);
});

test("config check reads the runtime that is named", async () => {
  const { stderr } = await commandLine(["--runtime=s", "config", "check", "daemon.json"], FILES);
  strictEqual(stderr, "daemon.json:1:37: mtu must be from 1280 to 65521, got: 5\n");
});

const REFUSED = [
  'pod.yaml:6:5: error setting flag network="host": flag override disabled, use --allow-flag-override to enable it',
  'pod.yaml:5:5: error setting flag qdisc-tbf-rate="2000000": qdisc-tbf-rate=2000000 exceeds runtime-configured ' +
  'rate 1000000; raising the limit requires flag "allow-flag-override" to be enabled',
  "pod.yaml:4:5: qdisc=tbf requires setting qdisc-tbf-burst (bytes)",
];

test("config check without a file checks all that the flags say together", async () => {
  const bad = await commandLine(["--config=operator.toml", "--pod=pod.yaml", "config", "check"], FILES);
  deepStrictEqual([bad.status, bad.stdout, bad.stderr.trimEnd().split("\n")], [1, "", REFUSED]);
  const good = await commandLine(["--config=operator.toml", "--pod=fits.yaml", "config", "check"], FILES);
  deepStrictEqual([good.status, good.stdout, good.stderr], [0, "ok\n", ""]);
  const files = await commandLine(["--config=bad.toml", "--bundle=/c", "config", "check"], FILES);
  strictEqual(
    files.stderr.split("\n").filter((line) => /^(bad.toml|\/c\/config.json):/.test(line)).length,
    7,
  );
});

test("config show tells who set what, what annotations may set, and what was refused", async () => {
  const { stdout, status } = await commandLine(
    ["--config=operator.toml", "--pod=pod.yaml", "config", "show"],
    FILES,
  );
  strictEqual(status, 1);
  const [settings, ceilings, refused] = stdout.split("\n\n");
  const rows = (text: string) => text.split("\n").map((line) => line.trim().split(/ {2,}/));
  deepStrictEqual(rows(settings!).find(([name]) => name === "qdisc"), [
    "qdisc",
    "tbf",
    "annotation dev.gvisor.flag.qdisc in pod.yaml:4",
  ]);
  deepStrictEqual(rows(ceilings!), [
    ["annotations may set at most:"],
    ["debug", "any", "default"],
    ["host-uds", "open", "operator.toml:2"],
    ["qdisc", "tbf", "default"],
    ["qdisc-tbf-rate", "1000000", "operator.toml:1"],
    ["qdisc-tbf-burst", "any", "default"],
  ]);
  deepStrictEqual(refused!.trimEnd().split("\n"), ["refused:", ...REFUSED.map((line) => `  ${line}`)]);
});

test("config show -j tells the same to programs", async () => {
  const line = ["--config=operator.toml", "--pod=pod.yaml", "config", "show", "-j"];
  const { ceilings, refused, ...flags } = JSON.parse((await commandLine(line, FILES)).stdout);
  deepStrictEqual(ceilings["qdisc-tbf-rate"], { value: 1000000, origin: "operator.toml:1" });
  deepStrictEqual(ceilings["qdisc-tbf-burst"], { value: null, origin: "default" });
  deepStrictEqual(refused.map(({ origin }: { origin: string }) => origin), [
    "annotation dev.gvisor.flag.network in pod.yaml:6",
    "annotation dev.gvisor.flag.qdisc-tbf-rate in pod.yaml:5",
    "annotation dev.gvisor.flag.qdisc in pod.yaml:4",
  ]);
  deepStrictEqual(flags.qdisc.value, "tbf");
  const lifted = await commandLine(["--allow-flag-override", "config", "show", "-j"]);
  deepStrictEqual([JSON.parse(lifted.stdout).ceilings, lifted.status], [null, 0]);
});

test("config show escapes what a terminal would obey, and names runsc's flags that mean nothing", async () => {
  const { stdout, stderr } = await commandLine(["--bundle=/b", "config", "show"], FILES);
  ok(stdout.includes('"x=\\u001b[31m"') && !stdout.includes("\u001b"));
  strictEqual(stderr, "sluice: ignored flags of runsc that mean nothing here: --strace\n");
});

test("do refuses what annotations may not set, with the annotation's name", async () => {
  const ran = await commandLine(["--annotation", "dev.gvisor.flag.qdisc=fifo", "do", "true"]);
  deepStrictEqual([ran.status, ran.context], [125, undefined]);
  strictEqual(
    ran.stderr,
    'sluice: cannot use the configuration: annotation dev.gvisor.flag.qdisc: error setting flag qdisc="fifo": ' +
      'setting qdisc="fifo" requires flag "allow-flag-override" to be enabled\n',
  );
  const two = await commandLine(["--pod=pod.yaml", "--config=operator.toml", "do", "true"], FILES);
  ok(two.stderr.endsWith("; and 2 more: sluice [the same flags] config check\n"), two.stderr);
});

test("do is started with what annotations set under the ceilings", async () => {
  const { context } = await commandLine(["--config=operator.toml", "--pod=fits.yaml", "do", "true"], FILES);
  const { qdisc, qdiscTbfRate, qdiscTbfBurst } = context!.settings;
  deepStrictEqual([qdisc, qdiscTbfRate, qdiscTbfBurst], ["tbf", 4096, 70000]);
});
