/**
 * RTM_GETADDR: addresses of interfaces (`inet_dump_ifaddr`, `inet6_dump_addr`).
 *
 * @module
 */

import { AF } from "../../../host/constants.ts";
import { Errno } from "../../../host/errno.ts";
import type { AddressFacts, NicFacts } from "../../../stack/facts.ts";
import { prefixOf } from "../../../stack/ip/routes.ts";
import { IpAddress } from "../../../stack/wire/address.ts";
import { IFA, IFA_F, IFAPROT, RT_SCOPE, RTM } from "./numbers.ts";
import type { ReplyWriter } from "./reply_writer.ts";
import { type Envelope, Refusal, type Request } from "./request.ts";
import type { NetworkFacts } from "./rtnetlink.ts";

/** Bytes of `struct ifaddrmsg`. */
export const IFADDRMSG = 8;
/** A lifetime without end. */
export const FOREVER = 0xffffffff;

/** All addresses, or those of one interface. */
export function dumpAddresses(request: Request, facts: NetworkFacts, out: ReplyWriter): Refusal | undefined {
  let { nics } = facts;
  const { family } = request;
  if (request.asker.strict) {
    const who = family === AF.INET6 ? "ipv6" : "ipv4";
    if (request.length < IFADDRMSG) {
      return new Refusal(Errno.EINVAL, `${who}: Invalid header for address dump request`);
    }
    if ((request.u8(1) | request.u8(2) | request.u8(3)) !== 0) {
      return new Refusal(Errno.EINVAL, `${who}: Invalid values in header for address dump request`);
    }
    const index = request.u32(4);
    if (index !== 0) {
      request.filtered = true;
      request.endFiltered = true;
      nics = nics.filter((nic) => nic.index === index);
      if (nics.length === 0) return new Refusal(Errno.ENODEV);
    }
  }
  // A family of which the kernel knows nothing is asked of all (`rtnl_dump_all`).
  if (family !== AF.INET6) {
    for (const nic of nics) {
      for (const entry of v4Of(nic)) writeAddress(request, nic, entry, out, request.dumpFlags);
    }
  }
  if (family !== AF.INET) {
    for (const nic of nics) {
      for (const entry of nic.addresses) {
        if (entry.family === 6) writeAddress(request, nic, entry, out, request.dumpFlags);
      }
    }
  }
  return undefined;
}

/** One IPv6 address; IPv4 has no such request. */
export function getAddress(request: Request, facts: NetworkFacts, out: ReplyWriter): Refusal | undefined {
  if (request.family !== AF.INET6) return new Refusal(Errno.EOPNOTSUPP);
  if (request.length < IFADDRMSG) return new Refusal(Errno.EINVAL);
  const attributes = request.attributes(IFADDRMSG);
  const wanted = request.addressOf(attributes.get(IFA.LOCAL) ?? attributes.get(IFA.ADDRESS))?.toString();
  if (wanted === undefined) return new Refusal(Errno.EINVAL);
  const index = request.u32(4);
  for (const nic of facts.nics) {
    if (index !== 0 && nic.index !== index) continue;
    const entry = nic.addresses.find(({ family, local }) => family === 6 && local === wanted);
    if (entry === undefined) continue;
    writeAddress(request, nic, entry, out, 0);
    return undefined;
  }
  return new Refusal(Errno.EADDRNOTAVAIL);
}

/** The IPv4 addresses of an interface as Linux keeps them: the first of each network, then the others. */
function v4Of(nic: NicFacts): AddressFacts[] {
  const all = nic.addresses.filter(({ family }) => family === 4);
  return [
    ...all.filter((entry) => !isSecondary(nic, entry)),
    ...all.filter((entry) => isSecondary(nic, entry)),
  ];
}

/** Whether an earlier address of the interface is in the same network. */
export function isSecondary(nic: NicFacts, entry: AddressFacts): boolean {
  return primaryOf(nic, entry) !== entry;
}

/** The first address of the interface that is in the same network: `entry` itself, unless it is a secondary. */
export function primaryOf(nic: NicFacts, entry: AddressFacts): AddressFacts {
  if (entry.family !== 4) return entry;
  let found = primaries.get(nic);
  if (found === undefined) primaries.set(nic, found = primariesOf(nic));
  return found.get(networkKey(entry)) ?? entry;
}

/** Of one look at an interface: its primary addresses, by network. */
const primaries = new WeakMap<NicFacts, ReadonlyMap<string, AddressFacts>>();

function primariesOf(nic: NicFacts): ReadonlyMap<string, AddressFacts> {
  const found = new Map<string, AddressFacts>();
  for (const entry of nic.addresses) {
    if (entry.family !== 4) continue;
    const key = networkKey(entry);
    if (!found.has(key)) found.set(key, entry);
  }
  return found;
}

function networkKey({ local, prefixLength }: AddressFacts): string {
  const address = IpAddress.parse(local);
  return address === undefined ? local : `${prefixOf(address, prefixLength).d}/${prefixLength}`;
}

/** One address (`inet_fill_ifaddr`, `inet6_fill_ifaddr`); `type` is RTM_NEWADDR or RTM_DELADDR. */
export function writeAddress(
  { sequence, port }: Envelope,
  nic: NicFacts,
  entry: AddressFacts,
  out: ReplyWriter,
  messageFlags: number,
  type: number = RTM.NEWADDR,
): void {
  const flags = IFA_F.PERMANENT | (entry.flags ?? 0) | (isSecondary(nic, entry) ? IFA_F.SECONDARY : 0);
  const v4 = entry.family === 4;
  const at = out.begin(type, messageFlags, sequence, port, IFADDRMSG);
  out.view.setUint8(at, v4 ? AF.INET : AF.INET6);
  out.view.setUint8(at + 1, entry.prefixLength);
  out.view.setUint8(at + 2, flags);
  out.view.setUint8(at + 3, RT_SCOPE[entry.scope]);
  out.view.setInt32(at + 4, nic.index, true);
  // Preferred and valid for ever; when it was made and changed.
  const lifetimes = [FOREVER, FOREVER, 0, 0];
  out.addressText(IFA.ADDRESS, entry.local);
  if (v4) {
    out.addressText(IFA.LOCAL, entry.local);
    if (entry.broadcast !== undefined) out.addressText(IFA.BROADCAST, entry.broadcast);
    out.text(IFA.LABEL, entry.label ?? nic.name);
    out.u32(IFA.FLAGS, flags);
    out.words(IFA.CACHEINFO, lifetimes);
  } else {
    out.words(IFA.CACHEINFO, lifetimes);
    out.u32(IFA.FLAGS, flags);
    if (entry.scope === "host") out.u8(IFA.PROTO, IFAPROT.KERNEL_LO);
    else if (entry.scope === "link") out.u8(IFA.PROTO, IFAPROT.KERNEL_LL);
  }
  out.end();
}
