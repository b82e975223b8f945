import { test } from "node:test";
import { deepEqual, equal } from "node:assert/strict";
import { emitTcp, parseTcp, TcpFlag, TcpHeader, tcpHeaderLength } from "../../../lib/stack/wire/tcp.ts";
import { roomy, tight, toHex } from "../../support/bytes.ts";
import { FRAMES } from "../../support/frames.ts";
import { between, seeded } from "../../support/random.ts";

const SYN = FRAMES.syn4.subarray(34);
const ACK = FRAMES.ack4.subarray(34);

test("parseTcp() reads a SYN with all its options", () => {
  const p = tight(SYN);
  const h = new TcpHeader();
  equal(parseTcp(p, h), undefined);
  equal(h.sourcePort, 37_050);
  equal(h.destinationPort, 80);
  equal(h.sequence, 2_282_609_528 | 0);
  equal(h.acknowledgment, 0);
  equal(h.flags, TcpFlag.syn);
  equal(h.window, 64_240);
  equal(h.headerLength, 40);
  equal(h.mss, 1460);
  equal(h.windowScale, 10);
  equal(h.sackPermitted, true);
  equal(h.hasTimestamp, true);
  equal(h.timestampValue, 2_616_899_449 | 0);
  equal(h.timestampEcho, 0);
  equal(h.sackCount, 0);
  equal(p.length, 0);
});

test("parseTcp() forgets the options of the segment before", () => {
  const h = new TcpHeader();
  parseTcp(tight(SYN), h);
  equal(parseTcp(tight("0001 0002 00000001 00000002 5010 0003 0000 0004 6869"), h), undefined);
  equal(h.mss, 0);
  equal(h.windowScale, -1);
  equal(h.sackPermitted, false);
  equal(h.hasTimestamp, false);
  equal(h.urgentPointer, 4);
});

test("parseTcp() reads a segment of an established connection", () => {
  const p = tight(FRAMES.data4.subarray(34));
  const h = new TcpHeader();
  equal(parseTcp(p, h), undefined);
  equal(h.flags, TcpFlag.psh | TcpFlag.ack);
  equal(h.timestampValue, 4_271_642_094 | 0);
  equal(h.timestampEcho, 613_724_501);
  equal(toHex(p.toBytes()), "6869");
});

const HEAD = "0001 0002 00000001 00000002";
/** A segment with flags and raw options, padded with zeros. */
const segment = (flags: number, options: string) => {
  const length = options.replaceAll(" ", "").length / 2;
  const padded = (length + 3) & ~3;
  const offset = ((20 + padded) << 2).toString(16).padStart(2, "0");
  return `${HEAD} ${offset}${flags.toString(16).padStart(2, "0")} 0003 0000 0000 ${options}${
    "00".repeat(padded - length)
  }`;
};

test("parseTcp() reads SACK blocks behind timestamps", () => {
  const h = new TcpHeader();
  const options = "0101 080a 00000001 00000002 0101 0512 fffffff0 00000010 00000020 00000030";
  equal(parseTcp(tight(segment(16, options)), h), undefined);
  equal(h.hasTimestamp, true);
  equal(h.sackCount, 2);
  deepEqual([...h.sackLeft.subarray(0, 2)], [-16, 32]);
  deepEqual([...h.sackRight.subarray(0, 2)], [16, 48]);
});

const OPTIONS: [why: string, flags: number, options: string, want: Partial<TcpHeader>][] = [
  ["a SYN without options", 2, "", { mss: 0, windowScale: -1, sackPermitted: false }],
  ["a scale above 14", 2, "030310 00", { windowScale: 14 }],
  ["MSS outside of a SYN", 16, "020405b4", { mss: 0 }],
  ["a scale outside of a SYN", 16, "03030a00", { windowScale: -1 }],
  ["SACK permitted outside of a SYN", 16, "0402 0000", { sackPermitted: false }],
  ["MSS of a wrong length, which is skipped", 2, "0203aa 03030700", { mss: 0, windowScale: 7 }],
  ["unknown ones, which are skipped", 2, "fe04aabb 02040200", { mss: 512 }],
  ["fast open, which is skipped", 2, "2206 01020304 02040200", { mss: 512 }],
  ["the end of the list", 2, "00 020405b4", { mss: 0 }],
  ["a length of 0", 2, "0204 0200 fe00 0303 0700", { mss: 512, windowScale: -1 }],
  ["a length of 1", 2, "fe01 0204 0200", { mss: 0 }],
  ["a length beyond the header", 2, "0204 0200 fe09 0000", { mss: 512 }],
  ["a kind without length", 2, "0204 0200 010101fe", { mss: 512 }],
  ["a block and a half", 16, "0101 050e 00000001 00000002 00000003", { sackCount: 0 }],
  ["no block at all", 16, "0101 0502", { sackCount: 0 }],
  ["four blocks", 16, `0101 0522 ${"00000001".repeat(8)}`, { sackCount: 4 }],
];
for (const [why, flags, options, want] of OPTIONS) {
  test(`parseTcp() reads options: ${why}`, () => {
    const h = new TcpHeader();
    equal(parseTcp(tight(segment(flags, options)), h), undefined);
    for (const [key, value] of Object.entries(want)) equal(h[key as keyof TcpHeader], value, key);
  });
}

