import { deepStrictEqual, strictEqual } from "node:assert/strict";
import { test } from "node:test";
import { MSG, SOCK } from "../../lib/host/constants.ts";
import { Errno } from "../../lib/host/errno.ts";
import { addressOf, NativeMemory } from "../../lib/host/memory.ts";
import { socketPair } from "../../lib/host/socket_pair.ts";
import { close, recv } from "../../lib/host/sys.ts";
import { readSize, StreamIo } from "../../lib/link/stream_io.ts";
import { ChunkQueue } from "../../lib/stack/buffer/chunk_queue.ts";
import { BufferPool } from "../../lib/stack/buffer/pool.ts";
import type { TcpConnection } from "../../lib/stack/tcp/connection.ts";

/** MTU, largest super-packet, family, what one read takes. */
const SIZES: readonly [mtu: number, gsoMaxSize: number, family: 4 | 6, want: number][] = [
  [65_520, 65_535, 4, 65_468],
  [65_520, 0, 4, 65_468],
  [65_520, 65_535, 6, 65_448],
  [1_500, 65_535, 4, 45 * 1_448],
  [1_500, 65_535, 6, 45 * 1_428],
  [1_500, 0, 4, 1_448],
  [9_000, 65_535, 4, 7 * 8_948],
  [576, 65_535, 4, 124 * 524],
];
for (const [mtu, gsoMaxSize, family, want] of SIZES) {
  test(`readSize() is ${want} for IPv${family} and an MTU of ${mtu} with super-packets of ${gsoMaxSize}`, () => {
    strictEqual(readSize({ mtu, gsoMaxSize }, family), want);
  });
}

/** What a descriptor gets of "ab!cd", whose third byte is urgent: each piece, by an ordinary read or one out of band. */
function delivered(type: number): (string | number)[] {
  const pool = new BufferPool(addressOf);
  const io = new StreamIo(pool);
  const [near, far] = socketPair(type | SOCK.NONBLOCK);
  const memory = new NativeMemory(16);
  const take = (flags: number) => {
    const n = recv(far, memory.address, 16, flags);
    return n < 0 ? n : new TextDecoder().decode(memory.bytes.subarray(0, n));
  };
  try {
    const packet = pool.take(5);
    packet.bytes.set(new TextEncoder().encode("ab!cd"), packet.start);
    packet.end = packet.start + 5;
    const receiveQueue = new ChunkQueue();
    receiveQueue.push(packet);
    const pieces: (string | number)[] = [];
    for (let mark = 2; receiveQueue.length > 0;) {
      const n = io.deliver(near, { receiveQueue, urgentMark: mark } as unknown as TcpConnection);
      pieces.push(n, mark === 0 ? take(MSG.OOB) : take(0));
      receiveQueue.consume(n);
      mark = Math.max(mark - n, -1);
    }
    return [...pieces, take(0)];
  } finally {
    io.close();
    close(near);
    close(far);
  }
}

test("StreamIo.deliver() sends what is urgent as such", () => {
  deepStrictEqual(delivered(SOCK.STREAM), [2, "ab", 1, "!", 2, "cd", -Errno.EAGAIN]);
});

test("StreamIo.deliver() sends what is urgent in line to who knows of nothing urgent", () => {
  // Sequenced packets refuse MSG_OOB, as all unix sockets did once.
  deepStrictEqual(delivered(SOCK.SEQPACKET), [2, "ab", 1, -Errno.EOPNOTSUPP, 2, "!", "cd"]);
});
