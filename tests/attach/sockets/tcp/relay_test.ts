/** A relay between a real pair of unix sockets and a connection over the loopback of a real stack. */

import { test } from "node:test";
import { deepStrictEqual, ok, strictEqual } from "node:assert/strict";
import type { SocketsContext } from "../../../../lib/attach/sockets/guest_socket.ts";
import {
  drain,
  narrow,
  pendingEvents,
  plant,
  prepareNear,
  widen,
} from "../../../../lib/attach/sockets/tcp/pair.ts";
import { type RelayEnd, StreamRelay } from "../../../../lib/attach/sockets/tcp/relay.ts";
import { Streams } from "../../../../lib/attach/sockets/tcp/streams.ts";
import { EpollEvents, MSG, SHUT, SOCK } from "../../../../lib/host/constants.ts";
import { Errno } from "../../../../lib/host/errno.ts";
import { atUrgentMark } from "../../../../lib/host/inet.ts";
import { addressOf, NativeMemory } from "../../../../lib/host/memory.ts";
import { socketPair } from "../../../../lib/host/socket_pair.ts";
import { close, recv, send, shutdown } from "../../../../lib/host/sys.ts";
import type { Work } from "../../../../lib/host/reactor.ts";
import { BufferPool } from "../../../../lib/stack/buffer/pool.ts";
import { Stack } from "../../../../lib/stack/stack.ts";
import type { TcpConnection } from "../../../../lib/stack/tcp/connection.ts";
import type { TcpListener } from "../../../../lib/stack/tcp/listener.ts";
import type { Instant } from "../../../../lib/stack/time.ts";
import { IpAddress } from "../../../../lib/stack/wire/address.ts";
import { seeded } from "../../../support/random.ts";

const LOCAL = IpAddress.parse("127.0.0.1")!;
const { hup: HUP, err: ERR } = EpollEvents;

/** A guest's end, the relay behind it, and the other end of its connection. */
class Bench {
  readonly pool = new BufferPool(addressOf);
  readonly stack = new Stack({ random: seeded(1), pool: this.pool });
  readonly near: number;
  readonly far: number;
  readonly peer: TcpConnection;
  readonly connection: TcpConnection;
  readonly relay: StreamRelay;
  ended: RelayEnd | undefined;
  resetsOnClose = false;
  readonly #memory = new NativeMemory(1 << 20);
  readonly #work: Work[] = [];
  #now = 1_000 as Instant;

