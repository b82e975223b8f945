/**
 * RTM_NEWADDR and RTM_DELADDR: what `ip addr add|change|replace|del|flush` asks for (`inet_rtm_newaddr`,
 * `inet6_rtm_newaddr` and their opposites).
 *
 * Lifetimes are not counted and peers not known: both are refused.
 *
 * @module
 */

import { AF } from "../../../../host/constants.ts";
import { Errno } from "../../../../host/errno.ts";
import type { Nic } from "../../../../stack/nic.ts";
import { inPrefix } from "../../../../stack/ip/routes.ts";
import type { InterfaceAddress } from "../../../../stack/ip/source_address.ts";
import type { IpAddress } from "../../../../stack/wire/address.ts";
import { FOREVER, IFADDRMSG } from "../address.ts";
import { IFA, IFA_F, NLM_F, RT_SCOPE } from "../numbers.ts";
import { Refusal, type Request } from "../request.ts";
import { invalidLabel } from "./name.ts";
import {
  type ChangeableNetwork,
  fixed,
  full,
  MAX_ADDRESSES,
  MAX_ROUTES,
  nicAt,
  unsupported,
} from "./network.ts";

/** An address to add. */
export type AddressSpec = Omit<InterfaceAddress, "scope"> & Partial<Pick<InterfaceAddress, "scope">>;

/** Carries out RTM_NEWADDR. */
export function newAddress(request: Request, network: ChangeableNetwork): Refusal | undefined {
  const v4 = request.family === AF.INET;
  if (!v4 && request.family !== AF.INET6) return new Refusal(Errno.EOPNOTSUPP);
  if (request.length < IFADDRMSG) return new Refusal(Errno.EINVAL);
  const attributes = request.attributes(IFADDRMSG);
  const prefixLength = request.u8(1);
  if (prefixLength > (v4 ? 32 : 128)) return invalidPrefix(v4);
  const local = request.addressOf(attributes.get(IFA.LOCAL));
  const other = request.addressOf(attributes.get(IFA.ADDRESS));
  const address = v4 ? local : local ?? other;
  if (address === undefined || (address.family === 4) !== v4) {
    return new Refusal(Errno.EINVAL, v4 ? "ipv4: Local address is not supplied" : "");
  }
  const nic = nicAt(network, request.u32(4));
  if (nic === undefined) {
    return new Refusal(Errno.ENODEV, v4 ? "ipv4: Device not found" : "ipv6: Unable to find the interface");
  }
  if (other !== undefined && !other.equals(address)) return unsupported("addresses have no peers");
  const invalid = lifetimes(request, v4);
  if (invalid !== undefined) return invalid;
  const broadcast = request.addressOf(attributes.get(IFA.BROADCAST));
  const label = request.textOf(attributes.get(IFA.LABEL));
  const metric = request.wordOf(attributes.get(IFA.RT_PRIORITY));
  const flags = request.wordOf(attributes.get(IFA.FLAGS)) ?? request.u8(2);
  return addAddress(network, nic, {
    address,
    prefixLength,
    ...(v4 ? { scope: scopeAt(request.u8(3)), broadcast: broadcast ?? null } : {}),
    ...(label === undefined || label === nic.name || !v4 ? {} : { label }),
    ...(metric === undefined || metric === 0 ? {} : { metric }),
    flags: flags & (IFA_F.NODAD | IFA_F.NOPREFIXROUTE),
  }, (request.flags & (NLM_F.REPLACE | NLM_F.EXCL)) === NLM_F.REPLACE);
}

function invalidPrefix(v4: boolean): Refusal {
  return new Refusal(Errno.EINVAL, v4 ? "ipv4: Invalid prefix length" : "ipv6: Invalid prefix length");
}

function lifetimes(request: Request, v4: boolean): Refusal | undefined {
  const given = request.attributes(IFADDRMSG).get(IFA.CACHEINFO);
  if (given === undefined || given.length < 8) return undefined;
  const preferred = request.view.getUint32(given.at, true);
  const valid = request.view.getUint32(given.at + 4, true);
  if (valid === 0 || preferred > valid) {
    return new Refusal(
      Errno.EINVAL,
      v4 ? "ipv4: address lifetime invalid" : "ipv6: address lifetime invalid",
    );
  }
  return valid === FOREVER && preferred === FOREVER ? undefined : unsupported("lifetimes are not counted");
}

/** `RT_SCOPE_…` as the stack has it: what lies between is as good as global. */
function scopeAt(scope: number): InterfaceAddress["scope"] {
  return scope >= RT_SCOPE.host ? "host" : scope === RT_SCOPE.link ? "link" : "global";
}

/**
 * Gives an interface an address.
 *
 * @param replace one that is there already may change what is said of it
 */
