/**
 * What a SYN says about its sender, and how two sides' wishes become what both do.
 *
 * @module
 */

import { TcpFlag, type TcpHeader } from "../wire/tcp.ts";

/** RFC 9293 section 3.7.1: "If an MSS Option is not received at connection setup, TCP implementations MUST assume a
 * default send MSS of 536 (576 - 40) for IPv4 or 1220 (1280 - 60) for IPv6". */
export const DEFAULT_MSS_V4 = 536;
/** See {@linkcode DEFAULT_MSS_V4}. */
export const DEFAULT_MSS_V6 = 1_220;

/** The least payload per segment that we go down to (Linux' `TCP_MIN_SND_MSS`): a peer that asks for 1 would have us
 * send 41 bytes for each of his. */
export const MIN_SEND_MSS = 48;

/** RFC 7323 section 2.3: "the shift count MUST be limited to 14". */
export const MAX_WINDOW_SCALE = 14;

/** The facts of a SYN or SYN-ACK. */
export class PeerSyn {
  sequence = 0;
  window = 0;
  /** 0: no option. */
  mss = 0;
  /** -1: no option. */
  windowScale = -1;
  sackPermitted = false;
  hasTimestamp = false;
  timestampValue = 0;
  /** RFC 3168 section 6.1.1: ECE and CWR in a SYN; ECE alone in a SYN-ACK. */
  ecn = false;

  /** Reads them from a header. */
  static of(header: TcpHeader): PeerSyn {
    const syn = new PeerSyn();
    syn.sequence = header.sequence | 0;
    syn.window = header.window;
    syn.mss = header.mss;
    syn.windowScale = header.windowScale > MAX_WINDOW_SCALE ? MAX_WINDOW_SCALE : header.windowScale;
    syn.sackPermitted = header.sackPermitted;
    syn.hasTimestamp = header.hasTimestamp;
    syn.timestampValue = header.timestampValue | 0;
    const bits = header.flags & (TcpFlag.ece | TcpFlag.cwr);
    syn.ecn = (header.flags & TcpFlag.ack) !== 0
      ? bits === TcpFlag.ece
      : bits === (TcpFlag.ece | TcpFlag.cwr);
    return syn;
  }
}

/** The window scale to offer for a receive buffer of at most `bytes`: the least that can express it. */
export function windowScaleFor(bytes: number): number {
  let scale = 0;
  while (scale < MAX_WINDOW_SCALE && (65_535 * 2 ** scale) < bytes) scale++;
  return scale;
}
