/**
 * Guests in HyperKit's framing, on gvproxy and on `sluice serve`: by the HTTP API's `/connect`, which is all that gvproxy's
 * `-listen` alone offers, by `-listen-vpnkit` and by `-listen-stdio`. The same frames to both get the same answers.
 */

import { test } from "node:test";
import { deepStrictEqual, match, strictEqual } from "node:assert/strict";
import { createHash } from "node:crypto";
import { once } from "node:events";
import { chmodSync, existsSync, readdirSync, writeFileSync } from "node:fs";
import { createServer as createHttp } from "node:http";
import { createServer } from "node:net";
import { join } from "node:path";
import process from "node:process";
import type { ChildProcess } from "node:child_process";
import { toHex } from "../support/bytes.ts";
import { needs } from "../support/capability.ts";
import { run, type RunOptions, type Scope, start, withScope } from "../support/e2e.ts";
import { byConnect, byHandshake, byStdio, carryGuest, type FrameStream } from "../support/frame_stream.ts";
import { USERS } from "../support/guest.ts";
import { findGvproxy } from "../support/gvproxy.ts";
import { arpRequest, dhcpDiscover, dhcpOffer, echoRequest } from "../support/guest_frames.ts";
import { payload } from "../support/payload.ts";
import { askPlainly } from "../support/plain_http.ts";
import { freePort } from "../support/ports.ts";
import { vpnkitHello } from "../support/vm_world.ts";

const MAC = "5a:94:ef:e4:0c:ee";
const UUID = "c3d68012-0208-11ea-9fd7-f2189899ab08";

/** A network in a directory of its own, real or ours, with gvproxy's flags. */
class Network {
  readonly directory: string;
  readonly as: RunOptions;
  readonly #scope: Scope;
  readonly #command: readonly string[];

  constructor(scope: Scope, command: readonly string[], as: RunOptions = {}) {
    this.#scope = scope;
    this.#command = command;
    this.directory = scope.directory();
    chmodSync(this.directory, 0o777);
    const env = { XDG_RUNTIME_DIR: this.directory, TMPDIR: this.directory };
    this.as = { ...as, cwd: this.directory, env };
  }

  path(name: string): string {
    return join(this.directory, name);
  }

