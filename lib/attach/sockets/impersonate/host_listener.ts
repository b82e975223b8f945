/**
 * A listening socket of the host, as a source of connections for the guest's.
 *
 * Connections are taken from the kernel as they come, as many as the guest's backlog would hold, so that each makes the
 * guest's socket readable by itself; the rest waits in the kernel's queue, which is as long.
 *
 * @module
 */

import { SOCK } from "../../../host/constants.ts";
import { Errno } from "../../../host/errno.ts";
import { NativeMemory } from "../../../host/memory.ts";
import { EpollEvents, type Reactor, type ReadyHandler } from "../../../host/reactor.ts";
import { readSockaddr, SOCKADDR_SIZE, SocketAddress } from "../../../host/structs.ts";
import { accept4, close } from "../../../host/sys.ts";
import type { Instant } from "../../../stack/time.ts";
import type { AcceptMember, AcceptSource } from "../tcp/listening.ts";
import type { HostNetwork } from "./network.ts";
import { resetOnClose } from "./host_relay.ts";

/** Connections accepted in one turn. */
const TURN_ACCEPTS = 64;

const name = new NativeMemory(SOCKADDR_SIZE + 8);

/** A connection of the host that nobody has accepted yet. */
export class HostArrival {
  readonly fd: number;
  /** The client. */
  readonly peer: SocketAddress;
  readonly #network: HostNetwork;

  constructor(fd: number, peer: SocketAddress, network: HostNetwork) {
    this.fd = fd;
    this.peer = peer;
    this.#network = network;
  }

  abort(): void {
    resetOnClose(this.fd);
    close(this.fd);
    this.#network.give();
  }
}

/** Accepts on a socket of the host. */
export class HostListener implements AcceptSource<HostArrival>, ReadyHandler {
  backlog: number;
  /** Who is told of arrivals. */
  member: AcceptMember<HostArrival> | undefined;
  readonly #fd: number;
  readonly #reactor: Reactor;
  readonly #network: HostNetwork;
  readonly #queue: HostArrival[] = [];
  /** The kernel may have more. */
  #more = false;
  #closed = false;

  /** @param fd a listening socket, whose owner closes it */
  constructor(fd: number, backlog: number, reactor: Reactor, network: HostNetwork) {
    this.#fd = fd;
    this.backlog = backlog;
    this.#reactor = reactor;
    this.#network = network;
    reactor.add(fd, EpollEvents.in | EpollEvents.et, this);
  }

  get waiting(): number {
    return this.#queue.length;
  }

  accept(_now: Instant): HostArrival | undefined {
    const arrival = this.#queue.shift();
    if (this.#more) this.#reactor.defer(this);
    return arrival;
  }

  onReady(): void {
    this.#more = true;
    this.run();
  }

  run(): void {
    if (this.#closed) return;
    for (let i = 0; i < TURN_ACCEPTS && this.#queue.length <= this.backlog; i++) {
      if (!this.#network.take()) return this.#rest();
      name.view.setInt32(SOCKADDR_SIZE, SOCKADDR_SIZE, true);
      const fd = accept4(
        this.#fd,
        name.address,
        name.address + SOCKADDR_SIZE,
        SOCK.NONBLOCK | SOCK.CLOEXEC,
      );
      if (fd < 0) {
        this.#network.give();
        if (fd === -Errno.ECONNABORTED || fd === -Errno.EPROTO || fd === -Errno.EINTR) continue;
        if (fd !== -Errno.EAGAIN) {
          this.#network.counters.bump("tsi.accept-failed");
          return this.#rest();
        }
        this.#more = false;
        break;
      }
      const peer = new SocketAddress();
      readSockaddr(name.view, 0, peer);
      this.#queue.push(new HostArrival(fd, peer, this.#network));
    }
    this.member?.arrived(this.#reactor.now() as Instant);
    if (this.#more && !this.#closed && this.#queue.length <= this.backlog) this.#reactor.defer(this);
  }

  leave(): boolean {
    this.#closed = true;
    this.#reactor.forget(this.#fd);
    for (const arrival of this.#queue.splice(0)) arrival.abort();
    return true;
  }

  /** At a bound: the next accept of the guest, or the next arrival, tries again. */
  #rest(): void {
    this.#more = true;
    this.member?.arrived(this.#reactor.now() as Instant);
  }
}
