/**
 * The reading half of a relay between a descriptor and a TCP connection: copies what comes in drops, and leaves in the kernel
 * what comes in floods, where the far end of the connection is in this program, too. Elsewhere floods are read in long gulps:
 * Linux acknowledges them as they are read, so that each read has its own price.
 *
 * @module
 */

import { SO, SOL } from "../host/constants.ts";
import { Errno } from "../host/errno.ts";
import { atUrgentMark, setOption } from "../host/inet.ts";
import type { TcpConnection } from "../stack/tcp/connection.ts";
import type { Instant } from "../stack/time.ts";
import { cannotSplice, type KernelPipe, PIPED_AT_ONCE, type PipePool } from "./kernel_pipe.ts";
import { READ_CHUNKS, type StreamIo } from "./stream_io.ts";

/** Full reads in a row that make a stream bulk. */
const FLOOD = 4;

/** Reads one stream. */
export class StreamReader {
  /** The last read came back short: at that moment there was nothing more. */
  drained = false;
  readonly #io: StreamIo;
  #pipes: PipePool | undefined;
  #pipe: KernelPipe | undefined;
  #full = 0;
  #urgent = false;

  /** @param pipes absent: bytes are always copied, as a wire needs them */
  constructor(io: StreamIo, pipes?: PipePool) {
    this.#io = io;
    this.#pipes = pipes;
  }

  /**
   * One read of about `want` bytes, or of at most `most` where they come in floods, queued on `connection`. Returns its length, 0
   * at end of file, or −errno.
   */
  receive(fd: number, connection: TcpConnection, want: number, now: Instant, most = want): number {
    this.drained = false;
    if (this.#urgent) return this.#receiveUrgent(fd, connection, want, now);
    let chunks = 1;
    if (this.#full >= FLOOD) {
      const n = this.#splice(fd, connection, want, now);
      if (n !== -Errno.EAGAIN) return n;
      chunks = Math.min(Math.ceil(Math.min(most, connection.sendSpace) / want), READ_CHUNKS);
    }
    const n = this.#io.receive(fd, connection, want, now, chunks);
    this.drained = n < chunks * want;
    if (!this.drained) this.#full++;
    else if (n > 0) this.#calm();
    return n;
  }

  /** One read of what nobody wants. Returns its length, 0 at end of file, or −errno. */
  discard(fd: number, want: number): number {
    const n = this.#io.discard(fd);
    this.drained = n < want;
    return n;
  }

  /**
   * Urgent data has been seen on `fd`: from now on marks are looked for, and passed on. Every byte is copied, for it must be
   * where a read finds it.
   */
  expectUrgent(fd: number): void {
    if (this.#urgent) return;
    this.#urgent = true;
    this.#copy();
    setOption(fd, SOL.SOCKET, SO.OOBINLINE, 1);
  }

  /** No more reads. */
  close(): void {
    this.#pipe?.leave();
    this.#pipe = undefined;
  }

  #copy(): void {
    this.#pipes = undefined;
    this.close();
  }

  /** A read ends before the mark, so one that begins there is for the urgent octet alone. */
  #receiveUrgent(fd: number, connection: TcpConnection, want: number, now: Instant): number {
    const marked = atUrgentMark(fd);
    const n = this.#io.receive(fd, connection, marked ? 1 : want, now);
    if (marked && n > 0) connection.markUrgent(now);
    return n;
  }

  /** −EAGAIN: an ordinary read shall find out. */
  #splice(fd: number, connection: TcpConnection, want: number, now: Instant): number {
    this.#pipe ??= this.#pipes?.take();
    if (this.#pipe === undefined) return -Errno.EAGAIN;
    // Whole super-packets, as far as it is for us to say.
    const most = Math.min(connection.sendSpace, PIPED_AT_ONCE);
    const n = this.#pipe.receive(fd, Math.max(1, Math.floor(most / want)) * want);
    if (cannotSplice(n)) this.#copy();
    if (n === 0 || cannotSplice(n)) return -Errno.EAGAIN;
    if (n < 0) return n;
    connection.write(this.#pipe.take(n), now);
    return n;
  }

  /** A stream that trickles has no use for a pipe. */
  #calm(): void {
    this.#full = 0;
    if (this.#pipe?.isIdle !== true) return;
    this.close();
  }
}
