/**
 * The guest's TCP, outwards: a forwarder that dials the host side before it answers the SYN.
 *
 * ```text
 *   guest SYN ─▶ policy ─▶ connect() ─┬─ connected ─▶ accept(): SYN-ACK ─▶ TcpRelay
 *                                     ├─ refused ───▶ RST
 *                                     ├─ unreachable ▶ the ICMP error that says the same
 *                                     └─ no answer ──▶ silence, so that the guest's own SYN timer decides
 *   to port 53 of the gateway ─▶ dns_streams.ts, which may dial a resolver when it has read the question
 * ```
 *
 * So the guest learns what a host in our place would have learned. Every dial is a non-blocking socket of its own: a
 * destination that never answers costs a descriptor and delays nobody. Dials are bounded in number and time; one too
 * many refuses the oldest, which is the one least likely to be answered.
 *
 * **The short path.** On loopback, and mostly on a veth, the handshake is over when connect() returns, yet it says
 * EINPROGRESS, because the SYN-ACK waited for the socket's lock. A second connect() sees that, and the SYN is
 * answered in the turn in which it came. A whole connection with one request costs socket, connect, connect, epoll_ctl,
 * write, read, read, close.
 *
 * @module
 */

import { Errno } from "../../host/errno.ts";
import { connectTo } from "../../host/inet.ts";
import { EpollEvents, type ReadyHandler } from "../../host/reactor.ts";
import { close } from "../../host/sys.ts";
import type { TcpRejection, TcpRequest } from "../../stack/tcp/forwarder.ts";
import type { FlowFacts } from "../../stack/facts.ts";
import { earlier, type Instant, NEVER } from "../../stack/time.ts";
import type { IpAddress } from "../../stack/wire/address.ts";
import type { GatewayConfig, Log } from "./config.ts";
import { type DialRequest, DnsStreams } from "./dns_streams.ts";
import { age, endpointText, type Flow, type FlowRegistry } from "./flows.ts";
import { isOwnPeer, openStream } from "./host_socket.ts";
import { type LruItem, LruList } from "./lru_list.ts";
import { isMartian, route } from "./policy.ts";
import type { Resolvers } from "./resolvers.ts";
import { TcpRelay } from "./tcp_relay.ts";
import type { TcpRelays } from "./tcp_relays.ts";
import { beginSmall, type TcpRoom } from "./tcp_room.ts";
import { unreachable } from "./unreachable.ts";

/** No kernel chooses a port below this one by itself. */
const FIRST_EPHEMERAL = 1_024;

/** Where a dial may go, tried in order. */
interface Target {
  readonly address: IpAddress;
  readonly port: number;
}

/** Answers the guest's SYNs. */
export class TcpDialer {
  readonly relays: TcpRelays;
  readonly #config: GatewayConfig;
  readonly #resolvers: Resolvers;
  readonly #registry: FlowRegistry;
  readonly #dials: LruList<TcpDial>;
  /** Undefined: every question is a resolver's. */
  readonly #dns: DnsStreams | undefined;
  readonly #log: Log;
  #complained = false;

