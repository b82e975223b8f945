/** Ioctls that change interfaces, addresses and routes. */

import { test } from "node:test";
import { deepStrictEqual, ok, strictEqual } from "node:assert/strict";
import {
  changeAddress6,
  changeInterface,
  changeRoute,
  changeRoute6,
  IN6_IFREQ_SIZE,
  IN6_RTMSG_SIZE,
  RTENTRY_SIZE,
} from "../../../lib/attach/sockets/ioctl/change.ts";
import { SIOC } from "../../../lib/attach/sockets/ioctl/ifreq.ts";
import type { ChangeableNetwork } from "../../../lib/attach/sockets/netlink/change/network.ts";
import { Errno } from "../../../lib/host/errno.ts";
import { NO_OFFLOAD } from "../../../lib/stack/link/link.ts";
import { Stack } from "../../../lib/stack/stack.ts";
import type { Instant } from "../../../lib/stack/time.ts";
import { IpAddress } from "../../../lib/stack/wire/address.ts";
import { MacAddress } from "../../../lib/stack/wire/ethernet.ts";
import { seeded } from "../../support/random.ts";

function ip(text: string): IpAddress {
  return IpAddress.parse(text)!;
}

function network(fixedInterfaces = false): ChangeableNetwork {
  const stack = new Stack({ random: seeded(1) });
  const mac = MacAddress.parse("02:73:6c:00:00:64")!;
  const nic = stack.addNic({ name: "eth0", mac, mtu: 1_500, capabilities: NO_OFFLOAD });
  nic.addAddress(ip("10.0.2.100"), 24);
  return { stack, counters: stack.counters, now: 0 as Instant, fixedInterfaces };
}

/** A `struct sockaddr_in`. */
function writeSockaddr(view: DataView, at: number, address: string): void {
  view.setUint16(at, 2, true);
  ip(address).write(view, at + 4);
}

function ifreq(name: string, write: (view: DataView) => void): DataView<ArrayBuffer> {
  const bytes = new Uint8Array(40);
  new TextEncoder().encodeInto(name, bytes);
  const view = new DataView(bytes.buffer);
  write(view);
  return view;
}

function setAddress(on: ChangeableNetwork, command: number, name: string, address: string): number {
  return changeInterface(command, on, ifreq(name, (view) => writeSockaddr(view, 16, address)));
}

function setNumber(on: ChangeableNetwork, command: number, value: number): number {
  return changeInterface(command, on, ifreq("eth0", (view) => view.setInt32(16, value, true)));
}

function addresses(on: ChangeableNetwork): string[] {
  return on.stack.nics[1]!.addresses.map(({ address, prefixLength, label }) =>
    `${address}/${prefixLength}${label === undefined ? "" : ` ${label}`}`
  );
}

test("SIOCSIFADDR and SIOCSIFNETMASK replace the address of a label, as ifconfig expects", () => {
  const on = network();
  strictEqual(setAddress(on, SIOC.SIFADDR, "eth0", "10.5.0.9"), 0);
  deepStrictEqual(addresses(on), ["10.5.0.9/8"], "the class decides until a netmask does");
  strictEqual(setAddress(on, SIOC.SIFNETMASK, "eth0", "255.255.255.0"), 0);
  strictEqual(setAddress(on, SIOC.SIFADDR, "eth0:1", "192.168.9.1"), 0);
  deepStrictEqual(addresses(on), ["10.5.0.9/24", "192.168.9.1/24 eth0:1"]);
  strictEqual(setAddress(on, SIOC.SIFNETMASK, "eth0", "255.0.255.0"), Errno.EINVAL);
  strictEqual(setAddress(on, SIOC.SIFNETMASK, "eth0:7", "255.255.0.0"), Errno.EADDRNOTAVAIL);
  strictEqual(setAddress(on, SIOC.SIFADDR, "eth0", "240.0.0.1"), Errno.EINVAL);
  strictEqual(setAddress(on, SIOC.SIFADDR, "eth7", "10.0.0.1"), Errno.ENODEV);
  strictEqual(setAddress(on, SIOC.SIFADDR, "eth0", "0.0.0.0"), 0);
  deepStrictEqual(addresses(on), ["192.168.9.1/24 eth0:1"]);
});

