/**
 * A guest on a byte stream: each frame behind its length. What passt, socket_vmnet, QEMU (`-netdev stream`) and HyperKit
 * speak over unix sockets and TCP.
 *
 * @module
 */

import { EpollEvents, type Reactor, type ReadyHandler, type Work } from "../../host/reactor.ts";
import { close } from "../../host/sys.ts";
import { setSocketBuffers } from "../../host/unix_socket.ts";
import { UnixStreamLink, type UnixStreamOptions } from "../../link/unix_stream.ts";
import type { BufferPool } from "../../stack/buffer/pool.ts";
import { NO_OFFLOAD } from "../../stack/link/link.ts";
import type { FrameQueue } from "./frame_queue.ts";
import { SOCKET_BUFFER } from "./socket_buffers.ts";
import type { GuestWire, WireOwner } from "./wire.ts";

/** What part of its socket's room a guest may bring in one turn, before the others have theirs. */
const TURN_PART = 8;
/** Bytes that a short frame counts as: what a frame costs, it costs whatever its length. */
const FRAME_COST = 1_514;

/** Frames over a stream socket, which it closes. */
export class StreamWire implements GuestWire, ReadyHandler, Work {
  readonly #reactor: Reactor;
  readonly #owner: WireOwner;
  readonly #link: UnixStreamLink;
  readonly #fd: number;
  /** Bytes of a turn. Small among many: whoever's window is smaller than a turn has less than its share. */
  #turn = SOCKET_BUFFER / TURN_PART;
  #closed = false;
  #more = false;

  /**
   * @param offload what the guest takes
   * @param merging which of the guest's frames may come merged
   */
  constructor(
    fd: number,
    reactor: Reactor,
    pool: BufferPool,
    mtu: number,
    owner: WireOwner,
    options: Pick<UnixStreamOptions, "lengthSize" | "offload" | "merging">,
  ) {
    this.#fd = fd;
    this.#reactor = reactor;
    this.#owner = owner;
    this.#link = new UnixStreamLink({
      fd,
      mtu,
      pool,
      capabilities: NO_OFFLOAD,
      ...options,
      onEnd: (why) => this.#end(why),
    });
    reactor.add(fd, EpollEvents.in, this);
  }

  onReady(events: number): void {
    if ((events & EpollEvents.out) !== 0) {
      this.#reactor.modify(this.#fd, EpollEvents.in);
      this.#owner.writable();
    }
    if ((events & ~EpollEvents.out) !== 0 && !this.#more) this.run();
  }

  /** Also a work list entry: what was left of a turn, which may have been read already. */
  run(): void {
    this.#more = false;
    for (let bytes = 0; bytes < this.#turn;) {
      if (this.#closed) return;
      const frame = this.#link.receive();
      if (frame === undefined) return;
      bytes += Math.max(frame.totalLength, FRAME_COST);
      this.#owner.received(frame);
    }
    this.#more = true;
    this.#reactor.defer(this);
  }

  send(queue: FrameQueue): boolean {
    while (queue.length > 0) {
      if (!this.#link.transmit(queue.at(0))) return this.#wait();
      queue.taken();
    }
    return this.#link.flush() || this.#wait();
  }

  buffer(bytes: number): void {
    if (this.#closed) return;
    setSocketBuffers(this.#fd, bytes);
    this.#turn = bytes / TURN_PART;
    this.#link.limitReads(this.#turn);
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#link.close();
    this.#reactor.forget(this.#fd);
    close(this.#fd);
  }

  #wait(): false {
    if (!this.#closed) this.#reactor.modify(this.#fd, EpollEvents.in | EpollEvents.out);
    return false;
  }

  /** Told in the middle of things: the port goes when they are over. */
  #end(why: string): void {
    const { rxBadLength } = this.#link.counters;
    if (rxBadLength > 0) this.#owner.count("vm.bad-length");
    if (!this.#closed) this.#reactor.defer({ run: () => this.#owner.gone(`the guest ${why}`) });
  }
}
