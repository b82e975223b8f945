/**
 * `ip`, `tc`, `ss` and `ls` as a user runs them, against an API with known facts behind it.
 *
 * @module
 */

import { deepEqual, equal, match } from "node:assert/strict";
import { mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import process from "node:process";
import { test } from "node:test";
import { abbreviation, readSelection, readWords } from "../../lib/cli/observe.ts";
import { Instances } from "../../lib/cli/instances.ts";
import { createApi } from "../../lib/control/api.ts";
import { LOOPBACK_HOSTS, UNIX_HOSTS } from "../../lib/control/middleware/host_allow_list.ts";
import { serveHttp } from "../../lib/host/http_server.ts";
import { FakeEngine } from "../control/fake_engine.ts";
import { type Finished, PROJECT, run } from "../support/e2e.ts";

const CLI = `${PROJECT}cli.ts`;
// The runtime under test runs the program, too.
const OURSELVES = "Deno" in globalThis
  ? [process.execPath, "run", "-A", "--unstable-ffi", "--no-check", "--quiet", CLI]
  : [process.execPath, CLI];

type Sluice = (...words: string[]) => Promise<Finished>;

/** Instances with these ids, and the program that sees them and no others. */
async function withInstances(ids: readonly string[], body: (sluice: Sluice) => Promise<void>): Promise<void> {
  const base = mkdtempSync(`${tmpdir()}/sluice-observe-`);
  const undo: (() => void)[] = [];
  try {
    mkdirSync(`${base}/sluice`, { mode: 0o700 });
    const instances = new Instances(`${base}/sluice`);
    for (const [i, id] of ids.entries()) {
      const token = id === "remote" ? "a-token-that-is-long" : undefined;
      const app = createApi({
        engine: new FakeEngine(),
        settings: {},
        id,
        allowedHosts: token === undefined ? UNIX_HOSTS : LOOPBACK_HOSTS,
        ...(token === undefined ? {} : { token }),
      });
      const where = token === undefined ? { unix: instances.socketPath(id) } : { host: "127.0.0.1", port: 0 };
      const server = serveHttp(where, (request) => app.fetch(request));
      undo.push(() => server.close());
      undo.push(instances.register({
        id,
        pid: process.pid,
        api: "unix" in where ? where.unix : `http://127.0.0.1:${server.port}`,
        network: "sandbox-passthrough",
        attach: "tap",
        command: ["curl", "http://example.org/\u001b[31m"],
        started: `2026-01-01T00:00:0${i}Z`,
      }, token));
    }
    await body((...words) => run([...OURSELVES, ...words], { env: { XDG_RUNTIME_DIR: base } }));
  } finally {
    for (const one of undo.reverse()) one();
    rmSync(base, { recursive: true, force: true });
  }
}

test("sluice ip answers for the only instance, by abbreviation, as text and as JSON", async () => {
  await withInstances(["one"], async (sluice) => {
    const [text, json, six, stats, device, neighbours] = await Promise.all([
      sluice("ip", "a"),
      sluice("ip", "-j", "addr", "one"),
      sluice("ip", "-6", "r"),
      sluice("ip", "-s", "-j", "link"),
      sluice("ip", "-j", "address", "show", "dev", "eth0", "on"),
      sluice("ip", "-4", "neigh", "list"),
    ]);
    match(
      text.stdout,
      /^1: lo: <LOOPBACK,UP,LOWER_UP>[^]*\n2: eth0: .*\n {4}link\/ether 02:11:22:33:44:55 brd/,
    );
    deepEqual(JSON.parse(json.stdout).map((link: { ifname: string }) => link.ifname), ["lo", "eth0"]);
    equal(six.stdout.split("\n")[1], "default via fd00::2 dev eth0 proto static metric 1024 pref medium");
    equal(JSON.parse(stats.stdout)[1].stats64.rx.bytes, 1500);
    deepEqual(JSON.parse(device.stdout).map((link: { ifname: string }) => link.ifname), ["eth0"]);
    equal(
      neighbours.stdout,
      "10.0.2.2 dev eth0 lladdr 02:aa:bb:cc:dd:ee REACHABLE\n10.0.2.9 dev eth0 INCOMPLETE\n",
    );
    for (const { status, stderr } of [text, json, six, stats, device, neighbours]) {
      deepEqual([status, stderr], [0, ""]);
    }
  });
});

test("sluice tc and ss answer as text and as JSON", async () => {
  await withInstances(["one"], async (sluice) => {
    const [plain, stats, json, all, connected, udp, sockets] = await Promise.all([
      sluice("tc", "qdisc"),
      sluice("tc", "-s", "qdisc", "show", "dev", "eth0"),
      sluice("tc", "-j", "qdisc"),
      sluice("ss", "-tuanp"),
      sluice("ss", "-tn"),
      sluice("ss", "-u", "-a", "-H"),
      sluice("ss", "-taj"),
    ]);
    equal(plain.stdout.split("\n").length, 3);
    match(stats.stdout, /^qdisc tbf 8001: dev eth0 .*\n Sent 4200 bytes 42 pkt .*\n backlog 2Kb 2p/);
    deepEqual(Object.keys(JSON.parse(json.stdout)[1]), [
      "kind",
      "handle",
      "dev",
      "root",
      "refcnt",
      "options",
    ]);
    equal(all.stdout.split("\n").length, 5);
    match(connected.stdout, /^State .*Process\nESTAB .*10\.0\.2\.100:40000 .*192\.0\.2\.1:443\n$/);
    match(udp.stdout, /^UNCONN .*\[::1\]:53 /);
    deepEqual(JSON.parse(sockets.stdout).map((one: { state: string }) => one.state), ["LISTEN", "ESTAB"]);
  });
});

test("sluice ls shows the instances without their tokens or a command's control characters", async () => {
  await withInstances(["one", "remote"], async (sluice) => {
    const text = await sluice("ls");
    match(
      text.stdout,
      /^ID +PID +NETWORK +ATTACH +STARTED +COMMAND\none +\d+ +sandbox-passthrough +tap +2026/,
    );
    equal(text.stdout.includes("\u001b"), false);
    const json = await sluice("ls", "-j");
    const [one, remote] = JSON.parse(json.stdout);
    deepEqual(Object.keys(one), ["id", "pid", "api", "network", "attach", "command", "started"]);
    match(one.api, /\/sluice\/one\.sock$/);
    match(remote.api, /^http:\/\/127\.0\.0\.1:\d+$/);
    equal(json.stdout.includes("a-token"), false);
    // The token is in the private file, so that a TCP API is as easy to ask as a unix socket.
    const addresses = await sluice("ip", "-j", "addr", "remote");
    equal(JSON.parse(addresses.stdout).length, 2);
  });
});

test("sluice ls of nothing is an empty list", async () => {
  await withInstances([], async (sluice) => {
    equal((await sluice("ls", "-j")).stdout, "[]\n");
  });
});

const MISTAKES: [words: string, status: number, stderr: RegExp][] = [
  ["ip", 2, /^sluice: wrong usage: name an object: addr, link, route or neigh/],
  ["ip rule", 2, /^sluice: wrong usage: unknown object "rule"/],
  ["ip -z addr", 2, /^sluice: wrong usage: unknown option -z/],
  ["ls demo", 2, /^sluice: wrong usage: ls takes -j and nothing else, got "demo"/],
  ["ip addr one two", 2, /^sluice: wrong usage: unexpected "two"/],
  ["ip addr show dev eth9 one", 1, /^sluice: Device "eth9" does not exist/],
  ["tc class", 2, /^sluice: wrong usage: the object is qdisc/],
  ["ss -tz", 2, /^sluice: wrong usage: unknown option -tz/],
  ["ip addr", 2, /^sluice: cannot tell which instance is meant: running are one, other \(name one of them\)/],
  ["ip addr three", 125, /^sluice: cannot find instance "three": running are one, other/],
];
for (const [words, status, stderr] of MISTAKES) {
  test(`sluice ${words} is answered with status ${status} and one line`, async () => {
    await withInstances(["one", "other"], async (sluice) => {
      const finished = await sluice(...words.split(" "));
      equal(finished.status, status);
      match(finished.stderr, stderr);
      equal(finished.stderr.split("\n").length, 2);
      equal(finished.stdout, "");
    });
  });
}

test("abbreviation() prefers as iproute2 does", () => {
  const objects = ["address", "route", "neighbour", "neighbor", "link"] as const;
  deepEqual(
    ["a", "addr", "r", "ro", "n", "neigh", "neighbor", "l", "li", "x", ""].map((word) =>
      abbreviation(word, objects)
    ),
    [
      "address",
      "address",
      "route",
      "route",
      "neighbour",
      "neighbour",
      "neighbor",
      "link",
      "link",
      undefined,
      undefined,
    ],
  );
});

test("readWords() tells options from words, and takes bundles only where they are usual", () => {
  const known = { j: "json", json: "json", t: "tcp" };
  const read = (args: string[], bundled = false) => {
    const { options, words } = readWords(args, known, bundled);
    return [[...options], words];
  };
  deepEqual(read(["-j", "addr", "--json", "-"]), [["json"], ["addr", "-"]]);
  deepEqual(read(["-tj"], true), [["tcp", "json"], []]);
  for (const args of [["-tj"], ["--constructor"], ["-toString"]]) {
    match(String(trying(() => read(args))), /unknown option/);
  }
});

test("readSelection() reads show, dev and an id", () => {
  deepEqual(readSelection([]), { device: undefined, id: undefined });
  deepEqual(readSelection(["show", "dev", "eth0", "x"]), { device: "eth0", id: "x" });
  deepEqual(readSelection(["s", "x"]), { device: undefined, id: "x" });
  match(String(trying(() => readSelection(["dev"]))), /dev needs/);
  match(String(trying(() => readSelection(["add", "10.0.0.1/8"]))), /unexpected "10\.0\.0\.1\/8"/);
});

function trying(body: () => unknown): unknown {
  try {
    return body();
  } catch (error) {
    return error;
  }
}