  constructor() {
    [this.near, this.far] = socketPair(SOCK.STREAM | SOCK.NONBLOCK);
    prepareNear(this.near);
    const accepted: TcpConnection[] = [];
    const observer = {
      onTcpAccept: (listener: TcpListener) => {
        accepted.push(listener.accept(this.#now)!);
        accepted[0]!.observer = { onTcpEvent: () => {} };
      },
    };
    this.stack.tcpListen({ address: LOCAL, port: 80, observer }, this.#now);
    const connection = this.stack.tcpConnect({ remoteAddress: LOCAL, remotePort: 80 }, this.#now);
    this.connection = connection as TcpConnection;
    this.turn();
    this.peer = accepted[0]!;
    const reactor = { now: () => this.#now, defer: (work: Work) => this.#work.push(work) };
    const context = { stack: this.stack, pool: this.pool, reactor } as unknown as SocketsContext;
    this.relay = new StreamRelay(new Streams(context), {
      near: this.near,
      resetsOnClose: false,
      relayEnded: (end) => this.ended = end,
    }, this.connection);
    this.connection.observer = { onTcpEvent: (_connection, _events, now) => this.relay.pump(now) };
  }

  get now(): Instant {
    return this.#now;
  }

  /** Lets everything happen that can. */
  turn(): void {
    for (let i = 0; i < 200; i++) {
      this.#now = this.#now + 1_000 as Instant;
      this.stack.poll(this.#now);
      for (const work of this.#work.splice(0)) work.run();
      if (this.relay !== undefined && this.ended === undefined) {
        this.relay.onReady(pendingEvents(this.near));
      }
    }
  }

  write(text: string, flags = 0): number {
    const bytes = new TextEncoder().encode(text);
    this.#memory.bytes.set(bytes);
    const n = send(this.far, this.#memory.address, bytes.length, flags | MSG.DONTWAIT | MSG.NOSIGNAL);
    this.turn();
    return n;
  }

  read(flags = 0): string | number {
    const n = recv(this.far, this.#memory.address, 1 << 20, flags | MSG.DONTWAIT);
    return n < 0 ? n : new TextDecoder().decode(this.#memory.bytes.subarray(0, n));
  }

  peerReads(): string {
    const queue = this.peer.receiveQueue;
    const bytes = new Uint8Array(queue.length);
    queue.copyTo(bytes);
    this.peer.consume(bytes.length, this.#now);
    this.turn();
    return new TextDecoder().decode(bytes);
  }

  peerWrites(text: string): void {
    this.peer.writeBytes(new TextEncoder().encode(text), this.#now);
    this.turn();
  }

  peerMarks(): void {
    this.peer.markUrgent(this.#now);
    this.turn();
  }

  peerFinishes(): void {
    this.peer.shutdown(this.#now);
    this.turn();
  }

  guestCloses(): void {
    close(this.far);
    this.turn();
  }

  end(): void {
    close(this.near);
  }
}

test("StreamRelay carries bytes both ways and a FIN each way", () => {
  const bench = new Bench();
  strictEqual(bench.write("hello"), 5);
  strictEqual(bench.peerReads(), "hello");
  bench.peerWrites("world");
  strictEqual(bench.read(), "world");
  strictEqual(bench.read(), -Errno.EAGAIN);
  bench.relay.writeShut = true;
  shutdown(bench.far, SHUT.WR);
  bench.turn();
  strictEqual(bench.peer.peerClosed, true);
  bench.peerWrites("more");
  strictEqual(bench.read(), "more");
  bench.peerFinishes();
  strictEqual(bench.read(), "");
  strictEqual(bench.ended, "finished");
  bench.end();
  close(bench.far);
});

test("StreamRelay delivers what a guest wrote before it closed, then a FIN", () => {
  const bench = new Bench();
  bench.write("last words");
  bench.guestCloses();
  strictEqual(bench.ended, "closed");
  strictEqual(bench.peerReads(), "last words");
  strictEqual(bench.peer.peerClosed, true);
  strictEqual(bench.peer.error, undefined);
  bench.end();
});

test("StreamRelay resets when the guest closes with unread bytes", () => {
  const bench = new Bench();
  bench.peerWrites("unread");
  bench.guestCloses();
  strictEqual(bench.ended, "closed");
  strictEqual(bench.peer.error, "reset");
  bench.end();
});

test("StreamRelay holds bytes back while nobody reads, and loses none", () => {
  const bench = new Bench();
  const piece = "0123456789abcdef".repeat(4_096);
  let written = 0;
  for (let n = bench.write(piece); n > 0; n = bench.write(piece)) written += n;
  ok(written > piece.length, "some room there is");
  let read = 0;
  for (let text = bench.peerReads(); text !== ""; text = bench.peerReads()) read += text.length;
  strictEqual(read, written);
  strictEqual(bench.write("x"), 1);
  bench.guestCloses();
  bench.end();
});

test("StreamRelay throws away what arrives after shutdown(SHUT_RD)", () => {
  const bench = new Bench();
  bench.relay.readShut = true;
  shutdown(bench.far, SHUT.RD);
  bench.peerWrites("ignored");
  strictEqual(bench.connection.receiveQueue.length, 0);
  strictEqual(bench.read(), "");
  strictEqual(bench.write("still sends"), 11);
  strictEqual(bench.peerReads(), "still sends");
  bench.guestCloses();
  bench.end();
});

test("StreamRelay passes the guest's urgent byte on as such", () => {
  const bench = new Bench();
  bench.write("plain");
  strictEqual(bench.peer.urgentMark, -1);
  bench.write("and!", MSG.OOB);
  bench.write("after");
  strictEqual(bench.peer.urgentMark, "plainand".length);
  strictEqual(bench.peerReads(), "plainand!after");
  // Whoever was urgent once may be again, and loses nothing meanwhile.
  for (let i = 0; i < 20; i++) {
    const text = "x".repeat(i * 5_000);
    bench.write(text);
    bench.write("?", MSG.OOB);
    strictEqual(bench.peer.urgentMark, text.length);
    strictEqual(bench.peerReads(), `${text}?`);
  }
  bench.guestCloses();
  bench.end();
});

test("StreamRelay gives the guest the peer's urgent byte as such", () => {
  const bench = new Bench();
  bench.peerWrites("before!");
  // Too late: it is with the guest already.
  bench.peerMarks();
  strictEqual(pendingEvents(bench.far) & EpollEvents.pri, 0);
  strictEqual(bench.read(), "before!");
  bench.peer.writeBytes(new TextEncoder().encode("more!"), bench.now);
  bench.peerMarks();
  bench.peerWrites("after");
  strictEqual(pendingEvents(bench.far) & EpollEvents.pri, EpollEvents.pri);
  strictEqual(bench.read(), "more");
  strictEqual(atUrgentMark(bench.far), true);
  strictEqual(bench.read(MSG.OOB), "!");
  strictEqual(bench.read(MSG.OOB), -Errno.EINVAL);
  strictEqual(bench.read(), "after");
  bench.guestCloses();
  bench.end();
});

test("a narrow pair takes no bytes; wide and drained it takes all but the padding", () => {
  const [near, far] = socketPair(SOCK.STREAM | SOCK.NONBLOCK);
  const memory = new NativeMemory(8);
  const padding = narrow(far);
  strictEqual(send(far, memory.address, 1, MSG.NOSIGNAL), -Errno.EAGAIN);
  strictEqual(pendingEvents(far) & EpollEvents.out, 0);
  widen(far);
  strictEqual(send(far, memory.address, 3, MSG.NOSIGNAL), 3);
  drain(near, padding);
  strictEqual(recv(near, memory.address, 8, MSG.DONTWAIT), 3);
  close(near);
  close(far);
});

test("a planted byte makes the guest's end fail when ours is closed", () => {
  const [near, far] = socketPair(SOCK.STREAM | SOCK.NONBLOCK);
  const memory = new NativeMemory(8);
  plant(far);
  close(near);
  deepStrictEqual(pendingEvents(far) & (ERR | HUP), ERR | HUP);
  strictEqual(recv(far, memory.address, 1, MSG.DONTWAIT), -Errno.ECONNRESET);
  strictEqual(recv(far, memory.address, 1, MSG.DONTWAIT), 0);
  close(far);
});
