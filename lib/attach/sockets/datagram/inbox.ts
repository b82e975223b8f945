/**
 * The queue of datagrams towards the guest: the bytes are in the pair, what else is known about them is here.
 *
 * Theory of operation
 *
 * A program may take a datagram with `read` or `recv`, which we do not see, and the next with `recvfrom`, which asks us
 * where it came from. So before a receive on the guest's behalf, the list is put in step with the pair: a `SEQPACKET`
 * socket tells with FIONREAD how many bytes wait *in all* its messages, and since only we put messages in, and in order,
 * those that wait are the last ones whose lengths add up to that. Only empty messages at the front stay in doubt, and the
 * receive itself decides: if it returns bytes, they were read before.
 *
 * ```text
 *   lengths noted   120  48   0  48  300          FIONREAD says 348
 *                   ╰─read─╯  ?  ╰─ 348 ─╯         the next receive returns 0 bytes, or 48
 * ```
 *
 * The list must not grow when the guest never asks. Every message in the pair takes at least MIN_TRUESIZE of our send
 * buffer, so what that holds bounds how many can be waiting; the list is cut to it now and then.
 *
 * @module
 */

import { MSG, SIOC, SO, SOL } from "../../../host/constants.ts";
import type { ReceiveBatch } from "../../../host/datagrams.ts";
import { Errno } from "../../../host/errno.ts";
import { getOption } from "../../../host/inet.ts";
import { NativeMemory } from "../../../host/memory.ts";
import { ioctl, recv, send } from "../../../host/sys.ts";
import { Arrival } from "./arrival.ts";

/** Room for any datagram. */
export const DATAGRAM_ROOM = 65_536;
/** No message in a socket buffer takes less (`sizeof(struct sk_buff)` and its shared info, rounded down). */
const MIN_TRUESIZE = 512;
/** The list is cut when it has grown by this many. */
const CUT_AFTER = 128;
/** Share of the pair's buffer at which it is full: the rest is for what is on its way. */
const FULL = 5 / 8;
/** Bytes of the pair's buffer that are taken for granted before anybody measures. */
const GRANTED = 32_768;

/** No message of so many bytes takes more of a socket's buffer: kernel memory comes in powers of two. */
function mostTaken(length: number): number {
  return 2 * length + 1_024;
}

/** Where datagrams are put together before the guest gets them, and where they are when {@linkcode Inbox.take} returns. */
export const landing = new NativeMemory(DATAGRAM_ROOM);
const word = new NativeMemory(8);

/** The datagrams that wait for the guest in one pair. */
export class Inbox {
  /**
   * {@linkcode FULL} of the pair's buffer is taken, or all of it: who can wait with more, should, until the pair polls
   * writable, which is at a quarter. Cleared by {@linkcode relieved}.
   */
  full = false;
  /** Bytes that can still come before it must be measured how much is taken. */
  #granted = GRANTED;
  #waiting: Arrival[] = [];
  /** Those before this one are done with, and used again. */
  #first = 0;
  #bytes = 0;
  #sinceCut = 0;
  #idle: Arrival[] = [];

  /** False is certain: nothing waits in the pair. */
  get mayHold(): boolean {
    return this.#first < this.#waiting.length;
  }

  /** Entries of the list; what waits in the pair may be fewer. */
  get size(): number {
    return this.#waiting.length - this.#first;
  }

  /** Whether what makes the guest look is the next, or the last, that it gets. */
  get firstIsMarker(): boolean {
    return this.mayHold && this.#waiting[this.#first]!.marker;
  }
  get lastIsMarker(): boolean {
    return this.mayHold && this.#waiting.at(-1)!.marker;
  }

