/**
 * Where guests connect: each connection is a guest.
 *
 * @module
 */

import { Errno } from "../../host/errno.ts";
import { tcpAccept } from "../../host/inet.ts";
import { EpollEvents, type Reactor, type ReadyHandler } from "../../host/reactor.ts";
import { SocketAddress } from "../../host/structs.ts";
import { close } from "../../host/sys.ts";
import { acceptUnix } from "../../host/unix_listen.ts";
import { type Instant, later, NEVER, SECOND } from "../../stack/time.ts";
import type { Listener } from "./listener.ts";
import type { Port } from "./port.ts";
import type { Switch } from "./switch.ts";
import type { GuestWire } from "./wire.ts";

/** Connections accepted in one turn. */
const TURN_ACCEPTS = 16;
/** How long a listener rests that cannot accept. */
const PAUSE = SECOND;

/** A listening socket, which it closes. */
export class StreamListener implements Listener, ReadyHandler {
  readonly #fd: number;
  readonly #reactor: Reactor;
  readonly #switch: Switch;
  readonly #kind: "unix" | "tcp";
  readonly #wire: (fd: number, port: Port) => GuestWire;
  readonly #client = new SocketAddress();
  #resumeAt: Instant = NEVER;

  constructor(
    fd: number,
    reactor: Reactor,
    owner: Switch,
    kind: "unix" | "tcp",
    wire: (fd: number, port: Port) => GuestWire,
  ) {
    this.#fd = fd;
    this.#reactor = reactor;
    this.#switch = owner;
    this.#kind = kind;
    this.#wire = wire;
    reactor.add(fd, EpollEvents.in, this);
  }

  onReady(): void {
    for (let i = 0; i < TURN_ACCEPTS; i++) {
      const fd = this.#kind === "tcp" ? tcpAccept(this.#fd, this.#client) : acceptUnix(this.#fd);
      if (fd === -Errno.EAGAIN) return;
      if (fd < 0) {
        // Without a descriptor the connection stays in the backlog, and would be reported for ever.
        this.#switch.count("vm.accept-failed");
        this.#reactor.remove(this.#fd);
        this.#resumeAt = later(this.#reactor.now() as Instant, PAUSE);
        return;
      }
      if (this.#switch.attach((port) => this.#wire(fd, port)) === undefined) close(fd);
    }
  }

  pollAt(): Instant {
    return this.#resumeAt;
  }

  /** Listens again after a pause. */
  poll(now: Instant): void {
    if (now < this.#resumeAt) return;
    this.#resumeAt = NEVER;
    this.#reactor.add(this.#fd, EpollEvents.in, this);
  }

  close(): void {
    this.#reactor.forget(this.#fd);
    close(this.#fd);
  }
}
