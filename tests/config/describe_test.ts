import { test } from "node:test";
import { deepStrictEqual, strictEqual } from "node:assert/strict";
import { describeSettings, formatSettings } from "../../lib/config/describe.ts";
import { type Assignment, FLAG, type Origin } from "../../lib/config/origin.ts";
import { resolve } from "../../lib/config/resolve.ts";

const FILE: Origin = { kind: "file", path: "/etc/sluice.toml", line: 3, column: 1 };
const ASSIGNMENTS: Assignment[] = [
  { flag: "mtu", text: "0x5dc", origin: FILE },
  { flag: "publish", text: "80:80", origin: FILE },
  { flag: "publish", text: "81:81", origin: FLAG },
  { flag: "gso", text: "f", origin: { kind: "annotation", key: "dev.sluice.flag.gso" } },
  { flag: "address", text: "10.1.0.9/24", origin: FLAG },
];

test("describeSettings() types the values and names their origins", () => {
  const facts = describeSettings(resolve(ASSIGNMENTS));
  deepStrictEqual(facts.mtu, { value: 1500, origin: "/etc/sluice.toml:3" });
  deepStrictEqual(facts.gso, { value: false, origin: "annotation dev.sluice.flag.gso" });
  deepStrictEqual(facts.rootless, { value: "auto", origin: "default" });
  deepStrictEqual(facts["pcap-log"], { value: null, origin: "default" });
  deepStrictEqual(facts.gateway, { value: "10.1.0.2", origin: "default for --address" });
  deepStrictEqual(facts.publish, {
    value: ["80:80", "81:81"],
    origin: "command line",
    origins: ["/etc/sluice.toml:3", "command line"],
  });
  deepStrictEqual(facts.config, { value: [], origin: "default", origins: [] });
});

test("formatSettings() aligns three columns", () => {
  const lines = formatSettings(resolve(ASSIGNMENTS)).split("\n");
  strictEqual(lines.pop(), "");
  deepStrictEqual(lines.filter((line) => /^(mtu|publish|pcap-log) /.test(line)), [
    "publish              80:80                /etc/sluice.toml:3",
    "publish              81:81                command line",
    "mtu                  0x5dc                /etc/sluice.toml:3",
    "pcap-log             -                    default",
  ]);
  strictEqual(new Set(lines.map((line) => /^\S+ +\S+ +/.exec(line)?.[0].length)).size, 1);
});
