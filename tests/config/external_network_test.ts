import { test } from "node:test";
import { deepStrictEqual, match, ok, strictEqual } from "node:assert/strict";
import fc from "fast-check";
import { formatCidr } from "../../lib/config/cidr.ts";
import {
  compareNetworkNames,
  type ExternalNetwork,
  MAX_EXTERNAL_NETWORKS,
  parseExternalNetwork,
} from "../../lib/config/external_network.ts";
import { readJsonFile } from "../../lib/config/file_json.ts";
import { readTomlFile } from "../../lib/config/file_toml.ts";
import { FLAG, formatProblem } from "../../lib/config/origin.ts";
import { resolve, tryResolve } from "../../lib/config/resolve.ts";

const LEAST = "socket=/run/p.sock,mode=unixstream,mac=02:00:00:00:00:01";

function read(text: string): ExternalNetwork {
  const reading = parseExternalNetwork(text, "0");
  ok("network" in reading, JSON.stringify(reading));
  return reading.network;
}

test("parseExternalNetwork() reads the least there can be", () => {
  deepStrictEqual(parseExternalNetwork(LEAST, "7"), {
    network: {
      name: "7",
      socket: "/run/p.sock",
      transport: "unixstream",
      mac: "02:00:00:00:00:01",
      addresses: [],
      dhcp: false,
      features: 0,
      vfkit: false,
      vnetHeader: false,
    },
    warnings: [],
  });
});

test("parseExternalNetwork() reads every field", () => {
  const network = read(
    "socket=/a=b c,mode=unixgram,mac=AA-bb-CC-dd-ee-0f,addr=192.168.127.2/24,addr=fd00::2/64," +
      "features=VIRTIO_NET_F_CSUM|VIRTIO_NET_F_HOST_UFO,vfkit=T,vnet_hdr=1",
  );
  strictEqual(network.socket, "/a=b c");
  strictEqual(network.mac, "aa:bb:cc:dd:ee:0f");
  deepStrictEqual(network.addresses.map(formatCidr), ["192.168.127.2/24", "fd00::2/64"]);
  strictEqual(network.features, 1 | 1 << 14);
  ok(network.vfkit && network.vnetHeader && !network.dhcp);
});

test("parseExternalNetwork() lets the last of a repeated field win", () => {
  const network = read(`socket=/x,dhcp=true,${LEAST},dhcp=false,mac=0200.0000.0002`);
  deepStrictEqual([network.socket, network.dhcp, network.mac], ["/run/p.sock", false, "02:00:00:00:00:02"]);
});

test("parseExternalNetwork() assumes a mask where there is none, and says so", () => {
  const reading = parseExternalNetwork(`${LEAST},addr=192.168.127.2,addr=fd00::7`, "0");
  ok("network" in reading);
  deepStrictEqual(reading.network.addresses.map(formatCidr), ["192.168.127.2/24", "fd00::7/64"]);
  deepStrictEqual(reading.warnings, [
    "addr=192.168.127.2 has no mask; /24 is assumed",
    "addr=fd00::7 has no mask; /64 is assumed",
  ]);
});

