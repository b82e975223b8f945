/**
 * The guest's end of the wire: `lo` up; the TAP with its addresses and routes.
 *
 * @module
 */

import { monotonic } from "../../host/clock.ts";
import { writeText } from "../../host/files.ts";
import { readInterfaceKnob } from "../../host/network_namespace.ts";
import { RouteNetlink } from "../../host/rtnetlink.ts";
import { poll } from "../../host/sys.ts";
import { IpAddress } from "../../stack/wire/address.ts";
import type { StageDevice, StageTap } from "./protocol.ts";

/** linux/rtnetlink.h, linux/if_addr.h: an address of the link, and one that is not yet its own. */
const RT_SCOPE_LINK = 253, IFA_F_TENTATIVE = 0x40;
/** How long a kernel that is busy otherwise is given for a link-local address, µs; without one the guest has no IPv6. */
const LINK_LOCAL = 3_000_000;
/** Between two looks, ms. */
const NAP = 1;

/** Brings up the loopback and, if there is one, the device. Throws with the kernel's reason. */
export function furnishInterface(device: StageDevice | undefined): void {
  const netlink = new RouteNetlink();
  try {
    netlink.setLinkUp(netlink.link("lo").index);
    if (device !== undefined) furnish(netlink, device);
  } finally {
    netlink.close();
  }
}

/**
 * Brings up the loopback, and interfaces that get their addresses later. Those that follow routers have their link-local
 * address then: to it come the answers to what our own clients ask, and the neighbours' questions before.
 */
export function raiseTaps(taps: readonly StageTap[]): void {
  const netlink = new RouteNetlink();
  try {
    netlink.setLinkUp(netlink.link("lo").index);
    for (const { name, mac, routerAdvertisements } of taps) {
      const { index } = netlink.link(name);
      if (routerAdvertisements === "no") quieten(name);
      else {
        setKnob(name, "accept_ra", "1");
        // Our own client asks on this wire already whether an address is taken.
        setKnob(name, "accept_dad", "0");
        if (routerAdvertisements === "routes") setKnob(name, "accept_ra_defrtr", "0");
      }
      netlink.setMac(index, mac);
      netlink.setLinkUp(index);
    }
    const patience = monotonic() + LINK_LOCAL;
    for (const { name, routerAdvertisements } of taps) {
      if (routerAdvertisements === "no" || readInterfaceKnob("ipv6", name, "disable_ipv6") !== "0") continue;
      const { index } = netlink.link(name);
      while (!hasLinkLocal(netlink, index) && monotonic() < patience) poll(0, 0, NAP);
    }
  } finally {
    netlink.close();
  }
}

/** Gives interfaces what has become known. */
export function furnishTaps(devices: readonly StageDevice[]): void {
  const netlink = new RouteNetlink();
  try {
    for (const device of devices) address(netlink, netlink.link(device.name).index, device);
  } finally {
    netlink.close();
  }
}

function furnish(netlink: RouteNetlink, device: StageDevice): void {
  const { index } = netlink.link(device.name);
  quieten(device.name);
  if (device.txQueueLength !== undefined) netlink.setTxQueueLength(index, device.txQueueLength);
  if (device.mac !== undefined) netlink.setMac(index, device.mac);
  netlink.setLinkUp(index);
  address(netlink, index, device);
}

/** Sets what is known of an interface: MTU, addresses, routes. */
export function address(netlink: RouteNetlink, index: number, device: StageDevice): void {
  netlink.setMtu(index, device.mtu);
  for (const { address, prefixLength } of device.addresses) {
    netlink.addAddress(index, parse(address), prefixLength);
  }
  for (const { address, prefixLength, gateway } of device.routes ?? []) {
    const destination = parse(address);
    const via = gateway === undefined ? {} : { gateway: parse(gateway) };
    netlink.addRoute({ family: destination.family, destination, prefixLength, index, ...via });
  }
  for (const text of device.gateways) {
    const gateway = parse(text);
    netlink.addRoute({ family: gateway.family, gateway, index });
  }
}

/** Addresses come from us, so router and neighbour solicitations of the kernel would only cost time. */
export function quieten(name: string): void {
  for (const knob of ["accept_ra", "accept_dad", "router_solicitations"]) {
    setKnob(name, knob, "0");
  }
}

/** The kernel makes the address its own in a work queue, for which whoever raises the interface does not wait. */
function hasLinkLocal(netlink: RouteNetlink, index: number): boolean {
  return netlink.addresses(index).some(({ address, scope, flags }) =>
    address.family === 6 && scope === RT_SCOPE_LINK && (flags & IFA_F_TENTATIVE) === 0
  );
}

function setKnob(name: string, knob: string, value: string): void {
  // A kernel without IPv6 has no such file; then setting an address says so.
  writeText(`/proc/sys/net/ipv6/conf/${name}/${knob}`, value);
}

/** The address of a text that is one. */
export function parse(text: string): IpAddress {
  const address = IpAddress.parse(text);
  if (address === undefined) throw new RangeError(`Cannot set address "${text}": it is not an IP address`);
  return address;
}
