/**
 * A link over a connected datagram socket: a frame in each datagram (gvproxy's vfkit, vmnet-helper, QEMU's
 * `-netdev dgram`; packets of a SEQPACKET socket are the same).
 *
 * It knows nothing of names: who made the socket bound and connected it, so both ends of such a wire use it. On Linux a
 * datagram socket that is not connected back holds eleven datagrams of ours at most (`net.unix.max_dgram_qlen`); one that
 * is, as many as fit the send buffer.
 *
 * Theory of operation. One `recvmmsg` fills a batch of buffers, one `sendmmsg` sends what was kept since the last
 * `flush`. EAGAIN is back-pressure: the frames stay here, in order. ENOBUFS is, too, but nobody says when it is over: after a
 * few tries the frame is dropped.
 *
 * Trust. A datagram is a frame or it is nothing: what is too short or too long is dropped, and counted.
 *
 * @module
 */

import { MSG } from "../host/constants.ts";
import { ReceiveBatch } from "../host/datagrams.ts";
import { Errno, errnoText } from "../host/errno.ts";
import { NativeMemory } from "../host/memory.ts";
import { IOVEC_SIZE, MMSGHDR_SIZE, Msghdr } from "../host/structs.ts";
import { sendmmsg } from "../host/sys.ts";
import { HEADROOM, type PacketBuffer } from "../stack/buffer/packet.ts";
import { type BufferPool, LARGE, MEDIUM, SMALL } from "../stack/buffer/pool.ts";
import { copyOf } from "../stack/link/copy.ts";
import type { Link, LinkCapabilities } from "../stack/link/link.ts";
import { compact } from "./compact.ts";
import { gatherFrame } from "./gather.ts";
import { readVnetHeader, writeVnetHeader } from "./vnet_header.ts";

/** Shortest frame: an Ethernet header. */
const FRAME_MIN = 14;
/** Longest frame that libkrun and vmnet-helper take, without a virtio-net header. */
export const GRAM_FRAME_MAX = 65_550;
/** Datagrams of one system call, and iovecs for those that are sent. */
const BATCH = 32, IOVECS = 256;
/** Most datagrams that are no frames which one call passes over. */
const DROPS = 64;
/** Tries for a frame for which the kernel has no buffers. */
const NO_BUFFER_TRIES = 16;

/** What the link is made of. */
export interface UnixGramOptions {
  /** A connected datagram or SEQPACKET socket, non-blocking. Stays the caller's to close. */
  readonly fd: number;
  readonly mtu: number;
  /** Its buffers must have native addresses. */
  readonly pool: BufferPool;
  readonly capabilities: LinkCapabilities;
  /** Bytes of the virtio-net header in front of each frame: 0, 10 or 12. */
  readonly vnetHeader: number;
  /** Longest frame that may come, without the virtio-net header: large buffers are used only if it takes them. */
  readonly rxFrameMax?: number;
  /** An empty packet is the end: so it is on a SEQPACKET socket. Default: it is one that is too short. */
  readonly endsEmpty?: boolean;
  /** The other side is gone; called once, out of `receive`, `transmit` or `flush`. `why` completes "the other side …". */
  readonly onEnd: (why: string) => void;
}

/** What happened on the link. */
export interface UnixGramCounters {
  rxFrames: number;
  rxBytes: number;
  txFrames: number;
  txBytes: number;
  /** Datagrams that are too short to be a frame, or have a virtio-net header that says nonsense. */
  rxMalformed: number;
  /** Datagrams that did not fit the buffer. */
  rxTooLong: number;
  rxErrors: number;
  /** Calls for which there was no room, or not enough. */
  txBusy: number;
  /** Frames longer than the other side takes, or than the socket's send buffer; dropped. */
  txTooLong: number;
  /** Frames for which the kernel had no buffers for too long; dropped. */
  txNoBuffers: number;
  /** Frames that the kernel refused for another reason; dropped. */
  txErrors: number;
  /** Frames that had to be copied because a fragment had no native address, or there were too many. */
  txCopied: number;
  /** Frames that were lost with the wire. */
  txLost: number;
}

/** Ethernet frames in datagrams. */
export class UnixGramLink implements Link {
  readonly mtu: number;
  readonly capabilities: LinkCapabilities;
  readonly counters: UnixGramCounters = {
    rxFrames: 0,
    rxBytes: 0,
    txFrames: 0,
    txBytes: 0,
    rxMalformed: 0,
    rxTooLong: 0,
    rxErrors: 0,
    txBusy: 0,
    txTooLong: 0,
    txNoBuffers: 0,
    txErrors: 0,
    txCopied: 0,
    txLost: 0,
  };
  readonly #fd: number;
  readonly #pool: BufferPool;
  readonly #vnetHeader: number;
  readonly #rxRoom: number;
  readonly #endsEmpty: boolean;
  readonly #onEnd: (why: string) => void;
  #ended = false;

