/**
 * The host's network as impersonated sockets use it: which of the guest's addresses lead where.
 *
 * Theory of operation
 *
 * ```text
 *   connect, sendto to   a loopback address  a port that one of its own sockets has on the host ─▶ there
 *                                            a port that somebody listens on inside             ─▶ inside
 *                                            else, if the host's loopback may be reached        ─▶ the host's
 *                        any other           that nobody forbids                                ─▶ the host dials it
 *   bind to a port       that is published                                                      ─▶ bound on the host
 *                        else                                                                   ─▶ bound inside
 * ```
 *
 * *Inside* is the guest's own stack, which has a loopback and nothing else. So programs of the guest talk to each other on
 * 127.0.0.1 in this mode as in every other, and nothing that they listen on can be seen from outside unless policy says
 * so. What is refused is refused as in mode `sandbox-passthrough`: link-local addresses, groups, broadcasts. Resolvers of
 * the host's resolv.conf are reached wherever they are.
 *
 * @module
 */

import { Errno } from "../../../host/errno.ts";
import { Counters } from "../../../stack/counters.ts";
import type { FlowFacts, ForwardFacts, SocketFacts } from "../../../stack/facts.ts";
import { IpAddress } from "../../../stack/wire/address.ts";
import { specialOf } from "../../../stack/wire/special_address.ts";

/** A port of the guest that may be bound on the host. */
export interface PublishRule {
  readonly protocol: "tcp" | "udp";
  /** Absent: the address that the guest binds. */
  readonly hostAddress?: IpAddress;
  readonly hostPort: number;
  readonly guestPort: number;
}

/** What impersonation is told. */
export interface ImpersonationConfig {
  /** 127.0.0.1 and ::1 are the host's, but for ports that the guest has itself. */
  readonly hostLoopback: boolean;
  /** Every port that is bound is bound on the host, as named. */
  readonly publishAll: boolean;
  readonly publish: readonly PublishRule[];
  readonly resolvers: readonly { readonly address: IpAddress; readonly port: number }[];
  /** Give the guest the host's TCP sockets themselves. */
  readonly handoff: boolean;
  /** Our own control API on the host's loopback: out of reach. 0: it is not there. */
  readonly controlPort: number;
  /** Most sockets of the host at the same time; each has a pair beside. */
  readonly maxSockets: number;
}

/** An address and a port of the host. */
export interface Place {
  readonly address: IpAddress;
  readonly port: number;
}

/** Where a destination leads: to the guest's own stack, to a place of the host's network, or nowhere. */
export type Destination =
  | { readonly to: "inside" }
  | { readonly to: "host"; readonly place: Place }
  | { readonly to: "nowhere"; readonly errno: number };

/** A socket of the guest that has a port of the host. */
export interface BoundOnHost {
  readonly protocol: "tcp" | "udp";
  readonly guestPort: number;
  /** As the host has it; unspecified: every address. */
  readonly place: Place;
  /** The guest may have closed it, and we have not heard yet: look. */
  settle(): void;
}

/** Something of the guest that a socket of the host stands for. */
export interface HostFlow {
  /** Of the guest's end, and who opened it. */
  readonly inode: number;
  readonly owner: number;
  /** Undefined: nothing flows, it only listens. */
  facts(now: number): FlowFacts | undefined;
  socket(): SocketFacts | undefined;
  /** Bytes that wait for the host though the guest has closed; −1 if none. */
  unsent(): number;
}

const INSIDE: Destination = { to: "inside" };
const LOOPBACK4 = IpAddress.v4(0x7f000001);
const LOOPBACK6 = new IpAddress(6, 0, 0, 0, 1);

/** What all impersonated sockets of a guest share. */
export class HostNetwork {
  readonly config: ImpersonationConfig;
  readonly counters: Counters = new Counters();
  readonly flows = new Set<HostFlow>();
  /** Asks for the sockets that the guest holds itself; set by who knows them. */
  handedSockets: () => readonly SocketFacts[] = () => [];
  readonly #rules: PublishRule[];
  readonly #bound = new Map<string, BoundOnHost[]>();
  readonly #handed = new Map<string, BoundOnHost>();
  #sockets = 0;

  constructor(config: ImpersonationConfig) {
    this.config = config;
    this.#rules = [...config.publish];
  }

