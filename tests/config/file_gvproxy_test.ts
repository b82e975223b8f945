import { deepEqual, equal, match } from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { readGvproxyFile } from "../../lib/config/file_gvproxy.ts";
import { formatProblem } from "../../lib/config/origin.ts";

/** What a file says, as flags. */
function said(text: string): string[] {
  const { assignments, problems } = readGvproxyFile("g.yaml", text);
  deepEqual(problems.map(formatProblem), []);
  return assignments.slice(1).map(({ flag, text }) => `${flag}=${text}`);
}

test("everything that a file of gvproxy's may say", () => {
  const text = `
listen:
    - unix:///run/api.sock
    - tcp://127.0.0.1:7777
log-level: Debug
services: unix:///run/services.sock
pid-file: /run/pid
log-file: /run/log
ec2-metadata-access: false
notification: /run/told.sock
interfaces:
    vpnkit: unix:///run/vpnkit.sock
    qemu: tcp://127.0.0.1:1234
    bess: unixpacket:///run/bess.sock
    stdio: accept
    vfkit: unixgram:///run/vfkit.sock
forwards:
    - socket: /run/docker.sock
      dest: /run/user/1000/podman.sock
      user: core
      identity: /keys/id
stack:
    debug: true
    capture-file: /run/all.pcap
    mtu: 4000
    subnet: 10.0.0.0/16
    gatewayIP: 10.0.0.9
    deviceIP: 10.0.0.10
    hostIP: 10.0.0.11
    gatewayIPv6: fd01::1
    subnetIPv6: fd01::/64
    gatewayMacAddress: 10:11:11:11:11:00
    dns:
        - name: containers.internal.
          records:
            - name: gateway
              ip: 10.0.0.9
            - regexp: ^x
              ip: 10.0.0.12
          defaultIP: 10.0.0.13
    dnsSearchDomains: [example.org, crc.testing.]
    forwards:
        127.0.0.1:2222: 10.0.0.10:22
        :6443: 10.0.0.10:6443
        udp:127.0.0.1:53: 10.0.0.10:53
    nat:
        10.0.0.11: 127.0.0.1
    gatewayVirtualIPs:
        - 10.0.0.11
    dhcpStaticLeases:
        10.0.0.10: 5a:94:ef:e4:0c:ee
    vpnKitUUIDMacAddresses:
        C3d68012-0208-11ea-9fd7-f2189899ab08: 5a:94:ef:e4:0c:ee
    ec2MetadataAccess: false
    blockAllOutbound: false
`;
  deepEqual(said(text), [
    "serve.listen=unix:///run/api.sock",
    "serve.listen=tcp://127.0.0.1:7777",
    "debug=true",
    "serve.services=unix:///run/services.sock",
    "serve.pid-file=/run/pid",
    "serve.log-file=/run/log",
    "serve.notification=unix:///run/told.sock",
    "serve.listen-vpnkit=unix:///run/vpnkit.sock",
    "serve.listen-qemu=tcp://127.0.0.1:1234",
    "serve.listen-bess=unixpacket:///run/bess.sock",
    "serve.listen-stdio=accept",
    "serve.listen-vfkit=unixgram:///run/vfkit.sock",
    "serve.forward-sock=/run/docker.sock",
    "serve.forward-dest=/run/user/1000/podman.sock",
    "serve.forward-user=core",
    "serve.forward-identity=/keys/id",
    "log-packets=true",
    "pcap-log=/run/all.pcap",
    "mtu=4000",
    "serve.subnet=10.0.0.0/16",
    "serve.gatewayIP=10.0.0.9",
    "serve.deviceIP=10.0.0.10",
    "serve.hostIP=10.0.0.11",
    "serve.gatewayIPv6=fd01::1",
    "serve.subnet6=fd01::/64",
    "serve.gateway-mac=10:11:11:11:11:00",
    'serve.zone={"name":"containers.internal.","records":[{"name":"gateway","ip":"10.0.0.9"},' +
    '{"name":"","regexp":"^x","ip":"10.0.0.12"}],"defaultIp":"10.0.0.13"}',
    "serve.search=example.org",
    "serve.search=crc.testing",
    "publish=127.0.0.1:2222:10.0.0.10:22/tcp",
    "publish=6443:10.0.0.10:6443/tcp",
    "publish=127.0.0.1:53:10.0.0.10:53/udp",
    "serve.nat=10.0.0.11",
    "serve.virtual-ip=10.0.0.11",
    "serve.lease=5a:94:ef:e4:0c:ee=10.0.0.10",
    "serve.vpnkit-mac=c3d68012-0208-11ea-9fd7-f2189899ab08=5a:94:ef:e4:0c:ee",
  ]);
});

