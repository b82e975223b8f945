/**
 * The words of `sluice serve`: networks, leases, zones, gvproxy's flags.
 *
 * Whoever uses one of gvproxy's own flags gets gvproxy's defaults, too: the host at .254, its DNS zones, its SSH port, its
 * first guest's address.
 *
 * @module
 */

import { IpAddress } from "../stack/wire/address.ts";
import { MacAddress } from "../stack/wire/mac_address.ts";
import { contains, type InterfaceAddress, isBroadcast, networkAddress, parseCidr } from "./cidr.ts";
import type { Publish } from "./publish.ts";

/** gvproxy's network, which is ours as well: its users' scripts name these addresses. */
export const DEFAULT_SUBNET = "192.168.127.0/24";
/** IPv6, which gvproxy does not have. */
export const DEFAULT_SUBNET6 = "fd00::/64";
/** Bytes: what every guest takes that is told nothing. */
export const SERVE_MTU = 1_500;
/** Seconds. */
export const LEASE_TIME = 3_600;
/** gvproxy's first guest. */
const GVPROXY_DEVICE = "5a:94:ef:e4:0c:ee";
const GVPROXY_SSH_PORT = 2_222;
/** The machine of HyperKit's that is gvproxy's first guest. */
const GVPROXY_UUID = "c3d68012-0208-11ea-9fd7-f2189899ab08";
/** Shortest and longest prefix of a network: gvproxy's own minimum, and what a pool of leases may hold. */
const PREFIX_MIN = 16, PREFIX_MAX = 29;

/** An address for one guest. */
export interface StaticLease {
  readonly mac: string;
  readonly address: string;
}

/** A zone, as gvproxy writes it but in our case. */
export interface Zone {
  readonly name: string;
  readonly records: readonly { readonly name: string; readonly ip: string }[];
}

/** The addresses of a served network. */
export interface ServedNetwork {
  readonly gateway: IpAddress;
  readonly prefixLength: number;
  /** The first guest: where published ports lead that name none. */
  readonly device: IpAddress;
  /** gvproxy's `host`: reaches the host's loopback. */
  readonly host: IpAddress;
}

/** Reads `--subnet`. A string says what is wrong, in gvproxy's words where it has some. */
export function servedNetwork(text: string): ServedNetwork | string {
  const cidr = parseCidr(text);
  if (typeof cidr === "string" || cidr.address.family !== 4) return `failed to parse subnet "${text}"`;
  if (cidr.prefixLength > PREFIX_MAX) return `subnet too small: want /${PREFIX_MAX} or larger`;
  if (cidr.prefixLength < PREFIX_MIN) return `subnet too large: want /${PREFIX_MIN} or smaller`;
  const hosts = 2 ** (32 - cidr.prefixLength);
  return {
    gateway: networkAddress(cidr, 1),
    prefixLength: cidr.prefixLength,
    device: networkAddress(cidr, 2),
    host: networkAddress(cidr, hosts - 2),
  };
}

/** Addresses that are chosen one by one. */
export interface ChosenAddresses {
  readonly gateway?: string | undefined;
  readonly device?: string | undefined;
  readonly host?: string | undefined;
}

/** `network` with other addresses in it. A string says what is wrong, in gvproxy's words. */
export function withAddresses(network: ServedNetwork, chosen: ChosenAddresses): ServedNetwork | string {
  const { prefixLength } = network;
  const placed: Record<"gateway" | "device" | "host", IpAddress> = { ...network };
  for (const role of ["gateway", "device", "host"] as const) {
    const text = chosen[role];
    if (text === undefined) continue;
    const address = IpAddress.parse(text);
    if (address?.family !== 4) return `invalid IP address: ${text}`;
    const inside: InterfaceAddress = { address: network.gateway, prefixLength };
    if (!contains(inside, address)) {
      return `IP (${text}) not in subnet (${networkAddress(inside)}/${prefixLength})`;
    }
    if (address.equals(networkAddress(inside))) return `IP must not be address of subnet: ${text}`;
    if (isBroadcast(inside, address)) return `IP must not be broadcast address: ${text}`;
    placed[role] = address;
  }
  const { gateway, device, host } = placed;
  if (gateway.equals(device) || gateway.equals(host) || device.equals(host)) {
    return "IP addresses need to be distinct";
  }
  return { prefixLength, ...placed };
}

