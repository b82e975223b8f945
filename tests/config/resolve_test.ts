import { test } from "node:test";
import { deepStrictEqual, ok, strictEqual, throws } from "node:assert/strict";
import fc from "fast-check";
import { formatCidr } from "../../lib/config/cidr.ts";
import {
  type Assignment,
  ConfigError,
  FLAG,
  formatOrigin,
  formatProblem,
  type Origin,
} from "../../lib/config/origin.ts";
import { formatPublish } from "../../lib/config/publish.ts";
import { isGiven, resolve, type Resolved, tryResolve } from "../../lib/config/resolve.ts";

const file = (line: number): Origin => ({ kind: "file", path: "s.toml", line, column: 1 });
const set = (flag: string, text: string, origin: Origin = FLAG): Assignment => ({ flag, text, origin });
const from = (...pairs: [string, string][]) => resolve(pairs.map(([flag, text]) => set(flag, text)));
const valueOf = (resolved: Resolved, name: string) =>
  resolved.values.find((value) => value.flag.name === name)!;

test("resolve() of nothing gives the defaults", () => {
  const { settings, warnings, values } = resolve();
  strictEqual(settings.network, "sandbox-passthrough");
  strictEqual(settings.rootless, undefined);
  strictEqual(formatCidr(settings.address), "10.0.2.100/24");
  strictEqual(formatCidr(settings.address6), "fd00::64/64");
  strictEqual(String(settings.gateway), "10.0.2.2");
  strictEqual(String(settings.gateway6), "fd00::2");
  strictEqual(String(settings.dns), "10.0.2.3");
  strictEqual(settings.mtu, 65520);
  strictEqual(settings.mac, undefined);
  deepStrictEqual(settings.publish, []);
  deepStrictEqual(settings.api, { kind: "unix" });
  deepStrictEqual(settings.annotations, {});
  strictEqual(settings.gso, true);
  strictEqual(settings.id, undefined);
  deepStrictEqual(warnings, []);
  ok(values.every(({ origins }) => origins.every((origin) => origin.kind === "default")));
});

test("resolve() lets a later assignment win and remembers who it was", () => {
  const resolved = resolve([set("mtu", "1400", file(3)), set("qdisc", "none", file(4)), set("mtu", "1500")]);
  strictEqual(resolved.settings.mtu, 1500);
  strictEqual(resolved.settings.qdisc, "none");
  deepStrictEqual(valueOf(resolved, "mtu").origins, [FLAG]);
  deepStrictEqual(valueOf(resolved, "qdisc").origins, [file(4)]);
});

test("resolve() adds up a repeatable flag, each value with its origin", () => {
  const resolved = resolve([set("publish", "80:80", file(1)), set("publish", "8000-8001:90-91/udp")]);
  deepStrictEqual(resolved.settings.publish.map(formatPublish), ["80:80/tcp", "8000:90/udp", "8001:91/udp"]);
  deepStrictEqual(valueOf(resolved, "publish").origins, [file(1), FLAG]);
});

test("resolve() empties a repeatable flag that is given empty", () => {
  const resolved = resolve([set("publish", "80:80", file(1)), set("publish", ""), set("publish", "81:81")]);
  deepStrictEqual(resolved.settings.publish.map(formatPublish), ["81:81/tcp"]);
  const emptied = resolve([set("publish", "80:80", file(1)), set("publish", "")]);
  deepStrictEqual(valueOf(emptied, "publish").texts, []);
  deepStrictEqual(valueOf(emptied, "publish").origins, [FLAG]);
});

test("resolve() freezes all the way down", () => {
  const { settings } = from(["publish", "127.0.0.1:80:80"], ["annotation", "a=b"]);
  for (
    const part of [
      settings,
      settings.address,
      settings.address.address,
      settings.publish,
      settings.publish[0]!,
    ]
  ) {
    ok(Object.isFrozen(part));
  }
  throws(() => Object.assign(settings, { mtu: 1 }), TypeError);
  throws(() => Object.assign(settings.annotations, { c: "d" }), TypeError);
});

test("resolve() of its own assignments gives the same again", () => {
  const first = from(["publish", "80:80"], ["address", "192.168.7.9/24"], ["qdisc-tbf-rate", "0x10"]);
  deepStrictEqual(resolve(structuredClone(first.assignments) as Assignment[]), first);
});

