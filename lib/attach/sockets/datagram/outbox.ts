/**
 * What the guest sends without our knowing, with `send` and `write`: read from the pair in batches.
 *
 * @module
 */

import { ReceiveBatch } from "../../../host/datagrams.ts";
import { Errno } from "../../../host/errno.ts";
import { NativeMemory } from "../../../host/memory.ts";
import { EpollEvents } from "../../../host/reactor.ts";
import { poll } from "../../../host/sys.ts";
import type { PacketBuffer } from "../../../stack/buffer/packet.ts";
import type { BufferPool } from "../../../stack/buffer/pool.ts";

/** Datagrams of one system call. */
export const BATCH = 32;
/** Batches of one turn; the rest waits behind others. */
const BATCHES_PER_TURN = 4;
/** Room of one datagram: a longer one is no UDP datagram, and is seen to be cut. */
export const ROOM = 65_536;

/** A batch and its buffers: datagram `i` lands at `i` × {@linkcode ROOM}. */
export interface SharedBatch {
  readonly batch: ReceiveBatch;
  readonly room: NativeMemory;
}

let shared: SharedBatch | undefined;

/** Reused by all sockets of this thread; 2 MiB, of which only what is used becomes memory. */
export function batchOf(): SharedBatch {
  if (shared === undefined) {
    shared = { batch: new ReceiveBatch(BATCH), room: new NativeMemory(BATCH * ROOM) };
    for (let i = 0; i < BATCH; i++) shared.batch.setBuffer(i, shared.room.address + i * ROOM, ROOM);
  }
  return shared;
}

const pollfd = new NativeMemory(8);

function events(near: number): number {
  const { words } = pollfd;
  words[0] = near;
  words[1] = EpollEvents.rdhup;
  return poll(pollfd.address, 1, 0) > 0 ? words[1]! >>> 16 : 0;
}

/** Whether the other end of a pair has closed. */
export function pairGone(near: number): boolean {
  return (events(near) & EpollEvents.hup) !== 0;
}

/**
 * Reads what the guest has sent.
 *
 * @param take gets each datagram and owns it
 * @param tooLong counts datagrams longer than any can be
 * @returns whether more may wait
 */
export function drain(
  near: number,
  pool: BufferPool,
  take: (packet: PacketBuffer) => void,
  tooLong: () => void,
): boolean {
  const { batch, room } = batchOf();
  for (let turn = 0; turn < BATCHES_PER_TURN; turn++) {
    const count = batch.receive(near);
    // The guest closed with datagrams unread: said once, and what it had sent is still there.
    if (count === -Errno.ECONNRESET) continue;
    if (count <= 0) return false;
    for (let i = 0; i < count; i++) {
      const length = batch.length(i);
      // The end of a pair of sequenced packets reads as empty messages without end.
      if (length === 0 && (events(near) & (EpollEvents.rdhup | EpollEvents.hup)) !== 0) return false;
      if (batch.truncated(i) || length > 0xffff) {
        tooLong();
        continue;
      }
      const packet = pool.take(length);
      packet.bytes.set(room.bytes.subarray(i * ROOM, i * ROOM + length), packet.start);
      packet.end += length;
      take(packet);
    }
    if (count < BATCH) return false;
  }
  return true;
}
