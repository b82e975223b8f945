/**
 * The writing half of wires that keep the bounds of frames (datagrams, sequenced packets): one `sendmmsg` for many.
 *
 * Theory of operation. What waits is the caller's queue, of whole frames and of super-packets. A call describes what the queue
 * begins with to the kernel, and drops there what was sent.
 *
 * ```text
 *   slots     | headers | headers | vnet header |          in memory of our own, one for each datagram that needs it
 *   iovecs      │ ┌ payload ┐ │ ┌ payload ┐ │ ┌ frame ┐     by reference, where the packet has it
 *   messages  [ 1 ]         [ 2 ]         [ 3 ]
 * ```
 *
 * A super-packet that the other side does not take is cut here, as in `frame_writer.ts`: a segment is two iovecs and no packet.
 * How many of its segments are sent is the queue's to remember, so one sender does for all sockets of a thread; what the kernel
 * had no room for is described once more.
 *
 * @module
 */

import { MSG } from "../host/constants.ts";
import { NativeMemory } from "../host/memory.ts";
import { IOVEC_SIZE, MMSGHDR_SIZE, Msghdr, writeIovec } from "../host/structs.ts";
import { sendmmsg } from "../host/sys.ts";
import type { PacketBuffer } from "../stack/buffer/packet.ts";
import { Slicer } from "../stack/buffer/slicer.ts";
import { SEGMENT_HEADERS_MAX, SegmentHeaders } from "../stack/link/segment_headers.ts";
import { appendSum, bufferSum, completeChecksum } from "../stack/wire/checksum.ts";
import { TCP_CHECKSUM } from "../stack/wire/tcp.ts";
import { gatherFrame } from "./gather.ts";
import { leavesWhole, VNET_HEADER_V1, type WireOffload } from "./offload.ts";
import { describeFrame } from "./vnet_header.ts";

/** Datagrams of one system call: a super-packet of a usual guest and a half. */
export const SEND_BATCH = 64;
/** Longest frame: libkrun's and vmnet-helper's buffers hold so many bytes. */
export const DATAGRAM_FRAME_MAX = 65_550;
/** Pieces of a packet that is sent as it is; one of more is joined first. */
const MAX_PIECES = 64;
const IOVECS = 4 * SEND_BATCH;
const SLOT = (VNET_HEADER_V1 + SEGMENT_HEADERS_MAX + 15) & ~15;

/** What waits for a wire, first in, first out. A super-packet in it is held by nobody else. */
export interface SendQueue {
  /** Packets. */
  readonly length: number;
  /** Segments of the first one that are sent. */
  cut: number;
  at(index: number): PacketBuffer;
  /** Lets the first packet go, and sets `cut` to 0. */
  drop(): void;
}

/** Sends what queues begin with. */
export class DatagramSender {
  /** Of the last call: bytes of the frames that were sent. */
  bytes = 0;
  readonly #memory = new NativeMemory(SEND_BATCH * (MMSGHDR_SIZE + SLOT) + IOVECS * IOVEC_SIZE);
  readonly #headers = new SegmentHeaders();
  readonly #slicer = new Slicer();
  /** Whether the packet of a datagram is used up with it. */
  readonly #last = new Uint8Array(SEND_BATCH);
  #count = 0;
  #iovecs = 0;
  /** What all messages are addressed to. */
  #name = 0;
  #nameLength = 0;

