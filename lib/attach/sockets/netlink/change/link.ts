/**
 * RTM_NEWLINK, RTM_SETLINK and RTM_DELLINK: what `ip link set|add|del` asks for (`rtnl_newlink`, `do_setlink`).
 *
 * The only kind of link that can be made is `dummy`, of which nothing comes out. Interfaces that were given keep their
 * names.
 *
 * @module
 */

import { Errno } from "../../../../host/errno.ts";
import { setLinkUp } from "../../../../stack/ip/link_state.ts";
import type { Nic } from "../../../../stack/nic.ts";
import { NO_OFFLOAD } from "../../../../stack/link/link.ts";
import { None } from "../../../../stack/qdisc/none.ts";
import { MacAddress } from "../../../../stack/wire/ethernet.ts";
import { IFINFOMSG, MAX_MTU, MIN_MTU } from "../link.ts";
import { IFF, IFLA, IFLA_INFO_KIND, NLM_F } from "../numbers.ts";
import { type Attribute, Refusal, type Request } from "../request.ts";
import { invalidName } from "./name.ts";
import { type ChangeableNetwork, fixed, full, MAX_INTERFACES, nicAt, unsupported } from "./network.ts";

const MAC_LENGTH = 6;
/** Flags that a request may change beside `IFF_UP`, if it could. */
const OTHER_FLAGS = IFF.NOARP | IFF.PROMISC | IFF.ALLMULTI | IFF.MULTICAST;
/** Attributes that are carried out, or say nothing that would have to be. */
const KNOWN: ReadonlySet<number> = new Set([
  ...[IFLA.ADDRESS, IFLA.IFNAME, IFLA.ALT_IFNAME, IFLA.MTU, IFLA.TXQLEN, IFLA.LINKINFO, IFLA.EXT_MASK],
  ...[IFLA.NUM_TX_QUEUES, IFLA.NUM_RX_QUEUES],
]);
const DUMMY_MTU = 1_500;

type Attributes = ReadonlyMap<number, Attribute>;

/** Carries out RTM_NEWLINK and RTM_SETLINK. */
export function setLink(
  request: Request,
  network: ChangeableNetwork,
  mayMake: boolean,
): Refusal | undefined {
  if (request.length < IFINFOMSG) return new Refusal(Errno.EINVAL);
  const attributes = request.attributes(IFINFOMSG);
  const nic = find(request, network, attributes);
  if (nic === undefined) {
    const makes = mayMake && (request.flags & NLM_F.CREATE) !== 0;
    return makes ? makeLink(request, network, attributes) : new Refusal(Errno.ENODEV);
  }
  if (mayMake && (request.flags & NLM_F.EXCL) !== 0) return new Refusal(Errno.EEXIST);
  for (const type of attributes.keys()) {
    if (!KNOWN.has(type)) return unsupported(`cannot set attribute ${type} of a link`);
  }
  return applyLink(request, network, nic, attributes);
}

/** Carries out RTM_DELLINK. */
export function deleteLink(request: Request, network: ChangeableNetwork): Refusal | undefined {
  if (request.length < IFINFOMSG) return new Refusal(Errno.EINVAL);
  const nic = find(request, network, request.attributes(IFINFOMSG));
  if (nic === undefined) return new Refusal(Errno.ENODEV);
  if (!nic.discards) return new Refusal(Errno.EOPNOTSUPP);
  network.stack.removeNic(nic);
  return undefined;
}

function find(request: Request, network: ChangeableNetwork, attributes: Attributes): Nic | undefined {
  const index = request.u32(4) | 0;
  if (index > 0) return nicAt(network, index);
  const name = request.textOf(attributes.get(IFLA.IFNAME) ?? attributes.get(IFLA.ALT_IFNAME));
  return name === undefined ? undefined : network.stack.nic(name);
}

