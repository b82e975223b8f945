/**
 * TCP headers and options (RFC 9293 section 3.1, RFC 7323, RFC 2018).
 *
 * ```text
 *  0                   2                   4
 *  | source port       | destination port  |
 *  | sequence number                       |
 *  | acknowledgment number                 |
 *  | offset | flags    | window            |   offset in units of 4 bytes
 *  | checksum          | urgent pointer    |
 *  | options …                             |   up to 40 bytes
 * ```
 *
 * @module
 */

import type { PacketBuffer } from "../buffer/packet.ts";
import type { Malformed } from "./malformed.ts";

/** Bytes of a header without options. */
export const TCP_HEADER = 20;
/** Bytes of a header with all the options there is room for. */
export const TCP_HEADER_MAX = 60;
/** Offset of the checksum in the header. */
export const TCP_CHECKSUM = 16;

const DESTINATION_PORT = 2;
const SEQUENCE = 4;
const ACKNOWLEDGMENT = 8;
const OFFSET = 12;
const FLAGS = 13;
const WINDOW = 14;
const URGENT_POINTER = 18;

/** Control bits. */
export const TcpFlag = { fin: 1, syn: 2, rst: 4, psh: 8, ack: 16, urg: 32, ece: 64, cwr: 128 } as const;

const Option = { end: 0, nop: 1, mss: 2, windowScale: 3, sackPermitted: 4, sack: 5, timestamps: 8 } as const;

/** RFC 7323 section 2.3: "If a Window Scale option is received with a shift.cnt value larger than 14, … MUST use 14". */
const MAX_WINDOW_SCALE = 14;
/** 40 bytes of options hold four blocks, or three beside timestamps. */
const MAX_SACK_BLOCKS = 4;

/** The header and those of its options that we speak, for reuse. Sequence numbers are int32. */
export class TcpHeader {
  sourcePort = 0;
  destinationPort = 0;
  sequence = 0;
  acknowledgment = 0;
  /** A sum of {@linkcode TcpFlag}. */
  flags = 0;
  /** The field as it is, not scaled. */
  window = 0;
  urgentPointer = 0;
  /** Bytes, options included. Set by {@linkcode parseTcp} and {@linkcode emitTcp}. */
  headerLength: number = TCP_HEADER;
  /** 0: absent. */
  mss = 0;
  /** -1: absent. */
  windowScale = -1;
  sackPermitted = false;
  hasTimestamp = false;
  timestampValue = 0;
  timestampEcho = 0;
  sackCount = 0;
  readonly sackLeft: Int32Array = new Int32Array(MAX_SACK_BLOCKS);
  readonly sackRight: Int32Array = new Int32Array(MAX_SACK_BLOCKS);

  /** Makes all options absent. */
  clearOptions(): void {
    this.mss = 0;
    this.windowScale = -1;
    this.sackPermitted = false;
    this.hasTimestamp = false;
    this.timestampValue = 0;
    this.timestampEcho = 0;
    this.sackCount = 0;
  }
}

/** Reads at the cursor; on success the cursor is at the payload. The checksum is `verifyTransport`'s business. */
export function parseTcp(p: PacketBuffer, into: TcpHeader): Malformed | undefined {
  const { view, start } = p;
  const available = p.end - start;
  if (available < TCP_HEADER) return "truncated";
  const headerLength = (view.getUint8(start + OFFSET) >>> 4) << 2;
  if (headerLength < TCP_HEADER || headerLength > available) return "bad-header-length";
  into.sourcePort = view.getUint16(start);
  into.destinationPort = view.getUint16(start + DESTINATION_PORT);
  if (into.sourcePort === 0 || into.destinationPort === 0) return "port-zero";
  into.sequence = view.getInt32(start + SEQUENCE);
  into.acknowledgment = view.getInt32(start + ACKNOWLEDGMENT);
  into.flags = view.getUint8(start + FLAGS);
  into.window = view.getUint16(start + WINDOW);
  into.urgentPointer = view.getUint16(start + URGENT_POINTER);
  into.headerLength = headerLength;
  into.clearOptions();
  if (headerLength > TCP_HEADER) parseOptions(view, start + TCP_HEADER, start + headerLength, into);
  p.start = start + headerLength;
  return undefined;
}

/**
 * Reads options up to the first that is malformed. RFC 9293 MUST-7 asks only that we be "prepared to handle an illegal
 * option length"; as in Linux, what stands before it counts and the segment lives.
 */
