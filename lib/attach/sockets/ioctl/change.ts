/**
 * Ioctls that change interfaces, addresses and routes: what `ifconfig` and `route` call (netdevice(7); `dev_ifsioc`,
 * `devinet_ioctl`, `ip_rt_ioctl`, `addrconf_add_ifaddr` and `ipv6_route_ioctl` of the kernel).
 *
 * They are carried out by the functions that answer netlink. ARP entries by ioctl, and flags other than up and down, are
 * refused.
 *
 * @module
 */

import { AF } from "../../../host/constants.ts";
import { Errno } from "../../../host/errno.ts";
import { textAt } from "../../../host/memory.ts";
import type { Nic } from "../../../stack/nic.ts";
import { prefixOf } from "../../../stack/ip/routes.ts";
import type { InterfaceAddress } from "../../../stack/ip/source_address.ts";
import { IpAddress } from "../../../stack/wire/address.ts";
import { addAddress, removeAddress } from "../netlink/change/address.ts";
import { rename, setFlags, setHardware, setMtu, setQueueLength } from "../netlink/change/link.ts";
import { type ChangeableNetwork, fixed } from "../netlink/change/network.ts";
import { addRoute, type NewRoute, removeRoute } from "../netlink/change/route.ts";
import { ARPHRD, NLM_F } from "../netlink/numbers.ts";
import type { Refusal } from "../netlink/request.ts";
import { SIOC } from "./ifreq.ts";

/** Offset of the union behind the name in a `struct ifreq`. */
const VALUE = 16, NAME_SIZE = 16;
/** Bytes of `struct rtentry`, `struct in6_ifreq`, `struct in6_rtmsg`. */
export const RTENTRY_SIZE = 120, IN6_IFREQ_SIZE = 24, IN6_RTMSG_SIZE = 80;
/** Where they have what is read. */
const Rtentry = { destination: 8, gateway: 24, mask: 40, flags: 56, metric: 80 } as const;
const In6Rtmsg = { gateway: 32, length: 52, metric: 56, flags: 72, index: 76 } as const;
const RTF = { GATEWAY: 2, HOST: 4, REJECT: 0x200 } as const;

/** Errno of what netlink would have said more about. */
function errnoOf(refusal: Refusal | undefined): number {
  return refusal?.errno ?? 0;
}

/** A `struct sockaddr_in`. */
function sockaddrAt(view: DataView, at: number): IpAddress | undefined {
  return view.getUint16(at, true) === AF.INET ? IpAddress.readV4(view, at + 4) : undefined;
}

/** Bits of a netmask; undefined: it has holes. */
function bitsOf(mask: number): number | undefined {
  const bits = Math.clz32(~mask);
  return bits === 32 || mask << bits === 0 ? bits : undefined;
}

/** The prefix length that an address had before there were netmasks (`inet_abc_len`); undefined: none. */
function classLength({ d }: IpAddress): number | undefined {
  const first = d >>> 24;
  if (d === 0) return 0;
  return first < 128 ? 8 : first < 192 ? 16 : first < 224 ? 24 : undefined;
}

/** Carries out a command on a `struct ifreq`. Returns an errno, 0 for success. */
export function changeInterface(
  command: number,
  network: ChangeableNetwork,
  view: DataView<ArrayBuffer>,
): number {
  const bytes = new Uint8Array(view.buffer, view.byteOffset, view.byteLength);
  bytes[NAME_SIZE - 1] = 0;
  const label = textAt(bytes, 0, NAME_SIZE);
  const nic = network.stack.nic(label.split(":")[0]!);
  if (nic === undefined) return Errno.ENODEV;
  const held = fixed(network, nic);
  if (held !== undefined) return held.errno;
  switch (command) {
    case SIOC.SIFFLAGS:
      return errnoOf(setFlags(network, nic, view.getUint16(VALUE, true), 0xffff));
    case SIOC.SIFMTU:
      return errnoOf(setMtu(nic, view.getInt32(VALUE, true)));
    case SIOC.SIFTXQLEN:
      return view.getInt32(VALUE, true) < 0
        ? Errno.EINVAL
        : errnoOf(setQueueLength(nic, view.getInt32(VALUE, true)));
    case SIOC.SIFHWADDR:
      if (view.getUint16(VALUE, true) !== (nic.kind === "loopback" ? ARPHRD.LOOPBACK : ARPHRD.ETHER)) {
        return Errno.EINVAL;
      }
      return errnoOf(setHardware(nic, bytes.subarray(VALUE + 2, VALUE + 8)));
    case SIOC.SIFNAME:
      return errnoOf(rename(network, nic, textAt(bytes, VALUE, NAME_SIZE)));
    case SIOC.SIFADDR:
    case SIOC.SIFNETMASK:
    case SIOC.SIFBRDADDR:
      return changeAddress(command, network, nic, label, sockaddrAt(view, VALUE));
    default:
      return Errno.EOPNOTSUPP;
  }
}