  /**
   * Where `address`, which is neither mapped nor unspecified, and `port` lead.
   *
   * @param isInside whether a socket of the guest's stack would take it
   */
  destination(
    protocol: "tcp" | "udp",
    address: IpAddress,
    port: number,
    isInside: (address: IpAddress, port: number) => boolean,
  ): Destination {
    const special = specialOf(address);
    if (special === undefined) return toHost(address, port);
    if (special === "loopback") {
      const own = this.#own(protocol, address, port);
      if (own !== undefined) return own;
      const isControl = protocol === "tcp" && port === this.config.controlPort;
      const isHosts = (this.config.hostLoopback && !isControl) || this.#isResolver(address, port);
      return !isHosts || isInside(address, port) ? INSIDE : toHost(address, port);
    }
    if (this.#isResolver(address, port)) return toHost(address, port);
    // The guest's stack says what a host without a route says, and carries groups among its own.
    if (special !== "link-local" && special !== "v4-mapped") return INSIDE;
    this.counters.bump(`tsi.policy.${special}`);
    return { to: "nowhere", errno: Errno.ENETUNREACH };
  }

  /**
   * Where on the host a socket may be bound that the guest binds to `address` and `port`; undefined: nowhere.
   *
   * @param domain4 the socket takes IPv4 only
   */
  publishedAs(
    protocol: "tcp" | "udp",
    address: IpAddress,
    port: number,
    domain4: boolean,
  ): Place | undefined {
    for (const rule of this.#rules) {
      if (rule.protocol !== protocol || rule.guestPort !== port) continue;
      const { hostAddress, hostPort } = rule;
      if (hostAddress === undefined) return { address, port: hostPort };
      if (hostAddress.isUnspecified() && hostAddress.family === address.family) {
        return { address, port: hostPort };
      }
      if (hostAddress.family === 6 && domain4) continue;
      if (address.isUnspecified() && (hostAddress.family === address.family || address.family === 6)) {
        return { address: hostAddress, port: hostPort };
      }
      if (address.equals(hostAddress)) return { address, port: hostPort };
    }
    return this.config.publishAll ? { address, port } : undefined;
  }

  /** The guest's port behind a port of the host's, for names. */
  guestPort(protocol: "tcp" | "udp", { port }: { readonly port: number }): number {
    for (const holder of this.#holders()) {
      if (holder.protocol === protocol && holder.place.port === port) return holder.guestPort;
    }
    return port;
  }

  /** A socket of the guest has a port of the host. */
  bound(holder: BoundOnHost): void {
    const key = `${holder.protocol} ${holder.guestPort}`;
    const holders = this.#bound.get(key);
    if (holders === undefined) this.#bound.set(key, [holder]);
    else holders.push(holder);
  }

  /**
   * As {@linkcode bound}, for a socket whose end nobody tells us of: it counts until another has the port. Who finds nobody
   * there is refused, as it should be.
   */
  handed(holder: BoundOnHost): void {
    this.#handed.set(`${holder.protocol} ${holder.guestPort}`, holder);
  }

  /** The guest's port that is published as `hostPort`; without a rule the same. */
  publishedGuestPort(protocol: "tcp" | "udp", hostPort: number): number {
    const rule = this.#rules.find((one) => one.protocol === protocol && one.hostPort === hostPort);
    return rule?.guestPort ?? hostPort;
  }

  /** Looks whether the guest has closed what has `port` of the host. False: nothing has it. */
  settle(protocol: "tcp" | "udp", port: number): boolean {
    let any = false;
    for (const holder of [...this.#bound.values()].flat()) {
      if (holder.protocol !== protocol || holder.place.port !== port) continue;
      holder.settle();
      any = true;
    }
    return any;
  }

  unbound(holder: BoundOnHost): void {
    const key = `${holder.protocol} ${holder.guestPort}`;
    const left = this.#bound.get(key)?.filter((other) => other !== holder) ?? [];
    if (left.length === 0) this.#bound.delete(key);
    else this.#bound.set(key, left);
  }

  /** Counts one more socket of the host; false: there are enough. */
  take(): boolean {
    if (this.#sockets >= this.config.maxSockets) {
      this.counters.bump("tsi.limit.sockets");
      return false;
    }
    this.#sockets++;
    return true;
  }

  give(): void {
    this.#sockets--;
  }

  publish(rule: PublishRule): void {
    if (this.#rules.some((other) => sameRule(other, rule))) {
      throw new Error(`Cannot publish ${ruleText(rule)}: it is published already`);
    }
    this.#rules.push(rule);
  }

  /** Sockets that are bound already stay. */
  unpublish(rule: PublishRule): void {
    const at = this.#rules.findIndex((other) => sameRule(other, rule));
    if (at < 0) throw new Error(`Cannot unpublish ${ruleText(rule)}: it is not published`);
    this.#rules.splice(at, 1);
  }

  /** Every socket of the host's that stands for one of the guest's, by the names that the guest has for both ends. */
  sockets(): SocketFacts[] {
    const relayed = [...this.flows].flatMap((flow) => {
      const facts = flow.socket();
      return facts === undefined ? [] : [{ ...facts, inode: flow.inode, user: flow.owner }];
    });
    const guests = new Map<string, number>();
    for (const { protocol, place, guestPort } of this.#holders()) {
      if (place.port !== guestPort) guests.set(`${protocol} ${place.port}`, guestPort);
    }
    const all = [...relayed, ...this.handedSockets()];
    return guests.size === 0 ? all : all.map((facts) => asNamedByGuest(facts, guests));
  }

  forwards(): ForwardFacts[] {
    return this.#rules.map((rule) => ({
      protocol: rule.protocol,
      host: rule.hostAddress === undefined
        ? `*:${rule.hostPort}`
        : placeText(rule.hostAddress, rule.hostPort),
      guest: rule.guestPort,
    }));
  }

  /** A port of the guest's own that is on the host: the guest finds it under its own number. */
  #own(protocol: "tcp" | "udp", address: IpAddress, port: number): Destination | undefined {
    const key = `${protocol} ${port}`;
    for (const holder of [...this.#bound.get(key) ?? []]) holder.settle();
    const handed = this.#handed.get(key);
    const holders = this.#bound.get(key) ?? [];
    for (const { place } of handed === undefined ? holders : [...holders, handed]) {
      const { address: host } = place;
      if (host.isUnspecified() ? host.family === 6 || address.family === 4 : host.equals(address)) {
        return toHost(address.family === 4 ? LOOPBACK4 : LOOPBACK6, place.port);
      }
    }
    return undefined;
  }

  #holders(): BoundOnHost[] {
    return [...[...this.#bound.values()].flat(), ...this.#handed.values()];
  }

  #isResolver(address: IpAddress, port: number): boolean {
    return this.config.resolvers.some((one) => one.port === port && one.address.equals(address));
  }
}

