/** Captures of a running stack: with the API, with `sluice capture`, and on stdout; read by tshark, or not read at all. */

import { test } from "node:test";
import { deepStrictEqual, match, ok, strictEqual } from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { createConnection } from "node:net";
import process from "node:process";
import { needs } from "../support/capability.ts";
import { printed, run, type Scope, start, withScope } from "../support/e2e.ts";
import { User } from "../support/user.ts";

const MACHINE = needs("root", "tun", "userns", "user:tester", "tool:tshark", "tool:curl", "tool:jq");

/** Milliseconds after which something that has not happened will not. */
const PATIENCE = 20_000;

/** Says `ready`, and pings for each line that it is told. */
const PINGER = `echo ready; while read target; do ping -q -c1 -W5 $target >/dev/null && echo pinged; done`;

/** What tshark makes of a file, one line per packet; fails for anything it complains about. */
async function read(path: string, ...fields: string[]): Promise<string[]> {
  const words = fields.flatMap((field) => ["-e", field]);
  const { stdout, stderr, status } = await run(["tshark", "-n", "-r", path, "-T", "fields", ...words]);
  strictEqual(stderr.replace(/^Running as user.*\n/, ""), "");
  strictEqual(status, 0);
  return stdout.trimEnd().split("\n");
}

async function pinging(scope: Scope, name: string, flags: readonly string[]) {
  const user = new User(scope, name);
  const guest = start(scope, [user.sluice, ...flags, "do", "--", "sh", "-c", PINGER], user.options);
  await printed(guest, /ready/);
  const ping = async (target: string) => {
    const answered = printed(guest, /pinged/);
    guest.stdin!.write(`${target}\n`);
    await answered;
  };
  /** Starts `sluice capture` into a file, and waits until it has begun. */
  const capture = async (file: string, ...words: string[]) => {
    const path = join(user.options.env!["XDG_RUNTIME_DIR"]!, file);
    const reader = start(scope, [user.sluice, "capture", ...words, "-w", path], user.options);
    const deadline = Date.now() + PATIENCE;
    const begun = () => {
      try {
        return readFileSync(path).length > 0;
      } catch {
        return false;
      }
    };
    // The section header is there as soon as frames are looked at.
    while (!begun()) {
      if (Date.now() > deadline || reader.exitCode !== null) throw new Error("the capture did not begin");
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
    const ended = new Promise<number | null>((resolve) => reader.once("exit", resolve));
    return { path, reader, ended };
  };
  /** Tells the guest that there is nothing more to do. */
  const over = async () => {
    const gone = new Promise((resolve) => guest.once("exit", resolve));
    guest.stdin!.end();
    await gone;
  };
  return { user, ping, capture, over };
}

for (const [name, attach] of [["root", "tap"], ["tester", "sockets"]] as const) {
  test(
    `several captures at once show what passes, each what it was asked for (${attach}, ${name})`,
    MACHINE,
    () =>
      withScope(async (scope) => {
        const { ping, capture, over } = await pinging(scope, name, [`--attach=${attach}`]);
        const all = await capture("all.pcapng");
        const some = await capture("some.pcapng", "-i", "eth0", "-s", "64");
        await ping("10.0.2.2");
        await over();
        deepStrictEqual([await all.ended, await some.ended], [0, 0]);
        const echo = (lines: string[]) => lines.filter((line) => /\t(8|0)\t/.test(line));
        const fields = ["frame.interface_name", "icmp.type", "frame.cap_len", "frame.len"];
        deepStrictEqual(echo(await read(all.path, ...fields)), ["eth0\t8\t98\t98", "eth0\t0\t98\t98"]);
        deepStrictEqual(echo(await read(some.path, ...fields)), ["eth0\t8\t64\t98", "eth0\t0\t64\t98"]);
      }),
  );
}

test(
  "a capture shows the loopback, and says why a frame was dropped",
  MACHINE,
  () =>
    withScope(async (scope) => {
      const { ping, capture, over, user } = await pinging(scope, "tester", ["--attach=sockets"]);
      const { path, ended } = await capture("lo.pcapng");
      await ping("127.0.0.1");
      await over();
      await ended;
      deepStrictEqual(await read(path, "frame.interface_name", "icmp.type"), ["lo\t8", "lo\t0"]);
      const dropped = join(user.options.env!["XDG_RUNTIME_DIR"]!, "dropped.pcapng");
      const script = "echo hello > /dev/udp/127.0.0.1/9; ping -q -c1 127.0.0.1 > /dev/null";
      const words = ["--attach=sockets", "--pcap-log", dropped, "do", "--", "bash", "-c", script];
      strictEqual((await user.run(...words)).status, 0);
      const all = await read(dropped, "frame.interface_name", "udp.dstport", "frame.comment");
      ok(all.includes("lo\t9\tdropped: udp.no-endpoint"), all.join("\n"));
    }),
);

test(
  "sluice capture ends on SIGINT, tells who is wrong, and does not write to a terminal",
  MACHINE,
  () =>
    withScope(async (scope) => {
      const { user, capture } = await pinging(scope, "root", []);
      const { reader, ended } = await capture("a.pcapng");
      process.kill(reader.pid!, "SIGINT");
      strictEqual(await ended, 0);
      const wrong = await user.run("capture", "-i", "eth9");
      strictEqual(wrong.status, 125);
      match(wrong.stderr, /^sluice: cannot ask \w+: Cannot find device "eth9": there are lo, eth0\n$/);
      const unwritable = await user.run("capture", "-w", "/nowhere/a.pcapng");
      match(
        unwritable.stderr,
        /^sluice: cannot write \/nowhere\/a\.pcapng: no such file or directory \(ENOENT\)\n$/,
      );
      const terminal = `script -qec '${user.sluice} capture' /dev/null`;
      match((await run(["sh", "-c", terminal], user.options)).stdout, /cannot write a capture to a terminal/);
    }),
);

test("a capture goes to stdout with --pcap-log=-, whole", MACHINE, () =>
  withScope(async (scope) => {
    const user = new User(scope, "tester");
    const argv =
      `${user.sluice} --pcap-log=- do -- sh -c 'ping -q -c3 -i0.2 10.0.2.2 >&2' | tshark -n -r - -Y icmp`;
    const env = { ...user.options.env, HOME: "/nonexistent" };
    const { stdout, stderr, status } = await run(["sh", "-c", argv], { ...user.options, env });
    strictEqual(status, 0, stderr);
    strictEqual(stdout.trimEnd().split("\n").length, 6, stdout);
    ok(!/damaged|cut short|warning/i.test(stderr), stderr);
  }));

test(
  "a FIFO as --pcap-log holds nobody up: not before it is read, not when it is full",
  MACHINE,
  () =>
    withScope(async (scope) => {
      const user = new User(scope, "tester");
      const fifo = join(user.options.env!["XDG_RUNTIME_DIR"]!, "fifo");
      strictEqual((await run(["mkfifo", fifo], user.options)).status, 0);
      // Four megabytes on the loopback, of which the FIFO holds one.
      const script = "import socket\ns=socket.create_server(('127.0.0.1',0))\n" +
        "c=socket.create_connection(s.getsockname());a,_=s.accept()\n" +
        "for i in range(64):\n c.sendall(bytes(65536));n=0\n while n<65536: n+=len(a.recv(65536))\nprint('done')";
      const words = ["--attach=sockets", "--pcap-log", fifo, "do", "--", "python3", "-c", script];
      const { stdout, stderr, status } = await run([user.sluice, ...words], {
        ...user.options,
        limit: 20_000,
      });
      deepStrictEqual([status, stdout], [0, "done\n"], stderr);
      match(stderr, /Cannot write all packets to .*EAGAIN/i);
    }),
);

test(
  "readers that do not read cost what they may, and those that leave make room",
  MACHINE,
  () =>
    withScope(async (scope) => {
      const user = new User(scope, "tester");
      // 24 MB to a gateway that refuses them, once it is known where that is.
      const script = `
import socket, sys, time
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.sendto(b"who are you?", ("10.0.2.2", 9))
time.sleep(0.3)
print("ready", flush=True)
for line in sys.stdin:
    for i in range(400):
        try: s.sendto(bytes(60000), ("10.0.2.2", 9))
        except OSError: pass
    print("sent", flush=True)
`;
      const guest = start(scope, [user.sluice, "do", "--", "python3", "-c", script], user.options);
      await printed(guest, /ready/);
      const path = await user.socket();
      /** Asks and reads nothing of the answer but its head. */
      const idle = async () => {
        const socket = createConnection({ path });
        socket.on("error", () => {});
        socket.write("GET /v1/capture HTTP/1.1\r\nHost: sluice\r\n\r\n");
        const head = await new Promise<string>((resolve) => {
          socket.once("data", (data: Uint8Array) => resolve(new TextDecoder("latin1").decode(data)));
        });
        socket.pause();
        return { socket, status: /^HTTP\/1\.1 (\d+)/.exec(head)?.[1] };
      };
      const readers = [];
      for (let i = 0; i < 8; i++) readers.push(await idle());
      deepStrictEqual(readers.map(({ status }) => status), Array(8).fill("200"));
      const ninth = await user.curl("/v1/capture");
      deepStrictEqual([ninth.status, JSON.parse(ninth.body).code], [503, "too-many-captures"]);
      const sent = printed(guest, /sent/);
      guest.stdin!.write("go\n");
      await sent;
      const { counters } = JSON.parse((await user.curl("/v1/stats")).body);
      ok(counters["capture.frames-lost"] > 8 * 100, JSON.stringify(counters));
      for (const { socket } of readers) socket.destroy();
      // The server learns of it in its own time.
      for (const deadline = Date.now() + PATIENCE;;) {
        const again = await idle();
        again.socket.destroy();
        if (again.status === "200") break;
        if (Date.now() > deadline) throw new Error("no room was made");
        await new Promise((resolve) => setTimeout(resolve, 20));
      }
    }),
);