  /**
   * To the name at `name`, or where the socket is connected.
   *
   * @returns how many datagrams were sent, or −errno
   */
  send(fd: number, queue: SendQueue, offload: WireOffload, name = 0, nameLength = 0): number {
    this.#count = this.#iovecs = 0;
    let { cut } = queue;
    for (let i = 0; i < queue.length && this.#count < SEND_BATCH; i++) {
      const packet = queue.at(i);
      const room = leavesWhole(offload, packet, DATAGRAM_FRAME_MAX)
        ? this.#addFrame(packet, offload)
        : this.#addSegments(packet, cut, offload);
      if (!room) break;
      cut = 0;
    }
    if (name !== this.#name || nameLength !== this.#nameLength) this.#address(name, nameLength);
    const memory = this.#memory;
    const sent = sendmmsg(fd, memory.address, this.#count, MSG.DONTWAIT | MSG.NOSIGNAL);
    this.bytes = -Math.max(0, sent) * offload.vnetHeader;
    for (let i = 0; i < sent; i++) {
      this.bytes += memory.view.getUint32(i * MMSGHDR_SIZE + Msghdr.length, true);
      if (this.#last[i] === 1) queue.drop();
      else queue.cut++;
    }
    return sent;
  }

  /** A datagram of one frame. False: there is no room for it. */
  #addFrame(frame: PacketBuffer, { vnetHeader, checksums }: WireOffload): boolean {
    if (this.#iovecs + frame.fragments.length + 2 > IOVECS) return false;
    if (!checksums) completeChecksum(frame);
    const first = this.#iovecs;
    if (vnetHeader > 0) {
      const slot = this.#slot();
      describeFrame(frame, this.#memory.view, slot, vnetHeader);
      this.#piece(this.#memory.address + slot, vnetHeader);
    }
    const used = gatherFrame(this.#memory, IOVEC_AT, this.#iovecs, IOVECS - this.#iovecs, frame, frame.start);
    if (used === 0) throw new TypeError("Cannot send a frame: its bytes have no addresses");
    this.#iovecs += used;
    this.#commit(first, true);
    return true;
  }

  /** Datagrams of the segments of a packet from number `cut` on, as many as there is room for. False: not for all. */
  #addSegments(packet: PacketBuffer, cut: number, { vnetHeader }: WireOffload): boolean {
    const headers = this.#headers;
    const slicer = this.#slicer;
    const { view, address } = this.#memory;
    headers.begin(packet);
    headers.skip(cut, packet.gsoSize);
    slicer.begin(packet, packet.start + headers.length);
    for (let left = cut * packet.gsoSize; left > 0;) left -= slicer.step(left);
    const pieces = packet.fragments.length + 2;
    for (;;) {
      if (this.#count === SEND_BATCH || this.#iovecs + pieces > IOVECS) return false;
      const payload = Math.min(packet.gsoSize, slicer.remaining);
      const last = payload === slicer.remaining;
      const first = this.#iovecs;
      const slot = this.#slot();
      const at = slot + vnetHeader;
      for (let i = slot; i < at; i += 2) view.setUint16(i, 0);
      headers.write(view, at, payload, last);
      this.#piece(address + slot, vnetHeader + headers.length);
      let { sum } = headers;
      for (let done = 0; done < payload;) {
        const part = slicer.step(payload - done);
        const { buffer, from } = slicer;
        sum = appendSum(sum, bufferSum(buffer!, from, from + part), (done & 1) !== 0);
        this.#piece(buffer!.address + from, part);
        done += part;
      }
      view.setUint16(at + headers.tcp + TCP_CHECKSUM, (~sum & 0xffff) || 0xffff);
      this.#commit(first, last);
      if (last) return true;
    }
  }

  #address(name: number, nameLength: number): void {
    this.#name = name;
    this.#nameLength = nameLength;
    for (let i = 0; i < SEND_BATCH; i++) {
      this.#memory.setPointer(i * MMSGHDR_SIZE + Msghdr.name, name);
      this.#memory.view.setUint32(i * MMSGHDR_SIZE + Msghdr.nameLength, nameLength, true);
    }
  }

  #slot(): number {
    return SLOT_AT + this.#count * SLOT;
  }

  #piece(address: number, length: number): void {
    writeIovec(this.#memory, IOVEC_AT, this.#iovecs++, address, length);
  }

  /** The iovecs from `first` on are a datagram. */
  #commit(first: number, last: boolean): void {
    const header = this.#count * MMSGHDR_SIZE;
    this.#memory.setPointer(header + Msghdr.iov, this.#memory.address + IOVEC_AT + first * IOVEC_SIZE);
    this.#memory.setPointer(header + Msghdr.iovLength, this.#iovecs - first);
    this.#last[this.#count++] = last ? 1 : 0;
  }
}

const SLOT_AT = SEND_BATCH * MMSGHDR_SIZE;
const IOVEC_AT = SLOT_AT + SEND_BATCH * SLOT;

/** Whether a packet can be sent as it is: its pieces have native addresses and are few. */
export function isSendable(packet: PacketBuffer): boolean {
  const { address, fragments } = packet;
  if (address === 0 || fragments.length >= MAX_PIECES) return false;
  for (let i = 0; i < fragments.length; i++) if (fragments[i]!.buffer.address === 0) return false;
  return true;
}
