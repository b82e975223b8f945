/**
 * Guests that send datagrams to a name (`unixgram://`): a frame per datagram, and one name for many guests.
 *
 * Theory of operation
 *
 * Linux lets a sender put no more than a dozen datagrams into a socket, except into one that is *connected back* to it:
 * then its own send buffer is the bound, which holds thousands. But a connected socket hears nobody else. So the first
 * frame of a guest that has connected to our socket makes that socket the guest's own, and a new socket takes over the name:
 *
 * ```text
 *   PATH ─ socket A ◀── guest 1 connects, sends       PATH ─ socket B ◀── guest 2 …
 *                                                            socket A ◀─▶ guest 1
 * ```
 *
 * Two kinds of guests cannot have that. One that names us in every datagram (QEMU's `-netdev dgram`) sends to whoever
 * has the name: it is heard on the listening socket, and gets its frames by a socket of our own that is connected to it,
 * so that its full queue can be waited for. And guests that have connected to the same socket before we heard the first
 * of them stay on it together; their full queues are tried again after {@linkcode RETRY}.
 *
 * Nothing tells us that a datagram guest is gone but the next frame for it. One that comes back by its old name is a new
 * guest.
 *
 * @module
 */

import { Errno, errnoText } from "../../host/errno.ts";
import { EpollEvents, type Reactor, type ReadyHandler } from "../../host/reactor.ts";
import { close } from "../../host/sys.ts";
import { openSockDiag } from "../../host/sock_diag.ts";
import { UnixDiag } from "../../host/unix_diag.ts";
import {
  connectToName,
  inodeOfPath,
  inodeOfSocket,
  listenUnix,
  openUnix,
  removeIfSocket,
} from "../../host/unix_listen.ts";
import { setSocketBuffers } from "../../host/unix_socket.ts";
import { NativeMemory } from "../../host/memory.ts";
import { earlier, type Instant, later, MILLISECOND, NEVER } from "../../stack/time.ts";
import type { FrameQueue } from "./frame_queue.ts";
import type { Listener } from "./listener.ts";
import { type PacketIo, PacketWire, VFKT } from "./packet_wire.ts";
import type { Port } from "./port.ts";
import { SOCKET_BUFFER } from "./socket_buffers.ts";
import type { Switch } from "./switch.ts";
import type { GuestWire } from "./wire.ts";

/** Until a full queue that nobody reports is tried again. */
const RETRY = MILLISECOND;

/** A name for datagrams. */
export class DatagramListener implements Listener {
  readonly path: string;
  readonly reactor: Reactor;
  readonly io: PacketIo;
  readonly owner: Switch;
  #current: SharedSocket;
  #inode: number;
  /** Sockets that had the name, and have several guests. */
  readonly #former = new Set<SharedSocket>();
  #diag: UnixDiag | undefined;

  /** @throws {Error} when the name cannot be had */
  constructor(path: string, reactor: Reactor, io: PacketIo, owner: Switch) {
    this.path = path;
    this.reactor = reactor;
    this.io = io;
    this.owner = owner;
    this.#current = new SharedSocket(this, listenUnix("datagram", path));
    this.#inode = inodeOfPath(path);
  }

