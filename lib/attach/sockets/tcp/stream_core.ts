/**
 * The state of a TCP socket of the guest, and what happens to it without a call: events of its connection and of its pair.
 *
 * @module
 */

import { EpollEvents, SO, SOCK, SOL } from "../../../host/constants.ts";
import { Errno } from "../../../host/errno.ts";
import { socketError } from "../../../host/inet.ts";
import { writeSockaddr } from "../../../host/structs.ts";
import { close } from "../../../host/sys.ts";
import type { TcpConnection } from "../../../stack/tcp/connection.ts";
import { TcpEvent, type TcpObserver } from "../../../stack/tcp/events.ts";
import type { Instant } from "../../../stack/time.ts";
import type { Call } from "../call.ts";
import { GuestSocket } from "../guest_socket.ts";
import { type OptionOwner, OptionValues } from "../options/option.ts";
import { SO_LINGER_TIME } from "../options/socket_level.ts";
import { endErrno, errnoOf } from "./errors.ts";
import type { HeldCall } from "./held_call.ts";
import type { ListenGroup } from "./listen_group.ts";
import type { Listening, ListeningOwner } from "./listening.ts";
import { drain, narrow, pendingEvents, plant, prepareNear } from "./pair.ts";
import type { Binding, BindingOwner } from "./ports.ts";
import { type RelayEnd, type RelayOwner, StreamRelay } from "./relay.ts";
import { applyToConnection, applyToPair, isNative, widenFor } from "./stream_options.ts";
import type { Streams } from "./streams.ts";
import { writeIdleInfo, writeTcpInfo } from "./tcp_info.ts";

/** Where in its life a socket is. */
export type Phase = "idle" | "connecting" | "connected" | "listening";

