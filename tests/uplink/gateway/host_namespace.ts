/**
 * A network of the host's own with addresses that are not the loopback's.
 *
 * @module
 */

import { monotonic } from "../../../lib/host/clock.ts";
import { connectTo, localAddress, udpSocket } from "../../../lib/host/inet.ts";
import { alloc } from "../../../lib/host/memory.ts";
import { RouteNetlink } from "../../../lib/host/rtnetlink.ts";
import { SocketAddress } from "../../../lib/host/structs.ts";
import { close, recv, send } from "../../../lib/host/sys.ts";
import type { IpAddress } from "../../../lib/stack/wire/address.ts";
import { inNewNetns } from "../../support/netns.ts";
import { ip } from "./world.ts";

export const HOST4: IpAddress = ip("192.0.2.1");
export const HOST6: IpAddress = ip("2001:db8::1");

/** Runs `body` in a fresh network namespace where the host is {@linkcode HOST4} and {@linkcode HOST6}. */
export function inHostNamespace(body: () => void): void {
  inNewNetns(() => {
    const netlink = new RouteNetlink();
    const { index } = netlink.link("lo");
    netlink.setLinkUp(index);
    netlink.addAddress(index, HOST4, 32);
    netlink.addAddress(index, HOST6, 128);
    netlink.close();
    awaitOwn(HOST6);
    body();
  });
}

/**
 * The kernel makes a new IPv6 address its own in a work queue, for which netlink's answer does not wait. Until then what
 * is sent to it comes back as unreachable.
 */
function awaitOwn(address: IpAddress): void {
  const patience = monotonic() + 5_000_000;
  const byte = alloc(1);
  for (;;) {
    const fd = udpSocket(address.family, address);
    const name = new SocketAddress();
    const reached = fd >= 0 && localAddress(fd, name) && connectTo(fd, name, name.port) === 0 &&
      send(fd, byte.address, 1, 0) === 1 && recv(fd, byte.address, 1, 0) === 1;
    if (fd >= 0) close(fd);
    if (reached) return;
    if (monotonic() > patience) throw new Error(`Cannot reach ${address}`);
  }
}