  /**
   * Puts a datagram into the pair.
   *
   * @param near our end
   * @param address native
   * @returns 0, or −errno: EAGAIN when the guest's buffer is full
   */
  put(near: number, address: number, length: number, about: Arrival): number {
    const sent = send(near, address, length, MSG.DONTWAIT | MSG.NOSIGNAL);
    if (sent < 0) {
      if (sent === -Errno.EAGAIN) this.full = true;
      return sent;
    }
    this.#granted -= mostTaken(length);
    if (this.#granted <= 0 && !this.full) this.#measure(near);
    const entry = (this.#idle.pop() ?? new Arrival()).copy(about);
    entry.length = length;
    this.#waiting.push(entry);
    this.#bytes += length;
    if (++this.#sinceCut >= CUT_AFTER) this.#cut(near);
    return 0;
  }

  /**
   * Takes the next datagram out of the pair into {@linkcode landing}.
   *
   * @param far the guest's end, borrowed
   * @param peek leaves it there
   * @returns what is known about it, or undefined: there is none
   */
  take(far: number, peek: boolean): Arrival | undefined {
    if (this.#waiting.length - this.#first > 1) this.#keepStep(far);
    const length = recv(far, landing.address, DATAGRAM_ROOM, MSG.DONTWAIT | (peek ? MSG.PEEK : 0));
    if (length < 0) {
      this.#drop(this.#waiting.length - this.#first);
      return undefined;
    }
    // Empty ones that the guest has read without us.
    while (this.mayHold && this.#waiting[this.#first]!.length < length) this.#drop(1);
    const entry = this.#waiting[this.#first];
    if (entry === undefined) return undefined;
    current.copy(entry);
    if (!peek) this.#drop(1);
    return current;
  }

  /** Puts back what was taken last, in front of the others: each of those goes to the end once. */
  putBack(near: number, far: number, about: Arrival): void {
    let others = this.size;
    let result = this.put(near, landing.address, about.length, about);
    while (result === 0 && others-- > 0) {
      const next = this.take(far, false);
      if (next === undefined) return;
      result = this.put(near, landing.address, next.length, next);
    }
  }

  /**
   * Takes up to `most` datagrams out of the pair, by one call.
   *
   * @param into gets what is known about each; those in the pair that are no datagrams are left out
   * @param slots gets where in the batch each landed
   * @returns how many
   */
  takeMany(far: number, batch: ReceiveBatch, most: number, into: Arrival[], slots: number[]): number {
    if (this.#waiting.length - this.#first > 1) this.#keepStep(far);
    const received = batch.receive(far, most);
    if (received <= 0) {
      this.#drop(this.#waiting.length - this.#first);
      return 0;
    }
    let count = 0;
    for (let slot = 0; slot < received; slot++) {
      const length = batch.length(slot);
      while (this.mayHold && this.#waiting[this.#first]!.length < length) this.#drop(1);
      if (!this.mayHold) break;
      const entry = this.#waiting[this.#first]!;
      if (!entry.marker) {
        slots[count] = slot;
        (into[count++] ??= new Arrival()).copy(entry);
      }
      this.#drop(1);
    }
    return count;
  }

  /** The pair polls writable again, or is another one. */
  relieved(): void {
    this.full = false;
    this.#granted = 0;
  }

  /** Forgets all, if the guest has read all of it, without us. */
  keepUp(near: number): void {
    if (this.mayHold && ioctl(near, SIOC.OUTQ, word.address) >= 0 && word.words[0] === 0) this.clear();
  }

  /** Forgets everything: the pair is gone. */
  clear(): void {
    this.#waiting = [];
    this.#idle = [];
    this.#first = this.#bytes = 0;
  }

  #measure(near: number): void {
    const room = getOption(near, SOL.SOCKET, SO.SNDBUF);
    if (room < 0 || ioctl(near, SIOC.OUTQ, word.address) < 0) return;
    this.#granted = Math.floor(room * FULL) - word.words[0]!;
    this.full = this.#granted <= 0;
  }

  #keepStep(far: number): void {
    if (ioctl(far, SIOC.INQ, word.address) < 0) return;
    const left = word.words[0]!;
    while (this.mayHold && this.#bytes > left) this.#drop(1);
  }

  #cut(near: number): void {
    this.#sinceCut = 0;
    if (ioctl(near, SIOC.OUTQ, word.address) < 0) return;
    const most = Math.floor(word.words[0]! / MIN_TRUESIZE) + 1;
    const count = this.#waiting.length - this.#first;
    if (count > most) this.#drop(count - most);
  }

  #drop(count: number): void {
    for (let i = 0; i < count; i++) {
      const entry = this.#waiting[this.#first++]!;
      this.#bytes -= entry.length;
      if (this.#idle.length < CUT_AFTER) this.#idle.push(entry);
    }
    // Moves the rest to the front when more than half is done with: a constant cost per datagram.
    if (this.#first > this.#waiting.length >> 1) {
      this.#waiting = this.#waiting.slice(this.#first);
      this.#first = 0;
    }
  }
}

const current = new Arrival();
