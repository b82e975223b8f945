/**
 * VPNKit's handshake, with which HyperKit's guests begin a stream.
 *
 * ```text
 *   guest ─▶ 49 bytes: "VMN3T", version, commit              ─▶ the same 49 bytes
 *   guest ─▶ 41 bytes: 1, UUID of the machine in 36, zeros   ─▶ 258 bytes: 1, MTU, longest frame (16 bits each,
 *                                                               little-endian), MAC of 6, zeros
 *   and then frames behind 16 bits of length
 * ```
 *
 * Version and commit are not looked at, as gvproxy does not either: what follows is the same in all of them. A guest has
 * {@linkcode PATIENCE} for it, for it has a port of the switch already.
 *
 * @module
 */

import { Errno, errnoText } from "../../host/errno.ts";
import { EpollEvents, type Reactor, type ReadyHandler } from "../../host/reactor.ts";
import { NativeMemory } from "../../host/memory.ts";
import { randomWord } from "../../host/random.ts";
import { close, read, write } from "../../host/sys.ts";
import { type Instant, later, NEVER, SECOND } from "../../stack/time.ts";
import { ETHERNET_HEADER, MacAddress } from "../../stack/wire/ethernet.ts";
import type { FrameQueue } from "./frame_queue.ts";
import type { Listener } from "./listener.ts";
import type { Port } from "./port.ts";
import type { GuestWire } from "./wire.ts";

/** How long a guest may take (`vm.handshake-timeout`). */
export const PATIENCE = 10 * SECOND;

const INIT = 49, COMMAND = 41, REPLY = 258;
/** In the command; in the reply. */
const UUID_AT = 1, UUID_LENGTH = 36;
const MTU_AT = 1, FRAME_AT = 3, MAC_AT = 5;

/** What guests are told. */
export interface VpnkitOptions {
  readonly mtu: number;
  /** Hardware addresses of machines, by UUID; the others get one that nobody else has. */
  readonly macs: ReadonlyMap<string, MacAddress>;
}

/** The handshakes that are going on; they end with their time, whatever the guests do. */
export class VpnkitHandshakes implements Listener {
  readonly #reactor: Reactor;
  readonly #options: VpnkitOptions;
  /** In the order in which they began, which is that of their ends. */
  readonly #waiting = new Set<Handshake>();

  constructor(reactor: Reactor, options: VpnkitOptions) {
    this.#reactor = reactor;
    this.#options = options;
  }

  /** The wire of a guest on the stream `fd`, which becomes that of `next` when the guest has said who it is. */
  begin(fd: number, port: Port, next: (fd: number, port: Port) => GuestWire): GuestWire {
    const endAt = later(this.#reactor.now() as Instant, PATIENCE);
    const handshake: Handshake = new Handshake(fd, this.#reactor, port, endAt, this.#options, {
      next: () => next(fd, port),
      over: () => this.#waiting.delete(handshake),
    });
    this.#waiting.add(handshake);
    return handshake;
  }

  pollAt(): Instant {
    for (const { endAt } of this.#waiting) return endAt;
    return NEVER;
  }

  poll(now: Instant): void {
    for (const handshake of this.#waiting) {
      if (handshake.endAt > now) return;
      handshake.expire();
    }
  }

  /** Nothing: the switch closes the wires. */
  close(): void {}
}

interface After {
  next(): GuestWire;
  over(): void;
}

/** A guest that has not said yet who it is. Takes no frames. */
class Handshake implements GuestWire, ReadyHandler {
  readonly endAt: Instant;
  readonly #fd: number;
  readonly #reactor: Reactor;
  readonly #port: Port;
  readonly #options: VpnkitOptions;
  readonly #after: After;
  readonly #memory = new NativeMemory(REPLY);
  /** Bytes of the message that is being read. */
  #expected = INIT;
  #got = 0;
  #room = 0;
  #open = true;

  constructor(
    fd: number,
    reactor: Reactor,
    port: Port,
    endAt: Instant,
    options: VpnkitOptions,
    after: After,
  ) {
    this.#fd = fd;
    this.#reactor = reactor;
    this.#port = port;
    this.endAt = endAt;
    this.#options = options;
    this.#after = after;
    reactor.add(fd, EpollEvents.in, this);
  }

  onReady(): void {
    while (this.#open) {
      const { address } = this.#memory;
      // Not a byte more than the message: what follows is for the next one to read.
      const n = read(this.#fd, address + this.#got, this.#expected - this.#got);
      if (n === -Errno.EAGAIN || n === -Errno.EINTR) return;
      if (n <= 0) return this.#port.gone(`the guest ${n === 0 ? "left" : errnoText(-n)} in the handshake`);
      this.#got += n;
      if (this.#got < this.#expected) continue;
      this.#got = 0;
      if (this.#expected === COMMAND) return this.#finish();
      if (!this.#say(INIT)) return;
      this.#expected = COMMAND;
    }
  }

  send(_queue: FrameQueue): boolean {
    return false;
  }

  buffer(bytes: number): void {
    this.#room = bytes;
  }

  expire(): void {
    this.#port.count("vm.handshake-timeout");
    this.#port.gone("the guest did not end its handshake");
  }

  close(): void {
    if (!this.#open) return;
    this.#open = false;
    this.#after.over();
    this.#reactor.forget(this.#fd);
    close(this.#fd);
  }

  /** Says the first `length` bytes of the memory. */
  #say(length: number): boolean {
    // A socket has room for so little, unless nobody ever reads.
    if (write(this.#fd, this.#memory.address, length) === length) return true;
    this.#port.gone("the guest does not listen in the handshake");
    return false;
  }

  #finish(): void {
    const { bytes, view } = this.#memory;
    const { mtu, macs } = this.#options;
    const uuid = String.fromCharCode(...bytes.subarray(UUID_AT, UUID_AT + UUID_LENGTH)).toLowerCase();
    bytes.fill(0);
    bytes[0] = 1;
    view.setUint16(MTU_AT, mtu, true);
    view.setUint16(FRAME_AT, mtu + ETHERNET_HEADER, true);
    (macs.get(uuid) ?? MacAddress.local(randomWord(), randomWord())).write(view, MAC_AT);
    if (!this.#say(REPLY)) return;
    this.#open = false;
    this.#after.over();
    this.#reactor.remove(this.#fd);
    const wire = this.#after.next();
    this.#port.join(wire);
    wire.buffer?.(this.#room);
    this.#port.writable();
  }
}
