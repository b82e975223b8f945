import { deepEqual, equal } from "node:assert/strict";
import { test } from "node:test";
import { SOCKET_BUFFER, socketBuffer } from "../../../lib/attach/vm/socket_buffers.ts";

const KIB = 1_024;

test("guests share the kernel's buffers, down to what two long frames need", () => {
  const sizes = [1, 16, 17, 64, 128, 129, 1_024].map((guests) => socketBuffer(guests) / KIB);
  deepEqual(sizes, [1_024, 1_024, 512, 256, 128, 128, 128]);
});

test("who comes and goes has the buffers of the others changed once, not each time", () => {
  let current = SOCKET_BUFFER, changes = 0;
  for (let i = 0; i < 100; i++) {
    for (const guests of [64, 65]) {
      const bytes = socketBuffer(guests, current);
      if (bytes !== current) changes++;
      current = bytes;
    }
  }
  equal(changes, 2);
  equal(socketBuffer(8, current), SOCKET_BUFFER);
});