  /** Starts it; resolves when its API answers. */
  async start(...flags: string[]): Promise<ChildProcess> {
    const ssh = String(await freePort());
    const argv = [
      ...this.#command,
      ...(flags[0] === "-config" ? [] : ["-ssh-port", ssh]),
      "-listen",
      `unix://${this.path("api.sock")}`,
      ...flags,
    ];
    const child = start(this.#scope, argv, this.as);
    child.stderr!.resume();
    while ((await this.ask("GET", "/leases")).status !== 200) {
      if (child.exitCode !== null) throw new Error(`${this.#command[0]} has ended`);
      await new Promise((done) => setTimeout(done, 20));
    }
    return child;
  }

  ask(method: string, path: string, body = "") {
    return askPlainly(this.path("api.sock"), method, path, body);
  }

  /** The hardware addresses of the guests that are there. */
  async guests(): Promise<string[]> {
    return Object.keys(JSON.parse((await this.ask("GET", "/cam")).body) as object).sort();
  }

  /** Who runs `command` on the network, by a wire that ends here. */
  async guest(stream: FrameStream, command: readonly string[]): Promise<string[]> {
    await carryGuest(this.#scope, this.path("wire.sock"), stream);
    chmodSync(this.path("wire.sock"), 0o777);
    const network = `socket=${this.path("wire.sock")},mode=unixstream,mac=${MAC},dhcp=true`;
    const flags = ["--api", "off", "--annotation", `io.containerd.nerdbox.network.0=${network}`];
    return [this.#scope.binary(), ...flags, "do", "--", ...command];
  }
}

/** Waits until `is` so. */
async function until(is: () => Promise<boolean>, what: string): Promise<void> {
  const end = performance.now() + 20_000;
  while (!(await is())) {
    if (performance.now() > end) throw new Error(`Cannot wait longer for ${what}`);
    await new Promise((done) => setTimeout(done, 20));
  }
}

function gvproxy(): string[] {
  const path = findGvproxy();
  if (path === undefined) throw new Error("Cannot find gvproxy: neither SLUICE_GVPROXY nor PATH name it");
  return [path];
}

/** What a guest hears by each way: who is 192.168.127.1, what DHCP offers, the answer to a ping. */
async function conversation(stream: FrameStream): Promise<unknown> {
  const arp = await stream.ask(
    arpRequest(MAC, "192.168.127.2", "192.168.127.1"),
    (frame) => toHex(frame.subarray(12, 22)) === "08060001080006040002",
  );
  const offer = await stream.ask(dhcpDiscover(MAC), (frame) => dhcpOffer(frame) !== undefined);
  const echo = await stream.ask(
    echoRequest(MAC, toHex(arp.subarray(6, 12)), "192.168.127.2", "192.168.127.1"),
    (frame) => toHex(frame.subarray(12, 14)) === "0800" && frame[23] === 1,
  );
  // What both leave to chance: the identification of the IP packet, and with it its checksum.
  return {
    arp: toHex(arp),
    offer: dhcpOffer(offer),
    echo: [toHex(echo.subarray(0, 18)), toHex(echo.subarray(26))],
  };
}

/** The same by /connect, by the handshake, and by standard input and output; and how each ends. */
async function conversations(scope: Scope, command: readonly string[]): Promise<unknown> {
  const network = new Network(scope, command);
  const server = await network.start("-listen-vpnkit", `unix://${network.path("vpnkit.sock")}`);
  const connected = await byConnect(scope, network.path("api.sock"));
  const byApi = await conversation(connected);
  deepStrictEqual(await network.guests(), [MAC]);
  connected.end();
  await until(async () => (await network.guests()).length === 0, "the guest's end");

  const hello = vpnkitHello(UUID);
  const { stream, answer } = await byHandshake(scope, network.path("vpnkit.sock"), hello);
  const byVpnkit = await conversation(stream);
  stream.end();
  await until(async () => (await network.guests()).length === 0, "the guest's end");
  server.kill("SIGKILL");

  const ssh = String(await freePort());
  const child = start(scope, [...command, "-listen-stdio", "accept", "-ssh-port", ssh], network.as);
  child.stderr!.resume();
  const over = byStdio(child);
  const byPipes = await conversation(over);
  over.end();
  const [status] = await once(child, "exit");
  return { byApi, answer: toHex(answer), byVpnkit, byPipes, status };
}

test(
  "the same frames get gvproxy's answers: /connect, the handshake, standard input and output",
  needs("gvproxy"),
  () =>
    withScope(async (scope) => {
      const theirs = await conversations(scope, gvproxy());
      const ours = await conversations(scope, [scope.binary(), "serve"]);
      deepStrictEqual(ours, theirs);
    }),
);

test(
  "serve -config: the network that gvproxy's file describes",
  needs("tool:curl"),
  () =>
    withScope(async (scope) => {
      const network = new Network(scope, [scope.binary(), "serve"]);
      const local = `127.0.0.1:${await freePort()}`;
      writeFileSync(
        network.path("g.yaml"),
        `
listen: [unix://${network.path("elsewhere.sock")}]
log-file: ${network.path("log")}
services: unix://${network.path("services.sock")}
notification: ${network.path("told.sock")}
stack:
    mtu: 4000
    subnet: 10.9.0.0/24
    gatewayIP: 10.9.0.5
    gatewayMacAddress: 10:11:11:11:11:00
    dns: [{name: crc.testing., records: [{name: api, ip: 10.9.0.7}, {regexp: ^x, ip: 10.9.0.8}], defaultIP: 10.9.0.9}]
    forwards: {"${local}": 10.9.0.7:80}
    dhcpStaticLeases: {10.9.0.7: ${MAC}}
`,
      );
      const told: string[] = [];
      const listener = createServer((socket) => void socket.on("data", (text) => told.push(String(text))));
      await new Promise<void>((resolve) => listener.listen(network.path("told.sock"), resolve));
      scope.defer(() => void listener.close());
      await network.start("-config", network.path("g.yaml"));
      strictEqual(existsSync(network.path("elsewhere.sock")), false, "the command line is in its place");
      const answer = async (path: string) => JSON.parse((await network.ask("GET", path)).body) as unknown;
      deepStrictEqual(await answer("/leases"), { "10.9.0.5": "10:11:11:11:11:00", "10.9.0.7": MAC });
      deepStrictEqual(await answer("/services/forwarder/all"), [
        { local, remote: "10.9.0.7:80", protocol: "tcp" },
      ]);
      deepStrictEqual(await answer("/services/dns/all"), [{
        Name: "crc.testing.",
        Records: [{ Name: "api", IP: "10.9.0.7", Regexp: null }, { Name: "", IP: "10.9.0.8", Regexp: "^x" }],
        DefaultIP: "10.9.0.9",
      }]);
      const services = network.path("services.sock");
      strictEqual((await askPlainly(services, "GET", "/leases")).status, 200);
      strictEqual((await askPlainly(services, "POST", "/connect")).status, 404);
      const guest = await byConnect(scope, network.path("api.sock"));
      const offer = await guest.ask(dhcpDiscover(MAC), (frame) => dhcpOffer(frame) !== undefined);
      deepStrictEqual(dhcpOffer(offer), {
        address: "10.9.0.7",
        1: "255.255.255.0",
        3: "10.9.0.5",
        6: "10.9.0.5",
        26: "15.160",
        51: "0.0.14.16",
        53: "2",
        54: "10.9.0.5",
      });
      const arp = await guest.ask(
        arpRequest(MAC, "10.9.0.7", "10.9.0.5"),
        (frame) => toHex(frame.subarray(12, 22)) === "08060001080006040002",
      );
      strictEqual(toHex(arp.subarray(6, 12)), "101111111100");
      await until(() => Promise.resolve(told.length === 2), "word of the guest");
      guest.end();
      await until(() => Promise.resolve(told.length === 3), "word of its end");
      deepStrictEqual(told, [
        '{"notification_type":"ready"}\n',
        `{"notification_type":"connection_established","mac_address":"${MAC}"}\n`,
        `{"notification_type":"connection_closed","mac_address":"${MAC}"}\n`,
      ]);
    }),
);

const GUEST = needs("root", "userns", "user:tester", "tool:curl", "tool:python3", "tool:ping");

for (const { name, as } of USERS) {
  test(
    `-listen alone has guests by /connect: lease, names, ping, TCP both ways (${name})`,
    GUEST,
    () =>
      withScope(async (scope) => {
        const file = payload(3_000_000);
        const host = createHttp((_request, response) => void response.end(file));
        await new Promise<void>((resolve) => host.listen(0, "127.0.0.1", resolve));
        scope.defer(() => host.closeAllConnections());
        scope.defer(() => void host.close());
        const { port } = host.address() as { port: number };
        const sum = createHash("sha256").update(file).digest("hex");

        const network = new Network(scope, [scope.binary(), "serve"], as);
        const server = await network.start();
        const wire = await byConnect(scope, network.path("api.sock"));
        const script = `ip -4 -o addr show dev eth0 | awk '{print $4}'
        ping -c 1 -W 5 192.168.127.1 >/dev/null && echo pong
        curl -sS --max-time 20 http://host.containers.internal:${port}/ | sha256sum | cut -d' ' -f1
        exec python3 -u -m http.server 80 --bind 192.168.127.2`;
        const guest = start(scope, await network.guest(wire, ["sh", "-c", script]), network.as);
        let said = "";
        guest.stdout!.on("data", (chunk: Uint8Array) => said += new TextDecoder().decode(chunk));
        guest.stderr!.resume();
        await until(() => Promise.resolve(said.includes("Serving HTTP")), "the guest's server");
        deepStrictEqual(said.split("\n").slice(0, 3), ["192.168.127.2/24", "pong", sum]);

        const local = `127.0.0.1:${await freePort()}`;
        const forward = JSON.stringify({ local, remote: "192.168.127.2:80" });
        strictEqual((await network.ask("POST", "/services/forwarder/expose", forward)).status, 200);
        match(
          (await run(["curl", "-sS", "--max-time", "10", `http://${local}/`])).stdout,
          /Directory listing/,
        );

        // Twenty more come by the same door, and go.
        const others = await Promise.all(
          Array.from({ length: 20 }, () => byConnect(scope, network.path("api.sock"))),
        );
        const macs = others.map((_, i) => `02:00:00:00:01:${(i + 16).toString(16)}`);
        await Promise.all(others.map((other, i) =>
          other.ask(
            arpRequest(macs[i]!, `192.168.127.${50 + i}`, "192.168.127.1"),
            (frame) => toHex(frame.subarray(20, 22)) === "0002",
          )
        ));
        deepStrictEqual(await network.guests(), [...macs, MAC]);
        for (const other of others) other.end();
        await until(async () => (await network.guests()).length === 1, "the end of twenty");

        // Frames that are none are the end of who sends them.
        for (const bytes of [[0, 0], [13, 0, 1, 2]]) {
          const bad = await byConnect(scope, network.path("api.sock"));
          bad.write(Uint8Array.from(bytes));
          await bad.ended;
        }
        deepStrictEqual(await network.guests(), [MAC]);
        const { "vm.bad-length": counted } = JSON.parse((await network.ask("GET", "/stats")).body) as Record<
          string,
          number
        >;
        strictEqual(counted, 2);

        // Not its own method: on Deno that says how it ended before it has.
        process.kill(server.pid!, "SIGTERM");
        deepStrictEqual(await once(server, "exit"), [0, null]);
        strictEqual(existsSync(network.path("api.sock")), false);
        deepStrictEqual(readdirSync(network.directory).filter((file) => file !== "wire.sock"), []);
      }),
  );
}
