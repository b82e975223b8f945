/**
 * One published TCP port, or a unix socket that leads to one: accepts on the host, connects to the guest as the client.
 *
 * The client's connection is accepted before the guest is asked, since the host's kernel cannot do it the other way round; a
 * guest that refuses is a reset for the client. How many wait for the guest is bounded: at the bound nothing more is
 * accepted, the kernel's backlog fills, and clients feel what they would feel from a busy server.
 *
 * @module
 */

import { Errno } from "../../host/errno.ts";
import { tcpAccept, tcpListen } from "../../host/inet.ts";
import { EpollEvents, type ReadyHandler } from "../../host/reactor.ts";
import { withUmask } from "../../host/process.ts";
import { type AddressWords, ANY4, SocketAddress } from "../../host/structs.ts";
import { close } from "../../host/sys.ts";
import { acceptUnix, claimUnix, inodeOfPath, listenUnix, removeIfSocket } from "../../host/unix_listen.ts";
import type { TcpConnection } from "../../stack/tcp/connection.ts";
import { TcpEvent, type TcpObserver } from "../../stack/tcp/events.ts";
import { type Instant, later, NEVER, SECOND } from "../../stack/time.ts";
import type { Publish } from "./config.ts";
import { setResetOnClose } from "./host_socket.ts";
import { ipAddressOf, spoofOf } from "./spoof.ts";
import { TcpRelay } from "./tcp_relay.ts";
import type { TcpRelays } from "./tcp_relays.ts";
import type { UdpSurroundings } from "./udp.ts";

/** Connections accepted in one turn. */
const TURN_ACCEPTS = 64;

/** How long a listener rests at a bound, unless a connection is settled before. */
const PAUSE = SECOND;

/** A listening socket of the host whose connections go to the guest. */
export class TcpPublisher implements ReadyHandler {
  readonly #surroundings: UdpSurroundings;
  readonly #relays: TcpRelays;
  readonly #publish: Publish;
  /** Who comes by a unix socket has no address: `0.0.0.0`, which the guest sees as the gateway. */
  readonly #client = new SocketAddress().set(ANY4, 0);
  /** The inode of the name of a unix socket. */
  readonly #inode: number;
  #fd: number;
  #pending = 0;
  /** When the listener, which is at a bound and not watched, is tried again. */
  #resumeAt: Instant = NEVER;

  private constructor(surroundings: UdpSurroundings, relays: TcpRelays, fd: number, publish: Publish) {
    this.#surroundings = surroundings;
    this.#relays = relays;
    this.#fd = fd;
    this.#publish = publish;
    this.#inode = publish.hostPath === undefined ? 0 : inodeOfPath(publish.hostPath);
    surroundings.reactor.add(fd, EpollEvents.in, this);
  }

  /** Listens, or returns −errno. */
  static open(
    surroundings: UdpSurroundings,
    relays: TcpRelays,
    address: AddressWords,
    publish: Publish,
  ): TcpPublisher | number {
    const fd = tcpListen(address, publish.hostPort);
    return fd < 0 ? fd : new TcpPublisher(surroundings, relays, fd, publish);
  }

  /**
   * Listens on a unix socket that only we may connect to (mode 0600); its name goes when it is closed.
   *
   * @throws {Error} when the name is taken, also by a file that is no socket; see {@linkcode claimUnix}
   */
  static openUnix(
    surroundings: UdpSurroundings,
    relays: TcpRelays,
    path: string,
    publish: Publish,
  ): TcpPublisher {
    claimUnix(path);
    const fd = withUmask(0o177, () => listenUnix("stream", path));
    return new TcpPublisher(surroundings, relays, fd, publish);
  }

  /** Accepts what waits, within bounds; the listener is level-triggered, so the rest is reported again. */
  onReady(): void {
    this.#accept(TURN_ACCEPTS);
  }

