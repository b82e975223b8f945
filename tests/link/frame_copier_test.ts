/** Copies of frames for the kernel: whole, described, and without a trace in the frame. */

import { test } from "node:test";
import { deepStrictEqual, ok, strictEqual } from "node:assert/strict";
import { SOCK } from "../../lib/host/constants.ts";
import { addressOf, NativeMemory } from "../../lib/host/memory.ts";
import { socketPair } from "../../lib/host/socket_pair.ts";
import { close, read } from "../../lib/host/sys.ts";
import { VNET_HEADER } from "../../lib/host/tun.ts";
import { FrameCopier } from "../../lib/link/frame_copier.ts";
import { Checksum, Gso, HEADROOM, PacketBuffer } from "../../lib/stack/buffer/packet.ts";
import { BufferPool } from "../../lib/stack/buffer/pool.ts";
import { toHex } from "../support/bytes.ts";

const memory = new NativeMemory(70_000);

function withCopier(
  body: (copier: FrameCopier, copied: () => Uint8Array | undefined, pool: BufferPool) => void,
) {
  const [near, far] = socketPair(SOCK.DGRAM | SOCK.NONBLOCK);
  const pool = new BufferPool(addressOf);
  try {
    body(new FrameCopier(near, pool), () => {
      const length = read(far, memory.address, 70_000);
      return length < 0 ? undefined : memory.bytes.slice(0, length);
    }, pool);
  } finally {
    close(near);
    close(far);
  }
}

/** A super-packet: headers of 66 bytes, and payload by reference. */
function superPacket(pool: BufferPool, payload: PacketBuffer): PacketBuffer {
  const frame = pool.take(66);
  frame.end = HEADROOM + 66;
  frame.bytes.fill(1, HEADROOM, frame.end);
  frame.bytes[HEADROOM + 46] = 0x80;
  frame.checksum = Checksum.partial;
  frame.checksumStart = HEADROOM + 34;
  frame.checksumOffset = 16;
  frame.gso = Gso.tcp4;
  frame.gsoSize = 1_448;
  frame.attach(payload, payload.start, payload.end);
  return frame;
}

test("a copy is the whole frame behind its header, and the frame stays as it was", () => {
  withCopier((copier, copied, pool) => {
    const payload = pool.take(4_000);
    payload.end = HEADROOM + 4_000;
    payload.bytes.fill(2, HEADROOM, payload.end);
    const frame = superPacket(pool, payload);
    const before = frame.bytes.slice();
    ok(copier.copy(frame));
    const copy = copied()!;
    strictEqual(toHex(copy.subarray(0, VNET_HEADER)), "0101" + "4200" + "a805" + "2200" + "1000");
    deepStrictEqual(copy.subarray(VNET_HEADER), frame.toBytes());
    deepStrictEqual(frame.bytes, before);
    deepStrictEqual([frame.references, payload.references, frame.start], [1, 2, HEADROOM]);
  });
});

test("payload without a native address is joined first, payload that is elsewhere is fetched", () => {
  withCopier((copier, copied, pool) => {
    const plain = new PacketBuffer(new Uint8Array(100).fill(3));
    ok(copier.copy(superPacket(pool, plain)));
    strictEqual(copied()!.length, VNET_HEADER + 166);

    const elsewhere = new PacketBuffer(new Uint8Array(0), 0, 50);
    elsewhere.source = {
      load(buffer) {
        buffer.source = undefined;
        buffer.own(new Uint8Array(50).fill(4), 0);
      },
    };
    ok(copier.copy(superPacket(pool, elsewhere)));
    deepStrictEqual([...copied()!.subarray(-50)], new Array(50).fill(4));
  });
});

test("copy() says when the kernel has no room", () => {
  withCopier((copier, _copied, pool) => {
    const frame = pool.take(60);
    frame.end += 60;
    let taken = 0;
    while (taken < 10_000 && copier.copy(frame)) taken++;
    ok(taken > 0 && taken < 10_000);
  });
});
