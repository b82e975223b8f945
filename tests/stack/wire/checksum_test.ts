import { test } from "node:test";
import { equal } from "node:assert/strict";
import { Checksum } from "../../../lib/stack/buffer/packet.ts";
import { BufferPool, LARGE } from "../../../lib/stack/buffer/pool.ts";
import { IpAddress } from "../../../lib/stack/wire/address.ts";
import { IpHeader, IpProtocol } from "../../../lib/stack/wire/ip.ts";
import {
  completeChecksum,
  onesComplementSum,
  packetSum,
  pseudoHeaderSum,
  startChecksum,
  verifyTransport,
} from "../../../lib/stack/wire/checksum.ts";
import { parseIpv4 } from "../../../lib/stack/wire/ipv4.ts";
import { parseIpv6 } from "../../../lib/stack/wire/ipv6.ts";
import { TCP_CHECKSUM } from "../../../lib/stack/wire/tcp.ts";
import { UDP_CHECKSUM } from "../../../lib/stack/wire/udp.ts";
import { fragmented, hex, roomy, tight } from "../../support/bytes.ts";
import { type FrameName, FRAMES } from "../../support/frames.ts";
import { between, randomBytes, seeded } from "../../support/random.ts";
import { slowSum } from "../../support/slow_sum.ts";

const viewOf = (bytes: Uint8Array) => new DataView(bytes.buffer, bytes.byteOffset, bytes.length);

test("onesComplementSum() agrees with the example of RFC 1071 section 3", () => {
  equal(onesComplementSum(viewOf(hex("0001 f203 f4f5 f6f7")), 0, 8, 0), 0xddf2);
});

test("onesComplementSum() agrees with the definition for every length and alignment", () => {
  const bytes = randomBytes(seeded(1), 200);
  for (let start = 0; start < 9; start++) {
    for (let end = start; end <= bytes.length; end++) {
      equal(
        onesComplementSum(viewOf(bytes), start, end, 0x1234),
        slowSum(bytes.subarray(start, end), 0x1234),
      );
    }
  }
});

for (const size of [65_535, 65_536, 65_537, 262_143, 1_000_001]) {
  test(`onesComplementSum() does not overflow on ${size} bytes of ff`, () => {
    const bytes = new Uint8Array(size).fill(0xff);
    equal(onesComplementSum(viewOf(bytes), 0, size, 0xffff), slowSum(bytes, 0xffff));
  });
}

test("onesComplementSum() agrees with the definition on long input", () => {
  const bytes = randomBytes(seeded(2), 200_003);
  for (const start of [0, 1, 2, 3]) {
    equal(onesComplementSum(viewOf(bytes), start, bytes.length, 0), slowSum(bytes.subarray(start)));
  }
});

test("onesComplementSum() keeps inside a view that is a part of its buffer", () => {
  const bytes = randomBytes(seeded(3), 101);
  equal(onesComplementSum(viewOf(bytes.subarray(3, 98)), 1, 95, 7), slowSum(bytes.subarray(4, 98), 7));
});

test("packetSum() is blind to how a packet is cut into fragments", () => {
  const seed = 4;
  const random = seeded(seed);
  for (let round = 0; round < 500; round++) {
    const bytes = randomBytes(random, between(random, 1, 300));
    const sizes = Array.from({ length: between(random, 1, 9) }, () => between(random, 0, 40));
    const p = fragmented(bytes, between(random, 0, bytes.length), sizes);
    equal(p.totalLength, bytes.length);
    equal(packetSum(p, p.start, 99), slowSum(bytes, 99), `seed ${seed} round ${round}`);
  }
});

test("packetSum() is the same wherever the bytes are, in vector memory or not", () => {
  const plain = new BufferPool(), vectors = new BufferPool();
  vectors.useVectors();
  const seed = 5;
  const random = seeded(seed);
  for (let round = 0; round < 300; round++) {
    const pieces = Array.from(
      { length: between(random, 1, 5) },
      () => randomBytes(random, between(random, 0, round % 10 === 0 ? 60_000 : 600)),
    );
    const p = plain.take(0);
    for (const piece of pieces) {
      const buffer = (random() % 3 === 0 ? plain : vectors).take(LARGE - 1_000);
      const start = between(random, 0, 900);
      buffer.bytes.fill(0xff).set(piece, start);
      p.attach(buffer, start, start + piece.length);
      buffer.release();
    }
    const initial = between(random, 0, 0xffff);
    equal(packetSum(p, p.start, initial), slowSum(p.toBytes(), initial), `seed ${seed} round ${round}`);
    p.release();
  }
});

test("pseudoHeaderSum() does not count the prefix of a v4-mapped address", () => {
  const a = IpAddress.v4(0x0a000001);
  const b = IpAddress.v4(0x0a000002);
  equal(pseudoHeaderSum(a, b, 6, 20), 0x0a00 + 1 + 0x0a00 + 2 + 6 + 20);
});

