/** What the flags of `serve` come to, and which are refused. */

import { deepStrictEqual, match, strictEqual } from "node:assert/strict";
import { test } from "node:test";
import { readArguments } from "../../lib/cli/arguments.ts";
import type { VmEndpoint } from "../../lib/attach/vm/endpoint.ts";
import type { CommandContext } from "../../lib/cli/command.ts";
import { serveFlags } from "../../lib/config/serve_flags.ts";
import { type ServeOptions, serveOptions } from "../../lib/cli/serve_options.ts";
import { NO_WIRE_OFFLOAD, type WireOffload } from "../../lib/link/offload.ts";
import { formatPublish } from "../../lib/config/publish.ts";
import { loadSources } from "../../lib/config/load.ts";
import { resolve } from "../../lib/config/resolve.ts";
import { commandLine } from "../support/command_line.ts";

function options(...args: string[]): ServeOptions {
  const read = readArguments(args, { own: serveFlags, table: "global" });
  const resolved = resolve(read.assignments);
  return serveOptions({ flags: read.own, settings: resolved.settings, resolved } as CommandContext);
}

/** What is negotiated is for another test. */
function withoutOffload({ offload: _, ...endpoint }: VmEndpoint) {
  return endpoint;
}

test("serve of one's own: no privilege to the host's loopback, no zones", () => {
  const { network, network6, mtu, isGvproxy, zones, leases, publish, listen } = options(
    "--listen",
    "unixstream:///run/vm.sock",
    "--listen=qemu+tcp://127.0.0.1:1234",
  );
  strictEqual(
    `${network.gateway} ${network.device} ${network.host}`,
    "192.168.127.1 192.168.127.2 192.168.127.254",
  );
  strictEqual(String(network6.gateway), "fd00::1");
  deepStrictEqual([mtu, isGvproxy, zones, leases, publish], [1_500, false, [], [], []]);
  deepStrictEqual(listen.map(withoutOffload), [
    { kind: "unixstream", path: "/run/vm.sock" },
    { kind: "tcp", address: "127.0.0.1", port: 1234 },
  ]);
});

test("gvproxy's flags bring gvproxy's defaults", () => {
  const { listen, api, services, isGvproxy, zones, leases, publish, mtu, network } = options(
    "-listen",
    "unix:///tmp/api.sock",
    "-listen=tcp://127.0.0.1:7777",
    "-services=unix:///tmp/services.sock",
    "-listen-qemu=unix:///tmp/q.sock",
    "-listen-vfkit=unixgram:/tmp/v.sock",
    "-listen-bess=unixpacket:///tmp/b.sock",
    "-mtu=4000",
    "-subnet=10.1.0.0/16",
    "--lease=02:00:00:00:00:01=10.1.0.9",
  );
  deepStrictEqual(listen.map((one) => one.kind), ["unixstream", "unixgram", "unixpacket"]);
  deepStrictEqual(api, [
    { unix: "/tmp/api.sock" },
    { host: "127.0.0.1", port: 7777 },
  ]);
  deepStrictEqual(services, [{ unix: "/tmp/services.sock" }]);
  strictEqual(isGvproxy, true);
  strictEqual(mtu, 4_000);
  strictEqual(String(network.host), "10.1.255.254");
  deepStrictEqual(zones.map(({ name }) => name), ["containers.internal.", "docker.internal."]);
  deepStrictEqual(leases, [
    { mac: "02:00:00:00:00:01", address: "10.1.0.9" },
    { mac: "5a:94:ef:e4:0c:ee", address: "10.1.0.2" },
  ]);
  deepStrictEqual(publish.map(formatPublish), ["127.0.0.1:2222:10.1.0.2:22/tcp"]);
  deepStrictEqual(options("-listen-vfkit=unixgram:///v", "-ssh-port=-1").publish, []);
});

test("what guests speak who come by /connect is what those on other streams speak", () => {
  const api = "-listen=unix:///api.sock";
  const cases: readonly [flags: string[], protocol: string][] = [
    [[], "hyperkit"],
    [["-listen-vpnkit=unix:///v"], "hyperkit"],
    [["-listen-vfkit=unixgram:///v"], "hyperkit"],
    [["-listen-qemu=unix:///q"], "qemu"],
    [["-listen-qemu=tcp://127.0.0.1:1"], "qemu"],
    [["--listen=unixstream:///q"], "qemu"],
  ];
  for (const [flags, protocol] of cases) strictEqual(options(api, ...flags).connect, protocol, flags.join());
});

