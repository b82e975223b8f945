/**
 * Interfaces, addresses and routes of the kernel, read and changed.
 *
 * @module
 */

import { AF } from "./constants.ts";
import { SystemError } from "./errno.ts";
import { Errno } from "./errno.ts";
import { type MessageReader, MessageWriter, NetlinkSocket, NLM } from "./netlink.ts";
import type { AddressWords } from "./structs.ts";

const RTM = {
  NEWLINK: 16,
  DELLINK: 17,
  GETLINK: 18,
  NEWADDR: 20,
  DELADDR: 21,
  GETADDR: 22,
  NEWROUTE: 24,
  DELROUTE: 25,
  GETROUTE: 26,
} as const;
const IFLA = {
  ADDRESS: 1,
  IFNAME: 3,
  MTU: 4,
  TXQLEN: 13,
  OPERSTATE: 16,
  LINKINFO: 18,
  GSO_MAX_SIZE: 41,
} as const;
const IFLA_INFO_KIND = 1;
const IFA = { ADDRESS: 1, LOCAL: 2, FLAGS: 8, RT_PRIORITY: 9 } as const;
const RTA = {
  DST: 1,
  OIF: 4,
  GATEWAY: 5,
  PRIORITY: 6,
  PREFSRC: 7,
  METRICS: 8,
  MULTIPATH: 9,
  TABLE: 15,
  VIA: 18,
} as const;
/** `struct rtnexthop`, and where its interface stands; attributes follow. */
const RTNEXTHOP = 8, RTNH_IFINDEX = 4;
const RTAX_MTU = 2;
const IFINFOMSG = 16, IFADDRMSG = 8, RTMSG = 12;
const RT_TABLE_MAIN = 254, RTPROT_STATIC = 4, RT_SCOPE_UNIVERSE = 0, RT_SCOPE_LINK = 253, RTN_UNICAST = 1;
const RTNH_F_ONLINK = 4;
const IFA_F_NODAD = 2, IFA_F_PERMANENT = 0x80;
const IFF_UP = 1, IF_OPER_UP = 6;

/** An interface of the kernel. */
export interface HostLink {
  readonly index: number;
  readonly name: string;
  /** Colon-separated; `""` when it has none. */
  readonly mac: string;
  readonly mtu: number;
  /** `IFF_…` */
  readonly flags: number;
  readonly up: boolean;
  /** `veth`, `tun`, …; `""` for hardware. */
  readonly kind: string;
  /** `ARPHRD_…`: what its frames look like. */
  readonly type: number;
  /** Largest packet that it takes uncut. */
  readonly gsoMaxSize: number;
}

/** An address on an interface. */
export interface HostAddress {
  /** Index of the interface. */
  readonly index: number;
  readonly address: AddressWords;
  /** Of the prefix: on a point-to-point link, the one of the other end. */
  readonly peer: AddressWords;
  readonly prefixLength: number;
  /** 0 global, 253 link, 254 host. */
  readonly scope: number;
  /** `IFA_F_…` */
  readonly flags: number;
}

/** A unicast route of the main table. */
export interface HostRoute {
  readonly family: 4 | 6;
  /** Absent for a default route. */
  readonly destination?: AddressWords;
  readonly prefixLength: number;
  readonly gateway?: AddressWords;
  /** Address that the kernel sends from. */
  readonly source?: AddressWords;
  /** Index of the interface, of the first one if there are several next hops; 0 for none. */
  readonly index: number;
  /** How many ways there are, of which only the first is told here; 0 if it is by a router of the other family. */
  readonly nextHops: number;
  readonly metric: number;
  readonly mtu?: number;
  readonly scope: number;
  /** Who made it: 2 the kernel, 3 boot, 4 an administrator, 9 router advertisement, 16 DHCP. */
  readonly protocol: number;
}

/** A route to make. */
export interface NewRoute {
  readonly family: 4 | 6;
  /** Absent for the default route. */
  readonly destination?: AddressWords;
  readonly prefixLength?: number;
  /** Absent for what is reached directly. */
  readonly gateway?: AddressWords;
  readonly source?: AddressWords;
  readonly index: number;
  readonly metric?: number;
  /** The gateway is on the link, whatever addresses say. */
  readonly onLink?: boolean;
}

/**
 * The kernel's network of the namespace this thread is in when it is made, or of that of a descriptor. Every method throws
 * `NetlinkError`.
 */