const BAD: [why: string, bytes: string, want: string][] = [
  ["nothing", "", "truncated"],
  ["19 bytes", `${HEAD} 5010 0003 0000 00`, "truncated"],
  ["an offset of 4", `${HEAD} 4010 0003 0000 0000`, "bad-header-length"],
  ["an offset of 0", `${HEAD} 0010 0003 0000 0000`, "bad-header-length"],
  ["an offset beyond the segment", `${HEAD} 6010 0003 0000 0000`, "bad-header-length"],
  ["source port 0", "0000 0002 00000001 00000002 5010 0003 0000 0000", "port-zero"],
  ["destination port 0", "0001 0000 00000001 00000002 5010 0003 0000 0000", "port-zero"],
];
for (const [why, bytes, want] of BAD) {
  test(`parseTcp() refuses ${why}`, () => {
    const p = tight(bytes);
    equal(parseTcp(p, new TcpHeader()), want);
    equal(p.start, 0);
  });
}

for (const name of ["syn4", "synAck4", "ack4", "syn6"] as const) {
  test(`emitTcp() lays out ${name} as Linux did`, () => {
    const bytes = FRAMES[name].subarray(name === "syn6" ? 54 : 34);
    const h = new TcpHeader();
    parseTcp(tight(bytes), h);
    const p = roomy("");
    emitTcp(p, h);
    equal(h.headerLength, bytes.length);
    p.bytes.set(bytes.subarray(16, 18), p.start + 16);
    equal(toHex(p.toBytes()), toHex(bytes));
  });
}

test("emitTcp() leaves out the SACK blocks that do not fit beside timestamps", () => {
  const h = new TcpHeader();
  parseTcp(tight(ACK), h);
  h.sackCount = 4;
  equal(tcpHeaderLength(h), 60);
  const p = roomy("");
  emitTcp(p, h);
  parseTcp(p, h);
  equal(h.sackCount, 3);
});

test("parseTcp() reads what emitTcp() wrote", () => {
  const seed = 13;
  const random = seeded(seed);
  const coin = () => (random() & 1) === 0;
  for (let round = 0; round < 1000; round++) {
    const h = new TcpHeader();
    const syn = coin();
    h.sourcePort = between(random, 1, 65_535);
    h.destinationPort = between(random, 1, 65_535);
    h.sequence = random() | 0;
    h.acknowledgment = random() | 0;
    h.flags = syn ? random() & 0xff | 2 : random() & 0xfd;
    h.window = random() & 0xffff;
    h.urgentPointer = random() & 0xffff;
    if (syn) {
      if (coin()) h.mss = between(random, 1, 65_535);
      if (coin()) h.windowScale = between(random, 0, 14);
      h.sackPermitted = coin();
    } else {
      h.sackCount = between(random, 0, 3);
      for (let i = 0; i < h.sackCount; i++) {
        h.sackLeft[i] = random();
        h.sackRight[i] = random();
      }
    }
    if (coin()) {
      h.hasTimestamp = true;
      h.timestampValue = random() | 0;
      h.timestampEcho = random() | 0;
    }
    const p = roomy("");
    emitTcp(p, h);
    const read = new TcpHeader();
    equal(parseTcp(p, read), undefined, `seed ${seed} round ${round}`);
    equal(p.length, 0);
    deepEqual(read, h, `seed ${seed} round ${round}`);
  }
});
