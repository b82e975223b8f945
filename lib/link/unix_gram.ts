/**
 * A link over a connected datagram socket: a frame in each datagram (gvproxy's vfkit, vmnet-helper, QEMU's
 * `-netdev dgram`; packets of a SEQPACKET socket are the same).
 *
 * It knows nothing of names: who made the socket bound and connected it, so both ends of such a wire use it. On Linux a
 * datagram socket that is not connected back holds eleven datagrams of ours at most (`net.unix.max_dgram_qlen`); one that
 * is, as many as fit the send buffer.
 *
 * Theory of operation. Its halves are `datagram_receiver.ts` and `datagram_sender.ts`: one `recvmmsg` brings a batch, one
 * `sendmmsg` sends what was kept since the last `flush`. EAGAIN is back-pressure: the frames stay here, in order. ENOBUFS is, too, but nobody says when it is over: after a
 * few tries the frame is dropped.
 *
 * Trust. A datagram is a frame or it is nothing: what is too short or too long is dropped, and counted.
 *
 * @module
 */

import { Errno, errnoText } from "../host/errno.ts";
import { Gso, type PacketBuffer } from "../stack/buffer/packet.ts";
import type { BufferPool } from "../stack/buffer/pool.ts";
import { copyOf } from "../stack/link/copy.ts";
import type { Link, LinkCapabilities } from "../stack/link/link.ts";
import { framesOf } from "../stack/link/wire_size.ts";
import { DatagramReceiver, type NoFrame } from "./datagram_receiver.ts";
import { DATAGRAM_FRAME_MAX, DatagramSender, isSendable, SEND_BATCH } from "./datagram_sender.ts";
import type { Merging } from "./merger.ts";
import { leavesWhole, type WireOffload } from "./offload.ts";
import { SendRing } from "./send_ring.ts";

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
  /** What the other side takes. */
  readonly offload: WireOffload;
  /** Which frames may be merged as they come; absent: none. */
  readonly merging?: Merging;
  /** An empty packet is the end: so it is on a SEQPACKET socket. Default: it is one that is too short. */
  readonly endsEmpty?: boolean;
  /** The other side is gone; called once, out of `receive`, `transmit` or `flush`. `why` completes "the other side …". */
  readonly onEnd: (why: string) => void;
}

/** What happened on the link. */
export interface UnixGramCounters {
  rxFrames: number;
  rxBytes: number;
  /** Frames that were added to another. */
  rxMerged: number;
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
  /** A datagram is whole. */
  readonly partial = 0;
  readonly counters: UnixGramCounters = {
    rxFrames: 0,
    rxBytes: 0,
    rxMerged: 0,
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
  readonly #offload: WireOffload;
  readonly #merging: Merging | undefined;
  readonly #endsEmpty: boolean;
  readonly #onEnd: (why: string) => void;
  readonly #receiver: DatagramReceiver;
  readonly #sender = new DatagramSender();
  readonly #kept = new SendRing();
  /** Datagrams of what is kept, about. */
  #datagrams = 0;
  #noBuffers = 0;
  #ended = false;

  constructor(options: UnixGramOptions) {
    this.#fd = options.fd;
    this.mtu = options.mtu;
    this.#pool = options.pool;
    this.capabilities = options.capabilities;
    this.#offload = options.offload;
    this.#merging = options.merging;
    this.#endsEmpty = options.endsEmpty ?? false;
    this.#onEnd = options.onEnd;
    this.#receiver = new DatagramReceiver(options.pool, options.offload.vnetHeader);
  }

  receive(): PacketBuffer | undefined {
    const receiver = this.#receiver;
    for (let dropped = 0; dropped < DROPS; dropped++) {
      if (this.#ended) return undefined;
      if (!receiver.next() && !(this.#fill() && receiver.next())) return undefined;
      const frame = receiver.take(this.#merging);
      if (frame !== undefined) return this.#received(frame);
      this.#malformed(receiver.why);
    }
    return undefined;
  }

  transmit(packet: PacketBuffer): boolean {
    const { counters } = this;
    if (this.#ended) {
      counters.txLost++;
      packet.release();
      return true;
    }
    if (packet.gso === Gso.none && packet.totalLength > DATAGRAM_FRAME_MAX) {
      counters.txTooLong++;
      packet.release();
      return true;
    }
    if (this.#kept.full || this.#datagrams >= SEND_BATCH) {
      if (!this.flush()) return false;
      if (this.#ended) return this.transmit(packet);
    }
    if (!isSendable(packet)) {
      const copy = copyOf(packet, this.#pool);
      packet.release();
      packet = copy;
      counters.txCopied++;
    }
    this.#datagrams += leavesWhole(this.#offload, packet, DATAGRAM_FRAME_MAX) ? 1 : framesOf(packet);
    this.#kept.push(packet);
    return true;
  }

  flush(): boolean {
    const { counters } = this;
    const kept = this.#kept;
    const sender = this.#sender;
    while (kept.length > 0) {
      const sent = sender.send(this.#fd, kept, this.#offload);
      if (sent < 0) {
        if (!this.#refused(-sent)) return false;
        if (this.#ended) return true;
        continue;
      }
      this.#noBuffers = 0;
      counters.txFrames += sent;
      counters.txBytes += sender.bytes;
    }
    this.#datagrams = 0;
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
    this.#receiver.close();
    for (; this.#kept.length > 0; this.#kept.drop()) this.counters.txLost++;
  }

  /** One call for a whole batch. False: there was nothing. */
  #fill(): boolean {
    const count = this.#receiver.receive(this.#fd);
    if (count > 0) return true;
    if (count === 0 || count === -Errno.EAGAIN || count === -Errno.EINTR) return false;
    this.counters.rxErrors++;
    if (count === -Errno.ECONNRESET || count === -Errno.ENOTCONN) {
      this.#end(`is gone: ${errnoText(-count)}`);
    }
    return false;
  }

  #received(frame: PacketBuffer): PacketBuffer {
    const { counters } = this;
    const { frames, bytes, merged } = this.#receiver;
    counters.rxFrames = frames;
    counters.rxBytes = bytes;
    counters.rxMerged = merged;
    return frame;
  }

  #malformed(why: NoFrame): void {
    if (why === "too-long") this.counters.rxTooLong++;
    else {
      if (this.#endsEmpty && this.#receiver.length === 0) this.#end("closed the connection");
      this.counters.rxMalformed++;
    }
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
    this.#kept.drop();
    return true;
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
