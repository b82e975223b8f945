import { test } from "node:test";
import { deepStrictEqual, strictEqual } from "node:assert/strict";
import { commandLine } from "../support/command_line.ts";

const FILES = {
  "good.toml": `mtu = 1400\n`,
  "ignored.toml": `platform = "kvm"\n`,
  "bad.toml": `qdisc = "tbf"\nqdsic = 1\nmtu = "x"\npublish = "80"\ngso = 5\n`,
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
    'bad.toml:4:1: invalid value "80" for flag --publish: want [addr:]hostport:guestport[/tcp|udp]',
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
