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
import { read, send, write, writev } from "../host/sys.ts";
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
/** Chunks of one `writev`. */
const CHUNKS = 256;

/** Moves bytes between descriptors and connections; one for all streams of a thread's pool. */
export class StreamIo {
  readonly #pool: BufferPool;
  readonly #iovecs = alloc(CHUNKS * IOVEC_SIZE);
  /** The buffer that the next read goes to. */
  #spare: PacketBuffer | undefined;

  constructor(pool: BufferPool) {
    this.#pool = pool;
  }

  /** One read of at most `want` bytes, queued on `connection`. Returns its length, 0 at end of file, or −errno. */
  receive(fd: number, connection: TcpConnection, want: number, now: Instant): number {
    const buffer = this.#buffer();
    const n = read(fd, buffer.address + buffer.start, want);
    if (n <= 0) return n;
    this.#spare = undefined;
    buffer.end = buffer.start + n;
    connection.write(buffer, now);
    return n;
  }

  /** One read of at most 64 KiB that nobody wants. Returns its length, 0 at end of file, or −errno. */
  discard(fd: number): number {
    const buffer = this.#buffer();
    return read(fd, buffer.address + buffer.start, READ_MAX);
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
    this.#spare?.release();
    this.#spare = undefined;
  }

  #buffer(): PacketBuffer {
    return this.#spare ??= this.#pool.take(LARGE - HEADROOM);
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
