/**
 * Both sides of the datagram measurements, without an event loop. What counts is what arrives, 64 bytes at a time.
 *
 * On the host, `bun scripts/bench/datagrams.ts sink SECONDS` prints its port, then how many datagrams arrived per second;
 * `… source SECONDS` prints its port, waits for a datagram and floods its sender.
 * In the guest, `… send HOST PORT SECONDS CALLS` floods, and `… receive HOST PORT SECONDS CALLS` asks for a flood and
 * prints its rate. CALLS: `plain` (`sendto` and `recvfrom` with addresses), `connected` (`read` and `write`) or `batch`
 * (`sendmmsg` and `recvmmsg`).
 *
 * @module
 */

import { AF, EpollEvents, IPPROTO, SO, SOCK, SOL } from "../../lib/host/constants.ts";
import { ReceiveBatch, SendBatch } from "../../lib/host/datagrams.ts";
import { check } from "../../lib/host/errno.ts";
import { bindTo, connectTo, localAddress, setOption } from "../../lib/host/inet.ts";
import { NativeMemory } from "../../lib/host/memory.ts";
import { setReceiveTimeout } from "../../lib/host/socket_pair.ts";
import { SOCKADDR_SIZE, SocketAddress, writeSockaddr } from "../../lib/host/structs.ts";
import { poll, read, recvfrom, sendto, socket, write } from "../../lib/host/sys.ts";
import { IpAddress } from "../../lib/stack/wire/address.ts";

const LENGTH = 64;
/** Datagrams of one call. */
const BATCH = 32;
/** Datagrams between two looks at the clock. */
const STRIDE = 64;
/** Silence after which a flood is over, seconds. */
const SILENCE = 1;

const payload = new NativeMemory(2_048);
const name = new NativeMemory(SOCKADDR_SIZE + 8);
const pollfd = new NativeMemory(8);
const sending = new SendBatch(BATCH), receiving = new ReceiveBatch(BATCH);
for (let i = 0; i < BATCH; i++) receiving.setBuffer(i, payload.address + 32 * i, LENGTH);

function datagramSocket(): number {
  const fd = check(socket(AF.INET, SOCK.DGRAM | SOCK.CLOEXEC, IPPROTO.UDP), "open a socket");
  setOption(fd, SOL.SOCKET, SO.RCVBUF, 1_048_576);
  setReceiveTimeout(fd, SILENCE);
  return fd;
}

/** Waits for `events`, for at most {@linkcode SILENCE}. */
function ready(fd: number, events: number): boolean {
  pollfd.words[0] = fd;
  pollfd.words[1] = events;
  return poll(pollfd.address, 1, SILENCE * 1e3) > 0;
}

/** A way to receive: how many datagrams came, 0 when none came for {@linkcode SILENCE}. */
function receiver(fd: number, calls: string): () => number {
  const one = (result: number) => result > 0 ? 1 : 0;
  if (calls === "connected") return () => one(read(fd, payload.address, LENGTH));
  if (calls === "plain") {
    return () => {
      name.view.setInt32(SOCKADDR_SIZE, SOCKADDR_SIZE, true);
      return one(recvfrom(fd, payload.address, LENGTH, 0, name.address, name.address + SOCKADDR_SIZE));
    };
  }
  return () => {
    for (;;) {
      const count = receiving.receive(fd);
      if (count > 0) return count;
      if (!ready(fd, EpollEvents.in)) return 0;
    }
  };
}

/** A way to send; returns how many datagrams were taken. */
function sender(fd: number, calls: string, to: IpAddress, port: number): () => number {
  if (calls === "connected") return () => write(fd, payload.address, LENGTH) > 0 ? 1 : 0;
  if (calls === "plain") {
    const length = writeSockaddr(name.view, 0, to, port);
    return () => sendto(fd, payload.address, LENGTH, 0, name.address, length) > 0 ? 1 : 0;
  }
  return () => {
    while (sending.add(payload.address, LENGTH));
    const count = sending.flush(fd);
    if (count <= 0) ready(fd, EpollEvents.out);
    return Math.max(count, 0);
  };
}

/** Receives until it is silent; prints datagrams per second between the first and the last. */
function count(receive: () => number): void {
  receive();
  const began = performance.now();
  let last = began, total = 0, before = 0;
  for (;;) {
    const came = receive();
    if (came === 0) break;
    total += came;
    if (total - before < STRIDE) continue;
    before = total;
    last = performance.now();
  }
  console.log((before * 1e3 / (last - began)).toFixed(0));
}

function flood(send: () => number, seconds: number): void {
  const until = performance.now() + seconds * 1e3;
  while (performance.now() < until) for (let sent = 0; sent < STRIDE; sent += Math.max(send(), 1));
}

function bound(): number {
  const fd = datagramSocket();
  check(bindTo(fd, IpAddress.v4(0x7f000001), 0), "bind");
  const own = new SocketAddress();
  localAddress(fd, own);
  console.log(own.port);
  return fd;
}

const [mode, ...rest] = process.argv.slice(2);
switch (mode) {
  case "sink": {
    const fd = bound();
    while (!ready(fd, EpollEvents.in));
    count(receiver(fd, "batch"));
    break;
  }
  case "source": {
    const fd = bound();
    while (!ready(fd, EpollEvents.in));
    name.view.setInt32(SOCKADDR_SIZE, SOCKADDR_SIZE, true);
    recvfrom(fd, payload.address, LENGTH, 0, name.address, name.address + SOCKADDR_SIZE);
    const from = IpAddress.v4(name.view.getUint32(4));
    check(connectTo(fd, from, name.view.getUint16(2)), "connect");
    flood(sender(fd, "connected", from, 0), Number(rest[0]));
    break;
  }
  case "send":
  case "receive": {
    const [host = "", port = "0", seconds = "1", calls = "plain"] = rest;
    const address = IpAddress.parse(host)!;
    const fd = datagramSocket();
    if (calls !== "plain") check(connectTo(fd, address, Number(port)), "connect");
    const send = sender(fd, calls, address, Number(port));
    if (mode === "send") flood(send, Number(seconds));
    else {
      send();
      count(receiver(fd, calls));
    }
    break;
  }
  default:
    throw new RangeError(`Cannot measure "${mode}": it is not sink, source, send or receive`);
}
