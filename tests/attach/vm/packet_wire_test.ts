import { deepStrictEqual, strictEqual } from "node:assert/strict";
import { test } from "node:test";
import { FrameQueue } from "../../../lib/attach/vm/frame_queue.ts";
import { PacketWire } from "../../../lib/attach/vm/packet_wire.ts";
import { MSG, SO, SOCK, SOL } from "../../../lib/host/constants.ts";
import { setOption } from "../../../lib/host/inet.ts";
import { addressOf, alloc } from "../../../lib/host/memory.ts";
import { Reactor } from "../../../lib/host/reactor.ts";
import { tryPair } from "../../../lib/host/socket_pair.ts";
import { close, recv } from "../../../lib/host/sys.ts";
import { DatagramReceiver } from "../../../lib/link/datagram_receiver.ts";
import { DatagramSender } from "../../../lib/link/datagram_sender.ts";
import { NO_WIRE_OFFLOAD } from "../../../lib/link/offload.ts";
import { BufferPool } from "../../../lib/stack/buffer/pool.ts";

test("a frame longer than the guest's socket can ever hold is dropped and counted, and those behind it go", () => {
  const pair = tryPair(SOCK.SEQPACKET | SOCK.NONBLOCK);
  if (typeof pair === "number") throw new Error(`Cannot make a pair: ${pair}`);
  const [near, far] = pair;
  setOption(near, SOL.SOCKET, SO.SNDBUF, 1);
  const pool = new BufferPool(addressOf);
  const reactor = new Reactor();
  const counted: string[] = [];
  const owner = {
    received: () => {},
    writable: () => {},
    gone: () => {},
    count: (name: string) => void counted.push(name),
  };
  const receiver = new DatagramReceiver(pool, 0);
  const io = { receiver, sender: new DatagramSender(), offload: NO_WIRE_OFFLOAD, merging: undefined };
  const wire = new PacketWire(near, reactor, io, owner);
  try {
    const queue = new FrameQueue();
    for (const length of [60, 60_000, 61]) {
      const frame = pool.take(length);
      frame.end += length;
      queue.push(frame);
    }
    strictEqual(wire.send(queue), true);
    strictEqual(queue.length, 0);
    deepStrictEqual(counted, ["vm.too-long"]);
    const memory = alloc(100);
    const lengths = [1, 2, 3].map(() => recv(far, memory.address, 100, MSG.DONTWAIT));
    deepStrictEqual(lengths.slice(0, 2), [60, 61]);
    strictEqual(lengths[2]! < 0, true, "no more than those");
  } finally {
    wire.close();
    close(far);
    receiver.close();
    reactor.close();
  }
});

const GONE = [
  { type: SOCK.SEQPACKET, named: false, why: "the guest closed the connection" },
  { type: SOCK.DGRAM, named: true, why: "the guest is gone: connection refused (ECONNREFUSED)" },
];
for (const { type, named, why } of GONE) {
  test(`why a guest on a ${named ? "datagram" : "packet"} socket is gone is said as one would say it`, () => {
    const pair = tryPair(type | SOCK.NONBLOCK);
    if (typeof pair === "number") throw new Error(`Cannot make a pair: ${pair}`);
    const [near, far] = pair;
    const pool = new BufferPool(addressOf);
    const reactor = new Reactor();
    const reasons: string[] = [];
    const owner = {
      received: () => {},
      writable: () => {},
      gone: (reason: string) => void reasons.push(reason),
      count: () => {},
    };
    const receiver = new DatagramReceiver(pool, 0);
    const io = { receiver, sender: new DatagramSender(), offload: NO_WIRE_OFFLOAD, merging: undefined };
    const wire = new PacketWire(near, reactor, io, owner, named ? alloc(2) : undefined, 2);
    try {
      close(far);
      if (named) {
        const queue = new FrameQueue();
        const frame = pool.take(60);
        frame.end += 60;
        queue.push(frame);
        strictEqual(wire.send(queue), false);
        queue.drop();
      }
      reactor.turn({ beforeWait: () => 0, afterTurn: () => {} });
      strictEqual(reasons[0], why);
    } finally {
      wire.close();
      receiver.close();
      reactor.close();
    }
  });
}
