import { test } from "node:test";
import { deepStrictEqual, strictEqual } from "node:assert/strict";
import type { SocketsContext } from "../../../../lib/attach/sockets/guest_socket.ts";
import { MAX_CORRESPONDENTS } from "../../../../lib/attach/sockets/impersonate/correspondents.ts";
import { ImpersonatedDatagram } from "../../../../lib/attach/sockets/impersonate/datagram_socket.ts";
import { DatagramSocket } from "../../../../lib/attach/sockets/datagram/datagram_socket.ts";
import { AF, EpollEvents, MSG, SOCK } from "../../../../lib/host/constants.ts";
import { Errno } from "../../../../lib/host/errno.ts";
import { localAddress, udpSocket } from "../../../../lib/host/inet.ts";
import { addressOf, NativeMemory } from "../../../../lib/host/memory.ts";
import type { ReadyHandler } from "../../../../lib/host/reactor.ts";
import { socketPair } from "../../../../lib/host/socket_pair.ts";
import { type AddressWords, LOOPBACK4, SocketAddress, writeSockaddr } from "../../../../lib/host/structs.ts";
import { close, recv, sendto } from "../../../../lib/host/sys.ts";
import { BufferPool } from "../../../../lib/stack/buffer/pool.ts";
import { Stack } from "../../../../lib/stack/stack.ts";
import { fillInPlace } from "../../../support/full_socket.ts";
import { OwnCalls } from "../../../support/own_call.ts";
import { seeded } from "../../../support/random.ts";
import { ip } from "../../../support/two_stacks.ts";
import { hostNetwork } from "./host_network.ts";

const NOW = 1_000_000;

/** A socket of a guest, which is this process, and sockets of the host's loopback to talk to. */
class Bench {
  readonly network = hostNetwork();
  readonly calls = new OwnCalls();
  readonly near: number;
  readonly far: number;
  readonly socket: ImpersonatedDatagram;
  readonly #memory = new NativeMemory(64);
  readonly #open: number[] = [];
  /** The host's socket that stands for the guest's, and who is told that it is ready. */
  host = -1;
  #ready: ReadyHandler | undefined;

  constructor() {
    const pool = new BufferPool(addressOf);
    const stack = new Stack({ random: seeded(1), pool });
    const reactor = {
      now: () => NOW,
      add: (fd: number, _events: number, handler: ReadyHandler) => {
        this.host = fd;
        this.#ready = handler;
      },
      forget: () => {},
      defer: () => {},
    };
    const supervisor = { release: () => {}, setDeadline: () => {} };
    const context = {
      stack,
      pool,
      reactor,
      supervisor,
      counters: stack.counters,
    } as unknown as SocketsContext;
    const [near, far] = socketPair(DatagramSocket.pairType | SOCK.NONBLOCK);
    [this.near, this.far] = [near, far];
    const inode = this.calls.files.ownInode(far);
    this.socket = new ImpersonatedDatagram(this.network, context, near, inode, AF.INET);
  }

  /** A socket of the host, and its port. */
  server(address: AddressWords = LOOPBACK4): { readonly fd: number; readonly port: number } {
    const fd = udpSocket(4, address);
    this.#open.push(fd);
    return { fd, port: portOf(fd) };
  }

  connect(address: AddressWords, port: number): number | "passed" | undefined {
    this.socket.connect(this.calls.call(this.far, this.#memory.address, this.#name(address, port)));
    return this.calls.answers.pop();
  }

  /** Sends five bytes as the guest does; returns what `sendto` returns. */
  send(address?: AddressWords, port = 0): number | "passed" | undefined {
    const length = address === undefined ? 0 : this.#name(address, port);
    const { address: at } = this.#memory;
    this.socket.sendto(this.calls.call(this.far, at, 5, 0, length === 0 ? 0 : at, length));
    return this.calls.answers.pop();
  }

  /** Sends five bytes from a socket of the host to that of the guest, which looks. */
  answer(fd: number): void {
    sendto(fd, this.#memory.address, 5, 0, this.#memory.address, this.#name(LOOPBACK4, portOf(this.host)));
    this.#ready!.onReady(EpollEvents.in);
  }

  /** Bytes of the next datagram that waits at a socket of the host, or at the guest's, or −errno. */
  receive(fd: number): number {
    return recv(fd, this.#memory.address, 64, MSG.DONTWAIT);
  }

  counted(name: string): number {
    return this.network.counters.get(`tsi.${name}`);
  }

  end(): void {
    this.socket.closed();
    for (const fd of [...this.#open, this.near, this.far]) close(fd);
    this.calls.close();
  }

  #name(address: AddressWords, port: number): number {
    return writeSockaddr(this.#memory.view, 0, address, port);
  }
}

function portOf(fd: number): number {
  const name = new SocketAddress();
  localAddress(fd, name);
  return name.port;
}

function withBench(body: (bench: Bench) => void): void {
  const bench = new Bench();
  try {
    body(bench);
  } finally {
    bench.end();
  }
}

test("ImpersonatedDatagram loses what the host's buffer has no room for, as if it were lost on the way", () =>
  withBench((bench) => {
    const { fd, port } = bench.server();
    strictEqual(bench.connect(LOOPBACK4, port), 0);
    deepStrictEqual([bench.send(), bench.counted("udp.send-buffer-full")], [5, 0]);
    strictEqual(bench.receive(fd), 5);
    const full = fillInPlace(bench.host);
    deepStrictEqual([bench.send(), bench.counted("udp.send-buffer-full")], [5, 1]);
    strictEqual(bench.receive(fd), -Errno.EAGAIN);
    deepStrictEqual([...bench.network.flows].map((flow) => flow.facts(NOW)?.bytesOut), [5]);
    full.end();
  }));

test("ImpersonatedDatagram hears whom it has written to, of whom it remembers so many", () =>
  withBench((bench) => {
    const friend = bench.server(), stranger = bench.server(ip("127.0.0.2"));
    const everybody = bench.server(ip("0.0.0.0"));
    strictEqual(bench.send(LOOPBACK4, friend.port), 5);
    bench.answer(friend.fd);
    strictEqual(bench.receive(bench.far), 5);
    bench.answer(stranger.fd);
    deepStrictEqual([bench.receive(bench.far), bench.counted("udp.unsolicited")], [-Errno.EAGAIN, 1]);
    for (let i = 0; i < MAX_CORRESPONDENTS; i++) {
      strictEqual(bench.counted("limit.correspondents"), 0);
      strictEqual(bench.send(ip(`127.1.${i >> 8}.${i & 255}`), everybody.port), 5);
    }
    strictEqual(bench.counted("limit.correspondents"), 1);
    bench.answer(friend.fd);
    deepStrictEqual([bench.receive(bench.far), bench.counted("udp.unsolicited")], [-Errno.EAGAIN, 2]);
  }));
