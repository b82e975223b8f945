/** Interfaces that only show: what programs read of them, and that the kernel never says a word on them. */

import { test } from "node:test";
import { deepStrictEqual, ok, strictEqual } from "node:assert/strict";
import { readFileSync } from "node:fs";
import { furnishShadows, makeShadows } from "../../../lib/attach/stage/shadows.ts";
import type { StageHanded } from "../../../lib/attach/stage/protocol.ts";
import { AF, SOCK } from "../../../lib/host/constants.ts";
import { Errno } from "../../../lib/host/errno.ts";
import { NativeMemory } from "../../../lib/host/memory.ts";
import { countPacketSockets } from "../../../lib/host/packet_list.ts";
import { RouteNetlink } from "../../../lib/host/rtnetlink.ts";
import { close, read, recvfrom, sendto, socket, write } from "../../../lib/host/sys.ts";
import { SOCKADDR_LL_SIZE, writeSockaddrLink } from "../../../lib/host/structs.ts";
import { IpAddress } from "../../../lib/stack/wire/address.ts";
import { VNET_HEADER } from "../../../lib/host/tun.ts";
import { hex, toHex } from "../../support/bytes.ts";
import { needs } from "../../support/capability.ts";
import { inNewNetns } from "../../support/netns.ts";

const MACHINE = needs("root", "tun", "netns");
const SHADOW = { name: "eth0", index: 7, mac: "5a:94:ef:e4:0c:ee" };
const ALL = 0x0300;
const GUEST = "5a94efe40cee", GATEWAY = "5a94efe40cdd";
/** From the gateway, to the guest's 10.0.2.100: a question by ARP, an echo request, a SYN, a question by NDP. */
const PROVOCATIONS: readonly string[] = [
  `ffffffffffff${GATEWAY}08060001080006040001${GATEWAY}0a0002020000000000000a000264`,
  `${GUEST}${GATEWAY}08004500001c000100004001627b0a0002020a0002640800f7ff00000000`,
  `${GUEST}${GATEWAY}080045000028000100004006626a0a0002020a00026403e8005000000001000000005002ffff93440000`,
  `3333ff000064${GATEWAY}86dd6000000000183afffe800000000000000000000000000002ff0200000000000000000001ff000064` +
  "87007cdc00000000fe800000000000000000000000000064",
];

/** Shadows in a namespace of their own, with what the stage hands out. */
function withShadows(
  packets: boolean,
  body: (handed: (what: StageHanded["handed"], index?: number) => number, netlink: RouteNetlink) => void,
): void {
  inNewNetns(() => {
    const handed: (StageHanded & { fd: number })[] = [];
    const netlink = new RouteNetlink();
    try {
      makeShadows({ interfaces: [SHADOW], packets }, (what, fd) => handed.push({ ...what, fd }));
      body(
        (what, index = 7) =>
          handed.find((one) => one.handed === what && (what === "packets" || one.index === index))?.fd ?? -1,
        netlink,
      );
    } finally {
      for (const { fd } of handed) close(fd);
      netlink.close();
    }
  });
}

const memory = new NativeMemory(2_000);

function put(fd: number, frame: string): void {
  memory.bytes.fill(0, 0, VNET_HEADER);
  const data = hex(frame);
  memory.bytes.set(data, VNET_HEADER);
  strictEqual(write(fd, memory.address, VNET_HEADER + data.length), VNET_HEADER + data.length);
}

/** The next frame of a packet socket and its direction, `PACKET_…`; undefined: there is none. */
function seen(fd: number): [frame: string, direction: number] | undefined {
  const from = 1_900;
  memory.words[from / 4 - 1] = 20;
  const length = recvfrom(fd, memory.address, 1_800, 0, memory.address + from, memory.address + from - 4);
  return length < 0 ? undefined : [toHex(memory.bytes.subarray(0, length)), memory.bytes[from + 10]!];
}

