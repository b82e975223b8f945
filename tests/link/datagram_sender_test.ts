import { deepEqual, equal, ok } from "node:assert/strict";
import { test } from "node:test";
import { SOCK } from "../../lib/host/constants.ts";
import { Errno } from "../../lib/host/errno.ts";
import { addressOf, NativeMemory } from "../../lib/host/memory.ts";
import { socketPair } from "../../lib/host/socket_pair.ts";
import { close, read } from "../../lib/host/sys.ts";
import { setSocketBuffers } from "../../lib/host/unix_socket.ts";
import { DatagramSender, isSendable } from "../../lib/link/datagram_sender.ts";
import { NO_WIRE_OFFLOAD } from "../../lib/link/offload.ts";
import { SendRing } from "../../lib/link/send_ring.ts";
import { BufferPool } from "../../lib/stack/buffer/pool.ts";
import { copyOf } from "../../lib/stack/link/copy.ts";
import { TcpFlag } from "../../lib/stack/wire/tcp.ts";
import { toHex } from "../support/bytes.ts";
import { between, pick, randomBytes, seeded } from "../support/random.ts";
import { segmentAll } from "../support/segments.ts";
import { inPieces, superPacket, tcpFrame } from "../support/tcp_frame.ts";

const pool = new BufferPool(addressOf);
const memory = new NativeMemory(1 << 17);

interface World {
  readonly near: number;
  readonly sender: DatagramSender;
  readonly queue: SendRing;
  /** Datagrams that are at the other end; at most so many. */
  arrived(most?: number): string[];
}

function withSender(type: number, body: (world: World) => void): void {
  const [near, far] = socketPair(type | SOCK.NONBLOCK);
  setSocketBuffers(near, 65_536);
  const queue = new SendRing();
  const arrived = (most = Infinity) => {
    const got: string[] = [];
    while (got.length < most) {
      const n = read(far, memory.address, memory.bytes.length);
      if (n <= 0) break;
      got.push(toHex(memory.bytes.subarray(0, n)));
    }
    return got;
  };
  try {
    body({ near, sender: new DatagramSender(), queue, arrived });
  } finally {
    while (queue.length > 0) queue.drop();
    close(near);
    close(far);
  }
}

for (const [name, type] of [["datagrams", SOCK.DGRAM], ["packets", SOCK.SEQPACKET]] as const) {
  test(`${name}: super-packets leave as the interface would have cut them, wherever the socket was full`, () => {
    for (let seed = 1; seed <= 10; seed++) {
      withSender(type, ({ near, sender, queue, arrived }) => {
        const random = seeded(seed);
        const expected: string[] = [], got: string[] = [];
        let full = 0, bytes = 0;
        const send = () => {
          const sent = sender.send(near, queue, NO_WIRE_OFFLOAD);
          if (sent >= 0) bytes += sender.bytes;
          else {
            equal(sent, -Errno.EAGAIN, `seed ${seed}`);
            full++;
            got.push(...arrived(between(random, 1, 40)));
          }
        };
        for (let i = 0; i < 12; i++) {
          const size = between(random, 500, 1_448);
          const isSuper = random() % 4 !== 0;
          const segment = {
            family: pick(random, [4, 6] as const),
            sequence: random() | 0,
            identification: between(random, 0, 0xffff),
            flags: pick(random, [TcpFlag.ack, TcpFlag.ack | TcpFlag.fin | TcpFlag.cwr | TcpFlag.psh]),
            payload: randomBytes(random, isSuper ? between(random, size, 60_000) : between(random, 0, size)),
          };
          let packet = isSuper
            ? inPieces(superPacket(segment, size, pool), random, pool)
            : tcpFrame(segment, pool);
          const segments = isSuper ? segmentAll(copyOf(packet, pool), pool) : [packet];
          expected.push(...segments.map((one) => toHex(one.toBytes())));
          if (!isSendable(packet)) packet = copyOf(packet, pool);
          queue.push(packet);
          if (random() % 2 === 0) send();
        }
        while (queue.length > 0) send();
        got.push(...arrived());
        deepEqual(got, expected, `seed ${seed}`);
        equal(bytes, expected.reduce((sum, hex) => sum + hex.length / 2, 0), `seed ${seed}`);
        ok(full > 0, "the socket was never full");
      });
    }
  });
}

test("a sender that does for many queues remembers none of them", () => {
  withSender(SOCK.DGRAM, ({ near, sender, queue, arrived }) => {
    withSender(SOCK.DGRAM, (other) => {
      const payload = randomBytes(seeded(1), 60_000);
      const expected = segmentAll(superPacket({ payload }, 300, pool), pool).map((one) =>
        toHex(one.toBytes())
      );
      for (const one of [queue, other.queue]) one.push(superPacket({ payload }, 300, pool));
      const got: string[] = [], others: string[] = [];
      while (queue.length + other.queue.length > 0) {
        if (queue.length > 0 && sender.send(near, queue, NO_WIRE_OFFLOAD) < 0) got.push(...arrived());
        if (other.queue.length > 0 && sender.send(other.near, other.queue, NO_WIRE_OFFLOAD) < 0) {
          others.push(...other.arrived(7));
        }
      }
      deepEqual([...got, ...arrived()], expected);
      deepEqual([...others, ...other.arrived()], expected);
    });
  });
});