test("SIOCSIFFLAGS, SIOCSIFMTU, SIOCSIFHWADDR and SIOCSIFTXQLEN change the link", () => {
  const on = network();
  const nic = on.stack.nics[1]!;
  strictEqual(setNumber(on, SIOC.SIFFLAGS, 0x1002), 0);
  strictEqual(nic.up, false);
  strictEqual(setNumber(on, SIOC.SIFFLAGS, 0x1043), 0);
  strictEqual(nic.up, true);
  strictEqual(setNumber(on, SIOC.SIFFLAGS, 0x1143), Errno.EOPNOTSUPP, "IFF_PROMISC");
  strictEqual(setNumber(on, SIOC.SIFMTU, 1_400), 0);
  strictEqual(setNumber(on, SIOC.SIFMTU, -1), Errno.EINVAL);
  strictEqual(nic.mtu, 1_400);
  strictEqual(setNumber(on, SIOC.SIFTXQLEN, 50), 0);
  strictEqual(nic.txQueueLength, 50);
  const hardware = (first: number) =>
    changeInterface(
      SIOC.SIFHWADDR,
      on,
      ifreq("eth0", (view) => {
        view.setUint16(16, 1, true);
        view.setUint8(18, first);
        view.setUint8(23, 9);
      }),
    );
  strictEqual(hardware(3), Errno.EADDRNOTAVAIL, "a group");
  strictEqual(hardware(2), 0);
  strictEqual(nic.mac.toString(), "02:00:00:00:00:09");
});

test("SIOCADDRT and SIOCDELRT know networks, hosts, gateways and devices", () => {
  const on = network();
  const entry = (destination: string, mask: string, gateway?: string, flags = 0) => {
    const view = new DataView(new ArrayBuffer(RTENTRY_SIZE));
    writeSockaddr(view, 8, destination);
    writeSockaddr(view, 40, mask);
    if (gateway !== undefined) writeSockaddr(view, 24, gateway);
    view.setUint16(56, flags | (gateway === undefined ? 0 : 2), true);
    return view;
  };
  const network9 = entry("10.9.0.0", "255.255.0.0", "10.0.2.2");
  strictEqual(changeRoute(SIOC.ADDRT, on, network9, undefined), 0);
  strictEqual(changeRoute(SIOC.ADDRT, on, network9, undefined), Errno.EEXIST);
  strictEqual(on.stack.routes.lookup(ip("10.9.1.1"))!.gateway!.toString(), "10.0.2.2");
  strictEqual(changeRoute(SIOC.ADDRT, on, entry("1.2.3.4", "0.0.0.0", undefined, 4), "eth0"), 0);
  ok(on.stack.routes.lookup(ip("1.2.3.4")) !== undefined);
  const far = entry("10.8.0.0", "255.255.0.0", "99.9.9.9");
  strictEqual(changeRoute(SIOC.ADDRT, on, far, undefined), Errno.ENETUNREACH);
  strictEqual(changeRoute(SIOC.ADDRT, on, network9, "eth7"), Errno.ENODEV);
  strictEqual(changeRoute(SIOC.ADDRT, on, entry("10.9.0.1", "255.255.0.0"), "eth0"), Errno.EINVAL);
  strictEqual(changeRoute(SIOC.ADDRT, on, entry("10.7.0.0", "255.0.255.0"), "eth0"), Errno.EINVAL);
  strictEqual(changeRoute(SIOC.DELRT, on, network9, undefined), 0);
  strictEqual(changeRoute(SIOC.DELRT, on, network9, undefined), Errno.ESRCH);
});

test("the same commands of an IPv6 socket have structures of their own", () => {
  const on = network();
  const request = new DataView(new ArrayBuffer(IN6_IFREQ_SIZE));
  ip("fd00::9").write(request, 0);
  request.setUint32(16, 64, true);
  request.setInt32(20, 2, true);
  strictEqual(changeAddress6(SIOC.SIFADDR, on, request), 0);
  strictEqual(changeAddress6(SIOC.SIFADDR, on, request), Errno.EEXIST);
  const route = new DataView(new ArrayBuffer(IN6_RTMSG_SIZE));
  ip("fd05::").write(route, 0);
  ip("fd00::2").write(route, 32);
  route.setUint16(52, 64, true);
  strictEqual(changeRoute6(SIOC.ADDRT, on, route), 0);
  strictEqual(on.stack.routes.lookup(ip("fd05::1"))!.gateway!.toString(), "fd00::2");
  strictEqual(changeRoute6(SIOC.DELRT, on, route), 0);
  strictEqual(changeAddress6(SIOC.DIFADDR, on, request), 0);
  strictEqual(changeAddress6(SIOC.DIFADDR, on, request), Errno.EADDRNOTAVAIL);
});

test("interfaces into a network of others stay as they are", () => {
  const on = network(true);
  strictEqual(setAddress(on, SIOC.SIFADDR, "eth0", "10.5.0.9"), Errno.EPERM);
  strictEqual(setNumber(on, SIOC.SIFFLAGS, 0), Errno.EPERM);
  deepStrictEqual(addresses(on), ["10.0.2.100/24"]);
});