test(
  "a shadow has the index, the address and the state of the stack's interface, and IPv6 addresses only where nobody sees frames",
  MACHINE,
  () => {
    for (const packets of [false, true]) {
      withShadows(packets, (handed, netlink) => {
        furnishShadows([{
          name: "eth0",
          index: 7,
          mtu: 65_535,
          addresses: packets ? [] : [{ address: "fd00::64", prefixLength: 64 }],
          gateways: ["10.0.2.2"],
          routes: [{ address: "10.0.2.0", prefixLength: 24 }],
        }]);
        const { index, mac, mtu, up } = netlink.link("eth0");
        deepStrictEqual({ index, mac, mtu, up }, { index: 7, mac: SHADOW.mac, mtu: 65_521, up: true });
        // The loopback's own are harmless as long as nothing is shown on it.
        const addresses = netlink.addresses().filter((one) => packets || one.index === 7);
        strictEqual(addresses.length, packets ? 0 : 1);
        const known = readFileSync("/proc/thread-self/net/if_inet6", "utf8").split("\n")
          .filter((line) => line.endsWith("eth0")).map((line) => line.slice(0, 32));
        deepStrictEqual(known, packets ? [] : ["fd000000000000000000000000000064"]);
        deepStrictEqual(
          netlink.routes().map(({ prefixLength }) => prefixLength).sort(),
          packets ? [0, 24] : [0, 24, 64],
        );
        const listed = readFileSync("/proc/thread-self/net/route", "utf8").split("\n").length;
        strictEqual(listed, 4); // head, two routes, and what follows the last
        strictEqual(handed("packets") >= 0, packets);
        strictEqual(handed("sender") >= 0, packets);
      });
    }
  },
);

test("the kernel sees what is shown, and answers nothing", MACHINE, () => {
  withShadows(true, (handed, netlink) => {
    const tap = handed("tap"), sender = handed("sender"), loopback = handed("sender", 1);
    const sniffer = socket(AF.PACKET, SOCK.RAW | SOCK.NONBLOCK | SOCK.CLOEXEC, ALL);
    ok(sniffer >= 0);
    try {
      for (const frame of PROVOCATIONS) {
        put(tap, frame);
        const [shown, direction] = seen(sniffer)!;
        deepStrictEqual([shown, direction], [
          frame,
          frame.startsWith(GUEST) ? 0 : frame.startsWith("ff") ? 1 : 2,
        ]);
        put(sender, frame);
        deepStrictEqual(seen(sniffer), [frame, 4]);
        put(loopback, frame);
        // Out and in again: of the loopback's addresses none is to anybody there.
        strictEqual(seen(sniffer)![1], 4);
        strictEqual(seen(sniffer)![0], frame);
      }
      strictEqual(seen(sniffer), undefined);
      strictEqual(read(tap, memory.address, 1_800), -Errno.EAGAIN);
      // That these are provocations: with an address it does answer.
      netlink.addAddress(SHADOW.index, IpAddress.v4(0x0a000264), 24);
      put(tap, PROVOCATIONS[0]!);
      ok(read(tap, memory.address, 1_800) > 0);
    } finally {
      close(sniffer);
    }
  });
});

test("what another packet socket sends reaches the TAP, and the list tells of it", MACHINE, () => {
  withShadows(true, (handed) => {
    const list = handed("packets");
    strictEqual(countPacketSockets(list), 2);
    const other = socket(AF.PACKET, SOCK.RAW | SOCK.NONBLOCK | SOCK.CLOEXEC, 0);
    strictEqual(countPacketSockets(list), 3);
    const frame = hex(PROVOCATIONS[0]!);
    writeSockaddrLink(memory.view, 1_000, SHADOW.index, 0);
    memory.bytes.set(frame);
    const sent = sendto(other, memory.address, frame.length, 0, memory.address + 1_000, SOCKADDR_LL_SIZE);
    close(other);
    strictEqual(sent, frame.length);
    strictEqual(read(handed("tap"), memory.address, 1_000), VNET_HEADER + frame.length);
    strictEqual(toHex(memory.bytes.subarray(VNET_HEADER, VNET_HEADER + frame.length)), PROVOCATIONS[0]);
    strictEqual(countPacketSockets(list), 2);
  });
});