function makeLink(
  request: Request,
  network: ChangeableNetwork,
  attributes: Attributes,
): Refusal | undefined {
  const info = attributes.get(IFLA.LINKINFO);
  const kind = info && request.textOf(request.nested(info).get(IFLA_INFO_KIND));
  if (kind !== "dummy") return new Refusal(Errno.EOPNOTSUPP, "Unknown device type");
  const { stack } = network;
  const wanted = request.textOf(attributes.get(IFLA.IFNAME));
  if (wanted !== undefined) {
    const invalid = invalidName(wanted);
    if (invalid !== undefined) return invalid;
  }
  if (stack.nics.length >= MAX_INTERFACES) return full(network, "interfaces");
  let name = wanted ?? "dummy0";
  for (let i = 1; wanted === undefined && stack.nic(name) !== undefined; i++) name = `dummy${i}`;
  const random = stack.random();
  const nic = stack.addNic({
    name,
    // Locally administered, not a group.
    mac: new MacAddress((random >>> 16 & 0xfcff) | 0x0200, stack.random() | 0),
    mtu: DUMMY_MTU,
    capabilities: NO_OFFLOAD,
    qdisc: new None(),
    discards: true,
  });
  nic.setClosed(true);
  const refusal = applyLink(request, network, nic, attributes);
  if (refusal !== undefined) stack.removeNic(nic);
  return refusal;
}

function applyLink(
  request: Request,
  network: ChangeableNetwork,
  nic: Nic,
  attributes: Attributes,
): Refusal | undefined {
  const held = fixed(network, nic);
  if (held !== undefined) return held;
  const hardware = attributes.get(IFLA.ADDRESS);
  const mtu = request.wordOf(attributes.get(IFLA.MTU));
  const name = request.u32(4) === 0 ? undefined : request.textOf(attributes.get(IFLA.IFNAME));
  const queue = request.wordOf(attributes.get(IFLA.TXQLEN));
  const flags = request.u32(8), change = request.u32(12);
  return (hardware && setHardware(nic, request.bytes.subarray(hardware.at, hardware.at + hardware.length))) ??
    (mtu === undefined ? undefined : setMtu(nic, mtu)) ??
    (name === undefined || name === nic.name ? undefined : rename(network, nic, name)) ??
    (flags === 0 && change === 0
      ? undefined
      : setFlags(network, nic, flags, change === 0 ? 0xffffffff : change)) ??
    (queue === undefined ? undefined : setQueueLength(nic, queue));
}

/** Gives an interface a hardware address. */
export function setHardware(nic: Nic, bytes: Uint8Array): Refusal | undefined {
  if (bytes.length < MAC_LENGTH) return new Refusal(Errno.EINVAL);
  if (nic.kind === "loopback") return new Refusal(Errno.EOPNOTSUPP);
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const mac = new MacAddress(view.getUint16(0), view.getInt32(2));
  if (mac.isMulticast() || (mac.high === 0 && mac.low === 0)) return new Refusal(Errno.EADDRNOTAVAIL);
  nic.mac.high = mac.high;
  nic.mac.low = mac.low;
  nic.neighbours.clear();
  return undefined;
}

/** Changes the MTU. */
export function setMtu(nic: Nic, mtu: number): Refusal | undefined {
  const loopback = nic.kind === "loopback";
  if (mtu < MIN_MTU) return new Refusal(Errno.EINVAL, "mtu less than device minimum");
  if (mtu > (loopback ? MAX_LOOPBACK_MTU : MAX_MTU)) {
    return new Refusal(Errno.EINVAL, "mtu greater than device maximum");
  }
  nic.setMtu(mtu);
  return undefined;
}

const MAX_LOOPBACK_MTU = 65_536;

/** Gives an interface another name; only one that the guest has made. */
export function rename(network: ChangeableNetwork, nic: Nic, name: string): Refusal | undefined {
  const invalid = invalidName(name);
  if (invalid !== undefined) return invalid;
  if (network.stack.nic(name) !== undefined) return new Refusal(Errno.EEXIST);
  if (!nic.discards) {
    return new Refusal(Errno.EPERM, `sluice: the operator knows ${nic.name} by this name`);
  }
  network.stack.renameNic(nic, name);
  return undefined;
}

/** Changes `IFF_UP`; nothing else can be changed. */
export function setFlags(
  network: ChangeableNetwork,
  nic: Nic,
  flags: number,
  change: number,
): Refusal | undefined {
  const own = nic.discards ? IFF.NOARP : nic.kind === "loopback" ? 0 : IFF.MULTICAST;
  if (((flags ^ own) & change & OTHER_FLAGS) !== 0) return unsupported("links go up and down, no more");
  if ((change & IFF.UP) !== 0) setLinkUp(network.stack.routes, nic, (flags & IFF.UP) !== 0);
  return undefined;
}

/** What `ip link` shows as `qlen`. */
export function setQueueLength(nic: Nic, length: number): Refusal | undefined {
  if (length > 0x7fffffff) return new Refusal(Errno.ERANGE);
  nic.txQueueLength = length;
  return undefined;
}
