import { test } from "node:test";
import { deepEqual, equal, ok } from "node:assert/strict";
import { SO, SOCK, SOL } from "../../lib/host/constants.ts";
import { setOption } from "../../lib/host/inet.ts";
import { addressOf, NativeMemory } from "../../lib/host/memory.ts";
import { socketPair } from "../../lib/host/socket_pair.ts";
import { close, read, shutdown as shutDown, write } from "../../lib/host/sys.ts";
import { NO_WIRE_OFFLOAD, type WireOffload } from "../../lib/link/offload.ts";
import { UnixGramLink } from "../../lib/link/unix_gram.ts";
import { UnixStreamLink } from "../../lib/link/unix_stream.ts";
import { Checksum, Gso, HEADROOM, PacketBuffer } from "../../lib/stack/buffer/packet.ts";
import { BufferPool } from "../../lib/stack/buffer/pool.ts";
import { NO_OFFLOAD } from "../../lib/stack/link/link.ts";
import { toHex } from "../support/bytes.ts";
import { between, pick, randomBytes, seeded } from "../support/random.ts";

/** With a header, all there is. */
const ALL: WireOffload = { vnetHeader: 12, checksums: true, tcp4: true, tcp6: true };

const pool = new BufferPool(addressOf);

interface Wire<L> {
  readonly link: L;
  /** The other end. */
  readonly far: number;
  /** Why the link said that the wire is over. */
  readonly ends: string[];
}

function withStream(body: (wire: Wire<UnixStreamLink>) => void, offload = NO_WIRE_OFFLOAD): void {
  const [near, far] = socketPair(SOCK.STREAM | SOCK.NONBLOCK);
  const ends: string[] = [];
  const onEnd = (why: string) => void ends.push(why);
  const link = new UnixStreamLink({
    fd: near,
    mtu: 1_500,
    pool,
    capabilities: NO_OFFLOAD,
    offload,
    onEnd,
  });
  try {
    body({ link, far, ends });
  } finally {
    link.close();
    close(near);
    close(far);
  }
}

function withGram(
  body: (wire: Wire<UnixGramLink>) => void,
  type: number = SOCK.DGRAM,
  offload = NO_WIRE_OFFLOAD,
): void {
  const [near, far] = socketPair(type | SOCK.NONBLOCK);
  const ends: string[] = [];
  const onEnd = (why: string) => void ends.push(why);
  const link = new UnixGramLink({
    fd: near,
    mtu: 1_500,
    pool,
    capabilities: NO_OFFLOAD,
    offload,
    endsEmpty: type === SOCK.SEQPACKET,
    onEnd,
  });
  try {
    body({ link, far, ends });
  } finally {
    link.close();
    close(near);
    close(far);
  }
}

function put(fd: number, bytes: Uint8Array): number {
  const memory = new NativeMemory(bytes.length);
  memory.bytes.set(bytes);
  return write(fd, memory.address, bytes.length);
}

/** Says that there is no more. */
function shutdown(fd: number): void {
  shutDown(fd, 1);
}

function get(fd: number, most = 200_000): Uint8Array {
  const memory = new NativeMemory(most);
  const n = read(fd, memory.address, most);
  return memory.bytes.slice(0, Math.max(0, n));
}

/** `frame` behind its length. */
function framed(frame: Uint8Array): Uint8Array {
  const bytes = new Uint8Array(4 + frame.length);
  new DataView(bytes.buffer).setUint32(0, frame.length);
  bytes.set(frame, 4);
  return bytes;
}

function frameOf(bytes: Uint8Array, fragments = 0): PacketBuffer {
  const own = fragments === 0 ? bytes.length : Math.min(54, bytes.length);
  const frame = pool.take(own);
  frame.bytes.set(bytes.subarray(0, own), frame.start);
  frame.end += own;
  const size = Math.ceil((bytes.length - own) / Math.max(1, fragments));
  for (let at = own; at < bytes.length; at += size) {
    const part = bytes.subarray(at, at + size);
    const buffer = pool.take(part.length);
    buffer.bytes.set(part, buffer.start);
    buffer.end += part.length;
    frame.attach(buffer, buffer.start, buffer.end);
    buffer.release();
  }
  return frame;
}