export class RouteNetlink {
  readonly #socket: NetlinkSocket;
  readonly #message = new MessageWriter();

  /** @param fd from `openRouteNetlink`; ours from now on */
  constructor(fd?: number) {
    this.#socket = new NetlinkSocket(fd);
  }

  /** All interfaces. */
  links(): HostLink[] {
    const message = this.#message;
    message.begin(RTM.GETLINK, 0, IFINFOMSG);
    let links: HostLink[] = [];
    this.#socket.dump("list interfaces", message, () => links = [], (reader) => {
      const { view, bytes } = reader.memory;
      let name = "", mac = "", mtu = 0, kind = "", gsoMaxSize = 0;
      reader.attributes(IFINFOMSG, (type, at, length) => {
        if (type === IFLA.IFNAME) name = reader.text(at, length);
        else if (type === IFLA.ADDRESS) mac = formatMac(bytes.subarray(at, at + length));
        else if (type === IFLA.MTU) mtu = view.getUint32(at, true);
        else if (type === IFLA.GSO_MAX_SIZE) gsoMaxSize = view.getUint32(at, true);
        else if (type === IFLA.LINKINFO) kind = infoKind(view, reader.text.bind(reader), at, length);
      });
      const flags = view.getUint32(reader.start + 8, true);
      links.push({
        index: view.getInt32(reader.start + 4, true),
        name,
        mac,
        mtu,
        flags,
        up: (flags & IFF_UP) !== 0,
        kind,
        type: view.getUint16(reader.start + 2, true),
        gsoMaxSize,
      });
    });
    return links;
  }

  /** The interface of this name; throws ENODEV. */
  link(name: string): HostLink {
    const found = this.links().find((link) => link.name === name);
    if (found === undefined) throw new SystemError(`find interface ${name}`, Errno.ENODEV);
    return found;
  }

  /** All IPv4 and IPv6 addresses, or those of one interface. */
  addresses(index?: number): HostAddress[] {
    const message = this.#message;
    message.begin(RTM.GETADDR, 0, IFADDRMSG);
    let addresses: HostAddress[] = [];
    this.#socket.dump("list addresses", message, () => addresses = [], (reader) => {
      const { view } = reader.memory;
      const at = reader.start;
      if (index !== undefined && view.getInt32(at + 4, true) !== index) return;
      let flags = view.getUint8(at + 2);
      let local: AddressWords | undefined, address: AddressWords | undefined;
      reader.attributes(IFADDRMSG, (type, offset, length) => {
        if (type === IFA.LOCAL) local = reader.address(offset, length);
        else if (type === IFA.ADDRESS) address = reader.address(offset, length);
        else if (type === IFA.FLAGS) flags = view.getUint32(offset, true);
      });
      // On a point-to-point link IFA_ADDRESS is the peer and IFA_LOCAL is ours (rtnetlink(7)).
      const ours = local ?? address;
      if (ours === undefined) return;
      addresses.push({
        index: view.getInt32(at + 4, true),
        address: ours,
        peer: address ?? ours,
        prefixLength: view.getUint8(at + 1),
        scope: view.getUint8(at + 3),
        flags,
      });
    });
    return addresses;
  }

  /** All unicast routes of the main table. */
  routes(): HostRoute[] {
    const message = this.#message;
    message.begin(RTM.GETROUTE, 0, RTMSG);
    let routes: HostRoute[] = [];
    this.#socket.dump("list routes", message, () => routes = [], (reader) => {
      const { view } = reader.memory;
      const at = reader.start;
      const family = view.getUint8(at);
      let table = view.getUint8(at + 4);
      const route: { -readonly [K in keyof HostRoute]: HostRoute[K] } = {
        family: family === AF.INET ? 4 : 6,
        prefixLength: view.getUint8(at + 1),
        index: 0,
        nextHops: 1,
        metric: 0,
        scope: view.getUint8(at + 6),
        protocol: view.getUint8(at + 5),
      };
      reader.attributes(RTMSG, (type, offset, length) => {
        if (type === RTA.OIF) route.index = view.getInt32(offset, true);
        else if (type === RTA.PRIORITY) route.metric = view.getUint32(offset, true);
        else if (type === RTA.TABLE) table = view.getUint32(offset, true);
        else if (type === RTA.METRICS) {
          const mtu = metricsMtu(view, offset, length);
          if (mtu > 0) route.mtu = mtu;
        } else if (type === RTA.VIA) route.nextHops = 0;
        else if (type === RTA.MULTIPATH) {
          route.nextHops = 0;
          for (let hop = offset; hop + RTNEXTHOP <= offset + length; route.nextHops++) {
            const size = view.getUint16(hop, true);
            if (size < RTNEXTHOP) break;
            if (route.nextHops === 0) {
              route.index = view.getInt32(hop + RTNH_IFINDEX, true);
              const gateway = gatewayOf(reader, hop + RTNEXTHOP, hop + size);
              if (gateway !== undefined) route.gateway = gateway;
            }
            hop += (size + 3) & ~3;
          }
        } else {
          const address = reader.address(offset, length);
          if (address === undefined) return;
          if (type === RTA.DST) route.destination = address;
          else if (type === RTA.GATEWAY) route.gateway = address;
          else if (type === RTA.PREFSRC) route.source = address;
        }
      });
      const ours = family === AF.INET || family === AF.INET6;
      if (ours && table === RT_TABLE_MAIN && view.getUint8(at + 7) === RTN_UNICAST) routes.push(route);
    });
    return routes;
  }

  /** Brings an interface up. */
  setLinkUp(index: number): void {
    this.#setLink(`bring up interface ${index}`, index, IFF_UP, () => {});
  }

  /** Says of an interface whose driver does not know that its cable is in: `operstate` is `up` then. */
  setOperational(index: number): void {
    const fill = (m: MessageWriter) => m.bytes(IFLA.OPERSTATE, Uint8Array.of(IF_OPER_UP));
    this.#setLink(`declare interface ${index} operational`, index, undefined, fill);
  }

  /** Takes an interface down. */
  setLinkDown(index: number): void {
    this.#setLink(`take down interface ${index}`, index, 0, () => {});
  }

  /** Sets the largest IP packet, bytes. */
  setMtu(index: number, mtu: number): void {
    this.#setLink(
      `set the MTU of interface ${index} to ${mtu}`,
      index,
      undefined,
      (m) => m.word(IFLA.MTU, mtu),
    );
  }

  /** Sets how many packets may wait for the interface. */
  setTxQueueLength(index: number, packets: number): void {
    this.#setLink(
      `set the queue of interface ${index} to ${packets} packets`,
      index,
      undefined,
      (m) => m.word(IFLA.TXQLEN, packets),
    );
  }

  /** Sets the hardware address, colon-separated. */
  setMac(index: number, mac: string): void {
    const bytes = parseMac(mac);
    this.#setLink(
      `give interface ${index} the address ${mac}`,
      index,
      undefined,
      (m) => m.bytes(IFLA.ADDRESS, bytes),
    );
  }

  /** Renames an interface, which must be down on kernels before 6.2. */
  rename(index: number, name: string): void {
    this.#setLink(`rename interface ${index} to ${name}`, index, undefined, (m) => m.text(IFLA.IFNAME, name));
  }

  /** Removes a virtual interface. */
  deleteLink(index: number): void {
    const at = this.#message.begin(RTM.DELLINK, 0, IFINFOMSG);
    this.#message.memory.view.setInt32(at + 4, index, true);
    this.#socket.request(`remove interface ${index}`, this.#message);
  }

  /**
   * Gives an interface an address, usable at once: nobody else is on our wires to have the same (no DAD).
   *
   * @param metric of the route to its prefix
   */
  addAddress(index: number, address: AddressWords, prefixLength: number, metric?: number): void {
    const message = this.#address(RTM.NEWADDR, NLM.CREATE | NLM.REPLACE, index, address, prefixLength);
    message.word(IFA.FLAGS, address.family === 6 ? IFA_F_NODAD | IFA_F_PERMANENT : IFA_F_PERMANENT);
    if (metric !== undefined) message.word(IFA.RT_PRIORITY, metric);
    this.#socket.request(`add an address to interface ${index}`, message);
  }

  /** Takes an address away. */
  removeAddress(index: number, address: AddressWords, prefixLength: number): void {
    const message = this.#address(RTM.DELADDR, 0, index, address, prefixLength);
    this.#socket.request(`remove an address from interface ${index}`, message);
  }

  /** Adds or replaces a route of the main table. */
  addRoute(route: NewRoute): void {
    this.#route("add a route", RTM.NEWROUTE, NLM.CREATE | NLM.REPLACE, route);
  }

  /** Removes a route of the main table. */
  removeRoute(route: NewRoute): void {
    this.#route("remove a route", RTM.DELROUTE, 0, route);
  }

  close(): void {
    this.#socket.close();
  }

  /** @param flags IFF_UP or 0; undefined leaves the flags alone */
  #setLink(
    what: string,
    index: number,
    flags: number | undefined,
    fill: (message: MessageWriter) => void,
  ): void {
    const message = this.#message;
    const at = message.begin(RTM.NEWLINK, 0, IFINFOMSG);
    const { view } = message.memory;
    view.setInt32(at + 4, index, true);
    if (flags !== undefined) {
      view.setUint32(at + 8, flags, true);
      view.setUint32(at + 12, IFF_UP, true);
    }
    fill(message);
    this.#socket.request(what, message);
  }

  #address(
    type: number,
    flags: number,
    index: number,
    address: AddressWords,
    prefixLength: number,
  ): MessageWriter {
    const message = this.#message;
    const at = message.begin(type, flags, IFADDRMSG);
    const { view } = message.memory;
    view.setUint8(at, address.family === 4 ? AF.INET : AF.INET6);
    view.setUint8(at + 1, prefixLength);
    view.setInt32(at + 4, index, true);
    message.address(IFA.LOCAL, address);
    message.address(IFA.ADDRESS, address);
    return message;
  }

  #route(what: string, type: number, flags: number, route: NewRoute): void {
    const { family, destination, prefixLength, gateway, source, index, metric, onLink } = route;
    const message = this.#message;
    const at = message.begin(type, flags, RTMSG);
    const { view } = message.memory;
    const full = family === 4 ? 32 : 128;
    view.setUint8(at, family === 4 ? AF.INET : AF.INET6);
    view.setUint8(at + 1, destination === undefined ? 0 : prefixLength ?? full);
    view.setUint8(at + 4, RT_TABLE_MAIN);
    view.setUint8(at + 5, RTPROT_STATIC);
    view.setUint8(at + 6, gateway === undefined && family === 4 ? RT_SCOPE_LINK : RT_SCOPE_UNIVERSE);
    view.setUint8(at + 7, RTN_UNICAST);
    view.setUint32(at + 8, onLink === true ? RTNH_F_ONLINK : 0, true);
    if (destination !== undefined) message.address(RTA.DST, destination);
    if (gateway !== undefined) message.address(RTA.GATEWAY, gateway);
    if (source !== undefined) message.address(RTA.PREFSRC, source);
    message.word(RTA.OIF, index);
    if (metric !== undefined) message.word(RTA.PRIORITY, metric);
    this.#socket.request(what, message);
  }
}