export function addAddress(
  network: ChangeableNetwork,
  nic: Nic,
  spec: AddressSpec,
  replace: boolean,
): Refusal | undefined {
  const { address, prefixLength, label } = spec;
  const held = fixed(network, nic) ?? (label === undefined ? undefined : invalidLabel(label));
  if (held !== undefined) return held;
  const invalid = address.family === 4 ? undefined : invalidV6(spec, nic);
  const there = nic.addresses.find((entry) => entry.address.equals(address));
  if (there !== undefined) {
    // Who has made a network namespace gives its loopback the addresses that ours has from the beginning.
    if (nic.kind === "loopback" && network.stack.firstNic === undefined) return undefined;
    const why = address.family === 4 ? "ipv4: Address already assigned" : "ipv6: address already assigned";
    if (!replace || there.prefixLength !== prefixLength) return new Refusal(Errno.EEXIST, why);
    nic.changeAddress({ ...there, ...spec });
    return undefined;
  }
  if (invalid !== undefined) return invalid;
  if (address.family === 4 && address.isUnspecified()) return undefined; // The kernel adds nothing, and is content.
  if (address.isMulticast() || address.isLimitedBroadcast()) return new Refusal(Errno.EINVAL);
  if (address.family === 4 && clashesInScope(spec, nic)) {
    return new Refusal(Errno.EINVAL, "ipv4: Invalid scope value");
  }
  if (nic.addresses.length >= MAX_ADDRESSES) return full(network, "addresses");
  if (network.stack.routes.size >= MAX_ROUTES) return full(network, "routes");
  const alone = nic.closed || ((spec.flags ?? 0) & IFA_F.NOPREFIXROUTE) !== 0;
  nic.addAddress(address, prefixLength, { ...spec, alone });
  return undefined;
}

function invalidV6({ address }: AddressSpec, nic: Nic): Refusal | undefined {
  if (address.isMulticast()) {
    const why = 'ipv6: Cannot assign multicast address without "IFA_F_MCAUTOJOIN" flag';
    return new Refusal(Errno.EADDRNOTAVAIL, why);
  }
  if (address.isUnspecified() || address.isV4Mapped()) {
    return new Refusal(Errno.EADDRNOTAVAIL, "ipv6: Invalid address");
  }
  return address.isLoopback() && nic.kind !== "loopback"
    ? new Refusal(Errno.EADDRNOTAVAIL, "ipv6: Cannot assign loopback address on this device")
    : undefined;
}

/** Addresses of one network have one scope. */
function clashesInScope({ address, prefixLength, scope }: AddressSpec, nic: Nic): boolean {
  return nic.addresses.some((entry) =>
    entry.prefixLength === prefixLength && inPrefix(address, entry.address, prefixLength) &&
    entry.scope !== scope
  );
}

/** Carries out RTM_DELADDR. */
export function deleteAddress(request: Request, network: ChangeableNetwork): Refusal | undefined {
  const v4 = request.family === AF.INET;
  if (!v4 && request.family !== AF.INET6) return new Refusal(Errno.EOPNOTSUPP);
  if (request.length < IFADDRMSG) return new Refusal(Errno.EINVAL);
  const attributes = request.attributes(IFADDRMSG);
  const prefix = request.addressOf(attributes.get(IFA.ADDRESS));
  const local = request.addressOf(attributes.get(IFA.LOCAL));
  if (!v4 && local === undefined && prefix === undefined) return new Refusal(Errno.EINVAL);
  const nic = nicAt(network, request.u32(4));
  if (nic === undefined) {
    return new Refusal(Errno.ENODEV, v4 ? "ipv4: Device not found" : "ipv6: Unable to find the interface");
  }
  if (!v4 && request.u8(1) > 128) return invalidPrefix(v4);
  const label = v4 ? request.textOf(attributes.get(IFA.LABEL)) : undefined;
  const wanted = v4 ? local : local ?? prefix;
  const length = request.u8(1);
  const found = nic.addresses.find((entry) => {
    if ((entry.address.family === 4) !== v4) return false;
    if (wanted !== undefined && !entry.address.equals(wanted)) return false;
    if (label !== undefined && label !== (entry.label ?? nic.name)) return false;
    if (v4 && prefix === undefined) return true;
    return entry.prefixLength === length && (prefix === undefined || inPrefix(prefix, entry.address, length));
  });
  if (found === undefined) {
    return new Refusal(Errno.EADDRNOTAVAIL, v4 ? "ipv4: Address not found" : "ipv6: address not found");
  }
  return removeAddress(network, nic, found.address);
}

/**
 * Takes an address away; of IPv4 those, too, that came to the same network after it (`promote_secondaries` is 0), and
 * routes that prefer it as a source.
 */
export function removeAddress(network: ChangeableNetwork, nic: Nic, address: IpAddress): Refusal | undefined {
  const held = fixed(network, nic);
  if (held !== undefined) return held;
  const at = nic.addresses.findIndex((entry) => entry.address.equals(address));
  const entry = nic.addresses[at];
  if (entry === undefined) return new Refusal(Errno.EADDRNOTAVAIL);
  const gone = address.family === 6 ? [entry] : dependants(nic.addresses, at);
  for (const { address: each } of gone) {
    nic.removeAddress(each);
    network.stack.routes.removeWhere((route) => route.nic === nic && route.source?.equals(each) === true);
  }
  return undefined;
}

/** An address, and its secondaries if it is the first of its network. */
function dependants(all: readonly InterfaceAddress[], at: number): InterfaceAddress[] {
  const entry = all[at]!;
  const alike = ({ address, prefixLength }: InterfaceAddress) =>
    prefixLength === entry.prefixLength && inPrefix(address, entry.address, prefixLength);
  if (all.slice(0, at).some(alike)) return [entry];
  return all.slice(at).filter(alike);
}
