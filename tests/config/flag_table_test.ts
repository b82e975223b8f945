import { test } from "node:test";
import { deepStrictEqual, ok, strictEqual } from "node:assert/strict";
import { findFlag, FLAGS, type FlagSpec, isSwitch } from "../../lib/config/flag_table.ts";
import { parseValue } from "../../lib/config/parse_value.ts";
import { resolve } from "../../lib/config/resolve.ts";
import { findIgnoredFlag, ignoredFlags } from "../../lib/config/runsc_flags.ts";

const TABLE: readonly FlagSpec[] = FLAGS;
const camel = (name: string) => name.replaceAll(/-(.)/g, (_, letter: string) => letter.toUpperCase());

test("FLAGS has each name once", () => {
  const names = TABLE.flatMap((flag) => flag.short === undefined ? [flag.name] : [flag.name, flag.short]);
  strictEqual(new Set(names).size, names.length);
});

test("FLAGS has one settings field per flag, and no field is without a flag", () => {
  const other: Record<string, string> = { "annotation": "annotations", "external-network": "networks" };
  const fields = TABLE.map((flag) => other[flag.name] ?? camel(flag.name));
  deepStrictEqual(Object.keys(resolve().settings).sort(), fields.sort());
});

test("FLAGS has defaults that its own parser reads", () => {
  for (const flag of TABLE) if (!flag.repeatable) ok("value" in parseValue(flag, flag.default), flag.name);
});

test("FLAGS has help of one sentence without a full stop", () => {
  for (const { name, help } of TABLE) {
    ok(help.length > 8 && !/[.\n]$/.test(help) && !help.includes("\n"), name);
  }
});

test("FLAGS shows a placeholder for every flag that takes a value, and only for those", () => {
  for (const flag of TABLE) strictEqual(flag.placeholder === undefined, isSwitch(flag), flag.name);
});

// The table of the specification, row by row.
const SPECIFIED: [name: string, fallback: string][] = [
  ["network", "sandbox-passthrough"],
  ["rootless", "auto"],
  ["qdisc", "fifo"],
  ["qdisc-tbf-rate", "0"],
  ["qdisc-tbf-burst", "0"],
  ["gso", "true"],
  ["software-gso", "true"],
  ["tx-checksum-offload", "auto"],
  ["rx-checksum-offload", "auto"],
  ["address", "10.0.2.100/24"],
  ["address6", "fd00::64/64"],
  ["gateway", "10.0.2.2"],
  ["gateway6", "fd00::2"],
  ["dns", "10.0.2.3"],
  ["mtu", "65520"],
  ["address-wait", "15"],
  ["mac", "random"],
  ["p", ""],
  ["publish", ""],
  ["host-loopback", "false"],
  ["host-uds", "none"],
  ["net-raw", "false"],
  ["log-packets", "false"],
  ["pcap-log", ""],
  ["debug", "false"],
  ["debug-log", ""],
  ["log-format", "text"],
  ["config", ""],
  ["annotation", ""],
  ["bundle", ""],
  ["pod", ""],
  ["allow-flag-override", "false"],
  ["api", "unix"],
  ["api-allow-remote", "false"],
  ["api-token-file", ""],
  ["id", "random"],
  ["strict", "false"],
  ["runtime", ""],
];
for (const [name, fallback] of SPECIFIED) {
  test(`findFlag() knows ${name}`, () => strictEqual(findFlag(name)?.default, fallback));
}

test("findIgnoredFlag() never hides a flag that means something", () => {
  for (const name of ignoredFlags()) strictEqual(findFlag(name), undefined, name);
  strictEqual(new Set(ignoredFlags()).size, ignoredFlags().length);
});

test("findIgnoredFlag() knows which take a value", () => {
  for (const name of ["platform", "file-access", "overlay2", "host-fifo", "root"]) {
    strictEqual(findIgnoredFlag(name)?.isSwitch, false, name);
  }
  for (const name of ["ignore-cgroups", "force-overlay", "systemd-cgroup", "directfs"]) {
    strictEqual(findIgnoredFlag(name)?.isSwitch, true, name);
  }
  strictEqual(findIgnoredFlag("netwrok"), undefined);
});
