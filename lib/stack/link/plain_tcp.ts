/**
 * Where things are in a frame that is plain TCP: Ethernet, IPv4 without options and fragments or IPv6 without extension
 * headers, TCP, and nothing behind it. What receive offload may merge is among these.
 *
 * @module
 */

import { ETHERNET_HEADER, EtherType } from "../wire/ethernet.ts";
import { IpProtocol } from "../wire/ip.ts";
import { IPV4_HEADER } from "../wire/ipv4.ts";
import { IPV6_HEADER } from "../wire/ipv6.ts";
import { TCP_HEADER, TcpFlag } from "../wire/tcp.ts";

/** The layout of one frame. For reuse. */
export class PlainTcp {
  family: 4 | 6 = 4;
  /** Both, as one word. */
  ports = 0;
  /** Index of the TCP header, and its length. */
  tcp = 0;
  headerLength = 0;
  flags = 0;
  /** Bytes behind the TCP header. */
  payload = 0;

  /** Reads the frame at `[start, end)`; false: it is none. */
  read(view: DataView, start: number, end: number): boolean {
    const ip = start + ETHERNET_HEADER;
    if (end - ip < IPV4_HEADER + TCP_HEADER) return false;
    const type = view.getUint16(start + 12);
    if (type === EtherType.ipv4) {
      if (view.getUint8(ip) !== 0x45 || view.getUint8(ip + 9) !== IpProtocol.tcp) return false;
      // Reserved bit, more fragments, offset; and Ethernet pads short frames.
      if ((view.getUint16(ip + 6) & 0xbfff) !== 0 || view.getUint16(ip + 2) !== end - ip) return false;
      this.family = 4;
      this.tcp = ip + IPV4_HEADER;
    } else {
      if (type !== EtherType.ipv6 || end - ip < IPV6_HEADER + TCP_HEADER) return false;
      if (view.getUint8(ip) >>> 4 !== 6 || view.getUint8(ip + 6) !== IpProtocol.tcp) return false;
      if (view.getUint16(ip + 4) !== end - ip - IPV6_HEADER) return false;
      this.family = 6;
      this.tcp = ip + IPV6_HEADER;
    }
    const { tcp } = this;
    this.ports = view.getInt32(tcp);
    this.headerLength = (view.getUint8(tcp + 12) >>> 4) << 2;
    this.flags = view.getUint8(tcp + 13);
    this.payload = end - tcp - this.headerLength;
    return true;
  }

  /** Whether it carries payload and no flag but ACK and PSH. */
  get isBulk(): boolean {
    return (this.flags & ~TcpFlag.psh) === TcpFlag.ack && this.headerLength >= TCP_HEADER && this.payload > 0;
  }

  /** Whether the sender has more at hand: PSH ends what it wrote. */
  get goesOn(): boolean {
    return (this.flags & TcpFlag.psh) === 0;
  }
}
