/**
 * What programs of every make believe about the network when they ask: `ip`, `ss`, `tc`, `ifconfig`, getifaddrs of two C
 * libraries, node, python. All must see the stack; who may change it is in `sockets_administration_test.ts`.
 */

import { test } from "node:test";
import { deepStrictEqual, match, ok, strictEqual } from "node:assert/strict";
import { type Finished, type RunOptions, type Scope, withScope } from "../support/e2e.ts";
import { needs } from "../support/capability.ts";
import { behind, succeeded, USERS } from "../support/guest.ts";

const MACHINE = needs("root", "userns", "user:tester");
const FLAGS = ["--attach=sockets", "--mac=02:73:6c:00:00:64"];

function guest(scope: Scope, as: RunOptions, argv: readonly string[]): Promise<Finished> {
  return behind(scope, { as }, argv, { flags: FLAGS });
}

interface Row {
  readonly name: string;
  readonly argv: readonly string[];
  readonly expected: string;
}

const LO = "lo: <LOOPBACK,UP,LOWER_UP> mtu 65536 qdisc noqueue state UNKNOWN";
const ETH0 = "eth0: <BROADCAST,MULTICAST,UP,LOWER_UP> mtu 65520 qdisc pfifo state UP";

const ROWS: readonly Row[] = [
  {
    name: "ip addr",
    argv: ["ip", "addr"],
    expected: `1: ${LO} group default qlen 1000
    link/loopback 00:00:00:00:00:00 brd 00:00:00:00:00:00
    inet 127.0.0.1/8 scope host lo
       valid_lft forever preferred_lft forever
    inet6 ::1/128 scope host 
       valid_lft forever preferred_lft forever
2: ${ETH0} group default qlen 1000
    link/ether 02:73:6c:00:00:64 brd ff:ff:ff:ff:ff:ff
    inet 10.0.2.100/24 brd 10.0.2.255 scope global eth0
       valid_lft forever preferred_lft forever
    inet6 fd00::64/64 scope global 
       valid_lft forever preferred_lft forever
    inet6 fe80::73:6cff:fe00:64/64 scope link 
       valid_lft forever preferred_lft forever
`,
  },
  {
    name: "ip -4 -o addr show dev eth0",
    argv: ["ip", "-4", "-o", "addr", "show", "dev", "eth0"],
    expected: "2: eth0    inet 10.0.2.100/24 brd 10.0.2.255 scope global eth0\\       " +
      "valid_lft forever preferred_lft forever\n",
  },
  {
    name: "ip link show eth0",
    argv: ["ip", "link", "show", "eth0"],
    expected: `2: ${ETH0} mode DEFAULT group default qlen 1000
    link/ether 02:73:6c:00:00:64 brd ff:ff:ff:ff:ff:ff
`,
  },
  {
    name: "ip route",
    argv: ["ip", "route"],
    expected: `default via 10.0.2.2 dev eth0 proto static 
10.0.2.0/24 dev eth0 proto kernel scope link src 10.0.2.100 
`,
  },
  {
    name: "ip -6 route",
    argv: ["ip", "-6", "route"],
    expected: `fd00::/64 dev eth0 proto kernel metric 256 pref medium
fe80::/64 dev eth0 proto kernel metric 256 pref medium
default via fd00::2 dev eth0 proto static metric 1024 pref medium
`,
  },
  {
    name: "ip route show table local",
    argv: ["ip", "route", "show", "table", "local"],
    expected: `local 10.0.2.100 dev eth0 proto kernel scope host src 10.0.2.100 
broadcast 10.0.2.255 dev eth0 proto kernel scope link src 10.0.2.100 
local 127.0.0.0/8 dev lo proto kernel scope host src 127.0.0.1 
local 127.0.0.1 dev lo proto kernel scope host src 127.0.0.1 
broadcast 127.255.255.255 dev lo proto kernel scope link src 127.0.0.1 
`,
  },
  {
    name: "ip rule",
    argv: ["ip", "rule"],
    expected: "0:\tfrom all lookup local\n32766:\tfrom all lookup main\n32767:\tfrom all lookup default\n",
  },
  {
    name: "ip route get to an IPv6 address",
    argv: ["ip", "route", "get", "2001:db8::1"],
    expected: "2001:db8::1 from :: via fd00::2 dev eth0 proto static src fd00::64 metric 1024 pref medium\n",
  },
  {
    name: "tc qdisc",
    argv: ["tc", "qdisc"],
    expected:
      "qdisc noqueue 0: dev lo root refcnt 2 \nqdisc pfifo 8001: dev eth0 root refcnt 2 limit 1000p\n",
  },
  {
    name: "python's if_nameindex",
    argv: ["python3", "-c", "import socket; print(socket.if_nameindex(), socket.if_nametoindex('eth0'))"],
    expected: "[(1, 'lo'), (2, 'eth0')] 2\n",
  },
  {
    name: "getaddrinfo with AI_ADDRCONFIG",
    argv: [
      "python3",
      "-c",
      `import socket
for host in ("192.0.2.1", "2001:db8::1"):
    print(socket.getaddrinfo(host, 80, type=socket.SOCK_STREAM, flags=socket.AI_ADDRCONFIG)[0][4][0])`,
    ],
    expected: "192.0.2.1\n2001:db8::1\n",
  },
  {
    name: "the netlink exchange of musl",
    argv: [
      "python3",
      "-c",
      `import socket, struct
s = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 0)
for kind in (18, 22):
    s.send(struct.pack("=IHHIIB3x", 20, kind, 0x301, 1, 0, 0))
    types = []
    while not types or types[-1] != 3:
        data = s.recv(8192, socket.MSG_DONTWAIT)
        while data:
            size, type = struct.unpack_from("=IH", data)
            types.append(type)
            data = data[(size + 3) & ~3:]
    print(types)`,
    ],
    expected: "[16, 16, 3]\n[20, 20, 20, 20, 20, 3]\n",
  },
  {
    name: "netlink protocols that are not there",
    argv: [
      "python3",
      "-c",
      `import socket
for protocol in (9, 12, 15, 16):
    try: socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, protocol)
    except OSError as error: print(error.strerror)`,
    ],
    expected: "Protocol not supported\n".repeat(4),
  },
];

