import { test } from "node:test";
import { deepStrictEqual, ok, strictEqual } from "node:assert/strict";
import { Channel } from "../../../../lib/attach/sockets/impersonate/channel.ts";
import { type Pipe, Pipes } from "../../../../lib/attach/sockets/impersonate/pipes.ts";
import { F, MSG, SHUT, SO, SOCK, SOL } from "../../../../lib/host/constants.ts";
import { Errno } from "../../../../lib/host/errno.ts";
import { atUrgentMark, setOption } from "../../../../lib/host/inet.ts";
import { NativeMemory } from "../../../../lib/host/memory.ts";
import { socketPair } from "../../../../lib/host/socket_pair.ts";
import { close, fcntl, recv, send, shutdown } from "../../../../lib/host/sys.ts";

const memory = new NativeMemory(1 << 20);
const payload = memory.bytes.map((_, i) => (i * 31 + (i >>> 8)) & 0xff);

/** Two pairs, and a channel from the first to the second. */
function between(body: (write: number, from: number, to: number, read: number) => void): void {
  const [write, from] = socketPair(SOCK.STREAM | SOCK.NONBLOCK);
  const [to, read] = socketPair(SOCK.STREAM | SOCK.NONBLOCK);
  try {
    body(write, from, to, read);
  } finally {
    for (const fd of [write, from, to, read]) close(fd);
  }
}

/** Reads what there is. */
function take(fd: number): number[] {
  const all: number[] = [];
  for (;;) {
    const n = recv(fd, memory.address, memory.bytes.length, MSG.DONTWAIT);
    if (n <= 0) return all;
    for (let i = 0; i < n; i++) all.push(memory.bytes[i]!);
  }
}

function put(fd: number, from: number, length: number): number {
  memory.bytes.set(payload.subarray(from, from + length));
  return send(fd, memory.address, length, MSG.DONTWAIT | MSG.NOSIGNAL);
}

/** As the kernel gives them to a user who has many. */
function smallPipe(): Pipe {
  const pipe = new Pipes().take()!;
  return { ...pipe, room: fcntl(pipe.write, F.SETPIPE_SZ, 4_096) };
}

const PIPES: Readonly<Record<string, (pipes: Pipes) => void>> = {
  "through a pipe": () => {},
  "through a small pipe": (pipes) => pipes.take = smallPipe,
  "by copying, when there is no pipe": (pipes) => pipes.take = () => undefined,
};

for (const [how, furnish] of Object.entries(PIPES)) {
  const pipes = new Pipes();
  furnish(pipes);

  test(`Channel.move() passes urgent bytes on as such ${how}`, () =>
    between((write, from, to, read) => {
      setOption(from, SOL.SOCKET, SO.OOBINLINE, 1);
      const channel = new Channel(pipes);
      channel.urgent = true;
      for (const length of [0, 10, 10_000]) {
        if (length > 0) strictEqual(put(write, 0, length), length);
        memory.bytes[0] = 33;
        strictEqual(send(write, memory.address, 1, MSG.OOB), 1);
        strictEqual(put(write, 50, 3), 3);
        for (let i = 0; i < 10; i++) {
          channel.readable = channel.writable = true;
          channel.move(from, to);
        }
        // A read ends at the mark.
        if (length > 0) strictEqual(recv(read, memory.address, memory.bytes.length, MSG.DONTWAIT), length);
        strictEqual(atUrgentMark(read), true);
        strictEqual(recv(read, memory.address, 1, MSG.OOB), 1);
        strictEqual(memory.bytes[0], 33);
        deepStrictEqual(take(read), [...payload.subarray(50, 53)]);
      }
    }));

  test(`Channel.move() passes bytes and their end on ${how}`, () =>
    between((write, from, to, read) => {
      const channel = new Channel(pipes);
      strictEqual(put(write, 0, 10_000), 10_000);
      strictEqual(channel.move(from, to), "all");
      deepStrictEqual(take(read), [...payload.subarray(0, 10_000)]);
      shutdown(write, SHUT.WR);
      channel.readable = true;
      strictEqual(channel.move(from, to), "end");
      strictEqual(channel.bytes, 10_000);
      channel.close();
    }));

  test(`Channel.move() loses nothing when the target is full ${how}`, () =>
    between((write, from, to, read) => {
      const channel = new Channel(pipes);
      let sent = 0;
      const seen: number[] = [];
      // Until nothing moves any more: the target, the pipe and the source are full.
      for (let idle = 0; idle < 3;) {
        const n = put(write, sent, Math.min(100_000, payload.length - sent));
        if (n > 0) sent += n;
        idle = n > 0 ? 0 : idle + 1;
        channel.readable = true;
        channel.move(from, to);
      }
      ok(!channel.writable);
      while (seen.length < sent) {
        const some = take(read);
        for (const byte of some) seen.push(byte);
        channel.readable = channel.writable = true;
        channel.move(from, to);
        ok(some.length > 0 || seen.length === 0, `only ${seen.length} bytes of ${sent} have arrived`);
      }
      deepStrictEqual(seen, [...payload.subarray(0, sent)]);
      strictEqual(channel.held, 0);
      channel.close();
    }));

  test(`Channel.move() tells which side has failed ${how}`, () => {
    between((write, from, to, read) => {
      const channel = new Channel(pipes);
      put(write, 0, 100);
      shutdown(read, SHUT.RD);
      strictEqual(channel.move(from, to), "target-failed");
      strictEqual(channel.errno, Errno.EPIPE);
      channel.close();
    });
    between((_write, from, to) => {
      const channel = new Channel(pipes);
      // A descriptor that is no stream at all.
      strictEqual(channel.move(-1, to), "source-failed");
      ok(from >= 0);
      channel.close();
    });
  });
}