/** Reads `--subnet6`. */
export function servedNetwork6(text: string): Omit<ServedNetwork, "host"> | string {
  const cidr = parseCidr(text);
  if (typeof cidr === "string" || cidr.address.family !== 6) return `failed to parse subnet "${text}"`;
  // RFC 4862 section 5.5.3: an interface identifier has 64 bits, so a guest can make itself an address in a /64 only.
  if (cidr.prefixLength !== 64) return "guests make themselves an address in a /64 only";
  return { gateway: networkAddress(cidr, 1), prefixLength: 64, device: networkAddress(cidr, 2) };
}

/** Reads `--lease MAC=ADDRESS`. */
export function parseLease(text: string, { gateway, prefixLength }: ServedNetwork): StaticLease | string {
  const at = text.indexOf("=");
  const mac = MacAddress.parse(text.slice(0, Math.max(0, at)));
  const address = IpAddress.parse(text.slice(at + 1));
  if (at < 0 || mac === undefined || address?.family !== 4) return "want MAC=ADDRESS";
  if (mac.isMulticast() || mac.isZero()) return `${mac} is no address of an interface`;
  const network: InterfaceAddress = { address: gateway, prefixLength };
  if (!contains(network, address)) return `${address} is outside the subnet`;
  const network0 = networkAddress(network);
  if (address.equals(gateway) || address.equals(network0) || isBroadcast(network, address)) {
    return `${address} is not free for a guest`;
  }
  return { mac: mac.toString(), address: address.toString() };
}

/** Reads `UUID=MAC`: the hardware address of one of HyperKit's machines. */
export function parseVpnkitMac(text: string): readonly [uuid: string, mac: string] | string {
  const at = text.indexOf("=");
  const mac = MacAddress.parse(text.slice(at + 1));
  if (mac === undefined || mac.isMulticast() || mac.isZero()) {
    return `${text.slice(at + 1)} is no address of an interface`;
  }
  return [text.slice(0, at), mac.toString()];
}

/** Reads `--dns-record NAME=ADDRESS`: a zone of one name. */
export function parseRecord(text: string): Zone | string {
  const at = text.indexOf("=");
  const name = text.slice(0, Math.max(0, at)).toLowerCase().replace(/\.$/, "");
  const ip = IpAddress.parse(text.slice(at + 1));
  if (at < 1 || ip === undefined) return "want NAME=ADDRESS";
  if (!/^[a-z0-9_-]{1,63}(\.[a-z0-9_-]{1,63})*$/.test(name) || name.length > 253) {
    return `"${name}" is no name`;
  }
  return { name, records: [{ name: "", ip: ip.toString() }] };
}

/** What gvproxy does unasked. */
export function gvproxyDefaults(
  { gateway, host, device }: ServedNetwork,
  sshPort: number,
): {
  readonly leases: readonly StaticLease[];
  readonly zones: readonly Zone[];
  readonly publish: readonly Publish[];
  readonly vpnkitMacs: Readonly<Record<string, string>>;
} {
  const records = [
    { name: "gateway", ip: gateway.toString() },
    { name: "host", ip: host.toString() },
  ];
  return {
    leases: [{ mac: GVPROXY_DEVICE, address: device.toString() }],
    zones: [{ name: "containers.internal.", records }, { name: "docker.internal.", records }],
    vpnkitMacs: { [GVPROXY_UUID]: GVPROXY_DEVICE },
    publish: sshPort < 0 ? [] : [{
      protocol: "tcp",
      hostAddress: IpAddress.v4(0x7f000001),
      hostPort: sshPort,
      guestPort: 22,
      guestAddress: device,
    }],
  };
}

/** Reads `-ssh-port`: −1 is off. */
export function parseSshPort(text: string | undefined): number | string {
  if (text === undefined) return GVPROXY_SSH_PORT;
  const port = Number(text);
  if (port === -1) return -1;
  if (!Number.isInteger(port) || port < 1_024 || port > 65_535) {
    return "ssh-port value must be between 1024 and 65535";
  }
  return port;
}
