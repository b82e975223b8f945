import { test } from "node:test";
import { deepStrictEqual, strictEqual } from "node:assert/strict";
import { MAX_IOVECS } from "../../../../lib/attach/sockets/message/flags.ts";
import { Message } from "../../../../lib/attach/sockets/message/message.ts";
import { Errno } from "../../../../lib/host/errno.ts";
import { NativeMemory } from "../../../../lib/host/memory.ts";
import { IOVEC_SIZE, Msghdr, SocketAddress, writeIovec } from "../../../../lib/host/structs.ts";
import { OwnCalls } from "../../../support/own_call.ts";

const HEADER = 0, PIECES = 64, NAME = 256, CONTROL = 320, DATA = 512;

/** A `struct msghdr` with pieces of these lengths, its data one after the other. */
function guest(
  lengths: readonly number[],
  fields: Partial<Record<keyof typeof Msghdr, number>> = {},
): NativeMemory {
  const memory = new NativeMemory(1_024);
  let at = memory.address + DATA;
  lengths.forEach((length, i) => {
    writeIovec(memory, PIECES, i, at, length);
    at += length;
  });
  memory.setPointer(HEADER + Msghdr.iov, memory.address + PIECES);
  memory.setPointer(HEADER + Msghdr.iovLength, lengths.length);
  for (const [field, value] of Object.entries(fields)) {
    const offset = Msghdr[field as keyof typeof Msghdr];
    if (field === "nameLength" || field === "flags") memory.view.setInt32(HEADER + offset, value, true);
    else memory.setPointer(HEADER + offset, value);
  }
  return memory;
}

test("Message.gather() and scatter() go through all pieces", () => {
  const calls = new OwnCalls();
  const memory = guest([3, 0, 5]);
  memory.bytes.set([1, 2, 3, 4, 5, 6, 7, 8], DATA);
  const message = new Message();
  const call = calls.call(0, memory.address);
  strictEqual(message.read(call, memory.address, 0x40), 0);
  deepStrictEqual([message.length, message.flags, message.name, message.controlLength], [8, 0x40, 0, 0]);
  const ours = new NativeMemory(16);
  strictEqual(message.gather(call, ours.address), true);
  deepStrictEqual([...ours.bytes.subarray(0, 8)], [1, 2, 3, 4, 5, 6, 7, 8]);
  ours.bytes.set([9, 9, 9, 9], 0);
  strictEqual(message.scatter(call, ours.address, 4), true);
  deepStrictEqual([...memory.bytes.subarray(DATA, DATA + 8)], [9, 9, 9, 9, 5, 6, 7, 8]);
  deepStrictEqual(calls.answers, []);
});

test("Message.read() refuses what the kernel refuses", () => {
  const table: readonly (readonly [what: string, memory: NativeMemory, errno: number])[] = [
    ["too many pieces", guest([], { iovLength: MAX_IOVECS + 1 }), Errno.EMSGSIZE],
    ["a name of negative length", guest([1], { name: 8, nameLength: -1 }), Errno.EINVAL],
    ["pieces that are not there", guest([], { iov: 8, iovLength: 1 }), Errno.EFAULT],
    ["pieces in the kernel", guest([], { iov: 2 ** 53, iovLength: 1 }), Errno.EFAULT],
  ];
  for (const [what, memory, errno] of table) {
    const calls = new OwnCalls();
    strictEqual(new Message().read(calls.call(), memory.address, 0), errno, what);
    deepStrictEqual(calls.answers, [-errno], what);
  }
  const calls = new OwnCalls();
  strictEqual(new Message().read(calls.call(), 8, 0), Errno.EFAULT);
  deepStrictEqual(calls.answers, [-Errno.EFAULT]);
});

test("Message.read() does not mind a length that nobody asks for", () => {
  const calls = new OwnCalls();
  const message = new Message();
  const memory = guest([2], { nameLength: -1, controlLength: 99 });
  strictEqual(message.read(calls.call(), memory.address, 0), 0);
  deepStrictEqual([message.name, message.nameLength, message.controlLength], [0, 0, 0]);
});

test("Message tells name, control messages and flags in the guest's header", () => {
  const calls = new OwnCalls();
  const memory = guest([2]);
  memory.setPointer(Msghdr.name, memory.address + NAME);
  memory.view.setInt32(Msghdr.nameLength, 8, true);
  memory.setPointer(Msghdr.control, memory.address + CONTROL);
  memory.setPointer(Msghdr.controlLength, 64);
  const message = new Message();
  const call = calls.call();
  strictEqual(message.read(call, memory.address, 0), 0);
  const from = new SocketAddress().set({ family: 4, a: 0, b: 0, c: 0xffff, d: 0x7f000001 }, 53);
  strictEqual(message.writeName(call, from, false), true);
  const control = new NativeMemory(32);
  control.bytes.fill(7);
  strictEqual(message.finish(call, control, 20, 0x20), true);
  // Room for 8 of the 16 bytes; the whole length is told.
  deepStrictEqual([...memory.bytes.subarray(NAME, NAME + 10)], [2, 0, 0, 53, 127, 0, 0, 1, 0, 0]);
  strictEqual(memory.view.getInt32(Msghdr.nameLength, true), 16);
  strictEqual(memory.getPointer(Msghdr.controlLength), 20);
  strictEqual(memory.view.getInt32(Msghdr.flags, true), 0x20);
  deepStrictEqual([...memory.bytes.subarray(CONTROL + 19, CONTROL + 21)], [7, 0]);
});

test("Message.readCopy() leaves the guest's header alone", () => {
  const calls = new OwnCalls();
  const memory = guest([2]);
  memory.setPointer(Msghdr.name, memory.address + NAME);
  memory.view.setInt32(Msghdr.nameLength, 28, true);
  const copy = new NativeMemory(128);
  copy.bytes.set(memory.bytes.subarray(0, 64), 64);
  const message = new Message();
  const call = calls.call();
  strictEqual(message.readCopy(call, copy, 64, memory.address, 0), 0);
  const from = new SocketAddress().set({ family: 4, a: 0, b: 0, c: 0xffff, d: 0x7f000001 }, 53);
  strictEqual(message.writeName(call, from, true), true);
  strictEqual(message.finish(call, copy, 0, 0x20), true);
  strictEqual(memory.view.getUint16(NAME, true), 10); // mapped, as an AF_INET6 socket shows it
  deepStrictEqual(
    [copy.view.getInt32(64 + Msghdr.nameLength, true), copy.view.getInt32(64 + Msghdr.flags, true)],
    [28, 0x20],
  );
  strictEqual(memory.view.getInt32(Msghdr.flags, true), 0);
});

test("Message gives up when the thread has gone", () => {
  const calls = new OwnCalls();
  const memory = guest([2]);
  const call = calls.call();
  calls.valid = false;
  strictEqual(new Message().read(call, memory.address, 0), Errno.EFAULT);
  deepStrictEqual([calls.answers, call.open], [[], false]);
});

test("Message.read() clamps lengths as the kernel does", () => {
  const calls = new OwnCalls();
  const memory = guest([]);
  memory.setPointer(Msghdr.iovLength, 2);
  for (const i of [0, 1]) memory.setPointer(PIECES + i * IOVEC_SIZE + 8, 0x7ffffff0);
  const message = new Message();
  strictEqual(message.read(calls.call(), memory.address, 0), 0);
  strictEqual(message.length, 0x7ffff000);
});
