/**
 * A listening socket of the host, as a source of connections for the guest's.
 *
 * Connections stay in the kernel's queue until the guest accepts them, so its backlog is the guest's; how many wait the
 * kernel tells (`tcpi_unacked` of a listener is its `sk_ack_backlog`).
 *
 * @module
 */

import { SOCK, SOL, TCP } from "../../../host/constants.ts";
import { NativeMemory } from "../../../host/memory.ts";
import { EpollEvents, type Reactor, type ReadyHandler } from "../../../host/reactor.ts";
import { readSockaddr, SOCKADDR_SIZE, SocketAddress } from "../../../host/structs.ts";
import { accept4, close, getsockopt } from "../../../host/sys.ts";
import type { Instant } from "../../../stack/time.ts";
import type { AcceptMember, AcceptSource } from "../tcp/listening.ts";
import { resetOnClose } from "./host_relay.ts";
import type { HostNetwork } from "./network.ts";

/** `tcpi_unacked` in `struct tcp_info`. */
const UNACKED = 24, INFO_SIZE = 32;

const name = new NativeMemory(SOCKADDR_SIZE + 8);
const info = new NativeMemory(INFO_SIZE + 8);

/** A connection of the host that is about to be handed out. */
export class HostArrival {
  readonly fd: number;
  /** The client. */
  readonly peer = new SocketAddress();
  readonly #network: HostNetwork;

  constructor(fd: number, network: HostNetwork) {
    this.fd = fd;
    this.#network = network;
    readSockaddr(name.view, 0, this.peer);
  }

  abort(): void {
    resetOnClose(this.fd);
    close(this.fd);
    this.#network.give();
  }
}

/** Accepts on a socket of the host. */
export class HostListener implements AcceptSource<HostArrival>, ReadyHandler {
  /** Who is told of arrivals. */
  member: AcceptMember<HostArrival> | undefined;
  readonly #fd: number;
  readonly #reactor: Reactor;
  readonly #network: HostNetwork;

  /** @param fd a listening socket, whose owner closes it */
  constructor(fd: number, reactor: Reactor, network: HostNetwork) {
    this.#fd = fd;
    this.#reactor = reactor;
    this.#network = network;
    reactor.add(fd, EpollEvents.in | EpollEvents.et, this);
  }

  get waiting(): number {
    info.view.setInt32(INFO_SIZE, INFO_SIZE, true);
    const result = getsockopt(this.#fd, SOL.TCP, TCP.INFO, info.address, info.address + INFO_SIZE);
    return result < 0 ? 0 : info.view.getUint32(UNACKED, true);
  }

  accept(_now: Instant): HostArrival | undefined {
    if (!this.#network.take()) return undefined;
    name.view.setInt32(SOCKADDR_SIZE, SOCKADDR_SIZE, true);
    const flags = SOCK.NONBLOCK | SOCK.CLOEXEC;
    const fd = accept4(this.#fd, name.address, name.address + SOCKADDR_SIZE, flags);
    if (fd >= 0) return new HostArrival(fd, this.#network);
    this.#network.give();
    return undefined;
  }

  onReady(): void {
    this.member?.arrived(this.#reactor.now() as Instant);
  }

  leave(): boolean {
    this.#reactor.forget(this.#fd);
    return true;
  }
}
