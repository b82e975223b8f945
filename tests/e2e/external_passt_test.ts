/**
 * External networks by passt, as root and as an ordinary user, on both attachments: addresses by DHCP and router
 * advertisements, names, TCP and UDP of both families, with real programs.
 */

import { test } from "node:test";
import { deepStrictEqual, match, ok, strictEqual } from "node:assert/strict";
import { createHash } from "node:crypto";
import { chmodSync } from "node:fs";
import { join } from "node:path";
import { needs } from "../support/capability.ts";
import { type Finished, printed, type RunOptions, type Scope, withScope } from "../support/e2e.ts";
import { succeeded, USERS } from "../support/guest.ts";
import { Lab, LAB4, LAB6, WORLD4, WORLD6 } from "../support/lab.ts";

const NEEDS = needs("root", "tun", "userns", "user:tester", "tool:passt", "tool:iperf3", "tool:dig");
const MAC = "02:00:00:00:00:01";
const ATTACHMENTS = ["tap", "sockets"] as const;

class Passt {
  readonly lab: Lab;
  readonly socket: string;
  readonly #sluice: string;

  private constructor(lab: Lab, socket: string, sluice: string) {
    this.lab = lab;
    this.socket = socket;
    this.#sluice = sluice;
  }

  /** A lab with passt in it. */
  static async make(scope: Scope, more: readonly string[] = []): Promise<Passt> {
    const lab = await Lab.make(scope, `nameserver ${WORLD4}\n`);
    await lab.serveOutside("tests/support/dns_server.ts", [WORLD4]);
    const routes = `ip route add default via ${WORLD4}; ip -6 route add default via ${WORLD6}`;
    succeeded(await lab.run(["sh", "-ec", routes]));
    const directory = scope.directory();
    chmodSync(directory, 0o777);
    const passt = new Passt(lab, join(directory, "passt.sock"), scope.binary());
    const flags = ["--no-map-gw", "--search", "example.org", ...more];
    const server = lab.start(["passt", "-f", "--socket", passt.socket, ...flags]);
    await printed(server, /You can now start qemu/, "stderr");
    // passt runs as nobody, and what it makes is nobody's.
    chmodSync(passt.socket, 0o777);
    return passt;
  }

  /** A shell on the network. */
  run(
    script: string,
    attachment: string,
    as: RunOptions,
    fields = "dhcp=true",
    flags: readonly string[] = [],
  ): Promise<Finished> {
    const network =
      `io.containerd.nerdbox.network.0=socket=${this.socket},mode=unixstream,mac=${MAC},${fields}`;
    const argv = [
      this.#sluice,
      "--attach",
      attachment,
      "--annotation",
      network,
      ...flags,
      "do",
      "--",
      "sh",
      "-c",
      script,
    ];
    return this.lab.run(argv, { ...as, limit: 60_000 });
  }
}

/** 2 MiB, and the sum of them. */
const BODY_SUM = createHash("sha256").update(Uint8Array.from({ length: 2 << 20 }, (_, i) => i)).digest("hex");
const HTTP = "exec python3 -c 'import http.server, socket\n" +
  "class S(http.server.ThreadingHTTPServer): address_family = socket.AF_INET6\n" +
  "class H(http.server.BaseHTTPRequestHandler):\n def do_GET(s): s.send_response(200); s.end_headers(); s.wfile.write(bytes(range(256)) * 8192)\n" +
  's = S(("::", 8000), H); print("ready", flush=True); s.serve_forever()\'';

for (const attachment of ATTACHMENTS) {
  for (const { name, as } of USERS) {
    test(
      `passt: a guest of attachment ${attachment} is on the network (${name})`,
      NEEDS,
      () =>
        withScope(async (scope) => {
          const passt = await Passt.make(scope);
          await printed(passt.lab.startOutside(["sh", "-c", HTTP]), /^ready$/m);
          // One for each test: a server that goes on hangs up on who comes before it listens anew.
          for (const port of ["5201", "5202", "5203"]) {
            const server = passt.lab.startOutside(["iperf3", "-s", "-1", "-p", port, "--forceflush"]);
            await printed(server, /Server listening/);
          }
          const sums = "sha256sum | cut -d' ' -f1";
          const script = `ip -4 -o addr show dev eth0 | awk '{print $4}'
          ip -6 -o addr show dev eth0 scope global | awk '{print $4}' | sort
          ip link show dev eth0 | grep -o 'mtu [0-9]*'
          grep -E '^(nameserver|search)' /etc/resolv.conf
          dig +short +tries=1 A www.test; dig +short +tcp +tries=1 AAAA www.test
          curl -s -m 10 http://${WORLD4}:8000/ | ${sums}
          curl -s -m 10 'http://[${WORLD6}]:8000/' | ${sums}
          iperf3 -J -p 5201 -c ${WORLD4} -n 20M | jq '.error // .end.sum_sent.bytes >= 20971520'
          # A receiver may be told that the test is over before the last of it is counted.
          iperf3 -J -p 5202 -c ${WORLD6} -R -n 20M | jq '.error // .end.sum_received.bytes >= 10485760'
          # No more datagrams than a socket holds.
          iperf3 -J -p 5203 -c ${WORLD4} -u -b 4M -n 80K -l 1200 | jq '.error // .end.sum.lost_packets'`;
          const { stdout } = succeeded(await passt.run(script, attachment, as));
          const lines = stdout.trim().split("\n");
          deepStrictEqual(lines.slice(0, 8), [
            `${LAB4}/24`,
            // passt gives the host's own address by DHCPv6, as it does by DHCP, and advertises its prefix.
            `${LAB6}/128`,
            "2001:db8:1::ff:fe00:1/64",
            "mtu 65520",
            `nameserver ${WORLD4}`,
            "search example.org",
            "198.51.100.7",
            "2001:db8::7",
          ]);
          strictEqual(lines[8], lines[9]);
          strictEqual(lines[8], BODY_SUM);
          deepStrictEqual(lines.slice(10), ["true", "true", "0"]);
        }),
    );
  }

  const mtu = attachment === "tap" ? 1_500 : 4_000;
  test(
    `passt: a configured address needs nobody's word, and the first host is the gateway (${attachment}, MTU ${mtu})`,
    NEEDS,
    () =>
      withScope(async (scope) => {
        const passt = await Passt.make(scope, ["--dns-forward", "198.51.100.65"]);
        const script =
          "ip -4 route show default; grep ^nameserver /etc/resolv.conf; ip link show eth0 | grep -o 'mtu [0-9]*'; dig +short +tries=1 A www.test";
        const { stdout } = succeeded(
          await passt.run(
            script,
            attachment,
            {},
            "addr=198.51.100.77/26,addr=2001:db8:1::77/64",
            mtu === 1_500 ? [] : [`--mtu=${mtu}`],
          ),
        );
        const [route, ...rest] = stdout.trim().split("\n");
        match(route!, /^default via 198\.51\.100\.65 dev eth0/);
        deepStrictEqual(rest, ["nameserver 198.51.100.65", `mtu ${mtu}`, "198.51.100.7"]);
      }),
  );
}

