/**
 * The bytes of one impersonated connection: our end of the pair ⇄ a socket of the host.
 *
 * What the pair can tell us, and what it means for the host's socket:
 *
 * | our end reads …             | because the guest …                      | the host's socket      |
 * | --------------------------- | ---------------------------------------- | ---------------------- |
 * | end of file, no hang-up     | shut down writing                        | `shutdown(SHUT_WR)`    |
 * | end of file and a hang-up   | closed its last descriptor               | `close`: FIN           |
 * | ECONNRESET                  | closed, with bytes that it had not read  | `close`: RST           |
 *
 * The other way round an end of file shuts our end for writing, and an error of the host's socket ends the guest's stream
 * with ECONNRESET, whose true number `SO_ERROR` tells.
 *
 * @module
 */

import { EpollEvents, MSG, SHUT, SO, SOL, TCP } from "../../../host/constants.ts";
import { Errno } from "../../../host/errno.ts";
import { setOption, socketError } from "../../../host/inet.ts";
import { NativeMemory } from "../../../host/memory.ts";
import type { Work } from "../../../host/reactor.ts";
import { recv, setsockopt, shutdown } from "../../../host/sys.ts";
import type { SocketsContext } from "../guest_socket.ts";
import { Channel, TURN_BYTES } from "./channel.ts";
import type { Pipes } from "./pipes.ts";

/** How long, in milliseconds, the bytes of a guest that is gone may wait for a peer that takes none. */
const ORPHAN_PATIENCE = 120_000;
/** Bytes thrown away by one call. */
const DISCARD = 1 << 20;

/** What there may be something to read after. */
const INCOMING = EpollEvents.in | EpollEvents.pri | EpollEvents.rdhup | EpollEvents.hup | EpollEvents.err;

const linger = new NativeMemory(8);
linger.words[0] = 1;

/** `close()` will reset the connection. */
export function resetOnClose(fd: number): void {
  setsockopt(fd, SOL.SOCKET, SO.LINGER, linger.address, 8);
}

/** Who owns a relay. */
export interface HostRelayOwner {
  readonly near: number;
  readonly host: number;
  /**
   * The relay is over.
   *
   * @param end `closed`: the guest's last descriptor is gone; `finished`: both directions are over, and the guest may
   * still have one; `failed`: the connection has ended with `errno`
   */
  hostRelayEnded(end: "closed" | "finished" | "failed", errno: number): void;
}

/** Moves the bytes of one connection. */
export class HostRelay implements Work {
  /** The guest does not read any more: what arrives is thrown away. */
  readShut = false;
  /** The guest has shut down writing by a call; the end of file is not its last close. */
  writeShut = false;
  readonly #context: SocketsContext;
  readonly #owner: HostRelayOwner;
  readonly #out: Channel;
  readonly #in: Channel;
  #hungUp = false;
  #outDone = false;
  #inDone = false;
  /** The host's socket has an error, which a read will tell, if there is something left to read. */
  #hasError = false;
  #deferred = false;
  #over = false;

  constructor(context: SocketsContext, pipes: Pipes, owner: HostRelayOwner) {
    this.#context = context;
    this.#owner = owner;
    this.#out = new Channel(pipes);
    this.#in = new Channel(pipes);
  }

  get bytesOut(): number {
    return this.#out.bytes;
  }
  get bytesIn(): number {
    return this.#in.bytes;
  }
  get over(): boolean {
    return this.#over;
  }
  /** The guest is gone, and its last bytes are not. */
  get orphaned(): boolean {
    return this.#hungUp && !this.#outDone && !this.#over;
  }

  /** What the reactor reports of the pair. */
  nearReady(events: number): void {
    if ((events & INCOMING) !== 0) {
      this.#out.readable = true;
    }
    if ((events & EpollEvents.pri) !== 0) this.#out.urgent = true;
    if ((events & EpollEvents.out) !== 0) this.#in.writable = true;
    if ((events & EpollEvents.hup) !== 0) this.#hungUp = true;
    this.pump();
  }

