/**
 * The packet buffer: one allocation, one `DataView`, two cursors, and payload by reference.
 *
 * ```text
 *  bytes: |--- headroom ---|=== start … end ===|--- tailroom ---|   + fragments[0] + fragments[1] …
 * ```
 *
 * Parsing moves `start` forwards; building headers moves it backwards ({@linkcode PacketBuffer.prepend}). A TCP
 * segment is one small buffer of headers plus references into the sender's queue (`fragments`), so the payload is
 * never copied between the attachment and the uplink.
 *
 * Ownership is by convention, as in netstack: who receives a packet must `release()` it or hand it on. Buffers that
 * are shared (a chunk in a send queue that also hangs on a packet in a qdisc) are counted: `retain()` and `release()`.
 *
 * @module
 */

import type { VectorMemory } from "./vector_memory.ts";

/** Room kept in front of every payload: virtio-net header, Ethernet, IPv6 and a fragment header or UDP. */
export const HEADROOM = 128;

/** What is known about the transport checksum of a packet. */
export const Checksum = {
  /** Nothing: a receiver verifies it; on egress it is complete in the bytes. */
  unknown: 0,
  /** Egress: holds the pseudo-header sum, to be completed from `checksumStart` on. Ingress: the sender left it so
   * because no wire was crossed; the data is good and must not be verified. */
  partial: 1,
  /** Ingress only: verified by the link. */
  valid: 2,
} as const;
/** One of the values of {@linkcode Checksum}. */
export type Checksum = typeof Checksum[keyof typeof Checksum];

/**
 * What kind of segmentation a packet longer than the MTU still needs (virtio-net's `gso_type`). `datagrams` are several of
 * one length, the last may be shorter, behind one UDP header: Linux' UDP_SEGMENT.
 */
export const Gso = { none: 0, tcp4: 1, udp: 3, tcp6: 4, datagrams: 5 } as const;
/** One of the values of {@linkcode Gso}. */
export type Gso = typeof Gso[keyof typeof Gso];

/** A reference to bytes `[start, end)` of another buffer. */
export interface Fragment {
  buffer: PacketBuffer;
  start: number;
  end: number;
}

/** Most fragments that wait for a packet. */
const SPARE_FRAGMENTS = 4_096;

/** Where a buffer goes when nobody holds it any more. */
export interface Recycler {
  recycle(buffer: PacketBuffer): void;
}

/** Where the bytes of a buffer are as long as nobody has looked at them. */
export interface ByteSource {
  /** Gives `buffer` its bytes, by {@linkcode PacketBuffer.own}. */
  load(buffer: PacketBuffer): void;
}

/** A packet in flight. */
export class PacketBuffer {
  /** Only {@linkcode own} changes them. */
  bytes: Uint8Array;
  view: DataView;
  /** First byte that belongs to the packet, an index into `bytes`. */
  start: number;
  /** One past the last byte of the packet held in `bytes` itself. */
  end: number;
  /** Native address of `bytes[0]`, or 0. Set by who allocates for a host link; the stack never reads it. */
  address = 0;
  /** Where `bytes` can be summed by vectors, and what index `bytes[0]` has there. */
  memory: VectorMemory | undefined = undefined;
  memoryAt = 0;
  /** Payload that follows `bytes[start, end)` by reference. Empty for most packets. */
  readonly fragments: Fragment[] = [];
  /** State of the transport checksum. */
  checksum: Checksum = Checksum.unknown;
  /** Index into `bytes` where the partial checksum begins to sum (the transport header). */
  checksumStart = 0;
  /** Offset of the checksum field from `checksumStart`. */
  checksumOffset = 0;
  /** Segmentation still owed, with the payload size of each segment. */
  gso: Gso = Gso.none;
  gsoSize = 0;
  /**
   * Set: the bytes are elsewhere, and `bytes` is empty; `start` and `end` count all the same. Only payload that hangs on
   * packets by reference is ever so, and only where no wire is crossed; who wants the bytes of a fragment or a chunk calls
   * {@linkcode load} first.
   */
  source: ByteSource | undefined = undefined;
  /** Position in `source` of what would be `bytes[0]`. */
  sourceAt = 0;

  #references = 1;
  readonly #home: Recycler | undefined;

  constructor(bytes: Uint8Array, start = 0, end: number = bytes.length, home?: Recycler) {
    this.bytes = bytes;
    this.view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
    this.start = start;
    this.end = end;
    this.#home = home;
  }

