/**
 * A guest on a socket that keeps the bounds of frames and that is its own: a sequenced packet connection (bess), or a
 * datagram socket connected to it (vfkit, libkrun).
 *
 * @module
 */

import { Errno, errnoText } from "../../host/errno.ts";
import { EpollEvents, type Reactor, type ReadyHandler } from "../../host/reactor.ts";
import type { NativeMemory } from "../../host/memory.ts";
import { close } from "../../host/sys.ts";
import { setSocketBuffers } from "../../host/unix_socket.ts";
import { connectToName } from "../../host/unix_listen.ts";
import type { DatagramReceiver } from "../../link/datagram_receiver.ts";
import type { DatagramSender } from "../../link/datagram_sender.ts";
import type { Merging } from "../../link/merger.ts";
import type { WireOffload } from "../../link/offload.ts";
import type { FrameQueue } from "./frame_queue.ts";
import type { GuestWire, WireOwner } from "./wire.ts";

/** What vfkit and libkrun say first. */
export const VFKT: Uint8Array = new TextEncoder().encode("VFKT");

/** What such wires of a thread share. */
export interface PacketIo {
  readonly receiver: DatagramReceiver;
  readonly sender: DatagramSender;
  /** What their guests take. */
  readonly offload: WireOffload;
  readonly merging: Merging | undefined;
}

/** Frames over a connected socket, which it closes. */
export class PacketWire implements GuestWire, ReadyHandler {
  readonly #reactor: Reactor;
  readonly #io: PacketIo;
  readonly #owner: WireOwner;
  /** A datagram socket is connected to this name; undefined: it is a connection, whose end is an empty message. */
  readonly #peer: NativeMemory | undefined;
  readonly #peerLength: number;
  #fd: number;

  constructor(
    fd: number,
    reactor: Reactor,
    io: PacketIo,
    owner: WireOwner,
    peer?: NativeMemory,
    peerLength = 0,
  ) {
    this.#fd = fd;
    this.#reactor = reactor;
    this.#io = io;
    this.#owner = owner;
    this.#peer = peer;
    this.#peerLength = peerLength;
    reactor.add(fd, EpollEvents.in, this);
  }

  onReady(events: number): void {
    if ((events & EpollEvents.out) !== 0) {
      this.#reactor.modify(this.#fd, EpollEvents.in);
      this.#owner.writable();
    }
    if ((events & ~EpollEvents.out) !== 0 && this.#fd >= 0) this.#receive();
  }

  send(queue: FrameQueue): boolean {
    while (queue.length > 0) {
      const sent = this.#io.sender.send(this.#fd, queue, this.#io.offload);
      if (sent > 0) continue;
      if (sent === -Errno.EMSGSIZE) {
        // Longer than the socket's buffer: never, by any waiting.
        this.#owner.count("vm.too-long");
        queue.drop();
        continue;
      }
      if (sent === -Errno.EAGAIN || sent === -Errno.ENOBUFS) {
        this.#reactor.modify(this.#fd, EpollEvents.in | EpollEvents.out);
        return false;
      }
      // Only datagram sockets learn it here: nothing hangs up. Not while the port sends.
      if (this.#peer !== undefined) {
        this.#reactor.defer({ run: () => this.#owner.gone(`the guest is gone: ${errnoText(-sent)}`) });
      }
      return false;
    }
    return true;
  }

  buffer(bytes: number): void {
    if (this.#fd >= 0) setSocketBuffers(this.#fd, bytes);
  }

  /** Connecting once more tells, and changes nothing; another socket of that name is connected elsewhere. */
  alive(): boolean {
    if (this.#fd < 0) return false;
    const peer = this.#peer;
    return peer === undefined || connectToName(this.#fd, peer.address, this.#peerLength) >= 0;
  }

  close(): void {
    if (this.#fd < 0) return;
    this.#reactor.forget(this.#fd);
    close(this.#fd);
    this.#fd = -1;
  }

  /** One batch per turn, so that all guests have theirs; the socket is level-triggered. */
  #receive(): void {
    const { receiver, merging } = this.#io;
    const count = receiver.receive(this.#fd);
    if (count < 0) {
      if (count === -Errno.EAGAIN || count === -Errno.EINTR) return;
      return this.#owner.gone(`the guest is gone: ${errnoText(-count)}`);
    }
    while (this.#fd >= 0 && receiver.next()) {
      if (receiver.length === 0) {
        if (this.#peer === undefined) return this.#owner.gone("the guest closed the connection");
        continue;
      }
      if (receiver.is(VFKT)) continue;
      const frame = receiver.take(merging);
      if (frame === undefined) this.#owner.count("vm.bad-length");
      else this.#owner.received(frame);
    }
  }
}