  /** What the reactor reports of the host's socket. */
  hostReady(events: number): void {
    if ((events & INCOMING) !== 0) {
      this.#in.readable = true;
    }
    if ((events & EpollEvents.pri) !== 0 && !this.#in.urgent) {
      this.#in.urgent = true;
      setOption(this.#owner.host, SOL.SOCKET, SO.OOBINLINE, 1);
    }
    if ((events & (EpollEvents.out | EpollEvents.err | EpollEvents.hup)) !== 0) this.#out.writable = true;
    if ((events & EpollEvents.err) !== 0) this.#hasError = true;
    this.pump();
  }

  run(): void {
    this.#deferred = false;
    this.pump();
  }

  /** No more bytes. */
  stop(): void {
    if (this.#over) return;
    this.#over = true;
    this.#out.close();
    this.#in.close();
  }

  /** Moves what can be moved. */
  pump(): void {
    if (this.#over) return;
    const more = this.#fromGuest();
    if (this.#over) return;
    const alsoMore = this.#toGuest();
    if (this.#over) return;
    this.#conclude();
    if (!this.#over && (more || alsoMore) && !this.#deferred) {
      this.#deferred = true;
      this.#context.reactor.defer(this);
    }
  }

  #fromGuest(): boolean {
    if (this.#outDone) return false;
    const { near, host } = this.#owner;
    switch (this.#out.move(near, host)) {
      case "more":
        return true;
      case "end":
        this.#outDone = true;
        if (!this.#hungUp) shutdown(host, SHUT.WR);
        return false;
      case "source-failed":
        // It closed with bytes unread.
        resetOnClose(host);
        this.#end("closed", 0);
        return false;
      case "target-failed":
        this.#failed(this.#out.errno);
        return false;
      default:
        return false;
    }
  }

  #toGuest(): boolean {
    if (this.#inDone) return false;
    const { near, host } = this.#owner;
    if (this.readShut) return this.#discard();
    switch (this.#in.move(host, near)) {
      case "more":
        return true;
      case "end":
        this.#inDone = true;
        if (!this.#hungUp) shutdown(near, SHUT.WR);
        return false;
      case "source-failed":
        this.#failed(this.#in.errno);
        return false;
      case "target-failed":
        // The guest has gone without reading this; what it wrote before is still to be read.
        this.#in.close();
        this.#hungUp = true;
        this.#out.readable = true;
        this.#in.readable = false;
        if (this.#outDone) {
          resetOnClose(host);
          this.#end("closed", 0);
        }
        return true;
      default:
        return false;
    }
  }

  /** After `shutdown(SHUT_RD)`: TCP goes on to acknowledge. Bounded: a neighbour on this machine sends for ever. */
  #discard(): boolean {
    for (let left = TURN_BYTES; this.#in.readable;) {
      if (left <= 0) return true;
      const n = recv(this.#owner.host, 0, DISCARD, MSG.TRUNC | MSG.DONTWAIT);
      if (n > 0) {
        left -= n;
        continue;
      }
      if (n === -Errno.EAGAIN) this.#in.readable = false;
      else if (n === 0) {
        this.#inDone = true;
        return false;
      } else {
        this.#failed(-n);
        return false;
      }
    }
    return false;
  }

  #conclude(): void {
    if (this.#hasError && this.#inDone && !this.#hungUp) return this.#failed(Errno.ECONNRESET);
    if (this.#hungUp && !this.#outDone) {
      setOption(this.#owner.host, SOL.TCP, TCP.USER_TIMEOUT, ORPHAN_PATIENCE);
    }
    if (!this.#outDone) return;
    if (this.writeShut && (this.readShut || this.#inDone)) this.#end("finished", 0);
    else if (this.#hungUp) this.#end("closed", 0);
  }

  #failed(errno: number): void {
    // A write after a reset says EPIPE; the socket knows better.
    const told = socketError(this.#owner.host);
    this.#end("failed", told !== 0 ? told : errno);
  }

  #end(end: "closed" | "finished" | "failed", errno: number): void {
    if (this.#over) return;
    this.stop();
    this.#owner.hostRelayEnded(end, errno);
  }
}