  /** Makes sure that the bytes are in `bytes`. */
  load(): this {
    if (this.source !== undefined) this.source.load(this);
    return this;
  }

  /** Takes over other bytes, with the same indices. For sources. */
  own(bytes: Uint8Array, address: number): void {
    this.bytes = bytes;
    this.view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
    this.address = address;
    this.memory = undefined;
  }

  /** Bytes of the packet held in `bytes` itself. */
  get length(): number {
    return this.end - this.start;
  }

  /** Bytes of the whole packet, fragments included. */
  get totalLength(): number {
    let total = this.end - this.start;
    for (let i = 0; i < this.fragments.length; i++) {
      const fragment = this.fragments[i]!;
      total += fragment.end - fragment.start;
    }
    return total;
  }

  /** How many holders there are. */
  get references(): number {
    return this.#references;
  }

  /** Passes over `n` bytes at the front; returns the index at which they began. */
  consume(n: number): number {
    const at = this.start;
    this.start = at + n;
    return at;
  }

  /** Makes room for a header of `n` bytes in front; returns the index at which it begins. */
  prepend(n: number): number {
    if (n > this.start) throw new RangeError(`Cannot prepend ${n} bytes: headroom is ${this.start}`);
    this.start -= n;
    return this.start;
  }

  /** Hangs bytes `[start, end)` of `buffer` on the end of this packet, and holds `buffer` until then. */
  attach(buffer: PacketBuffer, start: number, end: number): void {
    buffer.retain();
    const fragment = spare.pop() ?? { buffer, start: 0, end: 0 };
    fragment.buffer = buffer;
    // As int32: who computed them from stream positions has doubles, which would slow down every reader.
    fragment.start = start | 0;
    fragment.end = end | 0;
    this.fragments.push(fragment);
  }

  /** One more holder. */
  retain(): this {
    this.#references++;
    return this;
  }

  /** One holder less; the last one sends the buffer home and lets its fragments go. */
  release(): void {
    if (--this.#references > 0) return;
    if (this.#references < 0) throw new RangeError("Cannot release a packet buffer twice");
    for (let i = 0; i < this.fragments.length; i++) {
      const fragment = this.fragments[i]!;
      fragment.buffer.release();
      if (spare.length === SPARE_FRAGMENTS) continue;
      fragment.buffer = NOBODY;
      spare.push(fragment);
    }
    this.fragments.length = 0;
    this.#home?.recycle(this);
  }

  /** Makes a recycled buffer as good as new, held once. For pools. */
  reset(start: number, end: number): this {
    this.start = start;
    this.end = end;
    this.checksum = Checksum.unknown;
    this.gso = Gso.none;
    this.gsoSize = 0;
    this.checksumStart = 0;
    this.checksumOffset = 0;
    this.#references = 1;
    return this;
  }

  /** Copies the whole packet, fragments included, to `into` at `at`; returns the number of bytes written. */
  copyTo(into: Uint8Array, at = 0): number {
    const from = at;
    into.set(this.bytes.subarray(this.start, this.end), at);
    at += this.end - this.start;
    for (let i = 0; i < this.fragments.length; i++) {
      const { buffer, start, end } = this.fragments[i]!;
      into.set(buffer.load().bytes.subarray(start, end), at);
      at += end - start;
    }
    return at - from;
  }

  /** Copies the first `length` bytes, fragments included, to `into` at `at`. The packet must be that long. */
  copyStartTo(into: Uint8Array, at: number, length: number): void {
    const head = Math.min(length, this.end - this.start);
    into.set(this.bytes.subarray(this.start, this.start + head), at);
    for (let i = 0, done = head; done < length; i++) {
      const { buffer, start, end } = this.fragments[i]!;
      const part = Math.min(length - done, end - start);
      into.set(buffer.load().bytes.subarray(start, start + part), at + done);
      done += part;
    }
  }

  /** A fresh copy of the whole packet as plain bytes. */
  toBytes(): Uint8Array {
    const bytes = new Uint8Array(this.totalLength);
    this.copyTo(bytes);
    return bytes;
  }
}

/** Of packets that are gone, for the next ones: each segment of a bulk stream is one. */
const spare: Fragment[] = [];
/** Held by those, which must keep nothing alive. */
const NOBODY = new PacketBuffer(new Uint8Array(0));
