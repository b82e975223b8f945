/** iperf3 behind the stack: both directions, one connection and eight, TCP and UDP. */

import { test } from "node:test";
import { ok, strictEqual } from "node:assert/strict";
import { printed, type Scope, start, withScope } from "../support/e2e.ts";
import { behind, type Family, MACHINE, SITUATIONS, succeeded } from "../support/guest.ts";
import { freePort } from "../support/ports.ts";

interface Sum {
  readonly bytes: number;
  readonly packets?: number;
  readonly lost_percent?: number;
}

interface Report {
  readonly error?: string;
  readonly end: {
    readonly streams: readonly { readonly receiver?: Sum; readonly udp?: Sum }[];
    readonly sum?: Sum;
    readonly sum_sent: Sum;
    readonly sum_received: Sum;
    readonly sum_received_bidir_reverse?: Sum;
  };
}

/**
 * As many as a receiver's socket holds (208 KiB, of which one of these costs 2.25), so that none may be lost whoever has to
 * wait for the processor; clients_test.ts has more of them, by turns.
 */
const DATAGRAMS = ["-u", "-b", "20M", "-l", "1400", "-n", "100K"];

/** Each for as long as TCP needs to open its window and get through several of them. */
const CASES: readonly [name: string, flags: readonly string[], check: (report: Report) => void][] = [
  ["TCP to the host", [], checkTcp(1)],
  ["TCP from the host", ["-R"], checkTcp(1)],
  ["TCP both ways at once", ["--bidir"], (report) => {
    checkTcp(2)(report);
    ok(report.end.sum_received_bidir_reverse!.bytes > 1e6, JSON.stringify(report.end));
  }],
  ["8 TCP connections to the host", ["-P", "8"], checkTcp(8)],
  ["8 TCP connections from the host", ["-P", "8", "-R"], checkTcp(8)],
  ["UDP to the host", [...DATAGRAMS], checkUdp],
  ["UDP from the host", [...DATAGRAMS, "-R"], checkUdp],
];

function checkTcp(streams: number): (report: Report) => void {
  return ({ end }) => {
    strictEqual(end.streams.length, streams);
    for (const { receiver } of end.streams) ok(receiver!.bytes > 50_000, JSON.stringify(end.streams));
    ok(end.sum_received.bytes > 2e6, `only ${end.sum_received.bytes} bytes arrived`);
  };
}

function checkUdp({ end }: Report): void {
  const { packets, lost_percent } = end.sum!;
  ok(packets! > 70, `only ${packets} datagrams`);
  strictEqual(lost_percent, 0);
}

async function serve(scope: Scope, { host, flag }: Family): Promise<number> {
  const port = await freePort();
  const server = start(scope, ["iperf3", "-s", flag, "-B", host, "-p", `${port}`, "--forceflush"]);
  await printed(server, /Server listening/);
  return port;
}

for (const situation of SITUATIONS) {
  for (const [name, flags, check] of CASES) {
    test(`iperf3 moves ${name} (${situation.name})`, MACHINE, () =>
      withScope(async (scope) => {
        const { gateway } = situation.family;
        const port = await serve(scope, situation.family);
        const length = flags.includes("-n") ? [] : ["-t", "1"];
        const argv = ["iperf3", "-J", "-c", gateway, "-p", `${port}`, ...length, ...flags];
        const { stdout, stderr } = succeeded(await behind(scope, situation, argv));
        strictEqual(stderr, "");
        check(JSON.parse(stdout) as Report);
      }));
  }
}
