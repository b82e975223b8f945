import { test } from "node:test";
import { deepStrictEqual, ok, strictEqual, throws } from "node:assert/strict";
import process from "node:process";
import { AF, MSG, SOCK } from "../../lib/host/constants.ts";
import { check, Errno } from "../../lib/host/errno.ts";
import { NativeMemory } from "../../lib/host/memory.ts";
import { NetlinkError } from "../../lib/host/netlink.ts";
import { RouteNetlink } from "../../lib/host/rtnetlink.ts";
import type { AddressWords } from "../../lib/host/structs.ts";
import { close, sendto, socket } from "../../lib/host/sys.ts";
import { openTap } from "../../lib/host/tun.ts";
import { needs } from "../support/capability.ts";
import { inNewNetns } from "../support/netns.ts";

const v4 = (d: number): AddressWords => ({ family: 4, a: 0, b: 0, c: 0xffff, d });
const v6 = (a: number, d: number): AddressWords => ({ family: 6, a, b: 0, c: 0, d });

/** Runs `body` beside a TAP device in a namespace of its own. */
function withTap(body: (netlink: RouteNetlink, index: number) => void): void {
  inNewNetns(() => {
    const tap = openTap("eth0");
    const netlink = new RouteNetlink();
    try {
      body(netlink, netlink.link("eth0").index);
    } finally {
      netlink.close();
      close(tap.fd);
    }
  });
}

test("links() tells name, kind, MTU and address, and the setters change them", needs("root", "tun"), () => {
  withTap((netlink, index) => {
    deepStrictEqual(netlink.links().map(({ name }) => name), ["lo", "eth0"]);
    strictEqual(netlink.link("eth0").kind, "tun");
    strictEqual(netlink.link("eth0").up, false);
    netlink.setMtu(index, 65_520);
    netlink.setMac(index, "5a:94:ef:e4:0c:ee");
    netlink.rename(index, "net7");
    netlink.setLinkUp(index);
    const { mtu, mac, up } = netlink.link("net7");
    deepStrictEqual({ mtu, mac, up }, { mtu: 65_520, mac: "5a:94:ef:e4:0c:ee", up: true });
    netlink.setLinkDown(index);
    strictEqual(netlink.link("net7").up, false);
  });
});

test("addAddress() and addRoute() take both families and default routes", needs("root", "tun"), () => {
  withTap((netlink, index) => {
    netlink.setLinkUp(index);
    netlink.addAddress(index, v4(0x0a000264), 24);
    netlink.addAddress(index, v6(0xfd000000 | 0, 0x64), 64);
    const addresses = netlink.addresses(index).filter(({ scope }) => scope === 0);
    deepStrictEqual(addresses.map(({ address, prefixLength }) => [address, prefixLength]), [
      [v4(0x0a000264), 24],
      [v6(0xfd000000 | 0, 0x64), 64],
    ]);
    const IFA_F_TENTATIVE = 0x40;
    ok(
      addresses.every(({ flags }) => (flags & IFA_F_TENTATIVE) === 0),
      "an address waits for detection of duplicates",
    );
    netlink.addRoute({ family: 4, gateway: v4(0x0a000202), index });
    netlink.addRoute({ family: 6, gateway: v6(0xfd000000 | 0, 2), index, metric: 7 });
    netlink.addRoute({ family: 4, destination: v4(0x0a090000), prefixLength: 16, index });
    const routes = netlink.routes();
    const defaults = routes.filter(({ destination }) => destination === undefined);
    deepStrictEqual(defaults.map(({ gateway, metric }) => [gateway, metric]), [
      [v4(0x0a000202), 0],
      [v6(0xfd000000 | 0, 2), 7],
    ]);
    ok(routes.some(({ destination, prefixLength }) => destination?.d === 0x0a090000 && prefixLength === 16));
    netlink.removeRoute({ family: 4, gateway: v4(0x0a000202), index });
    netlink.removeAddress(index, v6(0xfd000000 | 0, 0x64), 64);
    strictEqual(
      netlink.routes().filter((route) => route.family === 4 && route.destination === undefined).length,
      0,
    );
    strictEqual(netlink.addresses(index).filter(({ scope }) => scope === 0).length, 1);
  });
});

test("addRoute() throws the kernel's own words", needs("root", "tun"), () => {
  withTap((netlink, index) => {
    netlink.setLinkUp(index);
    throws(
      () => netlink.addRoute({ family: 4, gateway: v4(0x01020304), index }),
      (error) =>
        error instanceof NetlinkError && error.code === "ENETUNREACH" && /gateway/i.test(error.message),
    );
    throws(
      () => netlink.setMtu(99, 1_500),
      (error) => error instanceof NetlinkError && error.code === "ENODEV",
    );
    throws(() => netlink.link("nowhere"), /Cannot find interface nowhere/);
    throws(() => netlink.setMac(index, "1:2:3"), TypeError);
  });
});

test("deleteLink() removes a virtual interface", needs("root", "tun"), () => {
  withTap((netlink, index) => {
    netlink.deleteLink(index);
    deepStrictEqual(netlink.links().map(({ name }) => name), ["lo"]);
  });
});

test("nobody but the kernel can send to a netlink socket of ours", needs("root", "tun"), () => {
  withTap((netlink) => {
    const forged = new NativeMemory(64);
    forged.view.setUint32(0, 64, true);
    const to = new NativeMemory(12);
    to.view.setUint16(0, AF.NETLINK, true);
    // It was the first of its process in this namespace, so its port id is the process'.
    to.view.setUint32(4, process.pid, true);
    const stranger = check(socket(AF.NETLINK, SOCK.RAW | SOCK.CLOEXEC, 0), "open a netlink socket");
    try {
      for (let i = 0; i < 2_000; i++) {
        strictEqual(sendto(stranger, forged.address, 64, MSG.DONTWAIT, to.address, 12), -Errno.ECONNREFUSED);
      }
      strictEqual(netlink.links().length, 2);
    } finally {
      close(stranger);
    }
  });
});
