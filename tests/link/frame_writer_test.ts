import { deepEqual, equal, ok } from "node:assert/strict";
import { test } from "node:test";
import { SOCK } from "../../lib/host/constants.ts";
import { addressOf, NativeMemory } from "../../lib/host/memory.ts";
import { socketPair } from "../../lib/host/socket_pair.ts";
import { close, read } from "../../lib/host/sys.ts";
import { setSocketBuffers } from "../../lib/host/unix_socket.ts";
import type { LengthSize } from "../../lib/link/frame_length.ts";
import { FrameWriter } from "../../lib/link/frame_writer.ts";
import { NO_WIRE_OFFLOAD } from "../../lib/link/offload.ts";
import { Checksum } from "../../lib/stack/buffer/packet.ts";
import { BufferPool } from "../../lib/stack/buffer/pool.ts";
import { copyOf } from "../../lib/stack/link/copy.ts";
import { segmentAll } from "../support/segments.ts";
import { framesOf } from "../../lib/stack/link/wire_size.ts";
import { TcpFlag } from "../../lib/stack/wire/tcp.ts";
import { toHex } from "../support/bytes.ts";
import { framesIn } from "../support/framed.ts";
import { between, pick, randomBytes, seeded } from "../support/random.ts";
import { inPieces, superPacket, tcpFrame } from "../support/tcp_frame.ts";

const pool = new BufferPool(addressOf);
/** Its large buffers are summed by vectors. */
const vectors = new BufferPool(addressOf);
vectors.useVectors();

interface World {
  readonly writer: FrameWriter;
  readonly ends: string[];
  /** What came out at the other end since the last call. */
  arrived(): Uint8Array;
  hangUp(): void;
}

function withWriter(body: (world: World) => void, lengthSize: LengthSize = 4): void {
  const [near, far] = socketPair(SOCK.STREAM | SOCK.NONBLOCK);
  setSocketBuffers(near, 16_384);
  const ends: string[] = [];
  const writer = new FrameWriter({
    fd: near,
    pool,
    lengthSize,
    offload: NO_WIRE_OFFLOAD,
    onEnd: (why) => void ends.push(why),
  });
  const memory = new NativeMemory(1 << 20);
  let open = true;
  const arrived = () => {
    const n = read(far, memory.address, memory.bytes.length);
    return memory.bytes.slice(0, Math.max(0, n));
  };
  const hangUp = () => {
    if (open) close(far);
    open = false;
  };
  try {
    body({ writer, ends, arrived, hangUp });
  } finally {
    writer.close();
    close(near);
    hangUp();
  }
}

for (const lengthSize of [4, 2] as const) {
  test(`a super-packet leaves as the segments that the interface would have cut (${lengthSize})`, () => {
    for (let seed = 1; seed <= 30; seed++) {
      withWriter(({ writer, arrived, ends }) => {
        const random = seeded(seed);
        const expected: string[] = [];
        const parts: Uint8Array[] = [];
        for (let i = 0; i < 20; i++) {
          const segment = {
            family: pick(random, [4, 6] as const),
            sequence: random() | 0,
            identification: between(random, 0, 0xffff),
            flags: pick(random, [
              TcpFlag.ack,
              TcpFlag.ack | TcpFlag.psh,
              TcpFlag.ack | TcpFlag.fin | TcpFlag.cwr,
            ]),
          };
          const size = between(random, 500, 1_448);
          const isSuper = random() % 4 !== 0;
          const payload = randomBytes(
            random,
            isSuper ? between(random, size, 60_000) : between(random, 0, size),
          );
          const packet = isSuper
            ? inPieces(
              superPacket({ ...segment, payload }, size, pool),
              random,
              pick(random, [pool, vectors]),
            )
            : tcpFrame({ ...segment, payload }, pool);
          const segments = isSuper ? segmentAll(copyOf(packet, pool), pool) : [packet];
          equal(framesOf(packet), segments.length);
          expected.push(...segments.map((one) => toHex(one.toBytes())));
          while (!writer.transmit(packet)) parts.push(arrived());
          if (random() % 3 === 0) parts.push(arrived());
        }
        while (!writer.flush()) parts.push(arrived());
        parts.push(arrived());
        const bytes = new Uint8Array(parts.reduce((sum, { length }) => sum + length, 0));
        parts.reduce((at, part) => (bytes.set(part, at), at + part.length), 0);
        deepEqual(framesIn(bytes, lengthSize).frames.map(toHex), expected, `seed ${seed}`);
        deepEqual([writer.counters.txFrames, ends], [expected.length, []]);
        ok(writer.counters.txBusy > 0, "the wire was never full");
      }, lengthSize);
    }
  });
}

test("a partial checksum is completed, and a packet that the kernel cannot find is copied", () => {
  withWriter(({ writer, arrived }) => {
    const frame = superPacket({ payload: randomBytes(seeded(1), 900) }, 900, pool);
    frame.gso = 0;
    frame.gsoSize = 0;
    equal(frame.checksum, Checksum.partial);
    const foreign = copyOf(superPacket({ payload: randomBytes(seeded(2), 3_000) }, 1_000, pool));
    const expected = [
      tcpFrame({ payload: randomBytes(seeded(1), 900) }),
      ...segmentAll(copyOf(foreign), pool),
    ];
    equal(writer.transmit(frame) && writer.transmit(foreign) && writer.flush(), true);
    deepEqual(framesIn(arrived()).frames.map(toHex), expected.map((one) => toHex(one.toBytes())));
    equal(writer.counters.txCopied, 1);
  });
});

test("what a writer holds when its wire ends is let go of, and counted", () => {
  withWriter(({ writer, ends, hangUp }) => {
    const packets = Array.from(
      { length: 4 },
      () => inPieces(superPacket({ payload: new Uint8Array(60_000) }, 1_000, pool), seeded(3), pool),
    );
    const payloads = packets.map(({ fragments }) => fragments[0]!.buffer);
    let taken = 0;
    for (const packet of packets) if (writer.transmit(packet)) taken++;
    ok(taken >= 1 && taken < packets.length && !writer.flush(), "the wire was never full");
    hangUp();
    equal(writer.flush(), true);
    deepEqual(ends, ["closed the connection"]);
    ok(writer.counters.txLost > 0);
    for (const packet of packets.slice(taken)) equal(writer.transmit(packet), true);
    deepEqual(payloads.map(({ references }) => references), [0, 0, 0, 0]);
  });
});