const RATE = 2_000_000, BURST = 100_000, BYTES = 1_000_000;
/** Takes all, and then says how much that was. */
const SINK = `
import socket
s = socket.create_server(("::", 8001), family=socket.AF_INET6, dualstack_ipv6=True)
print("ready", flush=True)
c, _ = s.accept(); n = 0
while d := c.recv(1 << 20): n += len(d)
c.sendall(str(n).encode())
`;
const UPLOAD = `
import socket, time
s = socket.create_connection(("${WORLD4}", 8001))
t = time.monotonic(); s.sendall(bytes(${BYTES})); s.shutdown(socket.SHUT_WR)
# As long as the count is: the clock stops here, and what may follow is no part of the upload.
print(int(s.recv(${String(BYTES).length})), time.monotonic() - t)
`;

for (const attachment of ATTACHMENTS) {
  test(
    `passt: tbf holds what the guest uploads (${attachment})`,
    NEEDS,
    () =>
      withScope(async (scope) => {
        const passt = await Passt.make(scope);
        await printed(passt.lab.startOutside(["python3", "-c", SINK]), /^ready$/m);
        const flags = ["--qdisc=tbf", `--qdisc-tbf-rate=${RATE}`, `--qdisc-tbf-burst=${BURST}`];
        const { stdout } = succeeded(
          await passt.run(`python3 -c '${UPLOAD}'`, attachment, {}, "dhcp=true", flags),
        );
        const [received, seconds] = stdout.trim().split(" ").map(Number);
        strictEqual(received, BYTES);
        ok(seconds! >= (BYTES - BURST) / RATE * 0.99, `${BYTES} bytes took ${seconds} s`);
      }),
  );
}

test(
  "without a DHCP server the program does not start, and the message says why",
  NEEDS,
  () =>
    withScope(async (scope) => {
      const lab = await Lab.make(scope);
      const socket = join(scope.directory(), "deaf.sock");
      await printed(
        lab.start(["socat", "-d", "-d", `UNIX-LISTEN:${socket},fork,mode=777`, "SYSTEM:sleep 60"]),
        /listening/,
        "stderr",
      );
      const network = `io.containerd.nerdbox.network.0=socket=${socket},mode=unixstream,mac=${MAC},dhcp=true`;
      const { status, stderr, stdout } = await lab.run(
        [scope.binary(), "--address-wait=1", "--annotation", network, "do", "--", "echo", "started"],
      );
      strictEqual(status, 125);
      strictEqual(stdout, "");
      match(
        stderr,
        /^sluice: network 0 has no address after 1 s: no DHCP server gave it one \(is .* a provider that answers DHCP\? else use addr=\)\n$/,
      );
    }),
);

test(
  "a provider that is not there is an error, and so is a port to publish",
  NEEDS,
  () =>
    withScope(async (scope) => {
      const lab = await Lab.make(scope);
      const sluice = scope.binary();
      const socket = join(scope.directory(), "nobody.sock");
      const network = `io.containerd.nerdbox.network.0=socket=${socket},mode=unixstream,mac=${MAC},dhcp=true`;
      const missing = await lab.run([sluice, "--annotation", network, "do", "--", "true"]);
      deepStrictEqual([missing.status, missing.stderr], [
        125,
        `sluice: cannot join network 0 by unixstream socket ${socket}: no such file or directory (ENOENT): nobody listens there ` +
        "(start the provider first)\n",
      ]);
      const published = await lab.run([sluice, "--annotation", network, "-p", "8080:80", "do", "--", "true"]);
      strictEqual(published.status, 2);
      match(published.stderr, /^sluice: wrong usage: cannot publish a port on an external network \(/);
    }),
);
