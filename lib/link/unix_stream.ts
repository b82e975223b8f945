/**
 * A link over a connected stream socket: each frame behind its length (passt, QEMU's `-netdev stream`, socket_vmnet, gvproxy,
 * HyperKit).
 *
 * It knows nothing of who dialled whom: both ends of such a wire use it. Its halves are `frame_reader.ts` and
 * `frame_writer.ts`.
 *
 * Trust. A length out of bounds means that the two sides no longer agree where frames begin, and there is no way to find
 * out: the wire is over, as for passt. A frame that never gets whole holds one buffer.
 *
 * @module
 */

import type { PacketBuffer } from "../stack/buffer/packet.ts";
import type { BufferPool } from "../stack/buffer/pool.ts";
import type { Link, LinkCapabilities } from "../stack/link/link.ts";
import type { LengthSize } from "./frame_length.ts";
import { FrameReader, type FrameReaderCounters } from "./frame_reader.ts";
import { FrameWriter, type FrameWriterCounters } from "./frame_writer.ts";
import type { Merging } from "./merger.ts";
import type { WireOffload } from "./offload.ts";

/** What the link is made of. */
export interface UnixStreamOptions {
  /** A connected stream socket, non-blocking. Stays the caller's to close. */
  readonly fd: number;
  readonly mtu: number;
  /** Its buffers must have native addresses. */
  readonly pool: BufferPool;
  readonly capabilities: LinkCapabilities;
  /** Bytes of the length in front of each frame; absent: 4. */
  readonly lengthSize?: LengthSize;
  /** What the other side takes. */
  readonly offload: WireOffload;
  /** Which frames may be merged as they come; absent: none. */
  readonly merging?: Merging;
  /** The wire is over; called once, out of `receive`, `transmit` or `flush`. `why` completes "the other side …". */
  readonly onEnd: (why: string) => void;
}

/** What happened on the link. */
export interface UnixStreamCounters extends FrameReaderCounters, FrameWriterCounters {}

/** Ethernet frames over a stream. */
export class UnixStreamLink implements Link {
  readonly mtu: number;
  readonly capabilities: LinkCapabilities;
  readonly #reader: FrameReader;
  readonly #writer: FrameWriter;
  readonly #onEnd: (why: string) => void;
  #ended = false;

  constructor(options: UnixStreamOptions) {
    this.mtu = options.mtu;
    this.capabilities = options.capabilities;
    this.#onEnd = options.onEnd;
    const onEnd = (why: string) => this.#end(why);
    this.#reader = new FrameReader({ ...options, vnetHeader: options.offload.vnetHeader, onEnd });
    this.#writer = new FrameWriter({ ...options, onEnd });
  }

  get counters(): UnixStreamCounters {
    return { ...this.#reader.counters, ...this.#writer.counters };
  }

  /** Bytes of a frame that is not whole. */
  get partial(): number {
    return this.#reader.partial;
  }

  /** Sets the most bytes of one read. */
  limitReads(bytes: number): void {
    this.#reader.readLimit = bytes;
  }

  receive(): PacketBuffer | undefined {
    return this.#reader.receive();
  }

  transmit(frame: PacketBuffer): boolean {
    return this.#writer.transmit(frame);
  }

  flush(): boolean {
    return this.#writer.flush();
  }

  /** What went wrong so far, by the names under which it is shown. */
  problems(): Record<string, number> {
    const { rxBadLength, rxMalformed, txBusy, txTooLong, txCopied, txLost } = this.counters;
    return {
      "rx-bad-length": rxBadLength,
      "rx-malformed": rxMalformed,
      "tx-busy": txBusy,
      "tx-too-long": txTooLong,
      "tx-copied": txCopied,
      "tx-lost": txLost,
    };
  }

  /** Lets all buffers go. The descriptor is the caller's. */
  close(): void {
    this.#ended = true;
    this.#reader.close();
    this.#writer.close();
  }

  #end(why: string): void {
    if (this.#ended) return;
    this.close();
    this.#onEnd(why);
  }
}
