/**
 * What a pair of unix sockets must be told so that the guest's end looks like a TCP socket.
 *
 * Theory of operation
 *
 * A socket that is not connected must not take bytes, and must not poll writable. So the guest's end is born *narrow*:
 * its send buffer is as small as the kernel allows, and full of padding that we wrote through it before the guest had it.
 * A write finds no room, as it does during TCP's handshake. When the handshake is over the end is *widened*, and the
 * padding is read away at our end, which wakes who waits to write.
 *
 * The padding has a second use. Closing our end with unread bytes in it gives the guest's end the error ECONNRESET, with
 * POLLERR and POLLHUP, as a failed or reset connection does. For a stream that has carried data, one byte is *planted*
 * through the guest's own end for that purpose.
 *
 * @module
 */

import { EpollEvents, MSG, SO, SOL } from "../../../host/constants.ts";
import { setOption } from "../../../host/inet.ts";
import { NativeMemory } from "../../../host/memory.ts";
import { poll, recv, send } from "../../../host/sys.ts";

/** More than the smallest send buffer (`SOCK_MIN_SNDBUF`) can hold. */
const PADDING = 16_384;
/** `SO_SNDBUF` of a connected pair's ends; the kernel doubles it. What `net.core.wmem_max` allows is used. */
const SEND_BUFFER = 425_984;

const scratch = new NativeMemory(PADDING);

/** Makes the guest's end, which nobody has yet, one that takes no bytes. Returns how many bytes of padding that took. */
export function narrow(far: number): number {
  setOption(far, SOL.SOCKET, SO.SNDBUF, 1);
  return Math.max(send(far, scratch.address, PADDING, MSG.DONTWAIT | MSG.NOSIGNAL), 0);
}

/** Gives the guest's end the room of a connected stream; `size` as the guest has chosen it, 0 if it has not. */
export function widen(far: number, size = 0): void {
  setOption(far, SOL.SOCKET, SO.SNDBUF, size > 0 ? size : SEND_BUFFER);
}

/** Readies our end: much room towards the guest, and urgent data in line. */
export function prepareNear(near: number): void {
  setOption(near, SOL.SOCKET, SO.SNDBUF, SEND_BUFFER);
  setOption(near, SOL.SOCKET, SO.OOBINLINE, 1);
}

/** Reads `padding` bytes away at our end, and not one more: what follows is the guest's. */
export function drain(near: number, padding: number): void {
  while (padding > 0) {
    const n = recv(near, scratch.address, Math.min(padding, PADDING), MSG.DONTWAIT);
    if (n <= 0) return;
    padding -= n;
  }
}

/** Leaves one byte unread in our end, through the guest's. */
export function plant(far: number): void {
  send(far, scratch.address, 1, MSG.DONTWAIT | MSG.NOSIGNAL);
}

const pollfd = new NativeMemory(8);

/** What our end is ready for at this moment, whatever the reactor has told: bits of `EpollEvents`. */
export function pendingEvents(near: number): number {
  pollfd.words[0] = near;
  pollfd.words[1] = EpollEvents.in | EpollEvents.out | EpollEvents.pri | EpollEvents.rdhup;
  return poll(pollfd.address, 1, 0) > 0 ? pollfd.words[1]! >>> 16 : 0;
}

/** Puts `count` bytes into the guest's receive queue; returns how many there was room for. */
export function offer(near: number, count: number): number {
  const sent = send(near, scratch.address, Math.min(count, PADDING), MSG.DONTWAIT | MSG.NOSIGNAL);
  return Math.max(sent, 0);
}

/** Takes up to `count` bytes out of the guest's receive queue again, through the guest's end; returns how many. */
export function takeBack(far: number, count: number): number {
  return Math.max(recv(far, scratch.address, Math.min(count, PADDING), MSG.DONTWAIT), 0);
}
