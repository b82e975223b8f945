import { deepStrictEqual, strictEqual } from "node:assert/strict";
import { test } from "node:test";
import { bindTo, connectTo, localAddress } from "../../../lib/host/inet.ts";
import { addressOf, close } from "../../../lib/host/sys.ts";
import { LOOPBACK4, SocketAddress } from "../../../lib/host/structs.ts";
import { PacketBuffer } from "../../../lib/stack/buffer/packet.ts";
import { BufferPool } from "../../../lib/stack/buffer/pool.ts";
import { DatagramReceiver, DatagramSender, runLength } from "../../../lib/uplink/gateway/datagram_io.ts";
import { openDatagram } from "../../../lib/uplink/gateway/host_socket.ts";

/** Packets that are nothing but long. */
const ofLengths = (...lengths: number[]) => lengths.map((n) => new PacketBuffer(new Uint8Array(n)));

const RUNS: readonly [lengths: number[], want: number][] = [
  [[100], 1],
  [[100, 100, 100], 3],
  [[100, 100, 50, 100], 3],
  [[100, 101], 1],
  [[0, 0], 1],
  [[100, 0, 100], 1],
  [new Array<number>(60).fill(9_000), 7],
  [new Array<number>(60).fill(10), 32],
];
for (const [lengths, want] of RUNS) {
  test(`runLength() takes ${want} of ${lengths.slice(0, 4)}${lengths.length > 4 ? ",…" : ""}`, () => {
    strictEqual(runLength(ofLengths(...lengths), 0, lengths.length), want);
  });
}

/** Two UDP sockets of the loopback, the first connected to the second. */
function pair(): [number, number] {
  const receiver = openDatagram(4);
  const sender = openDatagram(4);
  const name = new SocketAddress();
  strictEqual(bindTo(receiver, LOOPBACK4, 0), 0);
  localAddress(receiver, name);
  strictEqual(connectTo(sender, name, name.port), 0);
  return [sender, receiver];
}

function datagrams(pool: BufferPool, sizes: readonly number[]): PacketBuffer[] {
  return sizes.map((size, i) => {
    const packet = pool.take(size);
    packet.end = packet.start + size;
    packet.bytes.fill(i + 1, packet.start, packet.end);
    return packet;
  });
}

/** Length and filling of every datagram that waits. */
function received(receiver: DatagramReceiver, fd: number): [number, number][] {
  const all: [number, number][] = [];
  for (;;) {
    const count = receiver.receive(fd);
    if (count <= 0) return all;
    for (let i = 0; i < count; i++) {
      const packet = receiver.take(i);
      const first = packet.bytes[packet.start] ?? 0;
      for (let at = packet.start; at < packet.end; at++) strictEqual(packet.bytes[at], first);
      all.push([packet.length, packet.length === 0 ? 0 : first]);
      packet.release();
    }
  }
}

test("segmented() sends a run as one, and the boundaries survive", () => {
  const pool = new BufferPool(addressOf);
  const [sender, receiver] = pair();
  const packets = datagrams(pool, [1200, 1200, 1200, 700]);
  const io = new DatagramSender();
  strictEqual(io.segmented(sender, packets, 0, 4), 4300);
  deepStrictEqual(received(new DatagramReceiver(pool), receiver), [[1200, 1], [1200, 2], [1200, 3], [
    700,
    4,
  ]]);
  // What segmented() set must not leak into what follows.
  strictEqual(io.many(sender, packets, 1, 4), 3);
  deepStrictEqual(received(new DatagramReceiver(pool), receiver), [[1200, 2], [1200, 3], [700, 4]]);
  close(sender);
  close(receiver);
});

test("receive() keeps datagrams of every size whole", () => {
  const pool = new BufferPool(addressOf);
  const [sender, receiver] = pair();
  const sizes = [0, 1, 1919, 1920, 1921, 9_000, 65_507];
  const packets = datagrams(pool, sizes);
  const io = new DatagramSender();
  for (const packet of packets) strictEqual(io.one(sender, packet), packet.length);
  const want = sizes.map((size, i): [number, number] => [size, size === 0 ? 0 : i + 1]);
  deepStrictEqual(received(new DatagramReceiver(pool), receiver), want);
  close(sender);
  close(receiver);
});
