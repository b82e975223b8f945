/**
 * The client side of DHCP for IPv6 (RFC 8415 section 18.2), for one address of one interface, or for information alone.
 *
 * ```text
 *   soliciting ─ADVERTISE─▶ requesting ─REPLY─▶ checking ─nobody has it─▶ bound ─T1─▶ renewing ─T2─▶ rebinding
 *       │  ▲                                  (RFC 4862)   ▲ │                │              │           │
 *       │  └──── refused, duplicate (DECLINE), over ───────┼─┼────────────────┴──────────────┴───────────┘
 *       └─REPLY with rapid commit─▶ checking               │ └─ the wire is back ─▶ confirming ─┐
 *                                                          └────────── REPLY, or nobody answers ┘
 *   informing ─REPLY─▶ informed ─refresh─▶ informing
 * ```
 *
 * A machine without a clock, as that of IPv4 (client.ts); who may be asked at all, router advertisements say (the flags
 * "managed" and "other"). The first advertisement is taken: section 18.2.1 would wait a second for better ones, and a program
 * waits. An address has no prefix: what is on the link, routers say, too.
 *
 * Trust. Answers count if they are to our question (transaction, client identifier) and from the server that we chose.
 * Addresses that no host can have and lifetimes that would be a storm of renewals are as if they were not there.
 *
 * @module
 */

import type { Counters } from "../counters.ts";
import type { LinkWatch, Nic } from "../nic.ts";
import type { Stack } from "../stack.ts";
import { earlier, type Instant, later, type Microseconds, NEVER, SECOND } from "../time.ts";
import type { IpAddress } from "../wire/address.ts";
import {
  DHCPV6_WANTED,
  type Dhcpv6Association,
  type Dhcpv6Message,
  Dhcpv6Status,
  type Dhcpv6Type,
} from "../wire/dhcpv6.ts";
import { type Dhcpv6Information, type Dhcpv6Lease, informationOf, leaseOf6 } from "./lease6.ts";
import { Dhcpv6Transport } from "./transport6.ts";

/** RFC 8415 section 7.6: first and longest time between two messages, and how many there are at most. */
const TIMES: Readonly<Record<Asking, readonly [first: number, longest: number, most: number]>> = {
  soliciting: [1, 3_600, Infinity],
  requesting: [1, 30, 10],
  confirming: [1, 4, 4],
  renewing: [10, 600, Infinity],
  rebinding: [10, 600, Infinity],
  informing: [1, 3_600, Infinity],
};
const MESSAGES: Readonly<Record<Asking, Dhcpv6Type>> = {
  soliciting: "solicit",
  requesting: "request",
  confirming: "confirm",
  renewing: "renew",
  rebinding: "rebind",
  informing: "information-request",
};
/** RFC 8415 section 15: a tenth of chance. */
const JITTER = 0.1;
/** RFC 4862 section 5.1. */
const DETECTION_TIME = SECOND;
/** Before a server that refused is asked again; doubles with each refusal, up to the longest. */
const FIRST_SETBACK = SECOND, LAST_SETBACK = 120 * SECOND;

type Asking = "soliciting" | "requesting" | "confirming" | "renewing" | "rebinding" | "informing";
/** Where a client is. */
export type Dhcpv6State = Asking | "stopped" | "refused" | "checking" | "bound" | "informed";

/** Who uses a client. */
export interface Dhcpv6Observer {
  /** There is a new lease, or the old one was renewed; undefined: the address must not be used any more. */
  onLease(lease: Dhcpv6Lease | undefined, now: Instant): void;
  /** Resolvers and domains, with or without a lease. */
  onInformation(information: Dhcpv6Information, now: Instant): void;
  onNote?(text: string): void;
}

/** A client. */
export class Dhcpv6Client implements LinkWatch {
  readonly #nic: Nic;
  readonly #counters: Counters;
  readonly #random: () => number;
  readonly #observer: Dhcpv6Observer;
  readonly #transport: Dhcpv6Transport;
  #state: Dhcpv6State = "stopped";
  #transaction = 0;
  #began: Instant = 0 as Instant;
  #sentAt: Instant = 0 as Instant;
  #retry: Microseconds = 0;
  #tries = 0;
  #setbacks = 0;
  #timer: Instant = NEVER;
  #complained = false;
  #server: Uint8Array | undefined;
  /** What is being asked for, or looked at. */
  #offer: Dhcpv6Lease | undefined;
  #lease: Dhcpv6Lease | undefined;
  #leaseBegan: Instant = 0 as Instant;