/** What is below the calls of {@linkcode StreamSocket}. */
export abstract class StreamCore extends GuestSocket
  implements TcpObserver, OptionOwner, RelayOwner, ListeningOwner, BindingOwner {
  readonly values = new OptionValues();
  protected readonly streams: Streams;
  protected phase: Phase = "idle";
  /** The guest knows how its connect() ended. */
  protected told = true;
  /** `sk_err`. */
  protected pendingError = 0;
  /** The pair has been used up: it cannot become a stream any more. */
  protected spent = false;
  /** The pair is closed at our end. */
  protected detached = false;
  protected gone = false;
  /** Bytes of padding that wait in our end. */
  protected padding = 0;
  protected isNarrow = true;
  protected binding: Binding | undefined;
  /** Made by `accept`: its port is the listener's, and goes with the connection. */
  protected accepted = false;
  protected connection: TcpConnection | undefined;
  protected relay: StreamRelay | undefined;
  protected listener: Listening<TcpConnection, ListenGroup> | undefined;
  protected readonly waiters: HeldCall[] = [];

  /** For {@linkcode Listening}. */
  abstract deliver(connection: TcpConnection, call: Call, flags: number): boolean;

  constructor(streams: Streams, domain: number, near: number, inode: number) {
    super(near, inode, domain, SOCK.STREAM, SOL.TCP);
    this.streams = streams;
  }

  /** Makes the ends of a pair that was just made those of a socket without a connection. */
  prepare(near: number, far: number): void {
    prepareNear(near);
    this.padding = narrow(far);
    this.isNarrow = true;
    this.spent = false;
    this.detached = false;
  }

  // ── what the pair, the stack and the relay tell ──────────────────────────────────────────────────────────────

  onReady(events: number): void {
    this.relay?.onReady(events);
  }

  settle(): void {
    const events = this.detached ? 0 : pendingEvents(this.near);
    if ((events & EpollEvents.hup) === 0) return;
    this.onReady(events);
    this.closed();
  }

  closed(): void {
    // With a relay, it decides: what the guest wrote last is still to be read, and it may only have shut down.
    if (this.relay !== undefined && !this.detached) return;
    if (this.gone) return;
    this.gone = true;
    const now = this.streams.now();
    for (const held of this.waiters.splice(0)) held.settle().call.fail(Errno.EBADF);
    this.stopListening(Errno.EBADF, now);
    this.relay?.stop();
    this.connection?.close(now);
    this.unbind();
    this.streams.context.supervisor.release(this);
  }

  onTcpEvent(connection: TcpConnection, events: number, now: Instant): void {
    if (connection !== this.connection) return;
    if (this.phase === "connecting") {
      if ((events & TcpEvent.closed) !== 0 && connection.error !== undefined) return this.connectFailed(now);
      if ((events & TcpEvent.established) === 0) return;
      this.establish(now);
    }
    if ((events & TcpEvent.closed) !== 0 && connection.error !== undefined) {
      return this.reset(connection, now);
    }
    this.relay?.pump(now);
  }

  relayEnded(end: RelayEnd): void {
    if (end === "closed") {
      this.relay = undefined;
      this.connection = undefined;
      return this.closed();
    }
    this.detach();
  }

  get resetsOnClose(): boolean {
    return this.values.get(SOL.SOCKET, SO.LINGER) === 1 && this.values.get(SOL.SOCKET, SO_LINGER_TIME) === 0;
  }

  get acceptTimeout(): number {
    return this.values.get(SOL.SOCKET, SO.RCVTIMEO) ?? 0;
  }

  /** For the guest's end at a time when the guest has not called. */
  reachGuest(): number {
    return this.streams.context.supervisor.reach(this);
  }

  giveBack(far: number): void {
    close(far);
  }

  // ── connected ────────────────────────────────────────────────────────────────────────────────────────────────

  protected join(connection: TcpConnection, now: Instant): void {
    this.connection = connection;
    this.phase = "connected";
    connection.observer = this;
    // Until now the guest had a pair that takes no bytes, or none at all.
    const relay = new StreamRelay(this.streams, this, connection, false);
    this.relay = relay;
    if (connection.error !== undefined) return this.reset(connection, now);
    relay.pump(now);
  }

  /** Gives the guest's end the room of a connected stream, now or as soon as it can be reached. */
  protected widen(): void {
    if (!this.isNarrow) return;
    const far = this.reachGuest();
    if (far < 0) return;
    widenFor(far, this.values);
    this.isNarrow = false;
    close(far);
  }

  /** The connection has ended with an error: so does the stream of the guest. */
  protected reset(connection: TcpConnection, _now: Instant): void {
    this.pendingError = endErrno(connection);
    this.relay?.stop();
    this.spoil();
  }

  /** Ends the guest's stream with ECONNRESET. */
  protected spoil(): void {
    const far = this.reachGuest();
    if (far >= 0) {
      plant(far);
      close(far);
    } else this.streams.context.counters.bump("sockets.tcp.quiet-reset");
    this.detach();
  }

  protected detach(): void {
    if (this.detached) return;
    this.detached = true;
    this.spent = true;
    if (this.accepted) this.unbind();
    this.streams.context.supervisor.detach(this);
  }

  protected establish(now: Instant): void {
    this.phase = "connected";
    this.widen();
    drain(this.near, this.padding);
    this.padding = 0;
    this.join(this.connection!, now);
    for (const held of this.waiters.splice(0)) this.told = held.settle().call.tryReply(0);
  }

  protected connectFailed(now: Instant): void {
    const errno = errnoOf(this.connection!.error!);
    this.connection!.close(now);
    this.connection = undefined;
    this.phase = "idle";
    let heard = false;
    for (const held of this.waiters.splice(0)) if (held.settle().call.tryFail(errno)) heard = true;
    if (heard) {
      this.told = true;
      return;
    }
    this.told = false;
    this.pendingError = errno;
    this.detach();
  }

  protected stopListening(errno: number, now: Instant): void {
    const listening = this.listener;
    if (listening === undefined) return;
    this.listener = undefined;
    if (!listening.close(errno, now)) return;
    const { groups } = this.streams;
    for (const [key, group] of groups) if (group === listening.group) groups.delete(key);
  }

  /** Connected, and not over. */
  protected get isAlive(): boolean {
    const state = this.connection?.state;
    return this.phase === "connected" && state !== undefined && state !== "closed" && state !== "time-wait";
  }

  protected unbind(): void {
    if (this.binding === undefined) return;
    this.streams.ports.remove(this.binding);
    this.binding = undefined;
  }

  // ── options ───

  get listening(): boolean {
    return this.phase === "listening";
  }

  get bound(): boolean {
    return this.binding !== undefined || this.phase !== "idle";
  }

  get connected(): boolean {
    return this.phase === "connected";
  }

  hasInterface(device: string): boolean {
    return this.streams.context.stack.nic(device) !== undefined;
  }

  takeError(): number {
    const error = this.fetchError();
    if (error !== 0) {
      // The guest's end has an error of its own, which SO_ERROR would have cleared.
      const far = this.reachGuest();
      if (far >= 0) {
        socketError(far);
        close(far);
      }
    }
    return error;
  }

  putErrorBack(errno: number): void {
    this.pendingError = errno;
  }

  protected fetchError(): number {
    const error = this.pendingError;
    this.pendingError = 0;
    return error;
  }

  peerName(view: DataView): number {
    const connection = this.connection;
    if (connection === undefined || !this.isAlive) return -Errno.ENOTCONN;
    return writeSockaddr(view, 0, connection.remoteAddress, connection.remotePort);
  }

  describe(view: DataView): number {
    if (this.connection !== undefined) return writeTcpInfo(view, this.connection);
    const listening = this.listener;
    return listening === undefined
      ? writeIdleInfo(view)
      : writeIdleInfo(view, listening.available, listening.backlog);
  }

  changed(level: number, option: number): number {
    if (isNative(level, option)) {
      const far = this.reachGuest();
      if (far >= 0) {
        applyToPair(far, this.values, option);
        close(far);
      }
    } else if (level === SOL.SOCKET && option === SO.SNDBUF && !this.isNarrow) {
      this.isNarrow = true;
      this.widen();
    } else if (level === SOL.SOCKET && (option === SO.REUSEADDR || option === SO.REUSEPORT)) this.rebind();
    if (this.connection !== undefined) {
      applyToConnection(this.connection, this.values, level, option, this.streams.now());
    }
    return 0;
  }

  /** Options that a binding remembers have changed. */
  protected rebind(): void {
    const binding = this.binding;
    if (binding === undefined) return;
    this.unbind();
    this.binding = {
      ...binding,
      reuseAddress: this.values.get(SOL.SOCKET, SO.REUSEADDR) === 1,
      reusePort: this.values.get(SOL.SOCKET, SO.REUSEPORT) === 1,
    };
    this.streams.ports.add(this.binding);
  }
}
