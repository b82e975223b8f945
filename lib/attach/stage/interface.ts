/**
 * The guest's end of the wire: `lo` up; the TAP with its addresses and routes.
 *
 * @module
 */

import { RouteNetlink } from "../../host/rtnetlink.ts";
import { writeText } from "../../host/files.ts";
import { IpAddress } from "../../stack/wire/address.ts";
import type { StageDevice } from "./protocol.ts";

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

function furnish(netlink: RouteNetlink, device: StageDevice): void {
  const { index } = netlink.link(device.name);
  quieten(device.name);
  netlink.setMtu(index, device.mtu);
  if (device.txQueueLength !== undefined) netlink.setTxQueueLength(index, device.txQueueLength);
  if (device.mac !== undefined) netlink.setMac(index, device.mac);
  netlink.setLinkUp(index);
  for (const { address, prefixLength } of device.addresses) {
    netlink.addAddress(index, parse(address), prefixLength);
  }
  for (const text of device.gateways) {
    const gateway = parse(text);
    netlink.addRoute({ family: gateway.family, gateway, index });
  }
}

/** Addresses come from us, so router and neighbour solicitations of the kernel would only cost time. */
function quieten(name: string): void {
  for (const knob of ["accept_ra", "accept_dad", "router_solicitations"]) {
    // A kernel without IPv6 has no such file; then the address below says so.
    writeText(`/proc/sys/net/ipv6/conf/${name}/${knob}`, "0");
  }
}

function parse(text: string): IpAddress {
  const address = IpAddress.parse(text);
  if (address === undefined) throw new RangeError(`Cannot set address "${text}": it is not an IP address`);
  return address;
}
