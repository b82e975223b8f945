/**
 * Merging what one read has brought: frames that lie behind each other and continue each other (`stack/link/super_packet.ts`)
 * become one packet before anybody looks at them.
 *
 * @module
 */

import type { PacketBuffer } from "../stack/buffer/packet.ts";
import { PlainTcp } from "../stack/link/plain_tcp.ts";
import { SuperPacket } from "../stack/link/super_packet.ts";
import type { MacAddress } from "../stack/wire/mac_address.ts";

/** Which frames of a wire may be merged. */
export interface Merging {
  /** Frames to this address. */
  readonly mac: MacAddress;
  /** The other side is a process of this machine, on whose way no bit is lost: checksums are not looked at. */
  readonly trusted: boolean;
  /** Whether to merge now: who captures sees every frame. */
  enabled(): boolean;
}

/** One run of frames at a time. */
export class Merger {
  readonly #run = new SuperPacket();
  readonly #layout = new PlainTcp();
  #trusted = false;

  /** Begins with a frame, which is the merger's then; false: nothing can continue it, and it stays the caller's. */
  begin(frame: PacketBuffer, { mac, trusted, enabled }: Merging): boolean {
    const layout = this.#layout;
    const { view, start } = frame;
    if (view.getInt32(start + 2) !== mac.low || view.getUint16(start) !== mac.high) return false;
    if (!layout.read(view, start, frame.end) || !layout.isBulk || !layout.goesOn || !enabled()) return false;
    this.#run.begin(frame, layout);
    this.#trusted = trusted;
    return true;
  }

  /** Adds the frame at `[start, end)` of `buffer`, which is held from then on; false: it does not continue the run. */
  add(buffer: PacketBuffer, start: number, end: number): boolean {
    const run = this.#run;
    const layout = this.#layout;
    const { view } = buffer;
    if (run.complete || !layout.read(view, start, end) || !layout.isBulk) return false;
    if (!run.isOf(view, start, layout) || !run.isContinuedBy(view, start, layout)) return false;
    if (!this.#trusted && !run.isSound(buffer, start, end, layout, false)) return false;
    run.add(buffer, layout);
    return true;
  }

  /** What came of it; the caller's. */
  take(): PacketBuffer {
    return this.#run.take();
  }
}
