/**
 * What happens to addresses and routes when an interface is taken down and up again, as in Linux.
 *
 * Down: every route over it goes, who made it whatever, and every IPv6 address. IPv4 addresses stay. Up: the networks of
 * the IPv4 addresses have their routes again, and IPv6 begins anew with the address that belongs to the interface. Who
 * made the other routes has to make them again.
 *
 * @module
 */

import type { Nic } from "../nic.ts";
import { IpAddress } from "../wire/address.ts";
import { prefixOf, type RouteTable } from "./routes.ts";

/** Takes an interface up or down. False: it is as it was. */
export function setLinkUp(routes: RouteTable, nic: Nic, up: boolean): boolean {
  if (nic.up === up) return false;
  nic.setClosed(!up);
  if (!up) {
    routes.removeWhere((route) => route.nic === nic);
    for (const { address } of [...nic.addresses]) if (address.family === 6) nic.removeAddress(address);
    return true;
  }
  for (const { address, prefixLength, flags = 0, metric } of nic.addresses) {
    if ((flags & NO_PREFIX_ROUTE) === 0) addPrefixRoute(routes, nic, address, prefixLength, metric);
  }
  if (nic.kind === "loopback") {
    const own = new IpAddress(6, 0, 0, 0, 1);
    if (!nic.owns(own)) nic.addAddress(own, 128, { scope: "host" });
  } else nic.addLinkLocal();
  return true;
}

/** `IFA_F_NOPREFIXROUTE` */
const NO_PREFIX_ROUTE = 0x200;

/** The route that comes with an address, unless it is there. */
function addPrefixRoute(
  routes: RouteTable,
  nic: Nic,
  source: IpAddress,
  prefixLength: number,
  metric = 0,
): void {
  const destination = prefixOf(source, prefixLength);
  const there = routes.all().some((route) =>
    route.nic === nic && route.protocol === "kernel" && route.source?.equals(source) === true
  );
  if (!there) routes.add({ destination, prefixLength, nic, protocol: "kernel", source, metric });
}