for (const { name: user, as } of USERS) {
  for (const { name, argv, expected } of ROWS) {
    test(`${name} tells of the stack (${user})`, MACHINE, () =>
      withScope(async (scope) => {
        const result = succeeded(await guest(scope, as, argv));
        strictEqual(result.stdout, expected);
        strictEqual(result.stderr, "");
      }));
  }

  test(`ip route get says who asks (${user})`, MACHINE, () =>
    withScope(async (scope) => {
      const result = succeeded(await guest(scope, as, ["ip", "route", "get", "192.0.2.1"]));
      match(result.stdout, /^192\.0\.2\.1 via 10\.0\.2\.2 dev eth0 src 10\.0\.2\.100 uid \d+ \n +cache \n$/);
    }));

  test(`ip -j and sluice ip print the same interfaces (${user})`, MACHINE, () =>
    withScope(async (scope) => {
      const result = succeeded(await guest(scope, as, ["ip", "-j", "addr"]));
      const links = JSON.parse(result.stdout) as { ifname: string; addr_info: { local: string }[] }[];
      deepStrictEqual(links.map(({ ifname, addr_info }) => [ifname, addr_info.map(({ local }) => local)]), [
        ["lo", ["127.0.0.1", "::1"]],
        ["eth0", ["10.0.2.100", "fd00::64", "fe80::73:6cff:fe00:64"]],
      ]);
    }));

  test(
    `ifconfig and busybox read the interfaces by ioctl (${user})`,
    MACHINE,
    () =>
      withScope(async (scope) => {
        const script = "ifconfig eth0; busybox ifconfig eth0";
        const { stdout } = succeeded(await guest(scope, as, ["sh", "-c", script]));
        match(stdout, /inet 10\.0\.2\.100 {2}netmask 255\.255\.255\.0 {2}broadcast 10\.0\.2\.255/);
        match(stdout, /inet addr:10\.0\.2\.100 {2}Bcast:10\.0\.2\.255 {2}Mask:255\.255\.255\.0/);
        match(stdout, /ether 02:73:6c:00:00:64/);
      }),
  );

  test(`node lists the interfaces (${user})`, MACHINE, () =>
    withScope(async (scope) => {
      const script = `const i = os.networkInterfaces();
        console.log(JSON.stringify(Object.entries(i).map(([n, a]) => [n, a.map((x) => x.cidr)])))`;
      const { stdout } = succeeded(await guest(scope, as, ["node", "-e", script]));
      deepStrictEqual(JSON.parse(stdout), [
        ["lo", ["127.0.0.1/8", "::1/128"]],
        ["eth0", ["10.0.2.100/24", "fd00::64/64", "fe80::73:6cff:fe00:64/64"]],
      ]);
    }));

  test(`ss lists the guest's sockets (${user})`, MACHINE, () =>
    withScope(async (scope) => {
      const script = `import socket, subprocess
listener = socket.create_server(("127.0.0.1", 7777))
client = socket.create_connection(("127.0.0.1", 7777))
server, _ = listener.accept()
udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
udp.bind(("0.0.0.0", 5353))
subprocess.run(["ss", "-Htuan"], check=True)`;
      const { stdout } = succeeded(await guest(scope, as, ["python3", "-c", script]));
      const lines = stdout.trim().split("\n").map((line) => line.split(/\s+/));
      strictEqual(lines.length, 4, stdout);
      const shown = (what: string, local: string) =>
        ok(
          lines.some(([kind, state, , , address]) => `${kind} ${state}` === what && address === local),
          stdout,
        );
      shown("udp UNCONN", "0.0.0.0:5353");
      shown("tcp LISTEN", "127.0.0.1:7777");
      shown("tcp ESTAB", "127.0.0.1:7777");
    }));

  test(
    `who may not administer the network changes nothing (${user})`,
    MACHINE,
    () =>
      withScope(async (scope) => {
        const commands = [
          "ip addr add 192.0.2.1/32 dev eth0",
          "ip link set eth0 down",
          "ip link add name d0 type dummy",
          "ip route del default",
          "ip neigh add 10.0.2.9 lladdr 02:00:00:00:00:09 dev eth0",
          "ifconfig eth0 192.0.2.1",
          "tc qdisc add dev eth0 root fq",
        ];
        const script = commands.map((command) => `${command} >&2 && echo done`).join("; ");
        const without = ["setpriv", "--bounding-set=-net_admin", "--inh-caps=-all"];
        const result = await guest(scope, as, [...(user === "root" ? without : []), "sh", "-c", script]);
        strictEqual(result.stdout, "");
        // ifconfig says it twice: about the address, and about the interface being up.
        strictEqual(
          result.stderr.match(/Operation not permitted/g)?.length,
          commands.length + 1,
          result.stderr,
        );
      }),
  );
}