  constructor(
    relays: TcpRelays,
    config: GatewayConfig,
    resolvers: Resolvers,
    registry: FlowRegistry,
    log: Log,
  ) {
    this.relays = relays;
    this.#config = config;
    this.#resolvers = resolvers;
    this.#registry = registry;
    this.#log = log;
    this.#dials = new LruList(relays.limits.tcpDialTimeout);
    const { zones, tenantOf } = config;
    this.#dns = zones && new DnsStreams({
      reactor: relays.reactor,
      pool: relays.pool,
      zones,
      limit: relays.limits.dnsStreams,
      tenantOf,
      count: (name) => relays.count(name),
      options: () => relays.room(undefined).options,
      dial: (request, now) => this.#dial(request, this.#resolvers.inOrder(), now),
    });
  }

  /** Dials that wait for an answer. */
  get pending(): number {
    return this.#dials.length;
  }

  /** The stack's forwarder: takes every SYN for which nobody listens. */
  handle(request: TcpRequest, now: Instant): void {
    if (isMartian(request.remoteAddress)) {
      this.#deny("martian-source");
      request.reject("drop", now);
      return;
    }
    const verdict = route(request.localAddress, request.localPort, this.#config);
    switch (verdict.do) {
      case "dial":
        return this.#dial(request, [{ address: verdict.address, port: request.localPort }], now);
      case "dns":
        if (this.#dns !== undefined) return this.#dns.accept(request, now);
        return this.#dial(request, this.#resolvers.inOrder(), now);
      case "refuse":
        this.#deny(verdict.why);
        return request.reject("reset", now);
      case "unreachable":
        this.#deny(verdict.why);
        return request.reject("host-unreachable", now);
      case "drop":
        this.#deny(verdict.why);
        return request.reject("drop", now);
    }
  }

  pollAt(): Instant {
    return earlier(this.#dials.expiresAt(), this.#dns?.pollAt() ?? NEVER);
  }

  /** Forgets dials that took too long. */
  poll(now: Instant): void {
    this.#dns?.poll(now);
    for (let dial = this.#dials.expired(now); dial !== undefined; dial = this.#dials.expired(now)) {
      this.relays.count("gateway.tcp.dial-timeout");
      dial.giveUp("drop", now);
    }
  }

  stop(now: Instant): void {
    this.#dns?.stop(now);
    for (let dial = this.#dials.oldest; dial !== undefined; dial = this.#dials.oldest) {
      dial.giveUp("reset", now);
    }
  }

  /** A dial waits from now on. */
  waiting(dial: TcpDial, now: Instant): void {
    this.#dials.touch(dial, now);
    if (dial.tenant !== undefined) this.relays.dialShare.add(dial.tenant);
    this.#registry.add(dial);
  }

  /** A dial has its answer. */
  settled(dial: TcpDial): void {
    if (dial.list !== undefined && dial.tenant !== undefined) this.relays.dialShare.remove(dial.tenant);
    this.#dials.remove(dial);
    this.#registry.delete(dial);
  }

  /** Counts, and says once, that the process has no descriptor left. */
  exhausted(errno: number): void {
    this.relays.count("gateway.tcp.no-descriptor");
    if (this.#complained) return;
    this.#complained = true;
    this.#log(
      "warn",
      `Cannot open a socket for the guest: ${
        errno === Errno.EMFILE ? "too many open files" : "out of resources"
      }`,
    );
  }

  #dial(request: DialRequest, targets: readonly Target[], now: Instant): void {
    const { limits } = this.relays;
    if (!this.relays.admit(this.#dials.length, now)) {
      request.reject("drop", now);
      return;
    }
    if (this.#dials.length >= limits.tcpDials) {
      this.relays.count("gateway.tcp.dial-limit");
      this.#dials.oldest?.giveUp("reset", now);
    }
    const tenant = this.#config.tenantOf?.(request.remoteAddress);
    if (tenant !== undefined && !this.#admit(tenant)) {
      request.reject("drop", now);
      return;
    }
    new TcpDial(this, request, targets, tenant, now).next(-Errno.ECONNREFUSED, now);
  }

  /** Whether a guest's share has room for one more dial, and for the connection that may come of it. */
  #admit(tenant: number): boolean {
    const { flowShare, dialShare } = this.relays;
    if (!flowShare.admits(tenant)) {
      this.relays.count("gateway.tcp.guest-limit");
      return false;
    }
    if (!dialShare.admits(tenant)) {
      this.relays.count("gateway.tcp.guest-dial-limit");
      return false;
    }
    flowShare.add(tenant);
    return true;
  }

  #deny(why: string): void {
    this.relays.count(`gateway.policy.${why}`);
  }
}

/** One SYN of the guest, until the host side has answered; afterwards the way by which events reach the relay. */
class TcpDial implements ReadyHandler, Flow, LruItem<TcpDial> {
  newer: TcpDial | undefined;
  older: TcpDial | undefined;
  list: LruList<TcpDial> | undefined;
  usedAt: Instant;

  /** Whose share it is part of; undefined: nobody's, or the relay's. */
  tenant: number | undefined;
  readonly #dialer: TcpDialer;
  readonly #request: DialRequest;
  readonly #targets: readonly Target[];
  readonly #since: Instant;
  readonly #room: TcpRoom;
  #next = 0;
  #fd = -1;
  #watched = false;
  #relay: TcpRelay | undefined;

