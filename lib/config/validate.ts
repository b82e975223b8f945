/**
 * What must hold between flags. Runs once, after every source has been applied, so that the order in which flags and
 * annotations are given never matters.
 *
 * @module
 */

import { contains, formatCidr, type InterfaceAddress, isBroadcast, networkAddress } from "./cidr.ts";
import type { FlagName } from "./flag_table.ts";
import type { Origin, Problem } from "./origin.ts";
import { findClash, formatPublish, MAX_PUBLISHED } from "./publish.ts";
import type { Settings } from "./settings.ts";
import { IpAddress } from "../stack/wire/address.ts";

/** As in gVisor: the bucket's depth is a 32-bit number. */
export const MAX_BURST = 4294967295n;
/** RFC 8200 section 5: a link that carries IPv6 carries 1280 bytes, and the interface always has an IPv6 address. */
export const MIN_MTU = 1280n;
/** What a TAP device carries: 65535 bytes less the Ethernet header. */
export const MAX_MTU = 65521n;

/** Numbers before they are rounded to what a number holds, for exact messages. */
export interface Exact {
  readonly rate: bigint;
  readonly burst: bigint;
  readonly mtu: bigint;
}

/** Every problem, in the order of the flags. `originOf` names who set a flag. */
export function validate(
  settings: Settings,
  exact: Exact,
  originOf: (flag: FlagName) => Origin,
): readonly Problem[] {
  const problems: Problem[] = [];
  const report = (flag: FlagName, message: string, hint?: string, cause: FlagName = flag) => {
    // Nobody set the flag that does not fit: the one it does not fit with is to blame.
    const blamed = originOf(flag).kind === "default" ? cause : flag;
    problems.push({ message, ...(hint === undefined ? {} : { hint }), origin: originOf(blamed) });
  };

  if (exact.burst > MAX_BURST) {
    report("qdisc-tbf-burst", `qdisc-tbf-burst must be <= ${MAX_BURST}, got: ${exact.burst}`);
  }
  if (settings.qdisc === "tbf") {
    if (exact.rate === 0n) report("qdisc", "qdisc=tbf requires setting qdisc-tbf-rate", "bytes per second");
    if (exact.burst === 0n) report("qdisc", "qdisc=tbf requires setting qdisc-tbf-burst", "bytes");
  }
  if (exact.mtu < MIN_MTU || exact.mtu > MAX_MTU) {
    report("mtu", `mtu must be from ${MIN_MTU} to ${MAX_MTU}, got: ${exact.mtu}`);
  }

  const interfaces = [
    { address: "address", gateway: "gateway", cidr: settings.address, router: settings.gateway },
    { address: "address6", gateway: "gateway6", cidr: settings.address6, router: settings.gateway6 },
  ] as const;
  for (const { address, gateway, cidr, router } of interfaces) {
    const unfit = whyUnfit(cidr, cidr.address);
    if (unfit !== undefined) {
      report(address, `${address}=${formatCidr(cidr)} cannot be the guest's address: ${unfit}`);
      continue;
    }
    const why = !contains(cidr, router)
      ? `it is outside ${formatCidr({ ...cidr, address: networkAddress(cidr) })}`
      : router.equals(cidr.address)
      ? "it is the guest's own address"
      : whyUnfit(cidr, router);
    if (why !== undefined) {
      report(
        gateway,
        `${gateway}=${router} cannot be the guest's router: ${why}`,
        `set --${address} and --${gateway}`,
        address,
      );
    }
  }
  const why = whyNoNameServer(settings);
  // One that follows the address is as wrong as the address, of which all has been said.
  if (why !== undefined && originOf("dns").kind !== "derived") {
    report("dns", `dns=${settings.dns} cannot be a name server: ${why}`);
  }

  if (settings.publish.length > MAX_PUBLISHED) {
    report("publish", `cannot publish ${settings.publish.length} ports: the limit is ${MAX_PUBLISHED}`);
  }
  const clash = findClash(settings.publish);
  if (clash !== undefined) {
    const [a, b] = clash;
    report("publish", `cannot publish ${formatPublish(b)}: the host port is taken by ${formatPublish(a)}`);
  }

  const { api } = settings;
  if (api.kind === "tcp" && !settings.apiAllowRemote && !isLoopbackHost(api.host)) {
    report("api", `api=${api.host}:${api.port} is not a loopback address`, "--api-allow-remote permits it");
  }
  if (settings.apiTokenFile !== undefined && api.kind !== "tcp") {
    report(
      "api-token-file",
      `api-token-file has no meaning with api=${api.kind}`,
      "only --api=HOST:PORT takes a token",
    );
  }
  for (const source of ["bundle", "pod"] as const) {
    if (settings[source] === undefined) continue;
    report(source, `${source} cannot be used: this version does not read annotations from a ${source}`);
  }
  return problems;
}

/** Why an address cannot belong to an interface of this network. */
function whyUnfit(cidr: InterfaceAddress, address: IpAddress): string | undefined {
  if (address.isUnspecified()) return "it is the unspecified address";
  if (address.isLoopback()) return "it is a loopback address";
  if (address.isMulticast()) return "it is a multicast address";
  if (address.isV4Mapped()) return "it is an IPv4-mapped address";
  if (isBroadcast(cidr, address)) return "it is the broadcast address";
  if (cidr.prefixLength === 0) return "a prefix length of 0 leaves no address to route to";
  // RFC 3021 and RFC 6164: the two addresses of a point-to-point link are both hosts.
  const hasNetworkAddress = cidr.prefixLength < (address.family === 4 ? 31 : 127);
  return hasNetworkAddress && address.equals(networkAddress(cidr))
    ? "it is the network's own address"
    : undefined;
}

function whyNoNameServer({ dns, address, address6 }: Settings): string | undefined {
  if (dns.isUnspecified() || dns.isMulticast() || dns.isLoopback() || dns.isLimitedBroadcast()) {
    return "it is not a unicast address";
  }
  return dns.equals(address.address) || dns.equals(address6.address)
    ? "it is the guest's own address"
    : undefined;
}

function isLoopbackHost(host: string): boolean {
  return host === "localhost" || IpAddress.parse(host)?.isLoopback() === true;
}
