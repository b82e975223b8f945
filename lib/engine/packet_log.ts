/**
 * One line per packet on the log (`--log-packets`).
 *
 * ```text
 * eth0 > 10.0.2.100.42000 > 10.0.2.2.80: Flags [S], seq 1, win 65535, length 0
 * eth0 < … [dropped: tcp.strays]
 * ```
 *
 * @module
 */

import type { PacketBuffer } from "../stack/buffer/packet.ts";
import type { FrameObserver } from "../stack/frame_observer.ts";
import type { Nic } from "../stack/nic.ts";
import type { Instant } from "../stack/time.ts";
import { formatFrame } from "../stack/wire/format.ts";

/** Writes the lines. */
export class PacketLog implements FrameObserver {
  readonly #write: (line: string) => void;
  /** Of a frame from the wire of which it is not known yet what becomes of it. */
  #pending: string | undefined;

  constructor(write: (line: string) => void) {
    this.#write = write;
  }

  outbound(nic: Nic, frame: PacketBuffer, _now: Instant, dropped?: string): void {
    this.outcome(undefined);
    // What leaves the loopback comes in again at once.
    if (nic.kind === "loopback" && dropped === undefined) return;
    this.#pending = lineOf(nic, ">", frame);
    this.outcome(dropped);
  }

  inbound(nic: Nic, frame: PacketBuffer): void {
    this.outcome(undefined);
    this.#pending = lineOf(nic, "<", frame);
  }

  outcome(dropped: string | undefined): void {
    if (this.#pending === undefined) return;
    this.#write(dropped === undefined ? this.#pending : `${this.#pending} [dropped: ${dropped}]`);
    this.#pending = undefined;
  }
}

function lineOf({ name }: Nic, way: "<" | ">", frame: PacketBuffer): string {
  const bytes = frame.fragments.length === 0 ? frame.bytes.subarray(frame.start, frame.end) : frame.toBytes();
  return `${name} ${way} ${formatFrame(bytes)}`;
}
