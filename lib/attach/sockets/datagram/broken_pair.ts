/**
 * A datagram socket in error, as `poll` shows it: POLLERR while the error queue (`IP_RECVERR`) has something.
 *
 * Theory of operation
 *
 * The kernel puts one end of a pair into error in one way only: the other end closes with bytes unread in it. So that is
 * what we do, and at the guest's next call that we see, which is the one that asks for the error, it gets a fresh pair
 * under the same number. Datagrams that waited in the old one are moved over, and those that came meanwhile follow.
 *
 * ```text
 *   error ─▶ break: one byte into near, close near ─▶ guest's poll: POLLERR ─▶ recvmsg(MSG_ERRQUEUE)
 *                                                                                └▶ mend: fresh pair, and break again
 *                                                                                   while more errors wait
 * ```
 *
 * A plain `send` to a broken pair fails, so it is broken only when the guest has left the socket alone for a moment and
 * the thread that used it last sleeps: it polls then. One that is about to send has work, or waits for a processor.
 *
 * An epoll set watches the old pair and would not hear of the fresh one. A process that has any is told the way everybody
 * was told before: by an empty datagram.
 *
 * @module
 */

import { MSG } from "../../../host/constants.ts";
import { Errno } from "../../../host/errno.ts";
import { NativeMemory } from "../../../host/memory.ts";

import { close, recv, send } from "../../../host/sys.ts";
import { isAtWork } from "../../../host/thread_state.ts";
import type { PacketBuffer } from "../../../stack/buffer/packet.ts";
import { type Instant, later, NEVER } from "../../../stack/time.ts";
import type { Deadline, GuestSocket, SupervisorFace } from "../guest_socket.ts";
import { Arrival } from "./arrival.ts";
import { type Inbox, landing } from "./inbox.ts";

/** Room for any datagram. */
const ROOM = 65_536;
/** How long the guest must have left the socket alone, microseconds: a plain `send` into a broken pair would fail. */
const QUIET = 3_000;
/** Most of these periods between two looks at a thread that goes on working. */
const LONGEST = 16;
/** Datagrams that are kept meanwhile; more are dropped as at a full buffer. */
export const MOST_PARKED = 64;
const room = new NativeMemory(ROOM);

/** Whose end it is. */
export interface Breakable extends GuestSocket {
  /** Reads what the guest has sent so far. */
  drainSends(): void;
  /** Tells the guest in another way that an error waits. */
  mark(): void;
  /** The pair has room, for all that we know. */
  relieved(): void;
  readonly hasErrors: boolean;
}

/** The state of one socket's pair: whole, about to break, broken. */
export class PairError implements Deadline {
  timerAt: Instant = NEVER;
  timerIndex = -1;
  /** The guest's end is in error, and ours is closed. */
  broken = false;
  readonly parked = new Parked();
  readonly #supervisor: SupervisorFace;
  readonly #socket: Breakable;
  #touchedAt = 0 as Instant;
  #looks = 0;

  constructor(supervisor: SupervisorFace, socket: Breakable) {
    this.#supervisor = supervisor;
    this.#socket = socket;
  }

  /** The guest has just used the socket. */
  touched(now: Instant): void {
    this.#touchedAt = now;
    this.#looks = 0;
  }

  /** An error waits to be seen. */
  show(now: Instant): void {
    if (this.broken || this.timerAt !== NEVER) return;
    if (this.#supervisor.usesEpoll(this.#socket)) this.#socket.mark();
    else this.#supervisor.setDeadline(this, later(now, QUIET));
  }

  onDeadline(now: Instant): void {
    if (this.broken || !this.#socket.hasErrors) return;
    this.#socket.drainSends();
    if (now - this.#touchedAt < QUIET) this.#supervisor.setDeadline(this, later(this.#touchedAt, QUIET));
    else if (isAtWork(this.#socket.thread)) {
      this.#looks = Math.min(LONGEST, this.#looks + 1);
      this.#supervisor.setDeadline(this, later(now, QUIET * this.#looks));
    } else if (this.#break()) {
      this.broken = true;
      this.#socket.relieved();
    } else this.#socket.mark();
  }

  /** The guest's end has been replaced. */
  mended(inbox: Inbox): void {
    this.broken = false;
    this.parked.unload(inbox, this.#socket.near);
  }

  close(): void {
    this.#supervisor.setDeadline(this, NEVER);
  }

  #break(): boolean {
    const far = this.#supervisor.reach(this.#socket);
    if (far < 0) return false;
    const sent = send(far, room.address, 1, MSG.DONTWAIT | MSG.NOSIGNAL);
    close(far);
    if (sent !== 1) return false;
    this.#supervisor.detach(this.#socket);
    return true;
  }
}

/** What comes while the guest's end is in error. */
export class Parked {
  #waiting: { readonly bytes: Uint8Array; readonly about: Arrival }[] = [];

  /** @returns 0, or −EAGAIN: there are too many */
  put(packet: PacketBuffer, about: Arrival): number {
    if (this.#waiting.length >= MOST_PARKED) return -Errno.EAGAIN;
    const bytes = new Uint8Array(packet.totalLength);
    packet.copyTo(bytes);
    this.#waiting.push({ bytes, about: new Arrival().copy(about) });
    return 0;
  }

  /** Hands all over. */
  unload(inbox: Inbox, near: number): void {
    for (const { bytes, about } of this.#waiting) {
      landing.bytes.set(bytes);
      inbox.put(near, landing.address, bytes.length, about);
    }
    this.#waiting = [];
  }
}

/** Moves what waits in the guest's old end, borrowed, to our new one. */
export function moveDatagrams(oldFar: number, near: number): void {
  let length = recv(oldFar, room.address, ROOM, MSG.DONTWAIT);
  // Once it is the error; and a closed pair reads as empty for ever.
  if (length < 0) length = recv(oldFar, room.address, ROOM, MSG.DONTWAIT);
  while (length > 0) {
    send(near, room.address, length, MSG.DONTWAIT | MSG.NOSIGNAL);
    length = recv(oldFar, room.address, ROOM, MSG.DONTWAIT);
  }
}