/** Changes the IPv4 address that `label` names: the interface's first, or that of `eth0:1`. */
function changeAddress(
  command: number,
  network: ChangeableNetwork,
  nic: Nic,
  label: string,
  given: IpAddress | undefined,
): number {
  if (given === undefined) return Errno.EINVAL;
  const old = nic.addresses.find((entry) =>
    entry.address.family === 4 && (entry.label ?? nic.name) === label
  );
  if (command === SIOC.SIFADDR) {
    const prefixLength = classLength(given);
    if (prefixLength === undefined) return Errno.EINVAL;
    if (old?.address.equals(given)) return 0;
    const scope = given.isLoopback() ? "host" : "global";
    return replaceAddress(network, nic, old, {
      address: given,
      prefixLength,
      scope,
      ...labelled(nic, label),
    });
  }
  if (old === undefined) return Errno.EADDRNOTAVAIL;
  if (command === SIOC.SIFBRDADDR) {
    nic.changeAddress({ ...old, broadcast: given });
    return 0;
  }
  const prefixLength = bitsOf(given.d);
  if (prefixLength === undefined) return Errno.EINVAL;
  if (prefixLength === old.prefixLength) return 0;
  const { address, scope } = old;
  return replaceAddress(network, nic, old, { address, prefixLength, scope, ...labelled(nic, label) });
}

function labelled(nic: Nic, label: string): { label?: string } {
  return label === nic.name ? {} : { label };
}

function replaceAddress(
  network: ChangeableNetwork,
  nic: Nic,
  old: InterfaceAddress | undefined,
  entry: InterfaceAddress,
): number {
  if (old !== undefined) removeAddress(network, nic, old.address);
  return errnoOf(addAddress(network, nic, entry, false));
}

/** Carries out SIOCADDRT and SIOCDELRT of an IPv4 socket. `device` is what `rt_dev` points to. */
export function changeRoute(
  command: number,
  network: ChangeableNetwork,
  view: DataView<ArrayBuffer>,
  device: string | undefined,
): number {
  const destination = sockaddrAt(view, Rtentry.destination);
  if (destination === undefined) return Errno.EAFNOSUPPORT;
  const flags = view.getUint16(Rtentry.flags, true);
  const host = (flags & RTF.HOST) !== 0;
  const prefixLength = host ? 32 : bitsOf(view.getInt32(Rtentry.mask + 4));
  if (prefixLength === undefined || !prefixOf(destination, prefixLength).equals(destination)) {
    return Errno.EINVAL;
  }
  if ((flags & RTF.REJECT) !== 0) return Errno.EOPNOTSUPP;
  const nic = device === undefined ? undefined : network.stack.nic(device.split(":")[0]!);
  if (device !== undefined && nic === undefined) return Errno.ENODEV;
  const named = sockaddrAt(view, Rtentry.gateway);
  const gateway = (flags & RTF.GATEWAY) !== 0 && named?.isUnspecified() === false ? named : undefined;
  if ((flags & RTF.GATEWAY) !== 0 && gateway === undefined && command === SIOC.ADDRT) return Errno.EINVAL;
  // It counts from 1, so that 0 means that nothing is said.
  const metric = Math.max(0, view.getInt16(Rtentry.metric, true) - 1);
  return apply(command, network, { destination, prefixLength, gateway, metric, index: nic?.index ?? 0 });
}

/** Carries out SIOCADDRT and SIOCDELRT of an IPv6 socket, in a `struct in6_rtmsg`. */
export function changeRoute6(
  command: number,
  network: ChangeableNetwork,
  view: DataView<ArrayBuffer>,
): number {
  const prefixLength = view.getUint16(In6Rtmsg.length, true);
  if (prefixLength > 128) return Errno.EINVAL;
  const via = IpAddress.readV6(view, In6Rtmsg.gateway);
  return apply(command, network, {
    destination: prefixOf(IpAddress.readV6(view, 0), prefixLength),
    prefixLength,
    gateway: via.isUnspecified() ? undefined : via,
    metric: view.getUint32(In6Rtmsg.metric, true),
    index: view.getInt32(In6Rtmsg.index, true),
  });
}

function apply(
  command: number,
  network: ChangeableNetwork,
  route: Omit<NewRoute, "source" | "protocol" | "flags">,
): number {
  if (command === SIOC.DELRT) return errnoOf(removeRoute(network, route));
  const made: NewRoute = { ...route, source: undefined, protocol: "boot", flags: 0 };
  return errnoOf(addRoute(network, made, NLM_F.CREATE));
}

/** Carries out SIOCSIFADDR and SIOCDIFADDR of an IPv6 socket, in a `struct in6_ifreq`. */
export function changeAddress6(
  command: number,
  network: ChangeableNetwork,
  view: DataView<ArrayBuffer>,
): number {
  const address = IpAddress.readV6(view, 0);
  const prefixLength = view.getUint32(16, true), index = view.getInt32(20, true);
  const nic = network.stack.nics.find((one) => one.index === index);
  if (nic === undefined) return Errno.ENODEV;
  if (prefixLength > 128) return Errno.EINVAL;
  return errnoOf(
    command === SIOC.SIFADDR
      ? addAddress(network, nic, { address, prefixLength }, false)
      : removeAddress(network, nic, address),
  );
}
