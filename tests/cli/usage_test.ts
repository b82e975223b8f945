import { test } from "node:test";
import { ok, strictEqual } from "node:assert/strict";
import { readFileSync } from "node:fs";
import { COMMANDS } from "../../lib/cli/commands.ts";
import { flagsPage, generalHelp } from "../../lib/cli/usage.ts";
import { VERSION } from "../../lib/cli/version.ts";
import { FLAGS } from "../../lib/config/flag_table.ts";
import { commandLine } from "../support/command_line.ts";

const text = (path: string) => readFileSync(new URL(`../../${path}`, import.meta.url), "utf8");

test("docs/flags.md is current (scripts/gen_flags.ts writes it)", () => {
  strictEqual(text("docs/flags.md"), flagsPage());
});

test("generalHelp() names every flag and every command, in lines that fit", () => {
  const help = generalHelp(COMMANDS);
  for (const flag of FLAGS) if (flag.scope === "global") ok(help.includes(`--${flag.name}`), flag.name);
  for (const { name } of COMMANDS) ok(help.includes(`\n  ${name}`), name);
  for (const line of help.split("\n")) ok(line.length <= 100, line);
});

test("VERSION is the package's", () => {
  strictEqual((JSON.parse(text("package.json")) as { version: string }).version, VERSION);
  strictEqual((JSON.parse(text("deno.json")) as { version: string }).version, VERSION);
});

for (
  const [args, want] of [
    [["version"], "sluice 0.1.0 (test 1.0)\n"],
    [["version", "-j"], '{"version":"0.1.0","runtime":"test 1.0"}\n'],
  ] as const
) {
  test(`sluice ${args.join(" ")} prints the version`, async () => {
    const { stdout, status } = await commandLine(args);
    strictEqual(stdout, want);
    strictEqual(status, 0);
  });
}

for (const args of [["help", "config"], ["config", "--help"], ["config", "-h"]]) {
  test(`sluice ${args.join(" ")} explains the command`, async () => {
    const { stdout, status } = await commandLine(args);
    strictEqual(status, 0);
    ok(stdout.startsWith("config: show the configuration"));
    ok(stdout.includes("usage: sluice [flags] config show [-j]\n       sluice [flags] config check [FILE…]"));
  });
}

test("COMMANDS says of every command what the command says of itself", async () => {
  for (const entry of COMMANDS) {
    const { name, aliases, summary, usage } = await entry.load();
    strictEqual(name, entry.name);
    strictEqual(aliases?.join(), entry.aliases?.join(), name);
    strictEqual(summary, entry.summary, name);
    for (const line of usage.split("\n")) ok(line.startsWith("sluice "), line);
  }
});