const FIELDS: [flag: string, text: string, field: string, want: unknown][] = [
  ["network", "none", "network", "none"],
  ["network", "tsi", "network", "tsi"],
  ["attach", "sockets", "attach", "sockets"],
  ["rootless", "true", "rootless", true],
  ["rootless", "f", "rootless", false],
  ["rootless", "auto", "rootless", undefined],
  ["tx-checksum-offload", "0", "txChecksumOffload", false],
  ["rx-checksum-offload", "1", "rxChecksumOffload", true],
  ["gso", "F", "gso", false],
  ["software-gso", "false", "softwareGso", false],
  ["qdisc-tbf-rate", "12_500_000", "qdiscTbfRate", 12500000],
  ["qdisc-tbf-burst", "0x80000", "qdiscTbfBurst", 524288],
  ["mac", "02:00:00:AA:bb:01", "mac", "02:00:00:aa:bb:01"],
  ["mac", "02-00-00-aa-bb-01", "mac", "02:00:00:aa:bb:01"],
  ["host-uds", "", "hostUds", "none"],
  ["host-uds", "create", "hostUds", "create"],
  ["net-raw", "true", "netRaw", true],
  ["pcap-log", "/tmp/x.pcapng", "pcapLog", "/tmp/x.pcapng"],
  ["debug-log", "", "debugLog", undefined],
  ["log-format", "json", "logFormat", "json"],
  ["api", "off", "api", { kind: "off" }],
  ["api", "127.0.0.1:8080", "api", { kind: "tcp", host: "127.0.0.1", port: 8080 }],
  ["api", "[::1]:0", "api", { kind: "tcp", host: "::1", port: 0 }],
  ["api", "localhost:80", "api", { kind: "tcp", host: "localhost", port: 80 }],
  ["id", "web-1.a_b", "id", "web-1.a_b"],
  ["cwd", "/tmp", "cwd", "/tmp"],
  ["annotation", "a.b/c=d=e", "annotations", { "a.b/c": "d=e" }],
];
for (const [flag, text, field, want] of FIELDS) {
  test(`resolve() reads --${flag}=${text}`, () => {
    deepStrictEqual(from([flag, text]).settings[field as "network"] as unknown, want);
  });
}

const DERIVED: [pairs: [string, string][], gateway: string, dns: string, gateway6: string][] = [
  [[["address", "192.168.7.9/24"]], "192.168.7.2", "192.168.7.3", "fd00::2"],
  [[["address", "192.168.7.2/24"]], "192.168.7.1", "192.168.7.3", "fd00::2"],
  [[["address", "192.168.7.3/24"]], "192.168.7.2", "192.168.7.4", "fd00::2"],
  [[["address", "10.0.2.15/24"]], "10.0.2.2", "10.0.2.3", "fd00::2"],
  [[["address", "10.9.0.1/30"]], "10.9.0.2", "10.9.0.3", "fd00::2"],
  [[["address6", "fd01::9/64"]], "10.0.2.2", "10.0.2.3", "fd01::2"],
  [[["address", "192.168.7.9/24"], ["gateway", "192.168.7.254"]], "192.168.7.254", "192.168.7.3", "fd00::2"],
  [[["address", "192.168.7.9/24"], ["dns", "1.1.1.1"]], "192.168.7.2", "1.1.1.1", "fd00::2"],
  [[["address", "10.0.2.2/24"]], "10.0.2.1", "10.0.2.3", "fd00::2"],
  [[["address", "10.0.2.3/24"]], "10.0.2.2", "10.0.2.4", "fd00::2"],
  [[["gateway", "10.0.2.3"]], "10.0.2.3", "10.0.2.4", "fd00::2"],
  [[["address6", "fd00::2/64"]], "10.0.2.2", "10.0.2.3", "fd00::1"],
  [[["dns", "fd00::3"]], "10.0.2.2", "fd00::3", "fd00::2"],
];
for (const [pairs, gateway, dns, gateway6] of DERIVED) {
  test(`resolve() derives the router from ${pairs.flat().join(" ")}`, () => {
    const { settings } = from(...pairs);
    deepStrictEqual([settings.gateway, settings.dns, settings.gateway6].map(String), [
      gateway,
      dns,
      gateway6,
    ]);
  });
}

test("resolve() says whom a derived value follows", () => {
  const [origin] = valueOf(from(["address", "192.168.7.9/24"]), "gateway").origins;
  strictEqual(formatOrigin(origin!), "default for --address");
});

const TBF: [string, string][] = [["qdisc", "tbf"], ["qdisc-tbf-rate", "1000000"], [
  "qdisc-tbf-burst",
  "65536",
]];
test("resolve() does not care about the order of flags", () => {
  fc.assert(fc.property(fc.shuffledSubarray(TBF, { minLength: 3 }), (pairs) => {
    deepStrictEqual(from(...pairs).settings, from(...TBF).settings);
  }));
});

