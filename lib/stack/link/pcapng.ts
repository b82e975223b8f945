/**
 * Captures in pcapng (draft-ietf-opsawg-pcapng), which `tshark`, Wireshark and `tcpdump` read, from a file or a pipe.
 *
 * One section; one interface description per interface, which may come while the capture runs; one enhanced packet block
 * per frame with its direction. What was dropped can be written too, with a comment that says why: a reader sees what a
 * capture on the wire cannot show.
 *
 * Frames are written as they pass: a super-packet is one long frame, and a checksum that the link has yet to complete is
 * incomplete in the capture, as in a capture on Linux with offloads.
 *
 * @module
 */

import type { PacketBuffer } from "../buffer/packet.ts";
import type { Instant } from "../time.ts";

/** Takes the bytes of one whole block, which are valid only until it returns. False: there is no room for it. */
export type PcapngSink = (bytes: Uint8Array) => boolean;

/** Parameters of a capture. */
export interface PcapngOptions {
  /** Bytes kept of each frame; 262144, as tcpdump's, if absent. */
  readonly snapLength?: number;
  /** What the stack's clock must be moved by to be microseconds since 1970. */
  readonly epoch?: number;
  /** `shb_userappl`. */
  readonly application?: string;
}

/** Which way a frame went; values of `epb_flags`. */
export const Direction = { unknown: 0, inbound: 1, outbound: 2 } as const;
/** One of the values of {@linkcode Direction}. */
export type Direction = typeof Direction[keyof typeof Direction];

const SECTION_HEADER = 0x0a0d0d0a;
const INTERFACE_DESCRIPTION = 1;
const ENHANCED_PACKET = 6;
const BYTE_ORDER_MAGIC = 0x1a2b3c4d;
const LINKTYPE_ETHERNET = 1;
const Option = {
  end: 0,
  comment: 1,
  userApplication: 4,
  interfaceName: 2,
  timestampResolution: 9,
  flags: 2,
  dropCount: 4,
} as const;
/** Length of a block's frame: type, and total length twice. */
const BLOCK_OVERHEAD = 12;
const PACKET_HEADER = 20;
/** Longest comment that is written; the rest is cut off. */
const MAX_COMMENT = 1_000;

/** Writes one capture. */
export class PcapngWriter {
  readonly #sink: PcapngSink;
  readonly #snapLength: number;
  readonly #epoch: number;
  readonly #encoder = new TextEncoder();
  #interfaces = 0;
  #bytes = new Uint8Array(4_096);
  #view = new DataView(this.#bytes.buffer);
  #at = 0;

  /** Writes the section header at once. */
  constructor(sink: PcapngSink, options: PcapngOptions = {}) {
    this.#sink = sink;
    this.#snapLength = options.snapLength ?? 262_144;
    this.#epoch = options.epoch ?? 0;
    const application = this.#encoder.encode(options.application ?? "sluice");
    this.#begin(SECTION_HEADER, 16 + optionSize(application.length) + 4);
    this.#u32(BYTE_ORDER_MAGIC);
    this.#u16(1);
    this.#u16(0);
    this.#u32(0xffff_ffff); // section length −1: unknown, as a stream's is
    this.#u32(0xffff_ffff);
    this.#text(Option.userApplication, application);
    this.#u32(Option.end);
    this.#finish();
  }

  /** Announces an interface; returns its number for `packet`, or undefined if there was no room. */
  addInterface(name: string): number | undefined {
    const text = this.#encoder.encode(name);
    this.#begin(INTERFACE_DESCRIPTION, 8 + optionSize(text.length) + optionSize(1) + 4);
    this.#u16(LINKTYPE_ETHERNET);
    this.#u16(0);
    this.#u32(this.#snapLength);
    this.#text(Option.interfaceName, text);
    this.#u16(Option.timestampResolution);
    this.#u16(1);
    this.#u32(6); // 10⁻⁶ s, one byte and padding
    this.#u32(Option.end);
    return this.#finish() ? this.#interfaces++ : undefined;
  }

  /** Writes a frame, which stays the caller's; `comment` says what became of it if it did not pass. */
  packet(
    interfaceNumber: number,
    direction: Direction,
    frame: PacketBuffer,
    now: Instant,
    comment?: string,
  ): void {
    this.beginPacket(interfaceNumber, direction, frame, now);
    this.endPacket(comment);
  }

  /** The first half of `packet`: reads the frame, and writes nothing yet. The other half must follow before anything else. */
  beginPacket(interfaceNumber: number, direction: Direction, frame: PacketBuffer, now: Instant): void {
    const original = frame.totalLength;
    const captured = Math.min(original, this.#snapLength);
    const options = optionSize(4) + optionSize(8) + optionSize(MAX_COMMENT) + 4;
    this.#begin(ENHANCED_PACKET, PACKET_HEADER + padded(captured) + options);
    const time = Math.floor(now + this.#epoch);
    this.#u32(interfaceNumber);
    this.#u32(Math.floor(time / 0x1_0000_0000));
    this.#u32(time % 0x1_0000_0000);
    this.#u32(captured);
    this.#u32(original);
    frame.copyStartTo(this.#bytes, this.#at, captured);
    this.#at += captured;
    this.#pad();
    this.#u16(Option.flags);
    this.#u16(4);
    this.#u32(direction);
  }

  /**
   * The other half of `packet`. `lost` frames before this one could not be written (`epb_dropcount`). False: nor could
   * this one.
   */
  endPacket(comment?: string, lost = 0): boolean {
    if (lost > 0) {
      this.#u16(Option.dropCount);
      this.#u16(8);
      this.#u32(lost % 0x1_0000_0000);
      this.#u32(Math.floor(lost / 0x1_0000_0000));
    }
    if (comment !== undefined) {
      this.#text(Option.comment, this.#encoder.encode(comment).subarray(0, MAX_COMMENT));
    }
    this.#u32(Option.end);
    return this.#finish();
  }

  /** Starts a block whose body is at most `body` bytes long. */
  #begin(type: number, body: number): void {
    if (this.#bytes.length < body + BLOCK_OVERHEAD) {
      this.#bytes = new Uint8Array(2 * (body + BLOCK_OVERHEAD));
      this.#view = new DataView(this.#bytes.buffer);
    }
    this.#at = 0;
    this.#u32(type);
    this.#u32(0);
  }

  #finish(): boolean {
    const total = this.#at + 4;
    this.#u32(total);
    this.#view.setUint32(4, total, true);
    return this.#sink(this.#bytes.subarray(0, total));
  }

  #u16(value: number): void {
    this.#view.setUint16(this.#at, value, true);
    this.#at += 2;
  }

  #u32(value: number): void {
    this.#view.setUint32(this.#at, value, true);
    this.#at += 4;
  }

  #text(option: number, text: Uint8Array): void {
    this.#u16(option);
    this.#u16(text.length);
    this.#bytes.set(text, this.#at);
    this.#at += text.length;
    this.#pad();
  }

  /** Blocks and options are aligned to 32 bits; the scratch buffer is dirty, so the padding is zeroed. */
  #pad(): void {
    while (this.#at % 4 !== 0) this.#bytes[this.#at++] = 0;
  }
}

function padded(length: number): number {
  return (length + 3) & ~3;
}

function optionSize(length: number): number {
  return 4 + padded(length);
}