/** `5a:94:ef:e4:0c:dd` */
function formatMac(bytes: Uint8Array): string {
  return [...bytes].map((byte) => byte.toString(16).padStart(2, "0")).join(":");
}

function parseMac(text: string): Uint8Array {
  if (!/^[0-9a-f]{2}(:[0-9a-f]{2}){5}$/i.test(text)) {
    throw new TypeError(`Cannot use hardware address "${text}": it is not six bytes in hexadecimal`);
  }
  return Uint8Array.from(text.split(":"), (byte) => parseInt(byte, 16));
}

function infoKind(
  view: DataView,
  text: (at: number, length: number) => string,
  at: number,
  length: number,
): string {
  for (const end = at + length; at + 4 <= end;) {
    const size = view.getUint16(at, true);
    if (size < 4 || at + size > end) return "";
    if (view.getUint16(at + 2, true) === IFLA_INFO_KIND) return text(at + 4, size - 4);
    at += (size + 3) & ~3;
  }
  return "";
}

function gatewayOf(reader: MessageReader, at: number, end: number): AddressWords | undefined {
  const { view } = reader.memory;
  while (at + 4 <= end) {
    const size = view.getUint16(at, true);
    if (size < 4) return undefined;
    if (view.getUint16(at + 2, true) === RTA.GATEWAY) return reader.address(at + 4, size - 4);
    at += (size + 3) & ~3;
  }
  return undefined;
}

function metricsMtu(view: DataView, at: number, length: number): number {
  for (const end = at + length; at + 8 <= end;) {
    const size = view.getUint16(at, true);
    if (size < 8) return 0;
    if (view.getUint16(at + 2, true) === RTAX_MTU) return view.getUint32(at + 4, true);
    at += (size + 3) & ~3;
  }
  return 0;
}