const REFUSED: [pairs: [string, string][], ...want: string[]][] = [
  [
    [["qdisc", "tbf"]],
    "qdisc=tbf requires setting qdisc-tbf-rate",
    "qdisc=tbf requires setting qdisc-tbf-burst",
  ],
  [[["qdisc", "tbf"], ["qdisc-tbf-rate", "1"]], "qdisc=tbf requires setting qdisc-tbf-burst"],
  [[["qdisc", "tbf"], ["qdisc-tbf-burst", "1"]], "qdisc=tbf requires setting qdisc-tbf-rate"],
  [[["qdisc-tbf-burst", "4294967296"]], "qdisc-tbf-burst must be <= 4294967295, got: 4294967296"],
  [
    [["qdisc-tbf-burst", "18446744073709551615"]],
    "qdisc-tbf-burst must be <= 4294967295, got: 18446744073709551615",
  ],
  [[["qdisc", "htb"]], 'invalid qdisc "htb"'],
  [[["qdisc", ""]], 'invalid qdisc ""'],
  [[["network", "bridge"]], 'invalid network type "bridge"'],
  [[["network", "Host"]], 'invalid network type "Host"'],
  [[["attach", "vm"]], 'invalid attachment "vm"'],
  [[["host-uds", "some"]], 'invalid host UDS type "some"'],
  [[["log-format", "json-k8s"]], 'invalid log format "json-k8s"'],
  [[["qdisc-tbf-rate", "1mbit"]], 'invalid value "1mbit" for flag --qdisc-tbf-rate: parse error'],
  [
    [["qdisc-tbf-rate", "18446744073709551616"]],
    'invalid value "18446744073709551616" for flag --qdisc-tbf-rate: value out of range',
  ],
  [[["gso", "yes"]], 'invalid boolean value "yes" for flag --gso: parse error'],
  [[["rootless", ""]], 'invalid boolean value "" for flag --rootless: parse error'],
  [[["gso", "auto"]], 'invalid boolean value "auto" for flag --gso: parse error'],
  [[["mtu", "1279"]], "mtu must be from 1280 to 65521, got: 1279"],
  [[["mtu", "65522"]], "mtu must be from 1280 to 65521, got: 65522"],
  [[["mtu", "-1"]], 'invalid value "-1" for flag --mtu: parse error'],
  [
    [["mac", "01:00:5e:00:00:01"]],
    'invalid value "01:00:5e:00:00:01" for flag --mac: a group address cannot be an interface\'s',
  ],
  [[["mac", "00:00:00:00:00:00"]], 'invalid value "00:00:00:00:00:00" for flag --mac: all zero'],
  [[["mac", "02:00"]], 'invalid value "02:00" for flag --mac: not a hardware address'],
  [[["address", "10.0.2.300/24"]], 'invalid value "10.0.2.300/24" for flag --address: not an IP address'],
  [[["address", "fd00::1/64"]], 'invalid value "fd00::1/64" for flag --address: not an IPv4 address'],
  [[["address6", "10.0.2.1/24"]], 'invalid value "10.0.2.1/24" for flag --address6: not an IPv6 address'],
  [[["gateway", "host"]], 'invalid value "host" for flag --gateway: not an IP address'],
  [[["gateway", "10.0.2.2/24"]], 'invalid value "10.0.2.2/24" for flag --gateway: not an IP address'],
  [
    [["address", "10.0.2.0/24"]],
    "address=10.0.2.0/24 cannot be the guest's address: it is the network's own address",
  ],
  [
    [["address", "10.0.2.255/24"]],
    "address=10.0.2.255/24 cannot be the guest's address: it is the broadcast address",
  ],
  [
    [["address", "127.0.0.1/8"]],
    "address=127.0.0.1/8 cannot be the guest's address: it is a loopback address",
  ],
  [
    [["address", "224.0.0.1/24"]],
    "address=224.0.0.1/24 cannot be the guest's address: it is a multicast address",
  ],
  [
    [["address6", "::1/64"]],
    "address6=::1/64 cannot be the guest's address: it is a loopback address",
  ],
  [[["gateway", "10.0.3.1"]], "gateway=10.0.3.1 cannot be the guest's router: it is outside 10.0.2.0/24"],
  [
    [["gateway", "10.0.2.100"]],
    "gateway=10.0.2.100 cannot be the guest's router: it is the guest's own address",
  ],
  [
    [["gateway", "10.0.2.255"]],
    "gateway=10.0.2.255 cannot be the guest's router: it is the broadcast address",
  ],
  [[["gateway6", "fd01::2"]], "gateway6=fd01::2 cannot be the guest's router: it is outside fd00::/64"],
  [[["address", "10.0.2.9/32"]], "gateway=10.0.2.2 cannot be the guest's router: it is outside 10.0.2.9/32"],
  [[["dns", "0.0.0.0"]], "dns=0.0.0.0 cannot be a name server: it is not a unicast address"],
  [[["dns", "10.0.2.100"]], "dns=10.0.2.100 cannot be a name server: it is the guest's own address"],
  [
    [["publish", "80"]],
    'invalid value "80" for flag --publish: want [addr:]hostport:[guestaddr:]guestport[/tcp|udp]',
  ],
  [
    [["publish", "80:80"], ["publish", "80:81"]],
    "cannot publish 80:81/tcp: the host port is taken by 80:80/tcp",
  ],
  [[["api", "0.0.0.0:80"]], "api=0.0.0.0:80 is not a loopback address"],
  [[["api", "8080"]], 'invalid value "8080" for flag --api: must be unix, off or HOST:PORT'],
  [
    [["api", "example.org:80"]],
    'invalid value "example.org:80" for flag --api: host "example.org" is neither an IP address nor localhost',
  ],
  [
    [["api", "127.0.0.1:65536"]],
    'invalid value "127.0.0.1:65536" for flag --api: port 65536 is not a number from 0 to 65535',
  ],
  [[["api-token-file", "/t"]], "api-token-file has no meaning with api=unix"],
  [
    [["id", "../x"]],
    'invalid value "../x" for flag --id: must be 1 to 40 letters, digits, dots, dashes and underscores, a letter or digit first',
  ],
  [[["annotation", "x"]], 'invalid value "x" for flag --annotation: want KEY=VALUE'],
  [[["annotation", "=x"]], 'invalid value "=x" for flag --annotation: want KEY=VALUE'],
  [[["nope", "x"]], 'flag "nope" not found. Cannot set it to "x"'],
];
for (const [pairs, ...want] of REFUSED) {
  test(`resolve() refuses ${pairs.map((pair) => pair.join("=")).join(" ")}`, () => {
    const { problems } = tryResolve(pairs.map(([flag, text]) => set(flag, text)));
    deepStrictEqual(problems.map((problem) => problem.message), want);
  });
}

