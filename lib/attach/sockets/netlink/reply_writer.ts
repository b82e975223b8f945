/**
 * Builds netlink messages and packs them into datagrams as the kernel does.
 *
 * @module
 */

import { IpAddress } from "../../../stack/wire/address.ts";
import { ATTRIBUTE_HEADER, MESSAGE_HEADER, NLA_F_NESTED } from "./numbers.ts";

/**
 * Most bytes of a datagram that holds several messages: `NLMSG_GOODSIZE` with pages of 4 KiB. Readers count on it (Go
 * offers one page); a longer datagram holds a single message.
 */
export const DATAGRAM_SIZE = 3_776;

const encoder = new TextEncoder();

/** Messages in the making. Numbers are in host order, little-endian on the architectures that we know. */
export class ReplyWriter {
  /** What is complete. */
  readonly datagrams: Uint8Array<ArrayBuffer>[] = [];
  #bytes = new Uint8Array(2 * DATAGRAM_SIZE);
  #view = new DataView(this.#bytes.buffer);
  /** Where the message begins that is being written, and where the next byte goes. */
  #start = 0;
  #length = 0;

  /** For the fixed part of a message: offsets are what {@linkcode begin} returned, and up. */
  get view(): DataView {
    return this.#view;
  }

  /** Begins a message; returns the offset of its fixed part of `fixed` bytes, which are zero. */
  begin(type: number, flags: number, sequence: number, port: number, fixed: number): number {
    this.#start = this.#length;
    const at = this.#take(MESSAGE_HEADER + fixed);
    this.#view.setUint16(at + 4, type, true);
    this.#view.setUint16(at + 6, flags, true);
    this.#view.setUint32(at + 8, sequence, true);
    this.#view.setUint32(at + 12, port, true);
    return at + MESSAGE_HEADER;
  }

  /** Ends the message. What it does not fit behind becomes a datagram of its own. */
  end(): void {
    const size = this.#length - this.#start;
    this.#view.setUint32(this.#start, size, true);
    this.#align();
    if (this.#length > DATAGRAM_SIZE && this.#start > 0) {
      this.datagrams.push(this.#bytes.slice(0, this.#start));
      this.#bytes.copyWithin(0, this.#start, this.#length);
      this.#bytes.fill(0, this.#length - this.#start, this.#length);
      this.#length -= this.#start;
      this.#start = 0;
    }
  }

  /** Ends the datagram, if anything is in it. */
  cut(): void {
    if (this.#length === 0) return;
    this.datagrams.push(this.#bytes.slice(0, this.#length));
    this.#bytes.fill(0, 0, this.#length);
    this.#length = 0;
    this.#start = 0;
  }

  /** Appends bytes to the fixed part, and fills up to a multiple of 4. */
  raw(bytes: Uint8Array): void {
    const at = this.#take(bytes.length);
    this.#bytes.set(bytes, at);
    this.#align();
  }

  u8(type: number, value: number): void {
    this.#bytes[this.#attribute(type, 1)] = value;
  }

  u16(type: number, value: number): void {
    this.#view.setUint16(this.#attribute(type, 2), value, true);
  }

  u32(type: number, value: number): void {
    this.#view.setUint32(this.#attribute(type, 4), value, true);
  }

  text(type: number, value: string): void {
    const bytes = encoder.encode(value);
    this.#bytes.set(bytes, this.#attribute(type, bytes.length + 1));
  }

  bytes(type: number, value: Uint8Array): void {
    this.#bytes.set(value, this.#attribute(type, value.length));
  }

  /** An attribute of `length` zeros; returns its offset. */
  zeros(type: number, length: number): number {
    return this.#attribute(type, length);
  }

  /** A C array of `unsigned int`. */
  words(type: number, values: readonly number[]): void {
    let at = this.#attribute(type, 4 * values.length);
    for (const value of values) {
      this.#view.setUint32(at, value, true);
      at += 4;
    }
  }

  /** 4 or 16 bytes in network order. */
  address(type: number, address: IpAddress): void {
    address.write(this.#view, this.#attribute(type, address.family === 4 ? 4 : 16));
  }

  /** An address in text form, which is valid because it is ours. */
  addressText(type: number, text: string): void {
    this.address(type, IpAddress.parse(text) ?? new IpAddress(4, 0, 0, 0xffff, 0));
  }

  /** A colon-separated hardware address. */
  hardware(type: number, text: string): void {
    const parts = text.split(":");
    const at = this.#attribute(type, parts.length);
    for (const [i, part] of parts.entries()) this.#bytes[at + i] = parseInt(part, 16);
  }

  /** Begins an attribute that holds attributes; {@linkcode endNest} wants what it returns. */
  nest(type: number, flagged = false): number {
    return this.#attribute(flagged ? type | NLA_F_NESTED : type, 0) - ATTRIBUTE_HEADER;
  }

  endNest(nest: number): void {
    this.#view.setUint16(nest, this.#length - nest, true);
  }

  #attribute(type: number, length: number): number {
    this.#align();
    const at = this.#take(ATTRIBUTE_HEADER + length);
    this.#view.setUint16(at, ATTRIBUTE_HEADER + length, true);
    this.#view.setUint16(at + 2, type, true);
    this.#align();
    return at + ATTRIBUTE_HEADER;
  }

  #align(): void {
    this.#take(-this.#length & 3);
  }

  #take(length: number): number {
    const at = this.#length;
    this.#length += length;
    if (this.#length > this.#bytes.length) {
      const grown = new Uint8Array(2 * this.#length);
      grown.set(this.#bytes);
      this.#bytes = grown;
      this.#view = new DataView(grown.buffer);
    }
    return at;
  }
}
