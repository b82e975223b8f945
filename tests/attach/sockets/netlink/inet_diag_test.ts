/** Answers to `ss`, against what a kernel answered about like sockets. */

import { test } from "node:test";
import { deepStrictEqual, strictEqual } from "node:assert/strict";
import { answerDiag, type DiagSocket } from "../../../../lib/attach/sockets/netlink/inet_diag.ts";
import { answerDatagram } from "../../../../lib/attach/sockets/netlink/protocol.ts";
import type { Asker } from "../../../../lib/attach/sockets/netlink/request.ts";
import type { SocketFacts } from "../../../../lib/stack/facts.ts";

const ASKER: Asker = { port: 0x1234, strict: false, extendedAck: true, capAck: false, uid: 0 };
const DUMP = 0x301, EVERY_STATE = 0xfff;

function socket(facts: Partial<SocketFacts>): DiagSocket {
  const base: SocketFacts = {
    protocol: "tcp",
    state: "ESTAB",
    family: 4,
    local: "127.0.0.1",
    localPort: 0x846d,
    remote: "127.0.0.1",
    remotePort: 0xd14e,
    receiveQueue: 0,
    sendQueue: 0,
  };
  return { facts: { ...base, ...facts }, inode: 0, uid: 0 };
}

const SOCKETS: readonly DiagSocket[] = [
  socket({ state: "LISTEN", remote: "0.0.0.0", remotePort: 0, sendQueue: 7 }),
  socket({ receiveQueue: 5 }),
  socket({ protocol: "udp", state: "UNCONN", local: "0.0.0.0", remote: "0.0.0.0", remotePort: 0 }),
  socket({ family: 6, state: "LISTEN", local: "::", remote: "::", remotePort: 0 }),
];

function ask(family: number, protocol: number, states: number, flags = DUMP, type = 20): DataView[] {
  const bytes = new Uint8Array(16 + 56);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, bytes.length, true);
  view.setUint16(4, type, true);
  view.setUint16(6, flags, true);
  bytes[16] = family;
  bytes[17] = protocol;
  view.setUint32(20, states, true);
  return answerDatagram(bytes, ASKER, (request, out) => answerDiag(request, () => SOCKETS, out))
    .map(({ buffer }) => new DataView(buffer));
}

/** State and local port of each socket in the first datagram. */
function shown([first]: readonly DataView[]): (readonly [number, number])[] {
  const found: (readonly [number, number])[] = [];
  for (let at = 0; at < first!.byteLength; at += (first!.getUint32(at, true) + 3) & ~3) {
    if (first!.getUint16(at + 4, true) === 20) {
      found.push([first!.getUint8(at + 17), first!.getUint16(at + 20)]);
    }
  }
  return found;
}

test("answerDiag() shows the sockets of one protocol and family", () => {
  deepStrictEqual(shown(ask(2, 6, EVERY_STATE)), [[10, 0x846d], [1, 0x846d]]);
  deepStrictEqual(shown(ask(2, 17, EVERY_STATE)), [[7, 0x846d]]);
  deepStrictEqual(shown(ask(10, 6, EVERY_STATE)), [[10, 0x846d]]);
});

test("answerDiag() shows the states that are asked for", () => {
  deepStrictEqual(shown(ask(2, 6, 1 << 10)), [[10, 0x846d]]);
  deepStrictEqual(shown(ask(2, 6, 1 << 1)), [[1, 0x846d]]);
});

test("answerDiag() lays out a connection as Linux does", () => {
  const [view] = ask(2, 6, 1 << 1);
  const hex = [...new Uint8Array(view!.buffer, 16, 72)].map((byte) => byte.toString(16).padStart(2, "0"))
    .join("");
  const none = "00".repeat(12);
  strictEqual(
    hex,
    `02010000846dd14e7f000001${none}7f000001${none}${"00".repeat(16)}0500000000000000${"00".repeat(8)}`,
  );
});

test("answerDiag() knows no other families, as a kernel without their modules, and destroys nothing", () => {
  const errno = (views: readonly DataView[]) => views[0]!.getInt32(16, true);
  strictEqual(errno(ask(1, 0, EVERY_STATE)), -2);
  strictEqual(errno(ask(2, 132, EVERY_STATE)), -2);
  strictEqual(errno(ask(2, 6, EVERY_STATE, 5, 21)), -1);
  strictEqual(errno(ask(2, 6, EVERY_STATE, DUMP, 18)), -22);
});