test("standard input and output are a guest's wire, whatever the word", () => {
  for (const word of ["accept", "x"]) {
    const { stdio, listen, isGvproxy } = options(`-listen-stdio=${word}`);
    deepStrictEqual([stdio, listen, isGvproxy], [true, [], true], word);
  }
  const { listen } = options("-listen-vpnkit=tcp://127.0.0.1:9", "-listen-vpnkit=unix:///v");
  deepStrictEqual(listen.map(withoutOffload), [
    { kind: "tcp", address: "127.0.0.1", port: 9, protocol: "vpnkit" },
    { kind: "unixstream", path: "/v", protocol: "vpnkit" },
  ]);
});

/** What flags and a file of gvproxy's come to. */
async function configured(
  file: string,
  ...args: string[]
): Promise<ServeOptions & { readonly said: string }> {
  const read = readArguments(["--config=g.yaml", ...args], { own: serveFlags, table: "global" });
  const { assignments, problems } = await loadSources(read.assignments, () => file);
  deepStrictEqual(problems, []);
  const resolved = resolve(assignments);
  let said = "";
  const stderr = (text: string) => void (said += text);
  const context = {
    flags: read.own,
    settings: resolved.settings,
    resolved,
    stderr,
  } as unknown as CommandContext;
  return { ...serveOptions(context), said };
}

test("the file that says what gvproxy does without one does that", async () => {
  const file = `
log-level: info
listen: [unix:///api.sock]
stack:
    mtu: 1500
    subnet: 192.168.127.0/24
    gatewayIP: 192.168.127.1
    deviceIP: 192.168.127.2
    hostIP: 192.168.127.254
    gatewayMacAddress: 5a:94:ef:e4:0c:dd
    dns:
        - {name: containers.internal., records: [{name: gateway, ip: 192.168.127.1}, {name: host, ip: 192.168.127.254}]}
        - {name: docker.internal., records: [{name: gateway, ip: 192.168.127.1}, {name: host, ip: 192.168.127.254}]}
    nat: {192.168.127.254: 127.0.0.1}
    gatewayVirtualIPs: [192.168.127.254]
    dhcpStaticLeases: {192.168.127.2: 5a:94:ef:e4:0c:ee}
    vpnKitUUIDMacAddresses: {c3d68012-0208-11ea-9fd7-f2189899ab08: 5a:94:ef:e4:0c:ee}
`;
  const { said, searchDomains, gatewayMac, ...fromFile } = await configured(file);
  deepStrictEqual([said, searchDomains, gatewayMac], ["", [], "5a:94:ef:e4:0c:dd"]);
  deepStrictEqual(fromFile, options("-listen=unix:///api.sock", "-ssh-port=-1"));
});

