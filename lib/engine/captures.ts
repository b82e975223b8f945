/**
 * Captures of what passes the interfaces of the stack, each in pcapng: into a file, or into memory that the main thread
 * reads from. Each has its own interfaces and its own length of frames; none of them ever waits for its reader.
 *
 * @module
 */

import type { PacketBuffer } from "../stack/buffer/packet.ts";
import type { FrameObserver } from "../stack/frame_observer.ts";
import { Direction, type PcapngSink, PcapngWriter } from "../stack/link/pcapng.ts";
import type { Nic } from "../stack/nic.ts";
import type { Stack } from "../stack/stack.ts";
import type { Instant } from "../stack/time.ts";

/** Captures that may be open at once: each costs its memory, and a copy of every frame. */
export const MAX_CAPTURES = 8;

/** What to capture. */
export interface CaptureOptions {
  /** Name of an interface; absent: all of them, those too that come later. */
  readonly device?: string;
  /** Bytes kept of each frame. */
  readonly snapLength?: number;
}

/** The captures of one stack. Looks at frames only while one is open. */
export class Captures {
  readonly #stack: Stack;
  readonly #epoch: number;
  readonly #open = new Map<number, { readonly capture: Capture; close(): void }>();
  #next = 1;
  #lost = 0;

  /** @param epoch what the stack's clock must be moved by to be microseconds since 1970 */
  constructor(stack: Stack, epoch: number) {
    this.#stack = stack;
    this.#epoch = epoch;
  }

  get full(): boolean {
    return this.#open.size >= MAX_CAPTURES;
  }

  /** Begins to write to `sink`; returns the number to close it by. */
  open(sink: PcapngSink, options: CaptureOptions = {}): number {
    const capture = new Capture(sink, options, this.#epoch);
    for (const nic of this.#stack.nics) capture.announce(nic);
    this.#open.set(this.#next, { capture, close: this.#stack.observeFrames(capture) });
    return this.#next++;
  }

  close(number: number): void {
    const open = this.#open.get(number);
    if (open === undefined) return;
    open.close();
    this.#open.delete(number);
    this.#lost += open.capture.lost;
  }

  /** Frames that no reader made room for, by name; nothing while there has been no capture. */
  counters(): Readonly<Record<string, number>> {
    if (this.#next === 1) return {};
    const lost = [...this.#open.values()].reduce((sum, { capture }) => sum + capture.lost, this.#lost);
    return { "capture.frames-lost": lost };
  }
}

/** One capture. */
class Capture implements FrameObserver {
  readonly #writer: PcapngWriter;
  readonly #device: string | undefined;
  /** Numbers of interfaces in the capture, by their index. */
  readonly #numbers: number[] = [];
  /** A frame from the wire is in the writer, and what became of it is not known yet. */
  #pending = false;
  /** Lost since the last one that was written. */
  #gap = 0;
  lost = 0;

  constructor(sink: PcapngSink, { device, snapLength }: CaptureOptions, epoch: number) {
    this.#device = device;
    this.#writer = new PcapngWriter(sink, { epoch, ...(snapLength === undefined ? {} : { snapLength }) });
  }

  /** The number of the interface, told to the reader when it is new; undefined: not to be captured, or not now. */
  announce({ index, name }: Nic): number | undefined {
    if (this.#device !== undefined && this.#device !== name) return undefined;
    const known = this.#numbers[index];
    if (known !== undefined) return known;
    const added = this.#writer.addInterface(name);
    if (added !== undefined) this.#numbers[index] = added;
    return added;
  }

  outbound(nic: Nic, frame: PacketBuffer, now: Instant, dropped?: string): void {
    this.outcome(undefined);
    // What leaves the loopback comes in again at once: once is enough, as tcpdump has it.
    if (nic.kind === "loopback" && dropped === undefined) return;
    this.#begin(nic, Direction.outbound, frame, now);
    this.outcome(dropped);
  }

  inbound(nic: Nic, frame: PacketBuffer, now: Instant): void {
    this.outcome(undefined);
    this.#begin(nic, Direction.inbound, frame, now);
  }

  outcome(dropped: string | undefined): void {
    if (!this.#pending) return;
    this.#pending = false;
    const comment = dropped === undefined ? undefined : `dropped: ${dropped}`;
    if (this.#writer.endPacket(comment, this.#gap)) this.#gap = 0;
    else this.#lose();
  }

  #begin(nic: Nic, direction: Direction, frame: PacketBuffer, now: Instant): void {
    if (this.#device !== undefined && this.#device !== nic.name) return;
    const number = this.announce(nic);
    if (number === undefined) return this.#lose();
    this.#writer.beginPacket(number, direction, frame, now);
    this.#pending = true;
  }

  #lose(): void {
    this.#gap++;
    this.lost++;
  }
}