  constructor(stack: Stack, nic: Nic, observer: Dhcpv6Observer) {
    this.#nic = nic;
    this.#counters = stack.counters;
    this.#random = () => stack.random() >>> 0;
    this.#observer = observer;
    this.#transport = new Dhcpv6Transport(stack, nic, (message, now) => this.#onMessage(message, now));
  }

  get state(): Dhcpv6State {
    return this.#state;
  }

  get lease(): Dhcpv6Lease | undefined {
    return this.#lease;
  }

  /** An address is as good as there. */
  get isClose(): boolean {
    return this.#state === "requesting" || this.#state === "checking";
  }

  /** Begins to look for a server; `what` a router says there is to have. A client that has more already stays as it is. */
  start(what: "address" | "information", now: Instant): void {
    const informed = this.#state === "informing" || this.#state === "informed";
    if (this.#state !== "stopped" && !(informed && what === "address")) return;
    if (!this.#transport.open(now)) {
      this.#observer.onNote?.("cannot ask for an IPv6 address: port 546 is taken");
      return;
    }
    if (!this.#nic.watches.includes(this)) this.#nic.watches.push(this);
    this.#begin(what === "address" ? "soliciting" : "informing", now);
  }

  /** The wire was gone and is back, perhaps with another network behind it. */
  reboot(now: Instant): void {
    switch (this.#state) {
      case "stopped":
        return;
      case "informing":
      case "informed":
        return this.#begin("informing", now);
      default:
        this.#begin(this.#lease === undefined ? "soliciting" : "confirming", now);
    }
  }

  /** Gives the address back (RFC 8415 section 18.2.7) and is silent from then on. */
  stop(now: Instant): void {
    if (this.#lease !== undefined) {
      this.#transaction = this.#random() & 0xffffff;
      this.#counters.bump("dhcpv6.releases-sent");
      this.#transmit("release", this.#lease, now);
    }
    this.#state = "stopped";
    this.#timer = NEVER;
    this.#transport.close();
    const at = this.#nic.watches.indexOf(this);
    if (at >= 0) this.#nic.watches.splice(at, 1);
    this.#drop(now);
  }

  /** When {@linkcode poll} has something to do. */
  pollAt(): Instant {
    return earlier(this.#timer, this.#expiry());
  }

  poll(now: Instant): void {
    if (now >= this.#expiry()) {
      this.#counters.bump("dhcpv6.leases-expired");
      this.#observer.onNote?.(`the lease of ${this.#lease?.address} is over and nobody renewed it`);
      this.#drop(now);
      this.#begin("soliciting", now);
    }
    if (now >= this.#timer) this.#onTimer(now);
  }

  /** RFC 4862 section 5.4: somebody has, or wants, the address that we look at. */
  onClaim(target: IpAddress, now: Instant): void {
    const offer = this.#offer;
    if (this.#state !== "checking" || offer === undefined || !target.equals(offer.address)) return;
    this.#counters.bump("dhcpv6.declines-sent");
    this.#observer.onNote?.(`a DHCPv6 server gave ${target}, which somebody has already`);
    this.#transaction = this.#random() & 0xffffff;
    this.#transmit("decline", offer, now);
    this.#setBack(now);
  }

  #expiry(): Instant {
    return this.#lease === undefined ? NEVER : later(this.#leaseBegan, this.#lease.expireAfter);
  }

  #rebindAt(): Instant {
    return later(this.#leaseBegan, this.#lease?.rebindAfter ?? 0);
  }

  #onTimer(now: Instant): void {
    const state = this.#state;
    switch (state) {
      case "stopped":
        this.#timer = NEVER;
        return;
      case "refused":
        return this.#begin("soliciting", now);
      case "checking":
        return this.#bind(now);
      case "bound":
        return this.#begin("renewing", now);
      case "informed":
        return this.#begin("informing", now);
      case "renewing":
        if (now >= this.#rebindAt()) return this.#begin("rebinding", now);
        break;
      case "requesting":
        if (this.#tries >= TIMES[state][2]) return this.#begin("soliciting", now);
        break;
      case "confirming":
        // Section 18.2.3: nobody who knows better; the lease holds as long as it was given.
        if (this.#tries >= TIMES[state][2]) return this.#settle();
    }
    this.#send(state, now);
  }

  #begin(state: Asking, now: Instant): void {
    if (state === "soliciting") {
      this.#offer = this.#server = undefined;
      this.#complained = false;
    }
    this.#state = state;
    this.#transaction = this.#random() & 0xffffff;
    this.#began = now;
    this.#tries = 0;
    this.#retry = TIMES[state][0] * SECOND;
    this.#send(state, now);
  }

  #send(state: Asking, now: Instant): void {
    this.#tries++;
    this.#sentAt = now;
    this.#counters.bump(`dhcpv6.${MESSAGES[state]}s-sent`);
    this.#transmit(MESSAGES[state], this.#lease ?? this.#offer, now);
    const wait = this.#retry * (1 + JITTER * (this.#random() / 0x8000_0000 - 1));
    this.#retry = Math.min(2 * this.#retry, TIMES[state][1] * SECOND);
    this.#timer = later(now, wait);
    // At T2 any server is as good as ours.
    if (state === "renewing") this.#timer = earlier(this.#timer, this.#rebindAt());
  }

  #transmit(type: Dhcpv6Type, lease: Dhcpv6Lease | undefined, now: Instant): void {
    const informs = type === "information-request";
    const toServer = type === "request" || type === "renew" || type === "release" || type === "decline";
    const serverId = type === "request" ? this.#server : lease?.server;
    const tells = type !== "release" && type !== "decline" && type !== "confirm";
    this.#transport.send({
      type,
      transaction: this.#transaction,
      clientId: this.#identifier(),
      ...(toServer && serverId !== undefined ? { serverId } : {}),
      ...(informs ? {} : { association: this.#association(lease) }),
      elapsed: Math.min(0xffff, Math.floor((now - this.#began) / (SECOND / 100))),
      ...(tells ? { wanted: DHCPV6_WANTED } : {}),
      ...(type === "solicit" ? { rapidCommit: true } : {}),
    }, now);
  }

  /** Of a client, its times are wishes, of which we have none. */
  #association(lease: Dhcpv6Lease | undefined): Dhcpv6Association {
    const addresses = lease === undefined ? [] : [{ address: lease.address, preferred: 0, valid: 0 }];
    return { id: this.#identity(), t1: 0, t2: 0, addresses };
  }

  /** DUID-LL (RFC 8415 section 11.4): who we are goes with the hardware address. */
  #identifier(): Uint8Array {
    const bytes = new Uint8Array(10);
    const view = new DataView(bytes.buffer);
    view.setUint32(0, 0x00030001);
    this.#nic.mac.write(view, 4);
    return bytes;
  }

  #identity(): number {
    return new DataView(this.#identifier().buffer).getUint32(6);
  }

  #onMessage(message: Dhcpv6Message, now: Instant): void {
    const isOurs = message.transaction === this.#transaction && isSame(message.clientId, this.#identifier());
    if (!isOurs || message.serverId === undefined) return this.#counters.bump("dhcpv6.not-for-us");
    if (message.type === "advertise") return this.#onAdvertise(message, now);
    if (message.type === "reply") return this.#onReply(message, now);
    this.#counters.bump("dhcpv6.unexpected");
  }

  #onAdvertise(message: Dhcpv6Message, now: Instant): void {
    if (this.#state !== "soliciting") return;
    const offer = leaseOf6(message, this.#identity());
    if (offer === undefined) {
      this.#counters.bump("dhcpv6.bad-advertisements");
      // Once for each time that we look for a server, however many answers there are.
      if (!this.#complained) this.#observer.onNote?.("a DHCPv6 server has no address for us");
      this.#complained = true;
      return;
    }
    this.#offer = offer;
    this.#server = message.serverId;
    this.#begin("requesting", now);
  }

  #onReply(message: Dhcpv6Message, now: Instant): void {
    const { serverId, status = Dhcpv6Status.success } = message;
    switch (this.#state) {
      case "informing":
        return this.#inform(message, now);
      case "confirming":
        if (status === Dhcpv6Status.success) return this.#settle();
        if (status !== Dhcpv6Status.notOnLink) return this.#counters.bump("dhcpv6.unexpected");
        return this.#refused("the network is another one", now);
      case "soliciting":
        if (message.rapidCommit !== true) return this.#counters.bump("dhcpv6.unexpected");
        return this.#take(message, now);
      case "requesting":
        if (!isSame(serverId, this.#server)) return this.#counters.bump("dhcpv6.wrong-server");
        return this.#take(message, now);
      case "renewing":
        if (!isSame(serverId, this.#lease?.server)) return this.#counters.bump("dhcpv6.wrong-server");
        return this.#renewed(message, now);
      case "rebinding":
        return this.#renewed(message, now);
      default:
        this.#counters.bump("dhcpv6.unexpected");
    }
  }

  #take(message: Dhcpv6Message, now: Instant): void {
    const lease = leaseOf6(message, this.#identity());
    if (lease === undefined) return this.#refused("a DHCPv6 server has no address for us", now);
    this.#observer.onInformation(informationOf(message), now);
    this.#offer = lease;
    this.#leaseBegan = this.#sentAt;
    this.#state = "checking";
    this.#timer = later(now, DETECTION_TIME);
    this.#transport.detect(lease.address, now);
  }

  #renewed(message: Dhcpv6Message, now: Instant): void {
    const lease = leaseOf6(message, this.#identity());
    const { status = message.status } = message.association ?? {};
    if (status === Dhcpv6Status.noBinding || status === Dhcpv6Status.notOnLink) {
      return this.#refused(`a DHCPv6 server does not know of ${this.#lease?.address}`, now);
    }
    if (lease === undefined) return this.#counters.bump("dhcpv6.bad-replies");
    if (!lease.address.equals(this.#lease!.address)) {
      this.#drop(now);
      return this.#take(message, now);
    }
    this.#observer.onInformation(informationOf(message), now);
    this.#offer = lease;
    this.#leaseBegan = this.#sentAt;
    this.#bind(now);
  }

  #refused(why: string, now: Instant): void {
    this.#counters.bump("dhcpv6.refusals-received");
    this.#observer.onNote?.(why);
    const had = this.#lease !== undefined;
    this.#drop(now);
    // The first refusal of a lease that was good is no reason to wait.
    if (had) this.#begin("soliciting", now);
    else this.#setBack(now);
  }

  #setBack(now: Instant): void {
    this.#offer = undefined;
    this.#state = "refused";
    this.#timer = later(now, Math.min(FIRST_SETBACK * 2 ** this.#setbacks++, LAST_SETBACK));
  }

  #bind(now: Instant): void {
    const fresh = this.#lease === undefined;
    this.#lease = this.#offer!;
    this.#offer = undefined;
    this.#setbacks = 0;
    this.#counters.bump(fresh ? "dhcpv6.leases-obtained" : "dhcpv6.leases-renewed");
    this.#settle();
    this.#observer.onLease(this.#lease, now);
  }

  #settle(): void {
    this.#state = "bound";
    this.#timer = later(this.#leaseBegan, this.#lease!.renewAfter);
  }

  #inform(message: Dhcpv6Message, now: Instant): void {
    const information = informationOf(message);
    this.#state = "informed";
    this.#timer = later(now, information.refreshAfter);
    this.#observer.onInformation(information, now);
  }

  #drop(now: Instant): void {
    if (this.#lease === undefined) return;
    this.#lease = undefined;
    this.#observer.onLease(undefined, now);
  }
}

function isSame(a: Uint8Array | undefined, b: Uint8Array | undefined): boolean {
  return a !== undefined && b !== undefined && a.length === b.length && a.every((byte, i) => byte === b[i]);
}