  constructor(
    dialer: TcpDialer,
    request: DialRequest,
    targets: readonly Target[],
    tenant: number | undefined,
    now: Instant,
  ) {
    this.tenant = tenant;
    this.#dialer = dialer;
    this.#request = request;
    this.#targets = targets;
    this.#since = now;
    this.#room = dialer.relays.room(tenant);
    this.usedAt = now;
  }

  /** Tries targets until one is connected or has to be waited for. */
  next(result: number, now: Instant): void {
    while (this.#next < this.#targets.length) {
      const { address, port } = this.#targets[this.#next++]!;
      this.#fd = openStream(address.family);
      if (this.#fd < 0) {
        this.#dialer.exhausted(-this.#fd);
        this.giveUp("drop", now);
        return;
      }
      beginSmall(this.#fd, this.#room.hostFirst);
      result = connectTo(this.#fd, address, port);
      if (result === -Errno.EINPROGRESS) result = connectTo(this.#fd, address, port);
      if (result === 0) {
        this.#connected(now);
        return;
      }
      if (result === -Errno.EALREADY || result === -Errno.EINPROGRESS) {
        this.#watched = true;
        this.#dialer.relays.watch(this.#fd, this);
        if (this.list === undefined) this.#dialer.waiting(this, now);
        return;
      }
      this.#drop();
    }
    this.giveUp(rejectionOf(-result), now);
  }

  onReady(events: number): void {
    if (this.#relay !== undefined) {
      this.#relay.onReady(events);
      return;
    }
    if ((events & (EpollEvents.out | EpollEvents.err | EpollEvents.hup)) === 0) return;
    const now = this.#dialer.relays.now();
    const { address, port } = this.#targets[this.#next - 1]!;
    const result = connectTo(this.#fd, address, port);
    if (result === -Errno.EALREADY || result === -Errno.EINPROGRESS) return;
    if (result === 0 || result === -Errno.EISCONN) {
      this.#connected(now)?.onReady(events);
    } else {
      this.#drop();
      this.next(result, now);
    }
  }

  /** Tells the guest that there is no way. */
  giveUp(how: TcpRejection, now: Instant): void {
    this.#drop();
    this.#dialer.settled(this);
    this.#leaveShare();
    this.#request.reject(how, now);
  }

  facts(now: Instant): FlowFacts {
    const request = this.#request;
    const target = this.#targets[this.#next - 1]!;
    return {
      protocol: "tcp",
      direction: "out",
      guest: endpointText(request.remoteAddress, request.remotePort),
      destination: endpointText(request.localAddress, request.localPort),
      host: endpointText(target.address, target.port),
      state: "dialling",
      bytesOut: 0,
      bytesIn: 0,
      age: age(this.#since, now),
    };
  }

  /** The host side is there: answers the guest. Undefined: the guest has not waited. */
  #connected(now: Instant): TcpRelay | undefined {
    this.#dialer.settled(this);
    const { relays } = this.#dialer;
    const { address, port } = this.#targets[this.#next - 1]!;
    if (this.#request.expired) {
      this.#drop();
      this.#leaveShare();
      return undefined;
    }
    if (port >= FIRST_EPHEMERAL && isOwnPeer(this.#fd, address, port)) {
      relays.count("gateway.tcp.self-connect");
      this.#drop();
      this.#leaveShare();
      this.#request.reject("reset", now);
      return undefined;
    }
    const relay = new TcpRelay(relays, "out", this.#fd, this.#room.hostMost, address, port, now);
    relay.holdBack(this.#room.hostFirst);
    this.#relay = relay;
    relay.tenant = this.tenant;
    this.tenant = undefined;
    relay.join(this.#request.accept(relay, this.#room.options, now));
    if (!this.#watched) relays.watch(this.#fd, relay);
    return relay;
  }

  #leaveShare(): void {
    if (this.tenant !== undefined) this.#dialer.relays.flowShare.remove(this.tenant);
    this.tenant = undefined;
  }

  #drop(): void {
    if (this.#fd < 0) return;
    if (this.#watched) this.#dialer.relays.reactor.forget(this.#fd);
    this.#watched = false;
    close(this.#fd);
    this.#fd = -1;
  }
}

/** What to tell the guest about a connect() that failed with `errno`. */
export function rejectionOf(errno: number): TcpRejection {
  if (errno === Errno.ETIMEDOUT) return "drop";
  const why = unreachable(errno);
  return why === "port-unreachable" ? "reset" : why;
}