for (const { name, as } of USERS) {
  test(
    `ss tells whose a socket is, and how its connection fares (${name})`,
    MACHINE,
    () =>
      withScope(async (scope) => {
        const program = `
import os, socket, subprocess
server = socket.create_server(("127.0.0.1", 4000))
client = socket.create_connection(("127.0.0.1", 4000))
accepted, _ = server.accept()
client.sendall(b"x" * 1000)
accepted.recv(1000, socket.MSG_WAITALL)
datagrams = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
datagrams.bind(("127.0.0.1", 5000))
print(os.getpid(), server.fileno(), client.fileno(), accepted.fileno(), datagrams.fileno(), flush=True)
subprocess.run(["ss", "-OHntuapi"])`;
        const { stdout } = succeeded(await guest(scope, as, ["python3", "-c", program]));
        const [numbers, ...lines] = stdout.trim().split("\n");
        const [pid, server, client, accepted, datagrams] = numbers!.split(" ");
        const line = (descriptor: string | undefined) =>
          lines.find((one) => one.includes(`users:(("python3",pid=${pid},fd=${descriptor}))`)) ??
            `none of ${descriptor} in ${stdout}`;
        match(line(server), /^tcp\s+LISTEN .* 127\.0\.0\.1:4000 /);
        match(line(client), /^tcp\s+ESTAB .*127\.0\.0\.1:4000 .* bytes_acked:1000 /);
        match(line(accepted), /^tcp\s+ESTAB .* 127\.0\.0\.1:4000 .* bytes_received:1000 /);
        match(line(datagrams), /^udp\s+UNCONN .* 127\.0\.0\.1:5000 /);
      }),
  );
}
