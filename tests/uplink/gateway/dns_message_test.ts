import { strictEqual } from "node:assert/strict";
import { test } from "node:test";
import {
  isQuery,
  isResponse,
  messageId,
  Rcode,
  responseCode,
  toServerFailure,
} from "../../../lib/uplink/gateway/dns_message.ts";

/** A question for example.org A, with an EDNS option record behind it. */
function question(): DataView {
  const name = [7, ..."example".split("").map((c) => c.charCodeAt(0)), 3, 111, 114, 103, 0];
  const bytes = [0x12, 0x34, 1, 0x20, 0, 1, 0, 0, 0, 0, 0, 1, ...name, 0, 1, 0, 1];
  const edns = [0, 0, 41, 4, 208, 0, 0, 0, 0, 0, 0];
  return new DataView(Uint8Array.from([...bytes, ...edns]).buffer);
}

test("isQuery() wants a header without QR", () => {
  const view = question();
  strictEqual(isQuery(view, 0, view.byteLength), true);
  strictEqual(isQuery(view, 0, 11), false);
  view.setUint8(2, 0x81);
  strictEqual(isQuery(view, 0, view.byteLength), false);
});

test("isResponse() wants QR and the question's id", () => {
  const view = question();
  strictEqual(isResponse(view, 0, view.byteLength, 0x1234), false);
  view.setUint8(2, 0x81);
  strictEqual(isResponse(view, 0, view.byteLength, 0x1234), true);
  strictEqual(isResponse(view, 0, view.byteLength, 0x1235), false);
  strictEqual(isResponse(view, 0, 3, 0x1234), false);
});

test("toServerFailure() keeps id, opcode, RD and question, and drops the rest", () => {
  const view = question();
  const end = toServerFailure(view, 0, view.byteLength);
  strictEqual(end, 12 + 13 + 4);
  strictEqual(messageId(view, 0), 0x1234);
  strictEqual(view.getUint8(2), 0x81);
  strictEqual(responseCode(view, 0), Rcode.serverFailure);
  strictEqual(view.getUint16(4), 1);
  strictEqual(view.getUint16(10), 0);
});

test("toServerFailure() answers with a bare header when the question cannot be read", () => {
  for (const spoil of [(v: DataView) => v.setUint8(12, 0xc0), (v: DataView) => v.setUint16(4, 7)]) {
    const view = question();
    spoil(view);
    strictEqual(toServerFailure(view, 0, view.byteLength), 12);
    strictEqual(view.getUint16(4), 0);
  }
  const cut = question();
  strictEqual(toServerFailure(cut, 0, 20), 12);
});
