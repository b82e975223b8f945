/**
 * What a wire looks like to the one who pumps frames between it and a stack.
 *
 * The stack never sees a link: the pump reads frames from it, hands them to `Nic.ingress`, and writes to it what
 * `Nic.egress` returns.
 *
 * @module
 */

import type { PacketBuffer } from "../buffer/packet.ts";

/** What a link does for us, so that the stack need not. */
export interface LinkCapabilities {
  /** Completes partial transport checksums on transmit. */
  readonly txChecksum: boolean;
  /** Frames it delivers carry verified or partial checksums, and say so in `PacketBuffer.checksum`. */
  readonly rxChecksum: boolean;
  /** Largest IP packet that it takes with `PacketBuffer.gso` set and cuts itself; 0 if it cuts none. */
  readonly gsoMaxSize: number;
  /** It also cuts `Gso.datagrams`. Becomes false when the other side turns out not to know them. */
  readonly datagrams?: boolean;
}

/** A wire that carries Ethernet frames. */
export interface Link {
  /** Largest IP packet on the wire, in bytes. */
  readonly mtu: number;
  readonly capabilities: LinkCapabilities;
  /** Next frame (`start` at the Ethernet header; the caller releases it), or undefined when the wire is dry. */
  receive(): PacketBuffer | undefined;
  /** Takes ownership of the frame. False: the wire is full; the frame is still the caller's. */
  transmit(frame: PacketBuffer): boolean;
  /**
   * Sends what `transmit` took and kept back, to send it together with more. Whoever transmits calls it when nothing more
   * is at hand. False: the wire is full; call it again when there is room. Absent: nothing is ever kept back.
   */
  flush?(): boolean;
}

/** No offload at all: complete checksums, frames no longer than the MTU. */
export const NO_OFFLOAD: LinkCapabilities = { txChecksum: false, rxChecksum: false, gsoMaxSize: 0 };