const REFUSED: [text: string, message: string][] = [
  ["", "invalid network field: "],
  ["socket", "invalid network field: socket"],
  ["socket=", "invalid network field: socket="],
  [`${LEAST},`, "invalid network field: "],
  [`${LEAST},dhcp`, "invalid network field: dhcp"],
  ["=x", "unknown network field: "],
  [`${LEAST},mtu=1500`, "unknown network field: mtu"],
  [`${LEAST}, dhcp=true`, "unknown network field:  dhcp"],
  [`${LEAST},name=x`, "unknown network field: name"],
  [`${LEAST},__proto__=x`, "unknown network field: __proto__"],
  [`${LEAST},constructor=x`, "unknown network field: constructor"],
  [`${LEAST},mode=unix`, "invalid network mode: unix"],
  [`${LEAST},mode=UNIXGRAM`, "invalid network mode: UNIXGRAM"],
  [`${LEAST},mac=02:00`, "parsing MAC address: address 02:00: invalid MAC address"],
  [`${LEAST},mac=x`, "parsing MAC address: address x: invalid MAC address"],
  [
    `${LEAST},mac=02:00-00:00:00:01`,
    "parsing MAC address: address 02:00-00:00:00:01: invalid MAC address",
  ],
  [`${LEAST},mac=020000000001`, "parsing MAC address: address 020000000001: invalid MAC address"],
  [`${LEAST},mac=02:00:00:00:00:01:00:01`, "invalid MAC address: 8 bytes, not 6"],
  [`${LEAST},mac=01:00:5e:00:00:01`, "invalid MAC address: multicast bit is set"],
  [`${LEAST},mac=ff-ff-ff-ff-ff-ff`, "invalid MAC address: multicast bit is set"],
  [
    `${LEAST},dhcp=yes`,
    'parsing DHCP field: strconv.ParseBool: parsing "yes": invalid syntax',
  ],
  [
    `${LEAST},vfkit=2`,
    'parsing vfkit field: strconv.ParseBool: parsing "2": invalid syntax',
  ],
  [
    `${LEAST},vnet_hdr=tRUE`,
    'parsing vnet_hdr field: strconv.ParseBool: parsing "tRUE": invalid syntax',
  ],
  [
    `${LEAST},addr=10.0.0`,
    'parsing address: netip.ParsePrefix("10.0.0"): ParseAddr("10.0.0"): unable to parse IP',
  ],
  [
    `${LEAST},addr=10.0.0.1/`,
    'parsing address: netip.ParsePrefix("10.0.0.1/"): bad bits after slash: ""',
  ],
  [
    `${LEAST},addr=10.0.0.1/024`,
    'parsing address: netip.ParsePrefix("10.0.0.1/024"): bad bits after slash: "024"',
  ],
  [
    `${LEAST},addr=10.0.0.1/33`,
    'parsing address: netip.ParsePrefix("10.0.0.1/33"): prefix length out of range',
  ],
  [
    `${LEAST},addr=fd00::1/129`,
    'parsing address: netip.ParsePrefix("fd00::1/129"): prefix length out of range',
  ],
  [
    `${LEAST},addr=fd00::1/99999999999999999999`,
    'parsing address: netip.ParsePrefix("fd00::1/99999999999999999999"): prefix length out of range',
  ],
  [
    `${LEAST},addr=fe80::1%eth0/64`,
    'parsing address: netip.ParsePrefix("fe80::1%eth0/64"): IPv6 zones cannot be present in a prefix',
  ],
  [
    `${LEAST},addr=0.0.0.0/24`,
    "parsing address: 0.0.0.0/24 cannot be the guest's address: it is the unspecified address",
  ],
  [
    `${LEAST},addr=127.0.0.1/8`,
    "parsing address: 127.0.0.1/8 cannot be the guest's address: it is a loopback address",
  ],
  [
    `${LEAST},addr=10.0.0.0/24`,
    "parsing address: 10.0.0.0/24 cannot be the guest's address: it is the network's own address",
  ],
  [`${LEAST},addr=10.0.0.1/24,addr=10.0.0.2/24`, "multiple IPv4 addresses specified"],
  [`${LEAST},addr=fd00::1/64,addr=fd00::2/64`, "multiple IPv6 addresses specified"],
  [`${LEAST},features=CSUM`, "parsing features: unknown feature: CSUM"],
  [
    `${LEAST},features=VIRTIO_NET_F_CSUM|VIRTIO_NET_F_MTU`,
    "parsing features: unknown feature: VIRTIO_NET_F_MTU",
  ],
  [`${LEAST},features=VIRTIO_NET_F_CSUM|`, "parsing features: unknown feature: "],
  ["mode=unixgram,mac=02:00:00:00:00:01", "missing required field(s): endpoint, mode, mac"],
  ["socket=/x,mac=02:00:00:00:00:01", "missing required field(s): endpoint, mode, mac"],
  ["socket=/x,mode=unixgram", "missing required field(s): endpoint, mode, mac"],
  [
    `${LEAST},dhcp=true,addr=10.0.0.2/24`,
    `invalid network "${LEAST},dhcp=true,addr=10.0.0.2/24": cannot specify both addr and dhcp`,
  ],
  [`${LEAST},vfkit=true`, `invalid network "${LEAST},vfkit=true": vfkit needs mode=unixgram`],
  [`${LEAST},socket=${"x".repeat(108)}`, "socket path is too long: 108 bytes, the limit is 107"],
  [`${LEAST},socket=${"é".repeat(54)}`, "socket path is too long: 108 bytes, the limit is 107"],
  [`${LEAST},socket=/a\0b`, "socket path holds a NUL byte"],
];
for (const [text, message] of REFUSED) {
  test(`parseExternalNetwork() refuses ${JSON.stringify(text.replace(LEAST, "…"))}`, () => {
    const reading = parseExternalNetwork(text, "0");
    strictEqual("message" in reading ? reading.message : reading, message);
  });
}

test("parseExternalNetwork() answers any text", () => {
  const word = fc.oneof(
    fc.constantFrom(
      "socket=/x",
      "mode=unixgram",
      "mac=02:00:00:00:00:01",
      "dhcp=true",
      "vfkit=true",
      "=",
      "",
    ),
    fc.constantFrom("addr=10.0.0.2/24", "addr=fd00::2", "features=VIRTIO_NET_F_CSUM", "name=x"),
    fc.string(),
  );
  fc.assert(fc.property(fc.array(word), (words) => {
    const reading = parseExternalNetwork(words.join(","), "0");
    if (!("network" in reading)) return reading.message.length > 0;
    const { mac, addresses, dhcp } = reading.network;
    match(mac, /^[0-9a-f]{2}(:[0-9a-f]{2}){5}$/);
    return addresses.length <= 2 && !(dhcp && addresses.length > 0);
  }));
});