const ALLOWED: [string, string][][] = [
  [["qdisc-tbf-burst", "4294967295"]],
  [["qdisc-tbf-rate", "18446744073709551615"]],
  [["qdisc", "tbf"], ["qdisc-tbf-rate", "1"], ["qdisc-tbf-burst", "1"]],
  [["qdisc", "fifo"], ["qdisc-tbf-rate", "5"]],
  [["api", "0.0.0.0:80"], ["api-allow-remote", "true"]],
  [["api", "127.0.0.1:0"], ["api-token-file", "/t"]],
  [["address", "10.0.2.9/31"], ["gateway", "10.0.2.8"]],
  [["mtu", "1280"]],
  [["mtu", "65521"]],
  [["publish", "80:80"], ["publish", "80:80/udp"]],
];
for (const pairs of ALLOWED) {
  test(`resolve() allows ${pairs.map((pair) => pair.join("=")).join(" ")}`, () => void from(...pairs));
}

test("resolve() finds all problems and names the places", () => {
  const { problems } = tryResolve([
    set("qdisc", "tbf", file(2)),
    set("mtu", "1", file(7)),
    set("gso", "maybe"),
  ]);
  deepStrictEqual(problems.map(formatProblem), [
    'invalid boolean value "maybe" for flag --gso: parse error (true or false)',
    "s.toml:2:1: qdisc=tbf requires setting qdisc-tbf-rate (bytes per second)",
    "s.toml:2:1: qdisc=tbf requires setting qdisc-tbf-burst (bytes)",
    "s.toml:7:1: mtu must be from 1280 to 65521, got: 1",
  ]);
});

test("resolve() throws a ConfigError that knows whether the command line is to blame", () => {
  throws(() => resolve([set("mtu", "1")]), (error) => error instanceof ConfigError && error.isUsage);
  throws(
    () => resolve([set("mtu", "1", file(1))]),
    (error) => error instanceof ConfigError && !error.isUsage,
  );
});

test("resolve() warns of a published port that no mode would serve", () => {
  const { warnings } = from(["network", "none"], ["publish", "8000:80"]);
  deepStrictEqual(warnings, ["publish means nothing with network=none: nothing is published"]);
  deepStrictEqual(from(["publish", "8000:80"]).warnings, []);
});