  #accept(most: number): void {
    const { limits } = this.#surroundings;
    for (let i = 0; i < most && this.#fd >= 0; i++) {
      if (this.#pending >= limits.publishPending || this.#relays.size >= limits.tcpFlows) {
        this.#relays.count("gateway.publish.pending-limit");
        this.#pause();
        return;
      }
      const fd = this.#publish.hostPath === undefined
        ? tcpAccept(this.#fd, this.#client)
        : acceptUnix(this.#fd);
      if (fd === -Errno.ECONNABORTED || fd === -Errno.EPROTO) continue;
      if (fd < 0) {
        if (fd === -Errno.EAGAIN) return;
        this.#relays.count("gateway.publish.no-descriptor");
        this.#pause();
        return;
      }
      this.#connect(fd);
    }
  }

  /** A client's connection has its answer from the guest. */
  settled(): void {
    this.#pending--;
    this.#resume();
  }

  pollAt(): Instant {
    return this.#resumeAt;
  }

  poll(now: Instant): void {
    if (this.#resumeAt <= now) this.#resume();
  }

  finish(): void {
    // A client that the kernel has connected is in, as far as it can tell, though we did not know of it.
    if (this.#resumeAt === NEVER) this.#accept(this.#surroundings.limits.publishPending);
    this.close();
  }

  close(): void {
    if (this.#fd < 0) return;
    if (this.#resumeAt === NEVER) this.#surroundings.reactor.forget(this.#fd);
    this.#resumeAt = NEVER;
    const { hostPath } = this.#publish;
    // Somebody else may have taken the name in the meantime.
    if (hostPath !== undefined && inodeOfPath(hostPath) === this.#inode) removeIfSocket(hostPath);
    close(this.#fd);
    this.#fd = -1;
  }

  #connect(fd: number): void {
    const { stack, nic, config } = this.#surroundings;
    const now = this.#relays.now();
    const client = ipAddressOf(this.#client);
    const spoof = spoofOf(client, this.#client.port, config, nic, this.#publish.guestAddress);
    if (spoof === undefined) return this.#refuse(fd);
    const room = this.#relays.room(undefined);
    const relay = new TcpRelay(this.#relays, "in", fd, room.hostMost, client, this.#client.port, now);
    const request = {
      localAddress: spoof.client,
      localPort: spoof.port,
      remoteAddress: spoof.guest,
      remotePort: this.#publish.guestPort,
      nic,
      observer: new Opening(this, relay),
      options: room.options,
    };
    let connection = stack.tcpConnect(request, now);
    // The client's port may be in use by an earlier connection of its own to another published port, or just after one.
    if (connection === "address-in-use") connection = stack.tcpConnect({ ...request, localPort: 0 }, now);
    if (typeof connection === "string") return this.#refuse(fd);
    this.#pending++;
    relay.join(connection);
    this.#relays.watch(fd, relay);
  }

  #refuse(fd: number): void {
    this.#relays.count("gateway.publish.refused");
    setResetOnClose(fd);
    close(fd);
  }

  #pause(): void {
    this.#resumeAt = later(this.#relays.now(), PAUSE);
    this.#surroundings.reactor.remove(this.#fd);
  }

  #resume(): void {
    if (this.#resumeAt === NEVER || this.#fd < 0) return;
    this.#resumeAt = NEVER;
    this.#surroundings.reactor.add(this.#fd, EpollEvents.in, this);
  }
}

/** Watches the handshake with the guest, then leaves the connection to its relay. */
class Opening implements TcpObserver {
  readonly #publisher: TcpPublisher;
  readonly #relay: TcpRelay;

  constructor(publisher: TcpPublisher, relay: TcpRelay) {
    this.#publisher = publisher;
    this.#relay = relay;
  }

  onTcpEvent(connection: TcpConnection, events: number, now: Instant): void {
    if ((events & (TcpEvent.established | TcpEvent.closed)) !== 0) {
      connection.observer = this.#relay;
      this.#publisher.settled();
    }
    this.#relay.onTcpEvent(connection, events, now);
  }
}
