import { equal } from "node:assert/strict";
import { test } from "node:test";
import { addressesJson } from "../../../lib/control/render/address.ts";
import { linkJson } from "../../../lib/control/render/link.ts";
import { neighboursJson } from "../../../lib/control/render/neighbour.ts";
import { qdiscsJson } from "../../../lib/control/render/qdisc.ts";
import { routesJson } from "../../../lib/control/render/route.ts";
import { socketJson } from "../../../lib/control/render/socket.ts";
import {
  formatAddresses,
  formatBriefAddresses,
  formatBriefLinks,
  formatLinks,
} from "../../../lib/cli/text/link.ts";
import { formatQdiscs, formatRate, formatSize, formatTime } from "../../../lib/cli/text/qdisc.ts";
import { formatNeighbours, formatRoutes } from "../../../lib/cli/text/route.ts";
import { formatSockets } from "../../../lib/cli/text/sockets.ts";
import { formatTable } from "../../../lib/cli/text/table.ts";
import { STACK } from "../../control/fake_engine.ts";

// The texts are iproute2's own (6.1) for a namespace set up alike, blanks at line ends removed.

test("formatAddresses() prints as `ip addr`", () => {
  equal(
    formatAddresses(addressesJson(STACK.nics)),
    `1: lo: <LOOPBACK,UP,LOWER_UP> mtu 65536 qdisc noqueue state UNKNOWN group default qlen 1000
    link/loopback 00:00:00:00:00:00 brd 00:00:00:00:00:00
    inet 127.0.0.1/8 scope host lo
       valid_lft forever preferred_lft forever
    inet6 ::1/128 scope host
       valid_lft forever preferred_lft forever
2: eth0: <BROADCAST,MULTICAST,UP,LOWER_UP> mtu 65520 qdisc tbf state UP group default qlen 1000
    link/ether 02:11:22:33:44:55 brd ff:ff:ff:ff:ff:ff
    inet 10.0.2.100/24 brd 10.0.2.255 scope global eth0
       valid_lft forever preferred_lft forever
    inet6 fd00::64/64 scope global
       valid_lft forever preferred_lft forever
`,
  );
});

test("formatAddresses() prints as `ip -6 addr`", () => {
  equal(
    formatAddresses(addressesJson(STACK.nics, 6)),
    `1: lo: <LOOPBACK,UP,LOWER_UP> mtu 65536 state UNKNOWN qlen 1000
    inet6 ::1/128 scope host
       valid_lft forever preferred_lft forever
2: eth0: <BROADCAST,MULTICAST,UP,LOWER_UP> mtu 65520 state UP qlen 1000
    inet6 fd00::64/64 scope global
       valid_lft forever preferred_lft forever
`,
  );
});

test("formatBriefAddresses() and formatBriefLinks() print as `ip -br`, without the blank at the end", () => {
  equal(
    formatBriefAddresses(addressesJson(STACK.nics)),
    `lo               UNKNOWN        127.0.0.1/8 ::1/128
eth0             UP             10.0.2.100/24 fd00::64/64
`,
  );
  equal(
    formatBriefLinks(STACK.nics.slice(1).map((nic) => linkJson(nic, false))),
    "eth0             UP             02:11:22:33:44:55 <BROADCAST,MULTICAST,UP,LOWER_UP>\n",
  );
});

test("formatLinks() prints as `ip -s link`", () => {
  equal(
    formatLinks(STACK.nics.slice(1).map((nic) => linkJson(nic, true))),
    `2: eth0: <BROADCAST,MULTICAST,UP,LOWER_UP> mtu 65520 qdisc tbf state UP mode DEFAULT group default qlen 1000
    link/ether 02:11:22:33:44:55 brd ff:ff:ff:ff:ff:ff
    RX:  bytes packets errors dropped  missed   mcast
          1500       1      0       0       0       0
    TX:  bytes packets errors dropped carrier collsns
          4200      42      0       3       0       0
`,
  );
});

