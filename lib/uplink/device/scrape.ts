/**
 * What the kernel knows of the interfaces of a network namespace, in the terms of our stack.
 *
 * Taken are interfaces that are up, carry Ethernet frames and have an address. Others stay the kernel's: what the guest
 * would lose thereby is said in `remarks`.
 *
 * @module
 */

import { readNeighbour, type RouteImage } from "../../host/route_image.ts";
import { type HostAddress, type HostLink, type HostRoute, RouteNetlink } from "../../host/rtnetlink.ts";
import type { AddressWords } from "../../host/structs.ts";
import type { RouteProtocol } from "../../stack/facts.ts";
import { IpAddress } from "../../stack/wire/address.ts";
import { MacAddress } from "../../stack/wire/ethernet.ts";

const ARPHRD_ETHER = 1, ARPHRD_LOOPBACK = 772;
/** RFC 791: what every host must be able to receive; our stack needs it of a link. */
export const MIN_MTU = 576;
/** RFC 8200 section 5; Linux has no IPv6 on a device with less. */
const MIN_MTU_IPV6 = 1_280;
/** Largest IP packet. */
const MAX_MTU = 65_535;
const SCOPES: Readonly<Record<number, DeviceAddress["scope"]>> = { 253: "link", 254: "host" };
/** `RTPROT_…` */
const PROTOCOLS: Readonly<Record<number, RouteProtocol>> = { 2: "kernel", 3: "boot", 9: "ra", 16: "dhcp" };

/** An address as our stack takes it. */
export interface DeviceAddress {
  readonly address: IpAddress;
  readonly prefixLength: number;
  readonly scope: "global" | "link" | "host";
}

/** An interface that we drive. */
export interface Device {
  /** Of the kernel. */
  readonly index: number;
  readonly name: string;
  readonly mac: MacAddress;
  readonly mtu: number;
  /** Largest packet that the kernel is given to cut. */
  readonly gsoMaxSize: number;
  readonly addresses: readonly DeviceAddress[];
}

/** A route by one of the devices. */
export interface DeviceRoute {
  readonly device: number;
  readonly destination: IpAddress;
  readonly prefixLength: number;
  readonly gateway: IpAddress | undefined;
  readonly source: IpAddress | undefined;
  readonly metric: number;
  readonly protocol: RouteProtocol;
}

/** A neighbour that the wire cannot change. */
export interface DeviceNeighbour {
  readonly device: number;
  readonly address: IpAddress;
  readonly mac: MacAddress;
}

/** Everything that moves into the stack. */
export interface Scraped {
  readonly devices: readonly Device[];
  readonly routes: readonly DeviceRoute[];
  /** What stays behind, one line each. */
  readonly remarks: readonly string[];
}

/** Looks at the namespace this thread is in. Throws `NetlinkError`. */
export function scrape(): Scraped {
  const netlink = new RouteNetlink();
  try {
    const addresses = netlink.addresses();
    const remarks: string[] = [];
    const links = netlink.links().filter((link) => isTaken(link, addresses, remarks));
    const devices = links.map((link) => deviceOf(link, addresses));
    return { devices, routes: routesOf(netlink.routes(), devices, remarks), remarks };
  } finally {
    netlink.close();
  }
}

function isTaken(link: HostLink, addresses: readonly HostAddress[], remarks: string[]): boolean {
  if (link.type === ARPHRD_LOOPBACK || !addresses.some(({ index }) => index === link.index)) return false;
  const why = !link.up
    ? "it is down"
    : link.type !== ARPHRD_ETHER
    ? "its frames are not Ethernet's"
    : link.mtu < MIN_MTU
    ? `its MTU ${link.mtu} is less than ${MIN_MTU}`
    : undefined;
  if (why !== undefined) remarks.push(`interface ${link.name} stays the kernel's: ${why}`);
  return why === undefined;
}

function deviceOf(link: HostLink, all: readonly HostAddress[]): Device {
  const mtu = Math.min(link.mtu, MAX_MTU);
  const addresses = all.filter(({ index, address }) =>
    index === link.index && (address.family === 4 || mtu >= MIN_MTU_IPV6)
  );
  return {
    index: link.index,
    name: link.name,
    mac: MacAddress.parse(link.mac) ?? new MacAddress(0, 0),
    mtu,
    gsoMaxSize: link.gsoMaxSize === 0 ? MAX_MTU : Math.min(link.gsoMaxSize, MAX_MTU),
    addresses: addresses.map(deviceAddress),
  };
}

/** One address; one with another at the far end is alone in its prefix, and a route leads to the other. */
export function deviceAddress({ address, peer, prefixLength, scope }: HostAddress): DeviceAddress {
  const own = addressOf(address);
  const alone = !own.equals(addressOf(peer));
  return {
    address: own,
    prefixLength: alone ? (own.family === 4 ? 32 : 128) : prefixLength,
    scope: SCOPES[scope] ?? "global",
  };
}

function routesOf(all: readonly HostRoute[], devices: readonly Device[], remarks: string[]): DeviceRoute[] {
  const routes: DeviceRoute[] = [];
  for (const route of all) {
    const device = devices.find(({ index }) => index === route.index);
    if (device === undefined) continue;
    const any = route.family === 4 ? IpAddress.v4(0) : new IpAddress(6, 0, 0, 0, 0);
    const destination = route.destination === undefined ? any : addressOf(route.destination);
    if (route.family === 6 && device.mtu < MIN_MTU_IPV6) continue;
    const name = route.prefixLength === 0 ? "default" : `${destination}/${route.prefixLength}`;
    if (route.nextHops === 0) {
      remarks.push(`route ${name} is left out: its gateway is of the other address family`);
      continue;
    }
    if (route.nextHops > 1) {
      remarks.push(`route ${name} has ${route.nextHops} next hops: the guest uses the first`);
    }
    routes.push({
      device: route.index,
      destination,
      prefixLength: route.prefixLength,
      gateway: route.gateway === undefined ? undefined : addressOf(route.gateway),
      source: route.source === undefined ? undefined : addressOf(route.source),
      metric: route.metric,
      protocol: PROTOCOLS[route.protocol] ?? "static",
    });
  }
  return routes;
}

/** The permanent neighbours of an image. */
export function neighboursOf(image: RouteImage): DeviceNeighbour[] {
  return image.neighbours.flatMap((raw): DeviceNeighbour[] => {
    const read = readNeighbour(raw);
    if (read === undefined) return [];
    const view = new DataView(read.address.buffer, read.address.byteOffset, read.address.length);
    const words = [0, 4, 8, 12].map((at) => at + 4 <= view.byteLength ? view.getInt32(at) : 0);
    const address = view.byteLength === 4
      ? IpAddress.v4(words[0]!)
      : new IpAddress(6, words[0]!, words[1]!, words[2]!, words[3]!);
    const mac = MacAddress.read(new DataView(read.mac.buffer, read.mac.byteOffset, 6), 0);
    return [{ device: read.index, address, mac }];
  });
}

function addressOf({ family, a, b, c, d }: AddressWords): IpAddress {
  return family === 4 ? IpAddress.v4(d) : new IpAddress(6, a, b, c, d);
}