test("resolve() gives the mode sandbox its only attachment, and refuses another", () => {
  const sandbox = from(["network", "sandbox"]);
  strictEqual(sandbox.settings.attach, "sockets");
  deepStrictEqual(sandbox.warnings, []);
  strictEqual(from(["network", "sandbox"], ["attach", "sockets"]).settings.attach, "sockets");
  throws(
    () => from(["attach", "tap"], ["network", "sandbox"]),
    /attach=tap cannot be used with network=sandbox, which needs attach=sockets \(leave --attach away\)/,
  );
});

test("resolve() warns of flags that mean nothing with the network", () => {
  const flags: [string, string][] = [["mtu", "1400"], ["address", "10.3.0.9/16"], ["publish", "80:80"]];
  deepStrictEqual(from(["network", "sandbox"], ...flags).warnings, [
    "publish means nothing with network=sandbox: the guest listens on the interface itself",
    "address means nothing with network=sandbox: the interface is as it is",
    "mtu means nothing with network=sandbox: the interface is as it is",
  ]);
  deepStrictEqual(from(["force", "true"]).warnings, ["force means nothing with network=sandbox-passthrough"]);
  deepStrictEqual(from(["network", "sandbox"], ["force", "true"], ["gso", "false"]).warnings, []);
});

test("resolve() warns of a shaper that shapes nothing, and not of a ceiling", () => {
  const shaper: [string, string][] = [["qdisc-tbf-rate", "1000000"], ["qdisc-tbf-burst", "100000"]];
  for (const network of ["host", "tsi"]) {
    deepStrictEqual(from(["network", network], ["qdisc", "tbf"], ...shaper).warnings, [
      `qdisc means nothing with network=${network}: nothing is shaped`,
    ]);
    deepStrictEqual(from(["network", network], ...shaper).warnings, []);
  }
  deepStrictEqual(from(["network", "none"], ["qdisc", "tbf"], ...shaper).warnings, [
    "qdisc means nothing with network=none: there is no interface but lo",
  ]);
});

test("resolve() warns of flags that the attachment or an external network does not have", () => {
  deepStrictEqual(from(["attach", "tap"], ["net-raw", "true"], ["host-uds", "all"]).warnings, [
    "net-raw means nothing with attach=tap: the guest's sockets are the kernel's",
    "host-uds means nothing with attach=tap: the guest's sockets are the kernel's",
  ]);
  const lan: [string, string] = [
    "external-network",
    "socket=/run/lan,mode=unixstream,mac=02:00:00:00:00:01,dhcp=true",
  ];
  deepStrictEqual(from(lan, ["mac", "02:00:00:00:00:09"], ["mtu", "1400"]).warnings, [
    "mac means nothing with an external network: the provider's network is as it is",
  ]);
});

test("resolve() refuses ports and impatience on an external network", () => {
  const lan: [string, string] = ["external-network", "socket=/run/lan,mode=unixstream,mac=02:00:00:00:00:01"];
  throws(
    () => from(lan, ["publish", "8080:80"]),
    /cannot publish a port on an external network \(ports there/,
  );
  for (const seconds of ["0", "3601"]) {
    throws(() => from(lan, ["address-wait", seconds]), /address-wait must be from 1 to 3600, got: /);
  }
  strictEqual(from(lan, ["address-wait", "3600"]).settings.addressWait, 3_600);
});

test("isGiven() tells what somebody said from what follows", () => {
  strictEqual(isGiven(from(), "mtu"), false);
  strictEqual(isGiven(from(["mtu", "65520"]), "mtu"), true);
  strictEqual(isGiven(from(["network", "tsi"]), "attach"), false);
});

test("resolve() refuses the name of a runtime without a file to find it in", () => {
  throws(() => from(["runtime", "runsc"]), /runtime=runsc is looked for in Docker's daemon.json/);
});

test("resolve() keeps an annotation named __proto__ an ordinary one", () => {
  const { settings } = from(["annotation", "__proto__=x"]);
  deepStrictEqual(Object.keys(settings.annotations), ["__proto__"]);
});

test("tryResolve() never throws", () => {
  const flag = fc.constantFrom(...resolve().values.map((value) => value.flag.name), "nope");
  const text = fc.oneof(
    fc.string(),
    fc.constantFrom("true", "0", "10.0.0.1/8", "::1", "80:80", "a=b", "unix", "tbf"),
  );
  fc.assert(
    fc.property(
      fc.array(fc.record({ flag, text, origin: fc.constant(FLAG) })),
      (list) => void tryResolve(list),
    ),
  );
});
