import { test } from "node:test";
import { strictEqual } from "node:assert/strict";
import { bindAll } from "../../lib/host/ffi/bind.ts";
import { openBun } from "../../lib/host/ffi/bun.ts";
import { openDeno } from "../../lib/host/ffi/deno.ts";

interface Face {
  no_such_function(address: number, value: number): number;
  no_such_spawn(): number;
  abs(value: number): number;
  memcmp(a: number, b: number, length: number): number;
}

const backend = typeof (globalThis as { Deno?: unknown }).Deno === "undefined" ? openBun() : openDeno();
const face = bindAll<Face>(backend, {
  no_such_function: "ai:i",
  no_such_spawn: ":e",
  abs: "i:i",
  memcmp: "aai:i",
});

test("bindAll() answers −ENOSYS for what this libc does not have", () => {
  for (let i = 0; i < 3; i++) strictEqual(face.no_such_function(0, 1), -38);
  strictEqual(face.no_such_spawn(), -38);
});

test("bindAll() finds a symbol when it is first called", () => {
  for (let i = 0; i < 3; i++) strictEqual(face.abs(-7), 7);
});

test("an address reaches C exactly, also when two share a cache slot", () => {
  const bytes = new Uint8Array(1 << 20);
  const address = backend.addressOf(bytes);
  // More addresses than the cache has slots, each with a byte of its own to compare.
  for (let i = 0; i < bytes.length; i += 64) bytes[i] = i >>> 6;
  for (let round = 0; round < 2; round++) {
    for (let i = 0; i < bytes.length; i += 64) {
      const same = ((i >>> 6) & 0xff) === 0;
      strictEqual(face.memcmp(address + i, address, 1) === 0, same);
    }
  }
});