test("compareNetworkNames() puts numbers first and by value", () => {
  const names = ["eth1", "10", "9", "010", "a", "18446744073709551616", "0", "", "2"];
  deepStrictEqual(names.sort(compareNetworkNames), [
    "0",
    "2",
    "9",
    "010",
    "10",
    "18446744073709551616",
    "",
    "a",
    "eth1",
  ]);
});

test("compareNetworkNames() is an order", () => {
  const name = fc.oneof(fc.stringMatching(/^[0-9]{0,4}$/), fc.string({ maxLength: 3 }));
  fc.assert(fc.property(name, name, name, (a, b, c) => {
    const sorted = [a, b, c].sort(compareNetworkNames).join("\n");
    return sorted === [c, a, b].sort(compareNetworkNames).join("\n") &&
      Math.sign(compareNetworkNames(a, b)) + Math.sign(compareNetworkNames(b, a)) === 0;
  }));
});

const networks = (...texts: string[]) =>
  tryResolve(texts.map((text) => ({ flag: "external-network", text, origin: FLAG })));

test("resolve() names the operator's networks by their place", () => {
  const { resolved, problems } = networks(LEAST, "name=lan,socket=/y,mode=unixgram,mac=02:00:00:00:00:02");
  deepStrictEqual(problems, []);
  deepStrictEqual(resolved.settings.networks.map(({ name }) => name), ["external0", "lan"]);
});

test("resolve() refuses two networks with one name or one MAC address, and too many", () => {
  const problems = (...texts: string[]) => networks(...texts).problems.map(({ message }) => message);
  deepStrictEqual(problems(LEAST, LEAST), ["two external networks have the MAC address 02:00:00:00:00:01"]);
  deepStrictEqual(problems(`${LEAST},name=a`, "name=a,socket=/y,mode=unixgram,mac=02:00:00:00:00:02"), [
    'two external networks have the name "a"',
  ]);
  const many = Array.from(
    { length: MAX_EXTERNAL_NETWORKS + 1 },
    (_, i) => `socket=/y,mode=unixgram,mac=02:00:00:00:01:${i.toString(16).padStart(2, "0")}`,
  );
  deepStrictEqual(problems(...many), ["cannot join 17 external networks: the limit is 16"]);
  deepStrictEqual(problems(...many.slice(1)), []);
});

const TOML = `network = "none"
mtu = 1500
`;
const TABLES = `
[[network]]
socket = "/run/passt.sock"
mode = "unixstream"
mac = "02:00:00:00:00:01"
addr = ["192.168.127.2/24", "fd00::2/64"]
features = ["VIRTIO_NET_F_CSUM", "VIRTIO_NET_F_HOST_TSO4"]

[[network]]
name = "lan"
socket = "/run/gvproxy.sock"
mode = "unixgram"
mac = "02:00:00:00:00:02"
dhcp = true
vfkit = true
`;

test("a TOML file has one [[network]] per external network", () => {
  const { assignments, problems } = readTomlFile("s.toml", `mtu = 1500\n${TABLES}`);
  deepStrictEqual(problems, []);
  const { networks } = resolve(assignments).settings;
  deepStrictEqual(networks.map(({ name, socket }) => [name, socket]), [
    ["external0", "/run/passt.sock"],
    ["lan", "/run/gvproxy.sock"],
  ]);
  deepStrictEqual(networks[0]!.addresses.map(formatCidr), ["192.168.127.2/24", "fd00::2/64"]);
  strictEqual(networks[0]!.features, 1 | 1 << 11);
  ok(networks[1]!.dhcp && networks[1]!.vfkit);
});

test('network = "…" in a file is the flag', () => {
  strictEqual(resolve(readTomlFile("s.toml", TOML).assignments).settings.network, "none");
});

test("a JSON file has a list of objects under external-network's short name", () => {
  const text = `{"network": [{"socket": "/s", "mode": "unixgram", "mac": "02:00:00:00:00:01"}]}`;
  const { assignments } = readJsonFile("s.json", text);
  strictEqual(resolve(assignments).settings.networks[0]!.socket, "/s");
});

const BAD_FILES: [text: string, problem: RegExp][] = [
  [
    `[[network]]\nsocket = 7\n`,
    /^s\.toml:1:3: "socket" in \[\[network\]\] must be a string, not an integer$/,
  ],
  [`[[network]]\nsocket = "a,b"\n`, /"socket" in \[\[network\]\] must not hold a comma/],
  [`[[network]]\nfeatures = ["a", 7]\n`, /"features" in \[\[network\]\] must be a string, not a list/],
];
for (const [text, problem] of BAD_FILES) {
  test(`a file cannot say ${JSON.stringify(text)}`, () => {
    match(formatProblem(readTomlFile("s.toml", text).problems[0]!), problem);
  });
}
