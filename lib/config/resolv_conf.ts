/**
 * The host's `/etc/resolv.conf` (resolv.conf(5)): where the gateway sends questions, and what the guest is shown.
 *
 * @module
 */

import { contains, networkAddress } from "./cidr.ts";
import type { Settings } from "./settings.ts";
import { IpAddress } from "../stack/wire/address.ts";

/** As in the resolver library: three nameservers are used, more are ignored. */
const MAX_NAMESERVERS = 3;

/** What matters of a resolv.conf. */
export interface ResolvConf {
  readonly nameservers: readonly IpAddress[];
  /** `search` and `options` lines as they stand: they hold for the guest, too. */
  readonly kept: readonly string[];
}

/** Reads a resolv.conf; lines that say nothing to us are passed over. */
export function parseResolvConf(text: string): ResolvConf {
  const nameservers: IpAddress[] = [];
  const kept: string[] = [];
  for (const raw of text.split("\n")) {
    const line = raw.replace(/[#;].*$/, "").trim();
    const [keyword, value] = line.split(/\s+/, 2);
    if (keyword === "nameserver" && value !== undefined && nameservers.length < MAX_NAMESERVERS) {
      // A zone (fe80::1%eth0) names an interface of the host; such a resolver cannot be dialled by address alone.
      const address = IpAddress.parse(value);
      if (address !== undefined) nameservers.push(address);
    } else if (keyword === "search" || keyword === "domain" || keyword === "options") kept.push(line);
  }
  return { nameservers, kept };
}

/** The gateway's DNS addresses: the one that is configured and, if that is IPv4, the third of the guest's IPv6 network. */
export function guestNameservers(
  { dns, address6, gateway6 }: Pick<Settings, "dns" | "address6" | "gateway6">,
): readonly IpAddress[] {
  if (dns.family === 6) return [dns];
  const dns6 = networkAddress(address6, 3);
  const free = contains(address6, dns6) && !dns6.equals(address6.address) && !dns6.equals(gateway6);
  return free ? [dns, dns6] : [dns];
}

/** The resolv.conf that the guest sees: the gateway's DNS addresses, and the host's search list and options. */
export function guestResolvConf(nameservers: readonly IpAddress[], host: ResolvConf): string {
  return [...nameservers.map((address) => `nameserver ${address}`), ...host.kept, ""].join("\n");
}