test("formatRoutes() prints as `ip route` and `ip -6 route`", () => {
  equal(
    formatRoutes(routesJson(STACK.routes)),
    `default via 10.0.2.2 dev eth0 proto static
10.0.2.0/24 dev eth0 proto kernel scope link src 10.0.2.100
`,
  );
  equal(
    formatRoutes(routesJson(STACK.routes, 6)),
    `fd00::/64 dev eth0 proto kernel metric 256 pref medium
default via fd00::2 dev eth0 proto static metric 1024 pref medium
`,
  );
});

test("formatNeighbours() prints as `ip neigh`", () => {
  equal(
    formatNeighbours(neighboursJson(STACK.neighbours)),
    `10.0.2.2 dev eth0 lladdr 02:aa:bb:cc:dd:ee REACHABLE
10.0.2.9 dev eth0 INCOMPLETE
fd00::2 dev eth0 lladdr 02:aa:bb:cc:dd:ee router STALE
`,
  );
});

test("formatQdiscs() prints as `tc -s qdisc`", () => {
  equal(
    formatQdiscs(qdiscsJson(STACK.nics), true),
    `qdisc noqueue 0: dev lo root refcnt 2
 Sent 0 bytes 0 pkt (dropped 0, overlimits 0 requeues 0)
 backlog 0b 0p requeues 0
qdisc tbf 8001: dev eth0 root refcnt 2 rate 1Mbit burst 100000b lat 1s
 Sent 4200 bytes 42 pkt (dropped 3, overlimits 7 requeues 0)
 backlog 2Kb 2p requeues 0
`,
  );
  const fifo = { ...STACK.nics[1]!, qdisc: { ...STACK.nics[1]!.qdisc, kind: "fifo", limit: 1000 } as const };
  equal(formatQdiscs(qdiscsJson([fifo]), false), "qdisc pfifo 8001: dev eth0 root refcnt 2 limit 1000p\n");
});

// `tc qdisc replace dev eth0 root tbf rate …` printed these.
const RATES: [bytes: number, text: string][] = [
  [1, "8bit"],
  [125, "1Kbit"],
  [126, "1008bit"],
  [125_000, "1Mbit"],
  [187_500, "1500Kbit"],
  [154_321, "1234Kbit"],
  [1_250_000_000, "10Gbit"],
];
for (const [bytes, text] of RATES) {
  test(`formatRate() prints ${bytes} as ${text}`, () => equal(formatRate(bytes), text));
}

const SIZES: [bytes: number, text: string][] = [
  [1023, "1023b"],
  [1024, "1Kb"],
  [100_000, "100000b"],
  [102_400, "100Kb"],
  [1_048_576, "1Mb"],
];
for (const [bytes, text] of SIZES) {
  test(`formatSize() prints ${bytes} as ${text}`, () => equal(formatSize(bytes), text));
}

test("formatTime() prints three digits and a unit", () => {
  equal([1, 1500, 1_000_000, 1_234_567].map(formatTime).join(" "), "1us 1.5ms 1s 1.23s");
});

test("formatSockets() prints as `ss -tuan`", () => {
  equal(
    formatSockets(STACK.sockets.map(socketJson), { netid: true, details: false, heading: true }),
    `Netid State  Recv-Q Send-Q Local Address:Port  Peer Address:Port Process
tcp   LISTEN 0      128          0.0.0.0:80         0.0.0.0:*
tcp   ESTAB  5      0         10.0.2.100:40000    192.0.2.1:443
udp   UNCONN 0      0              [::1]:53            [::]:*
`,
  );
});

test("formatSockets() prints as `ss -tin -H`", () => {
  equal(
    formatSockets(STACK.sockets.slice(1, 2).map(socketJson), { netid: false, details: true, heading: false }),
    "ESTAB 5      0         10.0.2.100:40000    192.0.2.1:443\n" +
      "\t ts sack cubic wscale:7,7 rto:201.234 rtt:1.234/0.5 mss:1460 pmtu:1500 cwnd:10 bytes_sent:1000 " +
      "bytes_acked:900 bytes_received:5000 snd_wnd:65535 rcv_wnd:65535\n",
  );
});

test("formatTable() makes columns as wide as they need", () => {
  equal(formatTable(["A", "LONG"], [["wide", "x"]]), "A     LONG\nwide  x\n");
});