function all(link: { receive(): PacketBuffer | undefined }): string[] {
  const frames: string[] = [];
  for (let frame = link.receive(); frame !== undefined; frame = link.receive()) {
    frames.push(toHex(frame.toBytes()));
    frame.release();
  }
  return frames;
}

const LENGTHS = [14, 15, 60, 1_514, 8_191, 8_192, 9_014, 65_534, 65_535];

test("a stream link reads frames however they are cut", () => {
  for (let seed = 1; seed <= 40; seed++) {
    withStream(({ link, far, ends }) => {
      const random = seeded(seed);
      const frames = Array.from({ length: 12 }, () => randomBytes(random, pick(random, LENGTHS)));
      const bytes = Uint8Array.from(frames.flatMap((frame) => [...framed(frame)]));
      const got: string[] = [];
      for (let at = 0; at < bytes.length;) {
        const n = Math.min(bytes.length - at, pick(random, [1, 3, 4, 5, 70, 1_500, 30_000, 90_000]));
        ok(put(far, bytes.subarray(at, at + n)) === n);
        at += n;
        got.push(...all(link));
        if (random() % 2 === 0) got.push(...all(link));
      }
      got.push(...all(link));
      deepEqual(got, frames.map(toHex), `seed ${seed}`);
      deepEqual(ends, []);
    });
  }
});

test("a stream link reads long frames in place and short ones by the dozen", () => {
  withStream(({ link, far }) => {
    setOption(far, SOL.SOCKET, SO.SNDBUFFORCE, 4 << 20);
    const short = framed(new Uint8Array(60).fill(1));
    put(far, Uint8Array.from(Array.from({ length: 40 }, () => [...short]).flat()));
    equal(all(link).length, 40);
    ok(link.counters.reads <= 2, `${link.counters.reads} reads`);
    const long = framed(new Uint8Array(65_000).fill(1));
    for (let i = 0; i < 2; i++) put(far, long);
    all(link);
    const before = link.counters.reads;
    for (let i = 0; i < 3; i++) put(far, long);
    equal(all(link).length, 3);
    ok(link.counters.reads - before <= 5, `${link.counters.reads - before} reads of 3 long frames`);
  });
});

for (const length of [0, 1, 13, 65_536, 0x7fff_ffff, 0xffff_ffff]) {
  test(`a stream link gives up when ${length} bytes are announced`, () => {
    withStream(({ link, far, ends }) => {
      const bytes = new Uint8Array(100);
      bytes.set(framed(new Uint8Array(60)));
      new DataView(bytes.buffer).setUint32(64, length);
      put(far, bytes);
      equal(all(link).length, 1);
      deepEqual(ends, [`announced a frame of ${length} bytes`]);
      equal(link.counters.rxBadLength, 1);
      equal(link.receive(), undefined);
      equal(link.transmit(frameOf(new Uint8Array(60))), true);
      equal(link.counters.txLost, 1);
    });
  });
}

test("a stream link tells of the end once, in the middle of a frame too", () => {
  withStream(({ link, far, ends }) => {
    put(far, framed(new Uint8Array(1_000)).subarray(0, 600));
    equal(link.receive(), undefined);
    setOption(far, SOL.SOCKET, SO.LINGER, 0);
    close(far);
    equal(link.receive(), undefined);
    equal(link.receive(), undefined);
    equal(link.transmit(frameOf(new Uint8Array(60))), true);
    deepEqual(ends, ["closed the connection"]);
  });
});

test("a stream link learns of the end when it writes", () => {
  withStream(({ link, far, ends }) => {
    close(far);
    equal(link.transmit(frameOf(new Uint8Array(60))), true);
    equal(link.flush(), true);
    deepEqual(ends, ["closed the connection"]);
    equal(link.counters.txLost, 1);
  });
});