function parseOptions(view: DataView, at: number, end: number, into: TcpHeader): void {
  // RFC 7323 appendix A: nearly every segment of an established connection has exactly this layout.
  if (end - at === 12 && view.getInt32(at) === 0x0101080a) {
    into.hasTimestamp = true;
    into.timestampValue = view.getInt32(at + 4);
    into.timestampEcho = view.getInt32(at + 8);
    return;
  }
  const syn = (into.flags & TcpFlag.syn) !== 0;
  while (at < end) {
    const kind = view.getUint8(at);
    if (kind === Option.end) return;
    if (kind === Option.nop) {
      at++;
      continue;
    }
    if (at + 1 >= end) return;
    const length = view.getUint8(at + 1);
    if (length < 2 || at + length > end) return;
    if (kind === Option.mss) {
      // RFC 9293 section 3.7.1: "this field MUST only be sent in the initial connection request"; else it is ignored.
      if (length === 4 && syn) into.mss = view.getUint16(at + 2);
    } else if (kind === Option.windowScale) {
      if (length === 3 && syn) into.windowScale = Math.min(view.getUint8(at + 2), MAX_WINDOW_SCALE);
    } else if (kind === Option.sackPermitted) {
      if (length === 2 && syn) into.sackPermitted = true;
    } else if (kind === Option.timestamps) {
      if (length === 10) {
        into.hasTimestamp = true;
        into.timestampValue = view.getInt32(at + 2);
        into.timestampEcho = view.getInt32(at + 6);
      }
    } else if (kind === Option.sack && (length & 7) === 2 && length >= 10) {
      const count = Math.min(length >>> 3, MAX_SACK_BLOCKS);
      for (let i = 0; i < count; i++) {
        into.sackLeft[i] = view.getInt32(at + 2 + 8 * i);
        into.sackRight[i] = view.getInt32(at + 6 + 8 * i);
      }
      into.sackCount = count;
    }
    at += length;
  }
}

/**
 * Bytes of the header that {@linkcode emitTcp} would write. SACK blocks that do not fit beside the other options are
 * left out, the last ones first.
 */
export function tcpHeaderLength(h: TcpHeader): number {
  const fixed = fixedOptionsLength(h);
  const blocks = sackBlocksThatFit(h, fixed);
  return TCP_HEADER + fixed + (blocks === 0 ? 0 : 4 + 8 * blocks);
}

function fixedOptionsLength(h: TcpHeader): number {
  let length = 0;
  if (h.mss !== 0) length += 4;
  if (h.hasTimestamp) length += 12;
  else if (h.sackPermitted) length += 4;
  if (h.windowScale >= 0) length += 4;
  return length;
}

function sackBlocksThatFit(h: TcpHeader, fixed: number): number {
  if (h.sackCount === 0) return 0;
  return Math.min(h.sackCount, MAX_SACK_BLOCKS, (TCP_HEADER_MAX - TCP_HEADER - fixed - 4) >> 3);
}

/**
 * Prepends the header with its options, laid out as Linux does, and sets `h.headerLength`. The checksum is left 0: see
 * `startChecksum`.
 */
export function emitTcp(p: PacketBuffer, h: TcpHeader): void {
  const headerLength = tcpHeaderLength(h);
  const start = p.prepend(headerLength);
  const { view } = p;
  h.headerLength = headerLength;
  view.setUint16(start, h.sourcePort);
  view.setUint16(start + DESTINATION_PORT, h.destinationPort);
  view.setInt32(start + SEQUENCE, h.sequence);
  view.setInt32(start + ACKNOWLEDGMENT, h.acknowledgment);
  view.setUint8(start + OFFSET, headerLength << 2);
  view.setUint8(start + FLAGS, h.flags);
  view.setUint16(start + WINDOW, h.window);
  view.setUint16(start + TCP_CHECKSUM, 0);
  view.setUint16(start + URGENT_POINTER, h.urgentPointer);
  if (headerLength > TCP_HEADER) emitOptions(view, start + TCP_HEADER, h);
}

function emitOptions(view: DataView, at: number, h: TcpHeader): void {
  const blocks = sackBlocksThatFit(h, fixedOptionsLength(h));
  if (h.mss !== 0) {
    view.setInt32(at, 0x02040000 | h.mss);
    at += 4;
  }
  if (h.hasTimestamp) {
    // Two NOPs align the timestamps; SACK-permitted takes their place where it is sent.
    view.setInt32(at, h.sackPermitted ? 0x0402080a : 0x0101080a);
    view.setInt32(at + 4, h.timestampValue);
    view.setInt32(at + 8, h.timestampEcho);
    at += 12;
  } else if (h.sackPermitted) {
    view.setInt32(at, 0x01010402);
    at += 4;
  }
  if (h.windowScale >= 0) {
    view.setInt32(at, 0x01030300 | h.windowScale);
    at += 4;
  }
  if (blocks > 0) {
    view.setInt32(at, 0x01010500 | (2 + 8 * blocks));
    for (let i = 0; i < blocks; i++) {
      view.setInt32(at + 4 + 8 * i, h.sackLeft[i]!);
      view.setInt32(at + 8 + 8 * i, h.sackRight[i]!);
    }
  }
}