const GOOD: FrameName[] = [
  "echoRequest4",
  "echoReply4",
  "syn4",
  "ack4",
  "udp4",
  "unreachable4",
  "neighbourSolicitation",
  "neighbourAdvertisement",
  "listenerReport",
  "echoRequest6",
  "syn6",
  "udp6",
  "unreachable6",
];
for (const name of GOOD) {
  test(`verifyTransport() accepts ${name} and no flipped bit of it`, () => {
    const { p, ip } = transport(FRAMES[name]);
    equal(verifyTransport(p, ip), true);
    for (let i = p.start; i < p.end; i++) {
      // The UDP length says what is summed, and a UDP checksum of zero says that nothing is.
      if (ip.protocol === IpProtocol.udp && i >= p.start + 4 && i < p.start + 6) continue;
      p.bytes[i]! ^= 0x10;
      equal(verifyTransport(p, ip), false, `byte ${i - p.start}`);
      p.bytes[i]! ^= 0x10;
    }
  });
}

for (const name of ["synAck4", "data4"] as const) {
  test(`completeChecksum() completes ${name}, which the kernel left partial`, () => {
    const { p, ip } = transport(FRAMES[name]);
    equal(verifyTransport(p, ip), false);
    p.checksum = Checksum.partial;
    equal(verifyTransport(p, ip), true, "a partial checksum is good data");
    p.checksumStart = p.start;
    p.checksumOffset = TCP_CHECKSUM;
    const partial = p.view.getUint16(p.start + TCP_CHECKSUM);
    startChecksum(p, ip.source, ip.destination, IpProtocol.tcp, TCP_CHECKSUM);
    equal(p.view.getUint16(p.start + TCP_CHECKSUM), partial, "ours is the kernel's");
    completeChecksum(p);
    equal(p.checksum, Checksum.unknown);
    equal(verifyTransport(p, ip), true);
  });
}

test("startChecksum() and completeChecksum() make what verifyTransport() accepts, with any fragments", () => {
  const seed = 6;
  const random = seeded(seed);
  const ip = new IpHeader();
  for (let round = 0; round < 300; round++) {
    const bytes = randomBytes(random, between(random, 20, 200));
    const p = fragmented(bytes, between(random, 20, bytes.length), [7, 1, 16, 3]);
    const udp = (random() & 1) === 0;
    ip.protocol = udp ? IpProtocol.udp : IpProtocol.tcp;
    const v6 = (random() & 1) === 0;
    ip.family = v6 ? 6 : 4;
    for (const address of [ip.source, ip.destination]) {
      address.family = ip.family;
      address.a = v6 ? random() | 0 : 0;
      address.c = v6 ? random() | 0 : 0xffff;
      address.d = random() | 0;
    }
    if (udp) p.view.setUint16(p.start + 4, p.totalLength);
    startChecksum(p, ip.source, ip.destination, ip.protocol, udp ? UDP_CHECKSUM : TCP_CHECKSUM);
    p.bytes.subarray(0, p.start).fill(round); // Headers that came in front since then must not count.
    completeChecksum(p);
    equal(verifyTransport(p, ip), true, `seed ${seed} round ${round}`);
  }
});

test("completeChecksum() never leaves a zero, which would mean none to UDP", () => {
  const p = roomy("0000 0000 0008 0000");
  p.checksum = Checksum.partial;
  p.checksumStart = p.start;
  p.checksumOffset = UDP_CHECKSUM;
  p.view.setUint16(p.start + 6, 0xffff - 8);
  completeChecksum(p);
  equal(p.view.getUint16(p.start + 6), 0xffff);
});

test("verifyTransport() takes a UDP datagram without checksum over IPv4 only", () => {
  for (const [name, want] of [["udp4", true], ["udp6", false]] as const) {
    const { p, ip } = transport(FRAMES[name]);
    p.view.setUint16(p.start + UDP_CHECKSUM, 0);
    equal(verifyTransport(p, ip), want, name);
  }
});

test("verifyTransport() sums only as far as the UDP length", () => {
  const { p, ip } = transport(FRAMES.udp4);
  const longer = tight(Uint8Array.of(...p.bytes.subarray(p.start, p.end), 1, 2, 3));
  equal(verifyTransport(longer, ip), true);
});

test("verifyTransport() trusts the link", () => {
  const { p, ip } = transport(FRAMES.syn4);
  p.bytes[p.start]! ^= 1;
  equal(verifyTransport(p, ip), false);
  p.checksum = Checksum.valid;
  equal(verifyTransport(p, ip), true);
});

function transport(frame: Uint8Array): { p: ReturnType<typeof tight>; ip: IpHeader } {
  const p = tight(frame);
  p.start = 14;
  const ip = new IpHeader();
  equal(frame[12] === 0x08 ? parseIpv4(p, ip) : parseIpv6(p, ip), undefined);
  return { p, ip };
}
