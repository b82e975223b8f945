/**
 * What guests with offload leave undone in frames for each other.
 *
 * A guest that was told of CSUM and HOST_TSO leaves checksums and cutting to its device. Its monitor does neither, and on most
 * wires nobody says so. The gateway takes such frames as they are; a guest would drop them. So before a frame goes to another
 * guest, its fields are made to say what is missing, and the wire there does it, or passes it on to who takes that:
 *
 * | frame | is |
 * |---|---|
 * | TCP, longer than the MTU | to be cut to what fits the MTU: two guests on one link have agreed on no more |
 * | TCP or UDP whose checksum is the sum of its pseudo-header | to be summed; if it was right after all, it stays as it is |
 * | with a virtio-net header that says so | the same, once the header is found to be true |
 *
 * @module
 */

import { Checksum, Gso, type PacketBuffer } from "../../stack/buffer/packet.ts";
import { PlainTcp } from "../../stack/link/plain_tcp.ts";
import { onesComplementSum } from "../../stack/wire/checksum.ts";
import { ETHERNET_HEADER, EtherType } from "../../stack/wire/ethernet.ts";
import { IpProtocol } from "../../stack/wire/ip.ts";
import { IPV4_HEADER } from "../../stack/wire/ipv4.ts";
import { IPV6_HEADER } from "../../stack/wire/ipv6.ts";
import { TCP_CHECKSUM, TCP_HEADER, TcpFlag } from "../../stack/wire/tcp.ts";

const UDP_HEADER = 8, UDP_CHECKSUM = 6;
/** Flags that segments of one packet may have: with any other it is not for cutting. */
const CUTTABLE = TcpFlag.ack | TcpFlag.psh | TcpFlag.fin | TcpFlag.ece | TcpFlag.cwr;

/** Looks at frames of guests. */
export class Unfinished {
  readonly #maxFrame: number;
  readonly #layout = new PlainTcp();

  /** @param maxFrame longest frame that a guest takes for certain, Ethernet header included */
  constructor(maxFrame: number) {
    this.#maxFrame = maxFrame;
  }

  /** Has the fields of a frame say what is missing. False: its virtio-net header is not true. */
  describe(frame: PacketBuffer): boolean {
    const { view, start, end, gso } = frame;
    if (gso === Gso.none && end - start <= this.#maxFrame) {
      if (frame.checksum !== Checksum.partial) findPartial(frame);
      return true;
    }
    const layout = this.#layout;
    const cuttable = layout.read(view, start, end) && layout.headerLength >= TCP_HEADER &&
      layout.payload > 0 &&
      (layout.flags & ~CUTTABLE) === 0;
    if (!cuttable) return gso === Gso.none;
    const { family, tcp } = layout;
    const kind = family === 4 ? Gso.tcp4 : Gso.tcp6;
    const fits = this.#maxFrame - (tcp + layout.headerLength - start);
    if (gso === Gso.none) {
      frame.gsoSize = fits;
      view.setUint16(tcp + TCP_CHECKSUM, pseudoSum(view, start, tcp, end, family, IpProtocol.tcp));
    } else {
      if (gso !== kind || frame.checksumStart !== tcp || frame.checksumOffset !== TCP_CHECKSUM) return false;
      frame.gsoSize = Math.min(frame.gsoSize, fits);
    }
    frame.gso = kind;
    frame.checksum = Checksum.partial;
    frame.checksumStart = tcp;
    frame.checksumOffset = TCP_CHECKSUM;
    return true;
  }
}

/** Says that a frame's checksum is partial if it may be. */
function findPartial(frame: PacketBuffer): void {
  const { view, start, end } = frame;
  const ip = start + ETHERNET_HEADER;
  if (end - ip < IPV4_HEADER + UDP_HEADER) return;
  const type = view.getUint16(start + 12);
  let family: 4 | 6, transport: number, protocol: number;
  if (type === EtherType.ipv4) {
    // Options, fragments and padding: left alone, for who leaves a checksum undone sends none of these.
    if (view.getUint8(ip) !== 0x45 || (view.getUint16(ip + 6) & 0x3fff) !== 0) return;
    if (view.getUint16(ip + 2) !== end - ip) return;
    family = 4;
    transport = ip + IPV4_HEADER;
    protocol = view.getUint8(ip + 9);
  } else {
    if (type !== EtherType.ipv6 || end - ip < IPV6_HEADER + UDP_HEADER) return;
    if (view.getUint16(ip + 4) !== end - ip - IPV6_HEADER) return;
    family = 6;
    transport = ip + IPV6_HEADER;
    protocol = view.getUint8(ip + 6);
  }
  const isTcp = protocol === IpProtocol.tcp;
  if (!isTcp && protocol !== IpProtocol.udp) return;
  if (isTcp && end - transport < TCP_HEADER) return;
  const offset = isTcp ? TCP_CHECKSUM : UDP_CHECKSUM;
  if (view.getUint16(transport + offset) !== pseudoSum(view, start, transport, end, family, protocol)) return;
  frame.checksum = Checksum.partial;
  frame.checksumStart = transport;
  frame.checksumOffset = offset;
}

function pseudoSum(
  view: DataView,
  start: number,
  transport: number,
  end: number,
  family: 4 | 6,
  protocol: number,
): number {
  const addresses = start + ETHERNET_HEADER + (family === 4 ? 12 : 8);
  return onesComplementSum(view, addresses, transport, protocol + end - transport);
}
