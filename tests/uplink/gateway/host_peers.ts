/**
 * Programs of the host for tests: sockets of the loopback, driven by the test's own reactor.
 *
 * @module
 */

import { AF, SHUT, SO, SOCK, SOL } from "../../../lib/host/constants.ts";
import { bindTo, localAddress, setOption, tcpAccept, tcpListen, udpSocket } from "../../../lib/host/inet.ts";
import { alloc } from "../../../lib/host/memory.ts";
import { EpollEvents, type Reactor, type ReadyHandler } from "../../../lib/host/reactor.ts";
import {
  type AddressWords,
  LOOPBACK4,
  readSockaddr,
  SocketAddress,
  writeSockaddr,
} from "../../../lib/host/structs.ts";
import { close, listen, read, recvfrom, sendto, shutdown, socket, write } from "../../../lib/host/sys.ts";
import { tcpDial } from "../../support/host_dial.ts";
import { setResetOnClose } from "../../../lib/uplink/gateway/host_socket.ts";

const scratch = alloc(65_536 + 64);
const NAME = 65_536;

/** Port of a bound socket. */
export function portOf(fd: number): number {
  const name = new SocketAddress();
  if (!localAddress(fd, name)) throw new Error("Cannot tell the port of a socket");
  return name.port;
}

/** A TCP socket of the host: everything it has received, and whether the peer has ended. */
export class HostPeer implements ReadyHandler {
  readonly received: number[] = [];
  /** Called with what arrives instead of keeping it. */
  sink: ((bytes: Uint8Array) => void) | undefined;
  /** Read only when told to. */
  paused = false;
  total = 0;
  ended = false;
  /** −errno of a failed read. */
  error = 0;
  closed = false;
  /** Send back what comes, and end when the peer ends. */
  echo = false;
  readonly client = new SocketAddress();

  constructor(readonly reactor: Reactor, readonly fd: number) {
    reactor.add(fd, EpollEvents.in | EpollEvents.out | EpollEvents.rdhup | EpollEvents.et, this);
  }

  onReady(): void {
    if (!this.paused) this.drain();
  }

  /** Reads at most `limit` bytes. */
  drain(limit = Infinity): number {
    let got = 0;
    while (!this.ended && this.error === 0 && !this.closed && got < limit) {
      const n = read(this.fd, scratch.address, Math.min(65_536, limit - got));
      if (n === -11) break;
      if (n < 0) this.error = n;
      else if (n === 0) {
        this.ended = true;
        if (this.echo) this.end();
      } else {
        got += n;
        this.total += n;
        const bytes = scratch.bytes.subarray(0, n);
        if (this.echo) write(this.fd, scratch.address, n);
        if (this.sink !== undefined) this.sink(bytes);
        else this.received.push(...bytes);
      }
    }
    return got;
  }

  /** Writes what the kernel takes; returns how much. */
  write(bytes: Uint8Array): number {
    const n = Math.min(bytes.length, 65_536);
    scratch.bytes.set(bytes.subarray(0, n));
    return Math.max(0, write(this.fd, scratch.address, n));
  }

  end(): void {
    shutdown(this.fd, SHUT.WR);
  }

  reset(): void {
    setResetOnClose(this.fd);
    this.close();
  }

  close(): void {
    if (this.closed) return;
    this.closed = true;
    this.reactor.remove(this.fd);
    close(this.fd);
  }

  get text(): string {
    return String.fromCharCode(...this.received);
  }
}

/** A listening TCP socket of the loopback. */
export class HostServer implements ReadyHandler {
  readonly peers: HostPeer[] = [];
  readonly fd: number;
  readonly port: number;

  constructor(
    readonly reactor: Reactor,
    readonly onPeer: (peer: HostPeer) => void = () => {},
    address: AddressWords = LOOPBACK4,
  ) {
    this.fd = tcpListen(address, 0, 4_096);
    if (this.fd < 0) throw new Error(`Cannot listen: ${this.fd}`);
    this.port = portOf(this.fd);
    reactor.add(this.fd, EpollEvents.in, this);
  }

  onReady(): void {
    const client = new SocketAddress();
    for (;;) {
      const fd = tcpAccept(this.fd, client);
      if (fd < 0) return;
      const peer = new HostPeer(this.reactor, fd);
      peer.client.set(client, client.port);
      this.peers.push(peer);
      this.onPeer(peer);
    }
  }

  close(): void {
    for (const peer of this.peers) peer.close();
    this.reactor.remove(this.fd);
    close(this.fd);
  }
}

/** A TCP client of the host. */
export function hostConnect(
  reactor: Reactor,
  port: number,
  address: AddressWords = LOOPBACK4,
  from?: AddressWords,
): HostPeer {
  const fd = tcpDial(address, port, from);
  if (fd < 0) throw new Error(`Cannot dial: ${fd}`);
  return new HostPeer(reactor, fd);
}

/** A port of the loopback on which nobody listens. */
export function closedPort(): number {
  const fd = tcpListen(LOOPBACK4, 0, 1);
  const port = portOf(fd);
  close(fd);
  return port;
}

/** A listener whose queue is full: it never answers another SYN. */
export class BlackHole {
  readonly port: number;
  readonly #fds: number[] = [];

  constructor() {
    const fd = socket(AF.INET, SOCK.STREAM | SOCK.NONBLOCK | SOCK.CLOEXEC, 0);
    setOption(fd, SOL.SOCKET, SO.REUSEADDR, 1);
    bindTo(fd, LOOPBACK4, 0);
    listen(fd, 0);
    this.port = portOf(fd);
    this.#fds.push(fd);
    for (let i = 0; i < 4; i++) this.#fds.push(tcpDial(LOOPBACK4, this.port));
  }

  close(): void {
    for (const fd of this.#fds) close(fd);
  }
}

/** A UDP socket of the loopback that hands every datagram to `onDatagram`. */
export class HostUdp implements ReadyHandler {
  readonly fd: number;
  readonly port: number;
  readonly received: string[] = [];
  readonly sizes: number[] = [];
  readonly source = new SocketAddress();

  constructor(
    readonly reactor: Reactor,
    readonly onDatagram: (bytes: Uint8Array, self: HostUdp) => void = () => {},
    address: AddressWords = LOOPBACK4,
  ) {
    this.fd = udpSocket(address.family, address, 0);
    this.port = portOf(this.fd);
    reactor.add(this.fd, EpollEvents.in, this);
  }

  onReady(): void {
    for (;;) {
      scratch.view.setUint32(NAME + 32, 32, true);
      const n = recvfrom(
        this.fd,
        scratch.address,
        65_536,
        0,
        scratch.address + NAME,
        scratch.address + NAME + 32,
      );
      if (n < 0) return;
      readSockaddr(scratch.view, NAME, this.source);
      this.sizes.push(n);
      if (n < 200) this.received.push(String.fromCharCode(...scratch.bytes.subarray(0, n)));
      this.onDatagram(scratch.bytes.slice(0, n), this);
    }
  }

  /** Sends to whoever sent last, or to `to`. */
  send(bytes: Uint8Array, to: AddressWords = this.source, port: number = this.source.port): number {
    scratch.bytes.set(bytes);
    const length = writeSockaddr(scratch.view, NAME, to, port);
    return sendto(this.fd, scratch.address, bytes.length, 0, scratch.address + NAME, length);
  }

  close(): void {
    this.reactor.remove(this.fd);
    close(this.fd);
  }
}

/** Text as bytes. */
export function bytesOf(text: string): Uint8Array {
  return new TextEncoder().encode(text);
}
