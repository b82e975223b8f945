import { test } from "node:test";
import { deepStrictEqual, strictEqual } from "node:assert/strict";
import { NativeMemory } from "../../../../lib/host/memory.ts";
import { writeCmsg } from "../../../../lib/host/structs.ts";
import { ControlReader, ControlWriter } from "../../../../lib/attach/sockets/message/control.ts";
import { MessageFlag } from "../../../../lib/attach/sockets/message/flags.ts";

/** What a reader finds in the first `length` bytes, as `level.type:length`. */
function found(memory: NativeMemory, length: number): { messages: string[]; last: number } {
  const reader = new ControlReader().begin(memory.view, 0, length);
  const messages: string[] = [];
  for (;;) {
    const last = reader.next();
    if (last !== 1) return { messages, last };
    messages.push(`${reader.level}.${reader.type}:${reader.length}`);
  }
}

test("ControlWriter writes what ControlReader reads", () => {
  const writer = new ControlWriter().begin(512);
  writer.addInt(0, 2, 64);
  const at = writer.add(0, 1, 1);
  writer.memory.view.setUint8(at, 16);
  writer.add(41, 50, 20);
  strictEqual(writer.flags, 0);
  strictEqual(writer.length, 24 + 24 + 40);
  deepStrictEqual(found(writer.memory, writer.length), { messages: ["0.2:4", "0.1:1", "41.50:20"], last: 0 });
});

test("ControlWriter cuts what does not fit, as put_cmsg does", () => {
  // Room, then the length that is told, and whether something was lost.
  const table: readonly (readonly [room: number, length: number, cut: boolean])[] = [
    [0, 0, true],
    [15, 0, true],
    [16, 16, true],
    [18, 18, true],
    [20, 20, false], // the padding of the last one need not fit
    [24, 24, false],
    [4_096, 24, false],
  ];
  for (const [room, length, cut] of table) {
    const writer = new ControlWriter().begin(room);
    writer.addInt(0, 2, 64);
    deepStrictEqual([room, writer.length, writer.flags], [room, length, cut ? MessageFlag.CTRUNC : 0]);
  }
});

test("ControlReader refuses lengths that point nowhere", () => {
  const memory = new NativeMemory(64);
  for (const size of [0, 15, 65, 0x7fffffff, -1]) {
    writeCmsg(memory.view, 0, 0, 2, 4);
    memory.view.setInt32(0, size, true);
    deepStrictEqual(found(memory, 64), { messages: [], last: -1 }, `size ${size}`);
  }
  writeCmsg(memory.view, 0, 0, 2, 4);
  memory.view.setUint32(4, 1, true); // longer than 4 GiB
  deepStrictEqual(found(memory, 64), { messages: [], last: -1 });
});

test("ControlReader ends before a header that is cut off", () => {
  const memory = new NativeMemory(64);
  writeCmsg(memory.view, 0, 0, 2, 4);
  deepStrictEqual(found(memory, 24 + 15), { messages: ["0.2:4"], last: 0 });
  deepStrictEqual(found(memory, 0), { messages: [], last: 0 });
});
