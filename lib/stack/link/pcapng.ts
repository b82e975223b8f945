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
import type { Link, LinkCapabilities } from "./link.ts";

/** Takes the bytes of one or several whole blocks. They are valid only until it returns. */
export type PcapngSink = (bytes: Uint8Array) => void;

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

  /** Announces an interface; returns its number for `packet`. */
  addInterface(name: string): number {
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
    this.#finish();
    return this.#interfaces++;
  }

  /** Writes a frame, which stays the caller's; `comment` says what became of it if it did not pass. */
  packet(
    interfaceNumber: number,
    direction: Direction,
    frame: PacketBuffer,
    now: Instant,
    comment?: string,
  ): void {
    const original = frame.totalLength;
    const captured = Math.min(original, this.#snapLength);
    const text = comment === undefined ? undefined : this.#encoder.encode(comment).subarray(0, MAX_COMMENT);
    const options = optionSize(4) + (text === undefined ? 0 : optionSize(text.length)) + 4;
    this.#begin(ENHANCED_PACKET, PACKET_HEADER + padded(original) + options);
    const time = Math.floor(now + this.#epoch);
    this.#u32(interfaceNumber);
    this.#u32(Math.floor(time / 0x1_0000_0000));
    this.#u32(time % 0x1_0000_0000);
    this.#u32(captured);
    this.#u32(original);
    // The whole frame is copied even if only a part is kept: `#begin` has made room for it.
    frame.copyTo(this.#bytes, this.#at);
    this.#at += captured;
    this.#pad();
    if (text !== undefined) this.#text(Option.comment, text);
    this.#u16(Option.flags);
    this.#u16(4);
    this.#u32(direction);
    this.#u32(Option.end);
    this.#finish();
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

  #finish(): void {
    const total = this.#at + 4;
    this.#u32(total);
    this.#view.setUint32(4, total, true);
    this.#sink(this.#bytes.subarray(0, total));
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

/** `inner`, with every frame that was received or taken for transmission written to `writer` under `name`. */
export function withPcapng(inner: Link, writer: PcapngWriter, name: string, clock: () => Instant): Link {
  return new PcapngLink(inner, writer, name, clock);
}

class PcapngLink implements Link {
  readonly mtu: number;
  readonly capabilities: LinkCapabilities;
  readonly #inner: Link;
  readonly #writer: PcapngWriter;
  readonly #number: number;
  readonly #clock: () => Instant;

  constructor(inner: Link, writer: PcapngWriter, name: string, clock: () => Instant) {
    this.mtu = inner.mtu;
    this.capabilities = inner.capabilities;
    this.#inner = inner;
    this.#writer = writer;
    this.#number = writer.addInterface(name);
    this.#clock = clock;
  }

  receive(): PacketBuffer | undefined {
    const frame = this.#inner.receive();
    if (frame !== undefined) this.#writer.packet(this.#number, Direction.inbound, frame, this.#clock());
    return frame;
  }

  transmit(frame: PacketBuffer): boolean {
    // Written once it is taken, since a full wire is offered the same frame again; but then it is no longer ours, and
    // whoever took it may move its cursors. So what is written is read back from a second, private pair of cursors.
    const { start, end } = frame;
    frame.retain();
    const taken = this.#inner.transmit(frame);
    if (taken) {
      const { start: movedStart, end: movedEnd } = frame;
      frame.start = start;
      frame.end = end;
      this.#writer.packet(this.#number, Direction.outbound, frame, this.#clock());
      frame.start = movedStart;
      frame.end = movedEnd;
    }
    frame.release();
    return taken;
  }

  flush(): boolean {
    return this.#inner.flush?.() ?? true;
  }
}

function padded(length: number): number {
  return (length + 3) & ~3;
}

function optionSize(length: number): number {
  return 4 + padded(length);
}