  readonly #batch = new ReceiveBatch(BATCH);
  readonly #buffers: (PacketBuffer | undefined)[] = new Array<PacketBuffer | undefined>(BATCH).fill(
    undefined,
  );
  /** The datagrams of the last call that are not handed out yet. */
  #next = 0;
  #received = 0;

  readonly #queue: (PacketBuffer | undefined)[] = new Array<PacketBuffer | undefined>(BATCH).fill(undefined);
  readonly #messages = new NativeMemory(BATCH * MMSGHDR_SIZE + IOVECS * IOVEC_SIZE);
  /** The first frame that is not sent, one past the last, and the iovecs in use. */
  #first = 0;
  #count = 0;
  #iovecCount = 0;
  #noBuffers = 0;

  constructor(options: UnixGramOptions) {
    this.#fd = options.fd;
    this.mtu = options.mtu;
    this.#pool = options.pool;
    this.capabilities = options.capabilities;
    this.#vnetHeader = options.vnetHeader;
    const longest = (options.rxFrameMax ?? GRAM_FRAME_MAX) + this.#vnetHeader;
    this.#rxRoom = longest <= MEDIUM - HEADROOM ? MEDIUM - HEADROOM : LARGE - HEADROOM;
    this.#endsEmpty = options.endsEmpty ?? false;
    this.#onEnd = options.onEnd;
  }

  receive(): PacketBuffer | undefined {
    for (let dropped = 0; dropped < DROPS; dropped++) {
      if (this.#ended) return undefined;
      if (this.#next >= this.#received && !this.#fill()) return undefined;
      const frame = this.#finish(this.#next++);
      if (frame !== undefined) return frame;
    }
    return undefined;
  }

  transmit(frame: PacketBuffer): boolean {
    const { counters } = this;
    if (this.#ended) {
      counters.txLost++;
      frame.release();
      return true;
    }
    if (frame.totalLength > GRAM_FRAME_MAX) {
      counters.txTooLong++;
      frame.release();
      return true;
    }
    if (this.#count === BATCH) {
      if (!this.flush()) return false;
      if (this.#ended) return this.transmit(frame);
    }
    let used = this.#gather(frame);
    if (used === 0 && this.#count > 0) {
      if (!this.flush()) return false;
      if (this.#ended) return this.transmit(frame);
      used = this.#gather(frame);
    }
    if (used === 0) {
      const copy = copyOf(frame, this.#pool);
      frame.release();
      frame = copy;
      counters.txCopied++;
      used = this.#gather(frame);
      if (used === 0) throw new TypeError("Cannot transmit a frame: the pool's buffers have no addresses");
    }
    const header = this.#count * MMSGHDR_SIZE;
    this.#messages.setPointer(header + Msghdr.iov, this.#messages.address + this.#iovecAt(this.#iovecCount));
    this.#messages.setPointer(header + Msghdr.iovLength, used);
    this.#iovecCount += used;
    this.#queue[this.#count++] = frame;
    return true;
  }

  flush(): boolean {
    while (this.#first < this.#count) {
      const at = this.#messages.address + this.#first * MMSGHDR_SIZE;
      const sent = sendmmsg(this.#fd, at, this.#count - this.#first, MSG.DONTWAIT | MSG.NOSIGNAL);
      if (sent < 0) {
        if (!this.#refused(-sent)) return false;
        if (this.#ended) return true;
        continue;
      }
      this.#noBuffers = 0;
      for (let i = 0; i < sent; i++) {
        this.counters.txFrames++;
        this.counters.txBytes += this.#queue[this.#first]!.totalLength;
        this.#drop();
      }
    }
    this.#first = this.#count = this.#iovecCount = 0;
    return true;
  }

  /** What went wrong so far, by the names under which it is shown. */
  problems(): Record<string, number> {
    const { counters } = this;
    return {
      "rx-malformed": counters.rxMalformed,
      "rx-too-long": counters.rxTooLong,
      "rx-errors": counters.rxErrors,
      "tx-busy": counters.txBusy,
      "tx-too-long": counters.txTooLong,
      "tx-no-buffers": counters.txNoBuffers,
      "tx-errors": counters.txErrors,
      "tx-copied": counters.txCopied,
      "tx-lost": counters.txLost,
    };
  }

  /** Lets all buffers go. The descriptor is the caller's. */
  close(): void {
    this.#ended = true;
    for (let i = 0; i < BATCH; i++) {
      this.#buffers[i]?.release();
      this.#buffers[i] = undefined;
    }
    while (this.#first < this.#count) {
      this.counters.txLost++;
      this.#drop();
    }
    this.#first =
      this.#count =
      this.#next =
      this.#received =
        0;
  }

  /** One call for a whole batch. False: there was nothing. */
  #fill(): boolean {
    for (let i = 0; i < BATCH; i++) {
      if (this.#buffers[i] !== undefined) continue;
      const buffer = this.#pool.take(this.#rxRoom);
      this.#buffers[i] = buffer;
      this.#batch.setBuffer(i, buffer.address + HEADROOM - this.#vnetHeader, this.#rxRoom + this.#vnetHeader);
    }
    this.#next = this.#received = 0;
    const count = this.#batch.receive(this.#fd);
    if (count <= 0) {
      if (count === 0 || count === -Errno.EAGAIN || count === -Errno.EINTR) return false;
      this.counters.rxErrors++;
      if (count === -Errno.ECONNRESET || count === -Errno.ENOTCONN) {
        this.#end(`is gone: ${errnoText(-count)}`);
      }
      return false;
    }
    this.#received = count;
    return true;
  }

  /** The frame in slot `index`, or undefined if it is none. */
  #finish(index: number): PacketBuffer | undefined {
    const buffer = this.#buffers[index]!;
    const length = this.#batch.length(index) - this.#vnetHeader;
    if (this.#batch.truncated(index)) {
      this.counters.rxTooLong++;
      return undefined;
    }
    if (length < FRAME_MIN) {
      if (this.#endsEmpty && this.#batch.length(index) === 0) this.#end("closed the connection");
      this.counters.rxMalformed++;
      return undefined;
    }
    buffer.start = HEADROOM;
    buffer.end = HEADROOM + length;
    if (this.#vnetHeader > 0 && !readVnetHeader(buffer, HEADROOM - this.#vnetHeader)) {
      this.counters.rxMalformed++;
      buffer.reset(HEADROOM, HEADROOM);
      return undefined;
    }
    this.counters.rxFrames++;
    this.counters.rxBytes += length;
    if (this.#compactable(length)) return compact(buffer, this.#pool);
    this.#buffers[index] = undefined;
    return buffer;
  }

  /** Whether a frame would keep a buffer alive that is much too large for it. */
  #compactable(length: number): boolean {
    return length <= (this.#rxRoom > MEDIUM ? MEDIUM : SMALL) - HEADROOM;
  }

  #iovecAt(index: number): number {
    return BATCH * MMSGHDR_SIZE + index * IOVEC_SIZE;
  }

  #gather(frame: PacketBuffer): number {
    const from = this.#vnetHeader > 0 ? writeVnetHeader(frame, this.#vnetHeader) : frame.start;
    const room = IOVECS - this.#iovecCount;
    return gatherFrame(this.#messages, this.#iovecAt(0), this.#iovecCount, room, frame, from);
  }

  /** The first frame was not taken. False: it may be later; true: it is dropped, or the wire is over. */
  #refused(errno: number): boolean {
    const { counters } = this;
    if (errno === Errno.EAGAIN || errno === Errno.EINTR) {
      counters.txBusy++;
      return false;
    }
    if (errno === Errno.ENOBUFS || errno === Errno.ENOMEM) {
      counters.txBusy++;
      if (++this.#noBuffers < NO_BUFFER_TRIES) return false;
      this.#noBuffers = 0;
      counters.txNoBuffers++;
    } else if (errno === Errno.EMSGSIZE) {
      counters.txTooLong++;
    } else if (GONE.has(errno)) {
      this.#end(`is gone: ${errnoText(errno)}`);
      return true;
    } else {
      counters.txErrors++;
    }
    this.#drop();
    return true;
  }

  #drop(): void {
    this.#queue[this.#first]!.release();
    this.#queue[this.#first++] = undefined;
  }

  #end(why: string): void {
    if (this.#ended) return;
    this.close();
    this.#onEnd(why);
  }
}

const GONE: ReadonlySet<number> = new Set([
  Errno.ECONNREFUSED,
  Errno.ECONNRESET,
  Errno.ENOTCONN,
  Errno.EPIPE,
  Errno.ENOENT,
]);
