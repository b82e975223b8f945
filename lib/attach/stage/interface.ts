/**
 * The guest's end of the wire: `lo` up; the TAP with its addresses and routes.
 *
 * @module
 */

import { monotonic } from "../../host/clock.ts";
import { SystemError } from "../../host/errno.ts";
import { writeText } from "../../host/files.ts";
import { readInterfaceKnob } from "../../host/network_namespace.ts";
import { RouteNetlink } from "../../host/rtnetlink.ts";
import { poll } from "../../host/sys.ts";
import { inPrefix } from "../../stack/ip/routes.ts";
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
    // Our own stack takes none either: whoever is on one network could lead the traffic of another astray.
    setKnob("ipv4", "all", "accept_redirects", "0");
    for (const { name, mac, routerAdvertisements } of taps) {
      const { index } = netlink.link(name);
      for (const family of ["ipv4", "ipv6"] as const) setKnob(family, name, "accept_redirects", "0");
      if (routerAdvertisements === "no") quieten(name);
      else {
        setKnob("ipv6", name, "accept_ra", "1");
        // Our own client asks on this wire already whether an address is taken.
        setKnob("ipv6", name, "accept_dad", "0");
        if (routerAdvertisements === "routes") setKnob("ipv6", name, "accept_ra_defrtr", "0");
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

/** Gives interfaces what has become known. Returns what the kernel does not take of it: networks may say anything. */
export function furnishTaps(devices: readonly StageDevice[]): string[] {
  const netlink = new RouteNetlink();
  try {
    return devices.flatMap((device) => {
      const failures = address(netlink, netlink.link(device.name).index, device);
      return failures.map((error) => whatFailed(device.name, error));
    });
  } finally {
    netlink.close();
  }
}

/** For the log. */
export function whatFailed(name: string, error: SystemError): string {
  return `the guest's ${name} is not as the network has it: ${error.message}`;
}

function furnish(netlink: RouteNetlink, device: StageDevice): void {
  const { index } = netlink.link(device.name);
  quieten(device.name);
  if (device.txQueueLength !== undefined) netlink.setTxQueueLength(index, device.txQueueLength);
  if (device.mac !== undefined) netlink.setMac(index, device.mac);
  netlink.setLinkUp(index);
  const [failure] = address(netlink, index, device);
  if (failure !== undefined) throw failure;
}

/** Sets what is known of an interface: MTU, addresses, routes; each by itself. Returns why what was refused was. */
export function address(netlink: RouteNetlink, index: number, device: StageDevice): SystemError[] {
  const failures: SystemError[] = [];
  const attempt = (step: () => void) => {
    try {
      step();
    } catch (error) {
      if (!(error instanceof SystemError)) throw error;
      failures.push(error);
    }
  };
  const addresses = device.addresses.map((one) => ({ ...one, address: parse(one.address) }));
  const by = (gateway: IpAddress) => ({
    gateway,
    // DHCP may name one outside of our prefix, as clouds do that give addresses of 32 bits.
    onLink: !gateway.isLinkLocal() &&
      !addresses.some((one) => inPrefix(gateway, one.address, one.prefixLength)),
  });
  attempt(() => netlink.setMtu(index, device.mtu));
  for (const { address, prefixLength } of addresses) {
    const metric = address.family === 4 ? device.metric : undefined;
    attempt(() => netlink.addAddress(index, address, prefixLength, metric));
  }
  for (const { address, prefixLength, gateway } of device.routes ?? []) {
    const destination = parse(address);
    const via = gateway === undefined ? {} : by(parse(gateway));
    attempt(() => netlink.addRoute({ family: destination.family, destination, prefixLength, index, ...via }));
  }
  for (const text of device.gateways) {
    const gateway = parse(text);
    attempt(() => netlink.addRoute({ family: gateway.family, index, ...by(gateway) }));
  }
  return failures;
}

/** Addresses come from us, so router and neighbour solicitations of the kernel would only cost time. */
export function quieten(name: string): void {
  for (const knob of ["accept_ra", "accept_dad", "router_solicitations"]) {
    setKnob("ipv6", name, knob, "0");
  }
}

/** The kernel makes the address its own in a work queue, for which whoever raises the interface does not wait. */
function hasLinkLocal(netlink: RouteNetlink, index: number): boolean {
  return netlink.addresses(index).some(({ address, scope, flags }) =>
    address.family === 6 && scope === RT_SCOPE_LINK && (flags & IFA_F_TENTATIVE) === 0
  );
}

function setKnob(family: "ipv4" | "ipv6", name: string, knob: string, value: string): void {
  // A kernel without IPv6 has no such file; then setting an address says so.
  writeText(`/proc/sys/net/${family}/conf/${name}/${knob}`, value);
}

/** The address of a text that is one. */
export function parse(text: string): IpAddress {
  const address = IpAddress.parse(text);
  if (address === undefined) throw new RangeError(`Cannot set address "${text}": it is not an IP address`);
  return address;
}
