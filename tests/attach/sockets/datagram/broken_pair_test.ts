import { test } from "node:test";
import { deepStrictEqual, strictEqual } from "node:assert/strict";
import { Arrival } from "../../../../lib/attach/sockets/datagram/arrival.ts";
import { MOST_PARKED, Parked } from "../../../../lib/attach/sockets/datagram/broken_pair.ts";
import { Inbox } from "../../../../lib/attach/sockets/datagram/inbox.ts";
import { MSG } from "../../../../lib/host/constants.ts";
import { Errno } from "../../../../lib/host/errno.ts";
import { NativeMemory } from "../../../../lib/host/memory.ts";
import { socketPair } from "../../../../lib/host/socket_pair.ts";
import { addressOf, close, recv } from "../../../../lib/host/sys.ts";
import { BufferPool } from "../../../../lib/stack/buffer/pool.ts";

test("Parked keeps so many datagrams while a pair is broken, and hands them over in order", () => {
  const parked = new Parked();
  const pool = new BufferPool(addressOf);
  const put = (length: number) => {
    const packet = pool.take(length);
    packet.bytes.fill(length, packet.start, packet.start + length);
    packet.end += length;
    const result = parked.put(packet, new Arrival());
    packet.release();
    return result;
  };
  for (let i = 1; i <= MOST_PARKED; i++) strictEqual(put(i), 0);
  strictEqual(put(1), -Errno.EAGAIN);

  const [near, far] = socketPair();
  parked.unload(new Inbox(), near);
  const memory = new NativeMemory(256);
  const read = () => [recv(far, memory.address, 256, MSG.DONTWAIT), memory.bytes[0]];
  for (let i = 1; i <= MOST_PARKED; i++) deepStrictEqual(read(), [i, i]);
  strictEqual(read()[0], -Errno.EAGAIN);
  strictEqual(put(1), 0);
  close(near);
  close(far);
});
