/**
 * The two copies of a stream that crosses between a descriptor and a TCP connection: descriptor → pooled buffer, receive
 * queue → descriptor.
 *
 * The kernel reads and writes packet buffers by address, so a byte is copied once in each direction, by the kernel.
 * Short reads are copied again by the send queue: it keeps what it is given until the peer acknowledges it, and who
 * trickles must not pin a 64 KiB buffer per byte.
 *
 * @module
 */

import { Errno } from "../host/errno.ts";
import { alloc } from "../host/memory.ts";
import { MSG } from "../host/constants.ts";
import { IOVEC_SIZE, writeIovec } from "../host/structs.ts";
import { read, readv, send, write, writev } from "../host/sys.ts";
import type { ChunkQueue } from "../stack/buffer/chunk_queue.ts";
import { HEADROOM, type PacketBuffer } from "../stack/buffer/packet.ts";
import { type BufferPool, LARGE } from "../stack/buffer/pool.ts";
import type { TcpConnection } from "../stack/tcp/connection.ts";
import type { Instant } from "../stack/time.ts";
import { KernelPipe } from "./kernel_pipe.ts";

/** Most bytes of one read: TCP takes a chunk that reaches this far beyond its send buffer. */
const READ_MAX = 65_536;
/** Longest IP packet, one byte short of the loopback's MTU. */
const IP_MAX = 65_535;
/** Chunks of one `writev`, … */
const CHUNKS = 256;
/** … and of one `readv`. */
export const READ_CHUNKS = 17;

/** Moves bytes between descriptors and connections; one for all streams of a thread's pool. */
export class StreamIo {
  readonly #pool: BufferPool;
  readonly #iovecs = alloc(CHUNKS * IOVEC_SIZE);
  /** The buffers that the next read goes to. */
  readonly #spare: (PacketBuffer | undefined)[] = new Array(READ_CHUNKS).fill(undefined);

  constructor(pool: BufferPool) {
    this.#pool = pool;
  }

  /**
   * One read of at most `chunks` times `want` bytes, queued on `connection`, which must have room for all chunks but the last.
   * Returns its length, 0 at end of file, or −errno.
   */
  receive(fd: number, connection: TcpConnection, want: number, now: Instant, chunks = 1): number {
    const n = chunks === 1 ? this.#read(fd, want) : this.#readMany(fd, want, chunks);
    for (let i = 0, left = n; left > 0; i++, left -= want) {
      const buffer = this.#spare[i]!;
      this.#spare[i] = undefined;
      buffer.end = buffer.start + Math.min(left, want);
      connection.write(buffer, now);
    }
    return n;
  }

  #read(fd: number, want: number): number {
    const buffer = this.#buffer();
    return read(fd, buffer.address + buffer.start, want);
  }

  #readMany(fd: number, want: number, chunks: number): number {
    for (let i = 0; i < chunks; i++) {
      const buffer = this.#buffer(i);
      writeIovec(this.#iovecs, 0, i, buffer.address + buffer.start, want);
    }
    return readv(fd, this.#iovecs.address, chunks);
  }

  /** One read of at most 64 KiB that nobody wants. Returns its length, 0 at end of file, or −errno. */
  discard(fd: number): number {
    return this.#read(fd, READ_MAX);
  }

  /**
   * One write of what has arrived on `connection`; its urgent octet goes on as one. Returns how much of it the kernel took, or
   * −errno; consumes nothing.
   */
  deliver(fd: number, connection: TcpConnection): number {
    const mark = connection.urgentMark;
    if (mark < 0) return this.send(fd, connection.receiveQueue);
    if (mark > 0) return this.#copy(fd, connection.receiveQueue, mark);
    const n = this.#copy(fd, connection.receiveQueue, 1, MSG.OOB);
    // A kernel whose unix sockets know of no urgent data: it goes in line.
    return n === -Errno.EOPNOTSUPP ? this.#copy(fd, connection.receiveQueue, 1) : n;
  }

  /** One write of what `queue` begins with. Returns how much of it the kernel took, or −errno; consumes nothing. */
  send(fd: number, queue: ChunkQueue): number {
    const most = Math.min(queue.count, CHUNKS);
    let count = 0;
    for (; count < most; count++) {
      const { buffer, start, end } = queue.at(count);
      const { source } = buffer;
      if (source !== undefined) {
        if (count > 0) break;
        const sent = source instanceof KernelPipe ? source.send(fd, queue) : 0;
        if (sent !== 0) return sent;
        buffer.load();
      }
      if (buffer.address === 0) return this.#copy(fd, queue);
      if (most === 1) return write(fd, buffer.address + start, end - start);
      writeIovec(this.#iovecs, 0, count, buffer.address + start, end - start);
    }
    return writev(fd, this.#iovecs.address, count);
  }

  close(): void {
    for (let i = 0; i < READ_CHUNKS; i++) {
      this.#spare[i]?.release();
      this.#spare[i] = undefined;
    }
  }

  #buffer(i = 0): PacketBuffer {
    return this.#spare[i] ??= this.#pool.take(LARGE - HEADROOM);
  }

  /** For buffers of somebody else's pool, whose address nobody knows, and for a few bytes. */
  #copy(fd: number, queue: ChunkQueue, most = READ_MAX, flags = 0): number {
    const buffer = this.#buffer();
    const { start } = buffer;
    const length = queue.copyTo(buffer.bytes.subarray(start, start + most));
    if (flags === 0) return write(fd, buffer.address + start, length);
    return send(fd, buffer.address + start, length, flags | MSG.DONTWAIT | MSG.NOSIGNAL);
  }
}

/**
 * How much to read at once for a connection over `path`: as many whole segments as a super-packet carries, so that a
 * chunk is a packet and none is left with a short tail. Segments are taken to carry timestamps, as Linux' do.
 */
export function readSize(path: { readonly mtu: number; readonly gsoMaxSize: number }, family: 4 | 6): number {
  const headers = family === 4 ? 20 + 32 : 40 + 32;
  const mtu = Math.min(path.mtu, IP_MAX);
  const segment = mtu - headers;
  const most = Math.min(READ_MAX, Math.max(path.gsoMaxSize, mtu) - headers);
  return Math.max(1, Math.floor(most / segment)) * segment;
}

/** Whether to try again when the descriptor is ready. */
export function wouldBlock(result: number): boolean {
  return result === -Errno.EAGAIN;
}