/** @param guests the guest's ports by protocol and port of the host */
function asNamedByGuest(facts: SocketFacts, guests: ReadonlyMap<string, number>): SocketFacts {
  const guestPort = (port: number) => guests.get(`${facts.protocol} ${port}`) ?? port;
  // The far end is a port of the guest's own if it is reached over the host's loopback.
  const isNear = IpAddress.parse(facts.remote)?.isLoopback() === true;
  return {
    ...facts,
    localPort: guestPort(facts.localPort),
    remotePort: isNear ? guestPort(facts.remotePort) : facts.remotePort,
  };
}

function toHost(address: IpAddress, port: number): Destination {
  return { to: "host", place: { address, port } };
}

function sameRule(a: PublishRule, b: PublishRule): boolean {
  if (a.protocol !== b.protocol || a.hostPort !== b.hostPort || a.guestPort !== b.guestPort) return false;
  if (a.hostAddress === undefined || b.hostAddress === undefined) return a.hostAddress === b.hostAddress;
  return a.hostAddress.equals(b.hostAddress);
}

function ruleText(rule: PublishRule): string {
  const host = rule.hostAddress === undefined
    ? `*:${rule.hostPort}`
    : placeText(rule.hostAddress, rule.hostPort);
  return `${host}/${rule.protocol}`;
}

/** `address:port`, with brackets around an IPv6 address. */
export function placeText(address: IpAddress, port: number): string {
  return address.family === 6 ? `[${address}]:${port}` : `${address}:${port}`;
}