test("an empty file is one, too, and says that it is gvproxy's", () => {
  for (const text of ["", "# nothing\n", "---\n", "stack:\ninterfaces:\nlisten:\n", "log-level: info"]) {
    deepEqual(said(text), [], JSON.stringify(text));
  }
  equal(readGvproxyFile("g.yaml", "").assignments[0]!.flag, "serve.gvproxy");
});

const WRONG: readonly [text: string, message: RegExp][] = [
  ["[", /^g\.yaml:1:\d+: not YAML/],
  ["- a", /^g\.yaml:1:1: the file must be a mapping$/],
  ["a: 1\n---\nb: 2", /second document[^]*unknown key "a"/],
  ["lisen: [x]", /^g\.yaml:1:1: unknown key "lisen" \(did you mean "listen"\?\)$/],
  ["stack:\n  subnets: x", /^g\.yaml:2:3: unknown key "subnets" in stack \(did you mean "subnet"\?\)$/],
  ["listen: x", /"listen" must be a list/],
  ["listen: [[x]]", /"listen" must be a string/],
  ["log-level: loud", /"loud" is no log level/],
  ["ec2-metadata-access: true", /"ec2-metadata-access" is not supported: 169\.254/],
  ["notification: [a]", /"notification" must be a string/],
  ["stack: {blockAllOutbound: true}", /"blockAllOutbound" is not supported/],
  ["stack: {ec2MetadataAccess: 5}", /must be true or false/],
  ["stack: {nat: {192.168.127.254: 10.0.0.1}}", /nat: one address that leads to 127\.0\.0\.1/],
  ["stack: {nat: {1.1.1.1: 127.0.0.1, 1.1.1.2: 127.0.0.1}}", /nat: one address/],
  ["stack: {dnsSearchDomains: ['a b']}", /"a b" is no domain/],
  ["stack: {dnsSearchDomains: [a, b, c, d, e, f, g]}", /more than 6 search domains/],
  ["stack: {dns: [{name: x., records: [{name: y}]}]}", /a record without "ip"/],
  ["stack: {forwards: [a]}", /"forwards" must be a mapping/],
  ["forwards: [{socket: /x}]", /a forward without "dest"[^]*"user"[^]*"identity"/],
];

for (const [text, message] of WRONG) {
  test(`gvproxy's file ${JSON.stringify(text)} is refused`, () => {
    match(readGvproxyFile("g.yaml", text).problems.map(formatProblem).join("\n"), message);
  });
}

test("whatever is in a file, it is read without a fault", () => {
  const words = ["listen", "stack", "dns", "records", "forwards", "nat", "interfaces", "a", "", "127.0.0.1"];
  const { tree } = fc.letrec((tie) => ({
    tree: fc.oneof(
      { maxDepth: 5 },
      fc.constantFrom(...words),
      fc.integer(),
      fc.boolean(),
      fc.constant(null),
      fc.array(tie("tree"), { maxLength: 3 }),
      fc.dictionary(fc.constantFrom(...words), tie("tree"), { maxKeys: 4 }),
    ),
  }));
  fc.assert(fc.property(tree, (value) => void readGvproxyFile("g.yaml", JSON.stringify(value))));
  fc.assert(fc.property(fc.string(), (text) => void readGvproxyFile("g.yaml", text)));
});
