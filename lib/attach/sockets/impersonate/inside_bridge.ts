/**
 * A way for a socket of the host that the guest holds itself to a port inside its own sandbox.
 *
 * Such a socket cannot be exchanged for a pair any more: it may be watched by an epoll of the guest, which would not see
 * the new one. So it is connected to a listener that lives for this one connection, on the host's loopback, and what
 * arrives there is carried to the guest's stack. Nobody else gets in: the one connection that is taken is that of the
 * guest's own address and port.
 *
 * @module
 */

import { EpollEvents } from "../../../host/constants.ts";
import { Errno } from "../../../host/errno.ts";
import { localAddress, tcpAccept, tcpListen } from "../../../host/inet.ts";
import { NativeMemory } from "../../../host/memory.ts";
import type { ReadyHandler } from "../../../host/reactor.ts";
import { type AddressWords, LOOPBACK4, LOOPBACK6, SocketAddress } from "../../../host/structs.ts";
import { close, poll } from "../../../host/sys.ts";
import type { TcpConnection } from "../../../stack/tcp/connection.ts";
import { TcpEvent, type TcpObserver } from "../../../stack/tcp/events.ts";
import type { Instant } from "../../../stack/time.ts";
import { IpAddress } from "../../../stack/wire/address.ts";
import { type RelayOwner, StreamRelay } from "../tcp/relay.ts";
import type { Streams } from "../tcp/streams.ts";
import { resetOnClose } from "./host_relay.ts";
import type { HostNetwork } from "./network.ts";

/** On the loopback a handshake is over at once; this is for a machine that is out of breath, milliseconds. */
const PATIENCE = 20;
/** Strangers that may be in the way. */
const TRIES = 8;
const WATCHED = EpollEvents.in | EpollEvents.out | EpollEvents.pri | EpollEvents.rdhup | EpollEvents.et;

const own = new SocketAddress(), peer = new SocketAddress();
const pollfd = new NativeMemory(8);

/** One connection of the loopback that goes on in the guest's stack. */
export class InsideBridge implements RelayOwner, TcpObserver, ReadyHandler {
  readonly resetsOnClose = false;
  /** Our end of the connection. */
  readonly near: number;
  readonly #streams: Streams;
  readonly #network: HostNetwork;
  #connection: TcpConnection | undefined;
  #relay: StreamRelay | undefined;
  #open = true;

  private constructor(streams: Streams, network: HostNetwork, near: number) {
    this.#streams = streams;
    this.#network = network;
    this.near = near;
  }

  /**
   * Connects the guest's socket, of which `fd` is a duplicate, to `port` of the guest's loopback.
   *
   * @param dial connects `fd` without waiting: 0 or −errno
   * @returns an errno, 0 for none
   */
  static open(
    streams: Streams,
    network: HostNetwork,
    fd: number,
    remote: IpAddress,
    port: number,
    dial: (address: AddressWords, port: number) => number,
  ): number {
    if (!network.take()) return Errno.ENFILE;
    const near = meet(fd, remote.family, dial);
    if (near < 0) {
      network.give();
      return -near;
    }
    const bridge = new InsideBridge(streams, network, near);
    return bridge.#begin(remote, port);
  }

  #begin(remote: IpAddress, port: number): number {
    const { stack, reactor } = this.#streams.context;
    const { ports } = this.#streams;
    // The guest's own address and port, as the kernel has given them: the server sees what the client is.
    const from = new IpAddress(own.family, own.a, own.b, own.c, own.d);
    ports.settleListeners(port);
    const isFree = (local: number) => stack.tcp.isFree(from, local, remote, port);
    const connection = stack.tcpConnect({
      localAddress: from,
      localPort: isFree(own.port) ? own.port : ports.pick(isFree),
      remoteAddress: remote,
      remotePort: port,
      observer: this,
    }, this.#streams.now());
    if (typeof connection === "string") {
      this.#end(true);
      return Errno.ECONNREFUSED;
    }
    this.#connection = connection;
    reactor.add(this.near, WATCHED, this);
    return 0;
  }

  onReady(events: number): void {
    this.#relay?.onReady(events);
  }

  onTcpEvent(connection: TcpConnection, events: number, now: Instant): void {
    if ((events & TcpEvent.closed) !== 0 && connection.error !== undefined) return this.#end(true);
    if (this.#relay === undefined && (events & TcpEvent.established) !== 0) {
      this.#relay = new StreamRelay(this.#streams, this, connection);
    }
    this.#relay?.pump(now);
  }

  relayEnded(): void {
    this.#end(false);
  }

  #end(reset: boolean): void {
    if (!this.#open) return;
    this.#open = false;
    this.#relay?.stop();
    if (this.#connection !== undefined) {
      this.#streams.context.reactor.forget(this.near);
      if (reset) this.#connection.observer = undefined;
    }
    if (reset) resetOnClose(this.near);
    close(this.near);
    this.#network.give();
  }
}

/** Connects `fd` to a listener of ours and returns the other end, or −errno; `own` is then the guest's name. */
function meet(fd: number, family: 4 | 6, dial: (address: AddressWords, port: number) => number): number {
  const listener = tcpListen(family === 4 ? LOOPBACK4 : LOOPBACK6, 0, TRIES);
  if (listener < 0) return listener;
  localAddress(listener, peer);
  const result = dial(peer, peer.port);
  let near = result < 0 && result !== -Errno.EINPROGRESS ? result : -Errno.ECONNREFUSED;
  if (near === -Errno.ECONNREFUSED) {
    localAddress(fd, own);
    for (let i = 0; i < TRIES; i++) {
      pollfd.words[0] = listener;
      pollfd.words[1] = EpollEvents.in;
      if (poll(pollfd.address, 1, PATIENCE) <= 0) break;
      const accepted = tcpAccept(listener, peer);
      if (accepted < 0) continue;
      if (peer.port === own.port && peer.d === own.d && peer.family === own.family) {
        near = accepted;
        break;
      }
      close(accepted);
    }
  }
  close(listener);
  return near;
}
