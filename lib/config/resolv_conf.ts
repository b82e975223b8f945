/**
 * The host's `/etc/resolv.conf` (resolv.conf(5)): where the gateway sends questions, and what the guest is shown.
 *
 * @module
 */

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

/** The resolv.conf that the guest sees: the gateway's DNS address, and the host's search list and options. */
export function guestResolvConf(dns: IpAddress, host: ResolvConf): string {
  return [`nameserver ${dns}`, ...host.kept, ""].join("\n");
}