  pollAt(): Instant {
    let at = this.#current.pollAt();
    for (const socket of this.#former) at = earlier(at, socket.pollAt());
    return at;
  }

  poll(now: Instant): void {
    this.#current.poll(now);
    for (const socket of this.#former) socket.poll(now);
  }

  close(): void {
    if (inodeOfPath(this.path) === this.#inode) removeIfSocket(this.path);
    this.#current.close();
    for (const socket of this.#former) socket.close();
    this.#former.clear();
    this.#diag?.close();
  }

  /** A guest that is connected to `socket` has sent its first frame: a new socket takes over the name. False: it cannot. */
  succeed(socket: SharedSocket): boolean {
    if (socket !== this.#current) return true;
    const fd = this.attempt(() => listenUnix("datagram", this.path));
    if (fd === undefined) return false;
    this.#current = new SharedSocket(this, fd);
    this.#inode = inodeOfPath(this.path);
    this.#former.add(socket);
    return true;
  }

  /**
   * How many are connected to a socket, as far as the kernel tells: it tells nothing of other network namespaces.
   * Infinity: it cannot be asked.
   */
  connectedTo(socket: SharedSocket): number {
    this.#diag ??= this.attempt(() => new UnixDiag(openSockDiag()));
    return this.#diag?.connectedTo(inodeOfSocket(socket.fd)) ?? Infinity;
  }

  /** Opens something on behalf of a guest: when descriptors have run out, the other guests go on (`vm.not-opened`). */
  attempt<T>(open: () => T): T | undefined {
    try {
      return open();
    } catch {
      this.owner.count("vm.not-opened");
      return undefined;
    }
  }

  /** Whether `socket` had the name, and has not any more. */
  isFormer(socket: SharedSocket): boolean {
    return this.#former.has(socket);
  }

  /** `socket` is a guest's own from now on, or is closed. */
  release(socket: SharedSocket): void {
    this.#former.delete(socket);
  }
}

/** One peer of a socket that several may write to. */
class Peer implements GuestWire, ReadyHandler {
  readonly name: NativeMemory;
  readonly nameLength: number;
  readonly port: Port;
  chain: Peer | undefined;
  readonly hash: number;
  /** Whether its queue was full when we last tried, and nobody will tell. */
  waits = false;
  readonly #socket: SharedSocket;
  /** A socket of our own that is connected to it, or −1: the one that it writes to. */
  #own: number;

  constructor(socket: SharedSocket, port: Port, name: Uint8Array, hash: number, own: number) {
    this.#socket = socket;
    this.port = port;
    this.hash = hash;
    this.#own = own;
    this.nameLength = name.length;
    this.name = new NativeMemory(name.length);
    this.name.bytes.set(name);
    if (own >= 0) socket.listener.reactor.add(own, 0, this);
  }

  is(name: Uint8Array): boolean {
    if (name.length !== this.nameLength) return false;
    for (let i = 0; i < name.length; i++) if (name[i] !== this.name.bytes[i]) return false;
    return true;
  }

  onReady(): void {
    this.#socket.listener.reactor.modify(this.#own, 0);
    this.port.writable();
  }

  send(queue: FrameQueue): boolean {
    const { io, owner, reactor } = this.#socket.listener;
    const { sender, offload } = io;
    while (queue.length > 0) {
      const sent = this.#own >= 0
        ? sender.send(this.#own, queue, offload)
        : sender.send(this.#socket.fd, queue, offload, this.name.address, this.nameLength);
      if (sent > 0) continue;
      if (sent === -Errno.EMSGSIZE) {
        owner.count("vm.too-long");
        queue.drop();
        continue;
      }
      if (sent === -Errno.EAGAIN || sent === -Errno.ENOBUFS) {
        if (this.#own >= 0) reactor.modify(this.#own, EpollEvents.out);
        else this.#socket.retryLater(this);
        return false;
      }
      reactor.defer({ run: () => this.port.gone(`the guest is gone: ${errnoText(-sent)}`) });
      return false;
    }
    return true;
  }

  /** Connecting tells; EPERM: it is connected to another socket, so it is there. */
  alive(): boolean {
    const { listener } = this.#socket;
    const fd = this.#own >= 0 ? this.#own : listener.attempt(() => openUnix("datagram"));
    if (fd === undefined) return true;
    const result = connectToName(fd, this.name.address, this.nameLength);
    if (fd !== this.#own) close(fd);
    return result >= 0 || result === -Errno.EPERM;
  }

  close(): void {
    if (this.#own >= 0) {
      this.#socket.listener.reactor.forget(this.#own);
      close(this.#own);
      this.#own = -1;
    }
    this.#socket.forget(this);
  }
}

/** A datagram socket that strangers may write to. */
class SharedSocket implements ReadyHandler {
  readonly listener: DatagramListener;
  readonly fd: number;
  readonly #peers = new Map<number, Peer>();
  #waiting: Peer[] = [];
  #retryAt: Instant = NEVER;
  /** A guest of this batch is connected to this very socket. */
  #connected = false;
  #closed = false;

  constructor(listener: DatagramListener, fd: number) {
    this.listener = listener;
    this.fd = fd;
    setSocketBuffers(fd, SOCKET_BUFFER);
    listener.reactor.add(fd, EpollEvents.in, this);
  }

  get hasGuests(): boolean {
    return this.#peers.size > 0;
  }

  pollAt(): Instant {
    return this.#retryAt;
  }

  poll(now: Instant): void {
    if (now < this.#retryAt) return;
    this.#retryAt = NEVER;
    const waiting = this.#waiting;
    this.#waiting = [];
    for (const peer of waiting) {
      peer.waits = false;
      peer.port.writable();
    }
  }

  retryLater(peer: Peer): void {
    if (peer.waits) return;
    peer.waits = true;
    this.#waiting.push(peer);
    if (this.#retryAt === NEVER) this.#retryAt = later(this.listener.reactor.now() as Instant, RETRY);
  }

  onReady(): void {
    const { io: { receiver, merging }, owner } = this.listener;
    receiver.receive(this.fd);
    while (receiver.next()) {
      const { name } = receiver;
      if (name.length <= 2) {
        owner.count("vm.unnamed-peer");
        continue;
      }
      const hash = hashOf(name);
      let peer = this.#peers.get(hash);
      while (peer !== undefined && !peer.is(name)) peer = peer.chain;
      const port = peer?.port ?? this.#join(hash);
      if (port === undefined) continue;
      if (receiver.length === 0 || receiver.is(VFKT)) continue;
      const frame = receiver.take(merging);
      if (frame === undefined) owner.count("vm.bad-length");
      else port.received(frame);
    }
    if (this.#connected) this.#handOver();
  }

  forget(peer: Peer): void {
    this.#unlink(peer);
    const { listener } = this;
    if (this.#closed || this.hasGuests || !listener.isFormer(this) || listener.connectedTo(this) > 0) return;
    listener.release(this);
    this.close();
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.listener.reactor.forget(this.fd);
    close(this.fd);
  }

  /** A stranger has sent something: a guest. Undefined: it cannot be answered, or there are too many. */
  #join(hash: number): Port | undefined {
    const { io: { receiver }, owner } = this.listener;
    const own = this.listener.attempt(() => openUnix("datagram"));
    if (own === undefined) return undefined;
    const result = connectToName(own, receiver.nameAddress, receiver.name.length);
    // EPERM: it is connected, and hears nobody but the socket that it is connected to.
    if (result < 0) close(own);
    if (result < 0 && result !== -Errno.EPERM) {
      owner.count("vm.unreachable-peer");
      return undefined;
    }
    if (result < 0) this.#connected = true;
    else setSocketBuffers(own, SOCKET_BUFFER);
    let peer: Peer | undefined;
    const port = owner.attach((port) =>
      peer = new Peer(this, port, receiver.name, hash, result < 0 ? -1 : own)
    );
    if (port === undefined || peer === undefined) {
      if (result >= 0) close(own);
      return undefined;
    }
    peer.chain = this.#peers.get(hash);
    this.#peers.set(hash, peer);
    return port;
  }

  /** Gives the socket to its only guest, if that is certain. */
  #handOver(): void {
    this.#connected = false;
    const { listener } = this;
    if (!listener.succeed(this)) return;
    if (this.#peers.size !== 1 || listener.connectedTo(this) !== 1) return;
    const [peer] = this.#peers.values();
    if (peer === undefined || peer.chain !== undefined) return;
    if (connectToName(this.fd, peer.name.address, peer.nameLength) < 0) return;
    this.#unlink(peer);
    this.#closed = true;
    listener.release(this);
    listener.reactor.remove(this.fd);
    peer.port.join(
      new PacketWire(this.fd, listener.reactor, listener.io, peer.port, peer.name, peer.nameLength),
    );
  }

  #unlink(peer: Peer): void {
    let before = this.#peers.get(peer.hash);
    if (before === peer) {
      if (peer.chain === undefined) this.#peers.delete(peer.hash);
      else this.#peers.set(peer.hash, peer.chain);
      return;
    }
    while (before !== undefined && before.chain !== peer) before = before.chain;
    if (before !== undefined) before.chain = peer.chain;
  }
}

function hashOf(name: Uint8Array): number {
  let hash = 0x811c9dc5; // FNV-1a
  for (let i = 0; i < name.length; i++) hash = Math.imul(hash ^ name[i]!, 0x01000193);
  return hash;
}
