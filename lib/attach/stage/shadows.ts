/**
 * Interfaces of the kernel that only show those of the guest's stack: attachment `sockets`, in a namespace of its own.
 *
 * ```text
 *   packet sockets ── eth0 ══ TAP's descriptor ── engine        what comes in is written to it, what is sent is read from it
 *   of the program      ▲
 *                       └── sender, with a mark ── engine        what the guest's stack sends: outgoing here, too, and it
 *                                                               ends here, for the TAP is deaf to the mark
 * ```
 *
 * With packet sockets the kernel must never say a word on them: the engine takes what it reads for the guest's. So there is
 * no address in the namespace, not even on the loopback, no IPv6, and no forwarding; what is shown is received by packet
 * sockets and by nobody else. Without, no frame comes in and nobody reads what goes out, so the addresses of IPv6 can be
 * there for `/proc/net/if_inet6` to list, where libraries look for them: Java's does. Those of IPv4 everybody asks for by
 * calls. Routes are for `/proc/net/route`.
 *
 * @module
 */

import { IpAddress } from "../../stack/wire/address.ts";
import { readTextFileSync } from "../../host/runtime.ts";
import { writeText } from "../../host/files.ts";
import { knobPath } from "../../host/network_namespace.ts";
import { openPacketList } from "../../host/packet_list.ts";
import { openFrameSender } from "../../host/packet_socket.ts";
import { RouteNetlink } from "../../host/rtnetlink.ts";
import { openTap } from "../../host/tun.ts";
import type { StageHanded, StageShadow, StageShadows, StageShadowState } from "./protocol.ts";
import { address, quieten } from "./interface.ts";

/** Of the frames that the engine sends on a shadow. A guest that uses it hides its own frames from its stack. */
const MARK = 0x51_1c_e0;
/** Of the loopback in every namespace (`LOOPBACK_IFINDEX`). */
const LOOPBACK = 1;
/** `IN6_ADDR_GEN_MODE_NONE`. */
const ADDR_GEN_NONE = "1";
/** Longest IP packet that a TAP takes. */
const MTU_MAX = 65_521;

/**
 * Makes shadows in the namespace we are in.
 *
 * @param hand gets each descriptor for the engine; they are not closed here
 * @throws {SystemError} when the machine does not allow it
 */
export function makeShadows(
  { interfaces, packets }: StageShadows,
  hand: (what: StageHanded, fd: number) => void,
): void {
  const netlink = new RouteNetlink();
  try {
    silence("ipv4", "all", "forwarding", "0");
    for (const shadow of interfaces) {
      hand({ handed: "tap", index: shadow.index }, makeShadow(netlink, shadow, packets));
    }
    if (packets) silence("ipv6", "lo", "disable_ipv6", "1");
    netlink.setLinkUp(LOOPBACK);
    if (!packets) return;
    netlink.removeAddress(LOOPBACK, IpAddress.v4(0x7f000001), 8);
    for (const index of [LOOPBACK, ...interfaces.map((shadow) => shadow.index)]) {
      hand({ handed: "sender", index }, openFrameSender(index, MARK));
    }
    hand({ handed: "packets", index: 0 }, openPacketList());
  } finally {
    netlink.close();
  }
}

/** Gives shadows what has become known. */
export function furnishShadows(devices: readonly StageShadowState[]): void {
  const netlink = new RouteNetlink();
  try {
    for (const device of devices) {
      address(netlink, device.index, { ...device, mtu: Math.min(device.mtu, MTU_MAX) });
    }
  } finally {
    netlink.close();
  }
}

function makeShadow(netlink: RouteNetlink, { name, index, mac }: StageShadow, packets: boolean): number {
  // Offload would bring frames that are still to be cut, with headers that the program wrote.
  const { fd } = openTap(name, { index, deafTo: MARK, offload: false });
  if (packets) silence("ipv6", name, "disable_ipv6", "1");
  else leaveIpv6ToUs(name);
  silence("ipv4", name, "forwarding", "0");
  netlink.setMac(index, mac);
  netlink.setLinkUp(index);
  netlink.setOperational(index);
  return fd;
}

/** No address of the kernel's own making, and none that it first asks others about. */
function leaveIpv6ToUs(name: string): void {
  writeText(knobPath("ipv6", name, "addr_gen_mode"), ADDR_GEN_NONE);
  quieten(name);
}

/** Sets a knob; throws unless it is set, or there is none: a kernel without IPv6. */
function silence(family: "ipv4" | "ipv6", name: string, knob: string, value: string): void {
  const path = knobPath(family, name, knob);
  if (writeText(path, value)) return;
  let found: string;
  try {
    found = readTextFileSync(path).trim();
  } catch {
    return;
  }
  if (found !== value) throw new Error(`Cannot silence interface ${name}: ${path} cannot be written`);
}
