/**
 * A network namespace with one TAP, whose far side is in our hands.
 *
 * @module
 */

import { O } from "../../../lib/host/arch.ts";
import { check } from "../../../lib/host/errno.ts";
import { writeText } from "../../../lib/host/files.ts";
import { cString } from "../../../lib/host/memory.ts";
import { MessageWriter, NetlinkSocket } from "../../../lib/host/netlink.ts";
import { RouteNetlink } from "../../../lib/host/rtnetlink.ts";
import { close, open } from "../../../lib/host/sys.ts";
import { openTap } from "../../../lib/host/tun.ts";
import { TapLink } from "../../../lib/link/tap.ts";
import type { BufferPool } from "../../../lib/stack/buffer/pool.ts";
import type { IpAddress } from "../../../lib/stack/wire/address.ts";
import { inNewNetns } from "../netns.ts";

const MTU = 1_500;
/** Frames that wait for us when the machine keeps us from reading: none may be lost that the path does not lose. */
const QUEUE = 20_000;
const RTM_NEWLINK = 16, IFLA_TXQLEN = 13, IFINFOMSG = 16;

/** The far side of `eth0`, and the namespace it is in. */
export class Device {
  readonly link: TapLink;
  readonly fd: number;
  /** The namespace. */
  readonly netns: number;

  private constructor(fd: number, netns: number, pool: BufferPool) {
    this.fd = fd;
    this.netns = netns;
    this.link = new TapLink({ fd, mtu: MTU, pool, gso: false, checksum: false });
  }

  /**
   * Makes it, with an address of a /24.
   *
   * @param settings `net.ipv4.*` of the namespace
   * @param inside runs in the namespace: where sockets are to be opened
   */
  static make(
    address: IpAddress,
    pool: BufferPool,
    settings: Readonly<Record<string, string>>,
    inside: () => void,
  ): Device {
    return inNewNetns(() => {
      const { fd } = openTap("eth0", { offload: false });
      const path = cString("/proc/thread-self/ns/net");
      const netns = check(open(path.address, O.RDONLY | O.CLOEXEC, 0), "open the new network namespace");
      furnish(address, settings);
      inside();
      return new Device(fd, netns, pool);
    });
  }

  close(): void {
    this.link.close();
    close(this.fd);
    close(this.netns);
  }
}

function furnish(address: IpAddress, settings: Readonly<Record<string, string>>): void {
  writeText("/proc/sys/net/ipv6/conf/eth0/disable_ipv6", "1");
  for (const [name, value] of Object.entries(settings)) {
    if (!writeText(`/proc/sys/net/ipv4/${name}`, value)) throw new Error(`Cannot set net.ipv4.${name}`);
  }
  const netlink = new RouteNetlink();
  const { index } = netlink.link("eth0");
  const message = new MessageWriter();
  const at = message.begin(RTM_NEWLINK, 0, IFINFOMSG);
  message.memory.view.setInt32(at + 4, index, true);
  message.word(IFLA_TXQLEN, QUEUE);
  const socket = new NetlinkSocket();
  socket.request("set the queue of eth0", message);
  socket.close();
  netlink.setLinkUp(netlink.link("lo").index);
  netlink.setLinkUp(index);
  netlink.addAddress(index, address, 24);
  netlink.close();
}