test("a stream link writes many frames at once, and goes on where a write was cut short", () => {
  withStream(({ link, far }) => {
    setOption(far, SOL.SOCKET, SO.RCVBUF, 4_096);
    const random = seeded(7);
    const sent: number[] = [];
    let got: number[] = [];
    for (let i = 0; i < 60; i++) {
      const bytes = randomBytes(random, between(random, 60, 20_000));
      const frame = frameOf(bytes, random() % 3);
      while (!link.transmit(frame)) got = got.concat([...get(far)]);
      sent.push(...framed(bytes));
    }
    for (let i = 0; i < 100 && !link.flush(); i++) got = got.concat([...get(far)]);
    for (let part = get(far); part.length > 0; part = get(far)) got = got.concat([...part]);
    equal(link.flush(), true);
    deepEqual(Uint8Array.from(got), Uint8Array.from(sent));
    equal(link.counters.txFrames, 60);
    ok(link.counters.txBusy > 0, "the wire was never full");
    ok(link.counters.writes < 60, `${link.counters.writes} writes for 60 frames`);
  });
});

test("a stream link copies a frame that cannot be gathered, and drops one that is too long", () => {
  withStream(({ link, far }) => {
    const bytes = randomBytes(seeded(1), 1_054);
    const frame = frameOf(bytes, 1_000);
    equal(link.transmit(frame), true);
    const foreign = frameOf(bytes.subarray(0, 60));
    const payload = new PacketBuffer(bytes.slice(60, 200));
    foreign.attach(payload, 0, 140);
    equal(link.transmit(foreign), true);
    equal(link.transmit(frameOf(new Uint8Array(65_536))), true);
    equal(link.flush(), true);
    equal(toHex(get(far)), toHex(framed(bytes)) + toHex(framed(bytes.subarray(0, 200))));
    deepEqual([link.counters.txCopied, link.counters.txTooLong, link.counters.txFrames], [2, 1, 2]);
  });
});

test("a gram link sends and receives a frame in each datagram, in batches", () => {
  withGram(({ link, far, ends }) => {
    const random = seeded(3);
    const frames = Array.from({ length: 8 }, (_, i) => randomBytes(random, 14 + i * 211));
    for (const [i, bytes] of frames.entries()) equal(link.transmit(frameOf(bytes, i % 3)), true);
    equal(get(far).length, 0);
    equal(link.flush(), true);
    deepEqual(frames.map(() => toHex(get(far))), frames.map(toHex));
    for (const bytes of frames) put(far, bytes);
    deepEqual(all(link), frames.map(toHex));
    deepEqual(ends, []);
  });
});

test("a gram link waits while the other side is full, and loses nothing", () => {
  withGram(({ link, far }) => {
    const sent: string[] = [];
    const got: string[] = [];
    for (let i = 0; i < 400; i++) {
      const bytes = randomBytes(seeded(i), 1_514);
      const frame = frameOf(bytes);
      while (!link.transmit(frame)) got.push(toHex(get(far)));
      sent.push(toHex(bytes));
    }
    while (!link.flush()) got.push(toHex(get(far)));
    for (let part = get(far); part.length > 0; part = get(far)) got.push(toHex(part));
    deepEqual(got, sent);
    ok(link.counters.txBusy > 0, "the wire was never full");
  });
});

test("a gram link passes over what is no frame", () => {
  withGram(({ link, far, ends }) => {
    for (const length of [0, 4, 13]) put(far, new Uint8Array(length));
    put(far, new Uint8Array(66_000));
    put(far, new Uint8Array(14));
    deepEqual(all(link), ["00".repeat(14)]);
    deepEqual([link.counters.rxMalformed, link.counters.rxTooLong], [3, 1]);
    equal(link.transmit(frameOf(new Uint8Array(65_551))), true);
    equal(link.counters.txTooLong, 1);
    deepEqual(ends, []);
  });
});

