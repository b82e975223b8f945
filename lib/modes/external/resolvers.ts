/**
 * The guest's resolv.conf, from what the networks say.
 *
 * @module
 */

import type { IpAddress } from "../../stack/wire/address.ts";

/** resolv.conf(5): more are ignored. */
const MAX_NAMESERVERS = 3;

/** What a network says of names. */
export interface NameService {
  /** Of its interface. */
  readonly device: string;
  readonly dns: readonly IpAddress[];
  readonly searchDomains: readonly string[];
}

/** The text: resolvers and domains in the order of the networks, each once. */
export function resolvConfOf(networks: readonly NameService[]): string {
  const nameservers = new Set<string>();
  const domains = new Set<string>();
  for (const { device, dns, searchDomains } of networks) {
    for (const address of dns) {
      // A link-local address means something on its own link only (RFC 4007 section 11).
      nameservers.add(address.family === 6 && address.isLinkLocal() ? `${address}%${device}` : `${address}`);
    }
    for (const domain of searchDomains) domains.add(domain);
  }
  const lines = [...nameservers].slice(0, MAX_NAMESERVERS).map((address) => `nameserver ${address}`);
  if (domains.size > 0) lines.push(`search ${[...domains].join(" ")}`);
  return [...lines, ""].join("\n");
}