test("with a file gvproxy's zones, leases and forwards are not there unasked", async () => {
  const { zones, leases, publish, isGvproxy, network, searchDomains, said } = await configured(
    "listen: [unix:///api.sock]\nstack: {subnet: 10.1.0.0/16}",
    "-ssh-port=3000",
  );
  deepStrictEqual([zones, leases, publish, isGvproxy, searchDomains], [[], [], [], true, []]);
  strictEqual(`${network.host}`, "10.1.255.254");
  match(said, /ssh-port means nothing with gvproxy's configuration file/);
});

test("the command line is in the place of what the file says of sockets, and wins", async () => {
  const file = `
listen: [unix:///a, unix:///b]
interfaces: {qemu: unix:///q, vfkit: unixgram:///v}
stack: {subnet: 10.1.0.0/16, gatewayIP: 10.1.0.5}
`;
  const { api, listen, network } = await configured(
    file,
    "-listen=unix:///c",
    "-listen-qemu=unix:///r",
    "-gatewayIP=10.1.0.6",
  );
  deepStrictEqual(api, [{ unix: "/c" }]);
  deepStrictEqual(listen.map((one) => "path" in one ? one.path : ""), ["/r", "/v"]);
  strictEqual(`${network.gateway}`, "10.1.0.6");
});

test("a file of gvproxy's is for serve", async () => {
  const ran = await commandLine(["--config=g.yaml", "do", "--", "true"], { "g.yaml": "" });
  deepStrictEqual([ran.status, ran.stderr], [
    2,
    "sluice: wrong usage: g.yaml is gvproxy's configuration, which only serve reads\n",
  ]);
});

test("serve -version is the version, whatever else there is", async () => {
  const ran = await commandLine(["serve", "-version", "-listen=unix:///a"]);
  match(ran.stdout, /^sluice [0-9.]+ /);
  strictEqual(ran.status, 0);
});

test("a file's table of serve is below the command line, and lists add up", () => {
  const origin = { kind: "file", path: "s.toml", line: 1, column: 1 } as const;
  const file = [
    ["serve.listen", "unixstream:///a"],
    ["serve.subnet", "10.1.0.0/16"],
    ["serve.lease-time", "600"],
  ].map(([flag, text]) => ({ flag: flag!, text: text!, origin }));
  const read = readArguments(["--listen=unixgram:///b", "--lease-time=700"], {
    own: serveFlags,
    table: "global",
  });
  const resolved = resolve([...file, ...read.assignments]);
  const { listen, network, leaseTime } = serveOptions(
    { flags: read.own, settings: resolved.settings, resolved } as CommandContext,
  );
  deepStrictEqual(listen.map(({ kind }) => kind), ["unixstream", "unixgram"]);
  deepStrictEqual([`${network.gateway}`, leaseTime], ["10.1.0.1", 700]);
});

const GUEST = "VIRTIO_NET_F_GUEST_";
const OFFLOADS: readonly [args: string[], offload: Partial<WireOffload>][] = [
  [["--listen=unixgram:///v"], {}],
  [["--listen=unixgram:///v", "--enable-tso"], { tcp4: true, tcp6: true }],
  [["--listen=unixgram:///v", "--enable-tso=false"], {}],
  [["--listen=unixgram:///v", "--enable-checksum-offload"], {}],
  [["-listen-qemu=unix:///v,vnet_hdr=true"], { vnetHeader: 12 }],
  [["--listen=unixstream:///v,vnet_hdr=1", "--enable-checksum-offload"], { vnetHeader: 12, checksums: true }],
  [["--listen=unixpacket:///v,vnet_hdr=true", "--enable-tso"], {
    vnetHeader: 12,
    checksums: true,
    tcp4: true,
    tcp6: true,
  }],
  // krunkit's `offloading=on`: COMPAT_NET_FEATURES.
  [[
    `--listen=unixgram:///v,features=VIRTIO_NET_F_CSUM|${GUEST}CSUM|${GUEST}TSO4|${GUEST}UFO|VIRTIO_NET_F_HOST_TSO4`,
  ], { tcp4: true }],
  [[`--listen=qemu+tcp://127.0.0.1:1,features=${GUEST}CSUM|${GUEST}TSO6`], { tcp6: true }],
  [["--listen=unixgram:///a,b=c"], {}],
  [["--listen=vpnkit+unix:///a", "--enable-tso", "--enable-checksum-offload"], {}],
];

for (const [args, offload] of OFFLOADS) {
  test(`what guests take: ${args.join(" ")}`, () => {
    deepStrictEqual(options(...args).listen.map((one) => one.offload), [{ ...NO_WIRE_OFFLOAD, ...offload }]);
  });
}

const A = "--listen=unixgram:///nowhere/a";
const REFUSED: readonly [args: string[], status: number, message: RegExp][] = [
  [[], 2, /cannot serve: no socket is named/],
  [["--services=unix:///api.sock"], 2, /no socket is named/],
  [["--listen=vsock://:1024"], 125, /cannot serve gvproxy's API on "vsock:\/\/:1024":[^]*AF_VSOCK[^]*socat/],
  [["-listen-stdio=accept", "--ready-fd=1"], 2, /something else is to be written there/],
  [["-listen-stdio=accept", "--pcap-log=-"], 2, /something else is to be written there/],
  [["-listen-stdio="], 2, /no socket is named/],
  [["--listen=nonsense"], 2, /cannot listen on "nonsense": want unixgram:\/\/PATH/],
  [["--listen=vpnkit+unix:///a,vnet_hdr=true"], 2, /HyperKit's guests have no vnet_hdr=true/],
  [["--listen=unixgram:///a,features=TSO"], 2, /unknown feature "TSO" \(names joined by/],
  [[`--listen=unixgram:///a,features=${GUEST}TSO4`], 2, /has VIRTIO_NET_F_GUEST_CSUM, too/],
  [["--listen=unixgram:///a,vnet_hdr=true", "--mtu=65510"], 2, /with vnet_hdr the largest MTU is 65509/],
  [["--listen=unixgram:///a,vnet_hdr=maybe"], 2, /vnet_hdr is true or false, not "maybe"/],
  [["--listen=unixgram:///a,vnet_hdr=true,mac=1"], 2, /unknown field "mac=1"/],
  [["--listen=unixgram:///a", "--enable-tso=perhaps"], 2, /invalid boolean value/],
  [["--listen=unixstream://"], 2, /it names no socket/],
  [["--listen=qemu+tcp://example.com:1"], 2, /"example.com" is not an IP address/],
  [["--listen=unixgram:///nowhere/a", "--listen=unixgram:///nowhere/a"], 2, /twice/],
  [["--listen=tcp://0.0.0.0:80"], 2, /want unix:\/\/PATH or tcp:\/\/127.0.0.1:PORT/],
  [["-listen-vfkit=unix:///a"], 2, /vfkit listen address must be unixgram:\/\/ address/],
  [["-listen-bess=unix:///a"], 2, /bess listen address must be unixpacket:\/\/ address/],
  [["-listen-qemu=/a"], 2, /qemu listen address must be unix:\/\/ or tcp:\/\/ address/],
  [
    ["-listen-vfkit=unixgram:///nowhere/a", "-ssh-port=22"],
    2,
    /ssh-port value must be between 1024 and 65535/,
  ],
  [
    ["-listen-vfkit=unixgram:///nowhere/a", "-forward-sock=/x"],
    2,
    /-forward-sock, -forward-dest, -forward-user and -forward-identity must be given together/,
  ],
  [
    [
      "-listen-vfkit=unixgram:///nowhere/a",
      ...["-forward-sock=/x", "-forward-dest=/y", "-forward-user=core", "-forward-identity=/nowhere/id"],
    ],
    125,
    /identity file \/nowhere\/id can't be loaded/i,
  ],
  [
    [
      "-listen-vfkit=unixgram:///nowhere/a",
      ...[
        "-forward-sock=npipe:///x",
        "-forward-dest=/y",
        "-forward-user=core",
        "-forward-identity=/etc/passwd",
      ],
    ],
    2,
    /URI scheme not supported: npipe/,
  ],
  [["-listen-vpnkit=unixgram:///a"], 2, /vpnkit listen address must be unix:\/\/ or tcp:\/\/ address/],
  [
    ["-listen=unix:///api.sock", "-notification=tcp://a"],
    2,
    /notification listen address must be unix:\/\/ address/,
  ],
  [["-ec2-metadata-access"], 125, /cannot serve with -ec2-metadata-access/],
  [["--listen=unixgram:///nowhere/a", "--subnet=ten"], 2, /failed to parse subnet "ten"/],
  [["--listen=unixgram:///nowhere/a", "--subnet=10.0.0.0/30"], 2, /subnet too small/],
  [["--listen=unixgram:///nowhere/a", "--subnet=10.0.0.0/8"], 2, /subnet too large/],
  [["--listen=unixgram:///nowhere/a", "--subnet6=fd00::/80"], 2, /a \/64 only/],
  [
    ["--listen=unixgram:///nowhere/a", "--lease=02:00:00:00:00:01=192.168.127.1"],
    2,
    /is not free for a guest/,
  ],
  [["--listen=unixgram:///nowhere/a", "--lease=02:00:00:00:00:01=10.0.0.9"], 2, /is outside the subnet/],
  [
    ["--listen=unixgram:///nowhere/a", "--lease=01:00:00:00:00:01=192.168.127.9"],
    2,
    /is no address of an interface/,
  ],
  [["--listen=unixgram:///nowhere/a", "--dns-record=a b=1.2.3.4"], 2, /"a b" is no name/],
  [["--listen=unixgram:///nowhere/a", "--lease-time=5"], 2, /want a number from 60/],
  [["--listen=unixgram:///nowhere/a", "-p=80:192.168.127.1:80"], 2, /is the gateway, not a guest/],
  [[A, "-gatewayIP=192.168.128.1"], 2, /IP \(192\.168\.128\.1\) not in subnet \(192\.168\.127\.0\/24\)/],
  [[A, "-deviceIP=192.168.127.0"], 2, /IP must not be address of subnet: 192\.168\.127\.0/],
  [[A, "-hostIP=192.168.127.255"], 2, /IP must not be broadcast address: 192\.168\.127\.255/],
  [[A, "-hostIP=192.168.127.1"], 2, /IP addresses need to be distinct/],
  [[A, "-gatewayIP=x"], 2, /invalid IP address: x/],
  [["--listen=unixgram:///nowhere/a", "extra"], 2, /serve takes no arguments/],
];

for (const [args, status, message] of REFUSED) {
  test(`serve ${args.join(" ")} is refused`, async () => {
    const ran = await commandLine(["serve", ...args]);
    match(ran.stderr, message);
    strictEqual(ran.stderr.trimEnd().split("\n").length, 1);
    strictEqual(ran.status, status);
  });
}
