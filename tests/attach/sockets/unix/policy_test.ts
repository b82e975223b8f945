/** What a guest may do with unix sockets: this process is the guest, and the host as well. */

import { test } from "node:test";
import { deepStrictEqual, ok, strictEqual } from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Call } from "../../../../lib/attach/sockets/call.ts";
import type { SocketsContext } from "../../../../lib/attach/sockets/guest_socket.ts";
import type { Networks } from "../../../../lib/attach/sockets/networks.ts";
import { MAX_RETRIES, UnixPolicy } from "../../../../lib/attach/sockets/unix/policy.ts";
import { AF, F, MSG, SOCK } from "../../../../lib/host/constants.ts";
import { Errno } from "../../../../lib/host/errno.ts";
import { NativeMemory } from "../../../../lib/host/memory.ts";
import { openSockDiag } from "../../../../lib/host/sock_diag.ts";
import { SOCKET_CALLS } from "../../../../lib/host/socket_calls.ts";
import { writeSockaddrUnix } from "../../../../lib/host/structs.ts";
import { close, fcntl, listen, recv, send, socket } from "../../../../lib/host/sys.ts";
import { acceptUnix } from "../../../../lib/host/unix_listen.ts";
import { bindUnix, connectUnix } from "../../../../lib/host/unix_socket.ts";
import { Counters } from "../../../../lib/stack/counters.ts";
import { OwnCalls } from "../../../support/own_call.ts";

class Bench {
  readonly counters = new Counters();
  readonly calls = new OwnCalls();
  readonly directory = mkdtempSync(join(tmpdir(), "sluice-unix-"));
  readonly policy = new UnixPolicy(
    { hostUds: "none", ownNetwork: false, diag: openSockDiag() },
    { counters: this.counters } as unknown as SocketsContext,
    {} as Networks,
  );
  readonly #memory = new NativeMemory(256);
  readonly #open: number[] = [];

  /** A socket, non-blocking, perhaps bound to a name in the directory or, with `@`, to an abstract one. */
  socket(type: number, name?: string): number {
    const fd = socket(AF.UNIX, type | SOCK.NONBLOCK | SOCK.CLOEXEC, 0);
    this.#open.push(fd);
    if (name !== undefined) strictEqual(bindUnix(fd, this.path(name)), 0);
    return fd;
  }

  path(name: string): string {
    return name.startsWith("@") ? `@${this.directory}${name}` : join(this.directory, name);
  }

  /** The guest tells by what name it binds: the call goes on, and the socket is its own. */
  binds(fd: number): void {
    this.#answer(this.calls.call(fd, this.#memory.address, this.#name("unused")), SOCKET_CALLS.bind);
    strictEqual(this.answer(), "passed");
  }

  connect(fd: number, name: string): void {
    this.#answer(this.calls.call(fd, this.#memory.address, this.#name(name)), SOCKET_CALLS.connect);
  }

  sendTo(fd: number, name: string): Call {
    const { address } = this.#memory;
    const length = this.#name(name);
    return this.#answer(this.calls.call(fd, address, 5, 0, address, length), SOCKET_CALLS.sendto);
  }

  answer(): number | "passed" | undefined {
    return this.calls.answers.pop();
  }

  get refused(): number {
    return this.counters.get("sockets.unix-refused");
  }

  end(): void {
    this.policy.close();
    for (const fd of this.#open) close(fd);
    this.calls.close();
    rmSync(this.directory, { recursive: true });
  }

  #name(name: string): number {
    return writeSockaddrUnix(this.#memory, 0, this.path(name));
  }

  #answer(call: Call, nr: number): Call {
    call.nr = nr;
    this.policy.answer(call, this.calls.files.ownInode(call.fd));
    return call;
  }
}

function withBench(body: (bench: Bench) => void): void {
  const bench = new Bench();
  try {
    body(bench);
  } finally {
    bench.end();
  }
}

for (const name of ["socket", "@abstract"]) {
  test(`UnixPolicy leads nobody to the host's ${name}, as if nobody were there, but to the guest's own`, () =>
    withBench((bench) => {
      const listener = bench.socket(SOCK.STREAM, name), client = bench.socket(SOCK.STREAM);
      strictEqual(listen(listener, 8), 0);
      bench.connect(client, name);
      deepStrictEqual([bench.answer(), bench.refused], [-Errno.ECONNREFUSED, 1]);
      strictEqual(acceptUnix(listener), -Errno.EAGAIN);
      bench.connect(client, `${name} that is none`);
      deepStrictEqual([bench.answer(), bench.refused], [
        name.startsWith("@") ? -Errno.ECONNREFUSED : -Errno.ENOENT,
        2,
      ]);
      bench.binds(listener);
      bench.connect(client, name);
      deepStrictEqual([bench.answer(), bench.refused], [0, 2]);
      const accepted = acceptUnix(listener);
      ok(accepted >= 0);
      close(accepted);
    }));
}

test("UnixPolicy sends no datagram to a socket of the host", () =>
  withBench((bench) => {
    const receiver = bench.socket(SOCK.DGRAM, "receiver"), sender = bench.socket(SOCK.DGRAM);
    const memory = new NativeMemory(16);
    bench.sendTo(sender, "receiver");
    deepStrictEqual([bench.answer(), bench.refused], [-Errno.ECONNREFUSED, 1]);
    strictEqual(recv(receiver, memory.address, 16, MSG.DONTWAIT), -Errno.EAGAIN);
    bench.binds(receiver);
    bench.sendTo(sender, "receiver");
    deepStrictEqual([bench.answer(), bench.refused], [5, 1]);
    strictEqual(recv(receiver, memory.address, 16, MSG.DONTWAIT), 5);
  }));

test("UnixPolicy holds so many calls that wait for room at a peer, and those it holds keep their place", () =>
  withBench((bench) => {
    const receiver = bench.socket(SOCK.DGRAM, "receiver"), sender = bench.socket(SOCK.DGRAM);
    const filler = bench.socket(SOCK.DGRAM);
    bench.binds(receiver);
    const memory = new NativeMemory(16);
    connectUnix(filler, bench.path("receiver"));
    while (send(filler, memory.address, 1, MSG.DONTWAIT) === 1);
    fcntl(sender, F.SETFL, 0);
    const waiting = () => bench.counters.get("sockets.limit.unix-waiting");
    const held = Array.from({ length: MAX_RETRIES }, () => bench.sendTo(sender, "receiver"));
    deepStrictEqual([bench.answer(), waiting()], [undefined, 0]);
    bench.sendTo(sender, "receiver");
    deepStrictEqual([bench.answer(), waiting()], [-Errno.EAGAIN, 1]);
    bench.policy.poll();
    ok(held.every((call) => call.open), "a call that was held has lost its place");
    held[0]!.abandon();
    while (recv(receiver, memory.address, 16, MSG.DONTWAIT) === 1);
    bench.policy.poll();
    deepStrictEqual([bench.answer(), waiting()], [5, 1]);
    strictEqual(recv(receiver, memory.address, 16, MSG.DONTWAIT), 5);
    strictEqual(held[0]!.open, false);
    strictEqual(held[1]!.open, false);
  }));
