/** Answers to rtnetlink requests, byte for byte those of a kernel in a namespace set up alike. */

import { test } from "node:test";
import { deepStrictEqual, strictEqual } from "node:assert/strict";
import process from "node:process";
import { answerDatagram, MAX_REQUESTS } from "../../../../lib/attach/sockets/netlink/protocol.ts";
import type { Asker } from "../../../../lib/attach/sockets/netlink/request.ts";
import { answerRoute } from "../../../../lib/attach/sockets/netlink/rtnetlink.ts";
import { between, pick, seeded } from "../../../support/random.ts";
import { FACTS } from "./facts.ts";
import { RECORDED } from "./recorded.ts";

const ASKER: Asker = { port: 0x1234, strict: false, extendedAck: true, capAck: false, uid: 0 };

function bytesOf(hex: string): Uint8Array<ArrayBuffer> {
  return Uint8Array.from(hex.match(/../g) ?? [], (pair) => parseInt(pair, 16));
}

function hexOf(bytes: Uint8Array): string {
  return [...bytes].map((byte) => byte.toString(16).padStart(2, "0")).join("");
}

function ask(request: Uint8Array, asker: Asker = ASKER): Uint8Array<ArrayBuffer>[] {
  return answerDatagram(request, asker, (one, out) => answerRoute(one, FACTS, out));
}

/** A request with this type, these flags, and a body of bytes. */
function request(type: number, flags: number, body: readonly number[]): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(16 + body.length);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, bytes.length, true);
  view.setUint16(4, type, true);
  view.setUint16(6, flags, true);
  view.setUint32(8, 7, true);
  bytes.set(body, 16);
  return bytes;
}

for (const { name, strict, request, answers } of RECORDED) {
  test(`answerRoute() answers as the kernel does: ${name}${strict ? ", strict" : ""}`, () => {
    deepStrictEqual(ask(bytesOf(request), { ...ASKER, strict }).map(hexOf), answers);
  });
}

test("answerRoute() refuses every change with EPERM, and the request is echoed", () => {
  for (const type of [16, 17, 19, 20, 21, 24, 25, 28, 29, 32, 33, 36, 37]) {
    const change = request(type, 5, [2, 0, 0, 0]);
    const [answer, ...more] = ask(change);
    strictEqual(more.length, 0);
    const view = new DataView(answer!.buffer);
    strictEqual(view.getUint16(4, true), 2, `type ${type}`);
    strictEqual(view.getInt32(16, true), -1, `type ${type}`);
    strictEqual(hexOf(answer!.subarray(20)), hexOf(change));
  }
});

test("answerDatagram() caps the echo of a refused request when NETLINK_CAP_ACK asks for it", () => {
  const [answer] = ask(request(16, 5, [2, 0, 0, 0, 1, 2, 3, 4]), { ...ASKER, capAck: true });
  strictEqual(answer!.length, 36);
  strictEqual(new DataView(answer!.buffer).getUint16(6, true), 0x100);
});

test("answerDatagram() answers several requests of one datagram in order", () => {
  const link = request(18, 1, [0, 0, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
  const rules = request(34, 0x301, [2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
  const both = new Uint8Array([...link, ...rules]);
  const types = ask(both).map((datagram) => new DataView(datagram.buffer).getUint16(4, true));
  deepStrictEqual(types, [16, 32]);
});

test("answerDatagram() carries out no more than its limit of requests", () => {
  const one = request(18, 1, [0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
  const many = new Uint8Array(one.length * (MAX_REQUESTS + 9));
  for (let at = 0; at < many.length; at += one.length) many.set(one, at);
  strictEqual(ask(many).length, MAX_REQUESTS);
});

test("answerDatagram() survives any bytes", () => {
  const seed = Number(process.env["SEED"] ?? 1);
  console.log(`seed ${seed}`);
  const random = seeded(seed);
  const seeds = RECORDED.map((recorded) => bytesOf(recorded.request));
  for (let i = 0; i < 20_000; i++) {
    const bytes = pick(random, seeds).slice();
    for (let change = between(random, 0, 6); change >= 0; change--) {
      bytes[between(random, 0, bytes.length - 1)] = random() & 255;
    }
    const end = between(random, 0, 7) === 0 ? between(random, 0, bytes.length) : bytes.length;
    for (const reply of ask(bytes.subarray(0, end), { ...ASKER, strict: (i & 1) === 1 })) {
      strictEqual(reply.length % 4, 0);
    }
  }
});

test("answerRoute() tells of a link what Linux 6.18 does, in its order", () => {
  const [answer] = ask(request(18, 1, [0, 0, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]));
  const view = new DataView(answer!.buffer);
  const types: number[] = [];
  for (let at = 32; at < answer!.length; at += (view.getUint16(at, true) + 3) & ~3) {
    types.push(view.getUint16(at + 2, true) & 0x3fff);
  }
  // deno-fmt-ignore
  deepStrictEqual(types, [
    3, 13, 16, 17, 67, 4, 50, 51, 27, 30, 61, 31, 40, 41, 58, 63, 64, 59, 60, 66, 32, 33, 35, 47, 48, 68, 69, 39,
    1, 2, 23, 7, 43, 6, 26, 14, 62, 65,
  ]);
});