test("a gram link learns that the other side is gone when it sends", () => {
  withGram(({ link, far, ends }) => {
    close(far);
    equal(link.transmit(frameOf(new Uint8Array(60))), true);
    equal(link.flush(), true);
    deepEqual(ends, ["is gone: connection refused (ECONNREFUSED)"]);
  });
});

test("an empty packet ends a SEQPACKET link", () => {
  withGram(({ link, far, ends }) => {
    put(far, new Uint8Array(60));
    close(far);
    equal(all(link).length, 1);
    deepEqual(ends, ["closed the connection"]);
  }, SOCK.SEQPACKET);
});

for (const name of ["stream", "gram"] as const) {
  test(`a ${name} link carries virtio-net headers`, () => {
    const body = ({ link, far }: Wire<UnixStreamLink | UnixGramLink>) => {
      const frame = frameOf(randomBytes(seeded(1), 2_000), 1);
      frame.checksum = Checksum.partial;
      frame.checksumStart = frame.start + 34;
      frame.checksumOffset = 16;
      frame.gso = Gso.tcp4;
      frame.gsoSize = 1_448;
      equal(link.transmit(frame), true);
      equal(link.flush(), true);
      const bytes = get(far);
      equal(bytes.length, 2_000 + 12 + (name === "stream" ? 4 : 0));
      put(far, bytes);
      const back = link.receive()!;
      deepEqual(
        [back.start, back.length, back.checksum, back.checksumStart - back.start, back.gso, back.gsoSize],
        [HEADROOM, 2_000, Checksum.partial, 34, Gso.tcp4, 1_448],
      );
      back.release();
      bytes[name === "stream" ? 5 : 1] = 0x7f;
      put(far, bytes);
      deepEqual([...all(link), ...all(link)], []);
      equal(link.counters.rxMalformed, 1);
    };
    if (name === "stream") withStream(body, ALL);
    else withGram(body, SOCK.DGRAM, ALL);
  });
}

for (const length of [60, 9_000]) {
  test(`a stream of frames of ${length} bytes that ends after any of them ends once, and takes no half frame`, () => {
    const whole = framed(new Uint8Array(length).fill(7));
    const cuts = length < 100
      ? Array.from({ length: whole.length + 1 }, (_, i) => i)
      : [0, 1, 3, 4, 5, 8_191, 8_192, 8_196, 8_197, length, length + 3, length + 4];
    for (const cut of cuts) {
      withStream(({ link, far, ends }) => {
        put(far, whole);
        put(far, whole.subarray(0, cut));
        equal(link.receive()?.length, length);
        const second = link.receive();
        equal(second?.length, cut === whole.length ? length : undefined, `cut at ${cut}`);
        equal(
          link.partial,
          cut === whole.length ? 0 : cut < 4 || length < 8_192 ? cut : cut - 4,
          `cut at ${cut}`,
        );
        deepEqual(ends, []);
        shutdown(far);
        // The first call may tell of a socket that was empty a moment ago.
        for (let i = 0; i < 3; i++) equal(link.receive(), undefined);
        deepEqual(ends, ["closed the connection"]);
      });
    }
  });
}

for (const seed of [1, 2, 3]) {
  test(`bytes without sense end a stream or are frames, however they are cut (seed ${seed})`, () => {
    const random = seeded(seed);
    for (let round = 0; round < 100; round++) {
      withStream(({ link, far, ends }) => {
        for (let i = 0; i < 50 && ends.length === 0; i++) {
          const bytes = randomBytes(random, between(random, 1, 200));
          // Most of what is random would be a giant's length.
          if (random() % 4 > 0) bytes.fill(0, 0, Math.min(2, bytes.length));
          put(far, bytes);
          for (let frame = link.receive(); frame !== undefined; frame = link.receive()) {
            ok(frame.length >= 14 && frame.length <= 65_535, `${frame.length} bytes`);
            frame.release();
          }
        }
        ok(ends.length <= 1);
      }, pick(random, [NO_WIRE_OFFLOAD, NO_WIRE_OFFLOAD, ALL]));
    }
  });
}
