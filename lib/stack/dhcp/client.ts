/**
 * The client side of DHCP for IPv4 (RFC 2131 section 4.4), for one interface.
 *
 * ```text
 *             ┌──────────────── NAK, conflict (DECLINE), lease over ───────────────┐
 *             ▼                                                                    │
 *   init ─▶ selecting ─OFFER─▶ requesting ─ACK─▶ checking ─nobody has it─▶ bound ──┤
 *                                                 (RFC 5227)               │ T1    │
 *   rebooting (the wire is back) ────────ACK──────────────────────────────▶│       │
 *                                          bound ◀─ACK─ renewing ◀─────────┘       │
 *                                                ◀─ACK─ rebinding ◀─ T2 ───────────┘
 * ```
 *
 * A machine without a clock: `pollAt` says when `poll` is worth calling. Whoever made it applies the leases that it hears
 * of, and takes them back.
 *
 * Trust. Answers count if they are to our question (transaction, hardware address) and from the server that we chose.
 * What they say is checked in lease.ts. A server that says NAK to everything is asked less and less often.
 *
 * @module
 */

import type { Counters } from "../counters.ts";
import type { LinkWatch, Nic } from "../nic.ts";
import type { Stack } from "../stack.ts";
import { earlier, type Instant, later, type Microseconds, MILLISECOND, NEVER, SECOND } from "../time.ts";
import type { IpAddress } from "../wire/address.ts";
import type { ArpRepr } from "../wire/arp.ts";
import { dhcpv4Code, type Dhcpv4Message, type Dhcpv4Options, type Dhcpv4Type } from "../wire/dhcpv4.ts";
import { type Dhcpv4Lease, leaseOf } from "./lease.ts";
import { Dhcpv4Transport } from "./transport.ts";

/**
 * RFC 2131 section 4.1 begins at four seconds, for networks of its time; ours has one hop, and a program waits. It doubles
 * up to the 64 seconds of the RFC, each with a quarter of chance.
 */
const FIRST_RETRY = SECOND, LAST_RETRY = 64 * SECOND, RETRY_JITTER = 0.25;
/** Requests without an answer before the offer is given up. */
const REQUESTS = 4;
/** RFC 2131 section 3.1: at least ten seconds after a DECLINE. */
const DECLINE_WAIT = 10 * SECOND;
/** RFC 5227 has three probes in 2 to 7 seconds; a program waits, on a wire that answers in less than a millisecond. */
const PROBES = 2, PROBE_INTERVAL = 150 * MILLISECOND;
/** RFC 2131 section 4.4.5: half of the time that is left, and no less than a minute. */
const RENEW_RETRY_MIN = 60 * SECOND;

/** Where a client is. */
export type Dhcpv4State =
  | "stopped"
  | "init"
  | "selecting"
  | "requesting"
  | "checking"
  | "bound"
  | "renewing"
  | "rebinding"
  | "rebooting";

/** Who uses a client. */
export interface Dhcpv4Observer {
  /** There is a new lease, or the old one was renewed; undefined: the address must not be used any more. */
  onLease(lease: Dhcpv4Lease | undefined, now: Instant): void;
  /** Something that an operator would want to know. */
  onNote?(text: string): void;
}

const PARAMETERS = ([
  "prefixLength",
  "routes",
  "routers",
  "dns",
  "domainName",
  "mtu",
  "searchDomains",
  "leaseTime",
  "serverId",
  "renewalTime",
  "rebindingTime",
] as const).map(dhcpv4Code);

/** A client. */
export class Dhcpv4Client implements LinkWatch {
  readonly #nic: Nic;
  readonly #counters: Counters;
  readonly #random: () => number;
  readonly #observer: Dhcpv4Observer;
  readonly #transport: Dhcpv4Transport;
  #state: Dhcpv4State = "stopped";
  #transaction = 0;
  /** When this exchange began, and the last request was sent. */
  #began: Instant = 0 as Instant;
  #sentAt: Instant = 0 as Instant;
  #retry: Microseconds = FIRST_RETRY;
  #tries = 0;
  /** NAKs and conflicts since the last lease. */
  #setbacks = 0;
  #timer: Instant = NEVER;
  /** It has been said that the answers to the last question are of no use. */
  #complained = false;
  /** What is being asked for. */
  #offer: Dhcpv4Lease | undefined;
  #lease: Dhcpv4Lease | undefined;
  #leaseBegan: Instant = 0 as Instant;

  constructor(stack: Stack, nic: Nic, observer: Dhcpv4Observer) {
    this.#nic = nic;
    this.#counters = stack.counters;
    this.#random = () => stack.random() >>> 0;
    this.#observer = observer;
    this.#transport = new Dhcpv4Transport(
      stack,
      nic,
      (message, from, now) => this.#onMessage(message, from, now),
    );
  }

  get state(): Dhcpv4State {
    return this.#state;
  }

  get lease(): Dhcpv4Lease | undefined {
    return this.#lease;
  }

  /** Begins to look for a server. */
  start(now: Instant): void {
    if (this.#state !== "stopped") return;
    if (!this.#transport.open(now)) {
      this.#observer.onNote?.("cannot ask for an address: port 68 is taken");
      return;
    }
    this.#nic.watches.push(this);
    this.#nic.unaddressed = true;
    this.#init(now);
  }

  /** The wire was gone and is back, perhaps with another network behind it: asks whether the lease still holds. */
  reboot(now: Instant): void {
    if (this.#state === "stopped") return;
    if (this.#lease === undefined) return this.#init(now);
    if (this.#state === "rebooting") return;
    this.#begin("rebooting", now);
    this.#send(now);
  }

  /** Gives the address back (RFC 2131 section 4.4.6) and is silent from then on. */
  stop(now: Instant): void {
    const lease = this.#lease;
    if (lease !== undefined) {
      this.#counters.bump("dhcp.releases-sent");
      this.#transaction = this.#random();
      const { address, server } = lease;
      const fields = this.#fields("release", { serverId: server }, now);
      this.#transport.farewell({ ...fields, clientAddress: address, broadcast: false }, server, address, now);
    }
    this.#state = "stopped";
    this.#timer = NEVER;
    this.#nic.unaddressed = false;
    this.#transport.close();
    const at = this.#nic.watches.indexOf(this);
    if (at >= 0) this.#nic.watches.splice(at, 1);
    this.#drop(now);
  }

  /** When {@linkcode poll} has something to do. */
  pollAt(): Instant {
    return earlier(this.#timer, this.#expiry());
  }

  /** Sends again what nobody answered, renews, lets go of what is over. */
  poll(now: Instant): void {
    if (now >= this.#expiry()) {
      this.#counters.bump("dhcp.leases-expired");
      this.#observer.onNote?.(`the lease of ${this.#lease?.address} is over and nobody renewed it`);
      this.#drop(now);
      this.#init(now);
    }
    if (now >= this.#timer) this.#onTimer(now);
  }

  /** RFC 5227 section 2.1.1: whoever sends from the address, or probes for it too, has it. */
  onArp({ senderIp, senderMac, targetIp }: ArpRepr, now: Instant): void {
    const address = this.#offer?.address;
    if (this.#state !== "checking" || address === undefined || senderMac.equals(this.#nic.mac)) return;
    if (senderIp.equals(address) || (senderIp.isUnspecified() && targetIp.equals(address))) {
      this.#decline(address, now);
    }
  }

  #expiry(): Instant {
    return this.#lease === undefined ? NEVER : later(this.#leaseBegan, this.#lease.expireAfter);
  }

  #onTimer(now: Instant): void {
    switch (this.#state) {
      case "init":
        this.#begin("selecting", now);
        return this.#send(now);
      case "selecting":
        return this.#send(now);
      case "requesting":
        if (this.#tries >= REQUESTS) return this.#init(now);
        return this.#send(now);
      case "checking":
        if (this.#tries >= PROBES) return this.#bind(now);
        return this.#probe(now);
      case "rebooting":
        // RFC 2131 section 3.2: nobody who knows better; the lease holds as long as it was given.
        if (this.#tries >= REQUESTS) return this.#settle();
        return this.#send(now);
      case "bound":
        this.#begin("renewing", now);
        return this.#send(now);
      case "renewing":
        if (now >= this.#rebindAt()) this.#begin("rebinding", now);
        return this.#send(now);
      case "rebinding":
        return this.#send(now);
      case "stopped":
        this.#timer = NEVER;
    }
  }

  #init(now: Instant): void {
    this.#offer = undefined;
    this.#state = "init";
    // Who was refused asks less and less often.
    this.#timer = this.#setbacks === 0 ? now : later(now, this.#jitter(backOff(this.#setbacks)));
    if (this.#setbacks === 0) this.#onTimer(now);
  }

  #begin(state: Dhcpv4State, now: Instant): void {
    if (state !== "requesting") {
      this.#transaction = this.#random();
      this.#began = now;
    }
    this.#state = state;
    this.#tries = 0;
    this.#retry = FIRST_RETRY;
  }

  #send(now: Instant): void {
    this.#tries++;
    this.#sentAt = now;
    this.#complained = false;
    const lease = this.#lease;
    switch (this.#state) {
      case "selecting":
        this.#counters.bump("dhcp.discovers-sent");
        this.#transport.broadcast(this.#fields("discover", { parameters: PARAMETERS }, now), now);
        break;
      case "requesting": {
        const { address: requestedAddress, server: serverId } = this.#offer!;
        this.#request({ requestedAddress, serverId }, now);
        break;
      }
      case "rebooting":
        this.#request({ requestedAddress: lease!.address }, now);
        break;
      case "renewing":
      case "rebinding":
        return this.#renew(lease!, now);
    }
    this.#timer = later(now, this.#jitter(this.#retry));
    this.#retry = Math.min(2 * this.#retry, LAST_RETRY);
  }

  #request(options: Dhcpv4Options, now: Instant): void {
    this.#counters.bump("dhcp.requests-sent");
    this.#transport.broadcast(this.#fields("request", { ...options, parameters: PARAMETERS }, now), now);
  }

  /** RFC 2131 table 4: with our address, without server and wish; to the server until T2, to everybody afterwards. */
  #renew(lease: Dhcpv4Lease, now: Instant): void {
    this.#counters.bump("dhcp.requests-sent");
    const fields = {
      ...this.#fields("request", { parameters: PARAMETERS }, now),
      clientAddress: lease.address,
      broadcast: false,
    };
    const until = this.#state === "renewing" ? this.#rebindAt() : this.#expiry();
    if (this.#state === "renewing") this.#transport.unicast(fields, lease.server, lease.address, now);
    else this.#transport.broadcast(fields, now);
    const wait = Math.max((until - now) / 2, RENEW_RETRY_MIN);
    this.#timer = this.#state === "renewing" ? earlier(later(now, wait), until) : later(now, wait);
  }

  #rebindAt(): Instant {
    return later(this.#leaseBegan, this.#lease?.rebindAfter ?? 0);
  }

  #onMessage(message: Dhcpv4Message, _from: IpAddress, now: Instant): void {
    if (
      !message.reply || message.transaction !== this.#transaction || !message.hardware.equals(this.#nic.mac)
    ) {
      this.#counters.bump("dhcp.not-for-us");
      return;
    }
    switch (message.options.type) {
      case "offer":
        return this.#onOffer(message, now);
      case "ack":
        return this.#onAck(message, now);
      case "nak":
        return this.#onNak(message, now);
      default:
        this.#counters.bump("dhcp.unexpected");
    }
  }

  #onOffer(message: Dhcpv4Message, now: Instant): void {
    if (this.#state !== "selecting") return;
    const offer = leaseOf(message);
    if (typeof offer === "string") {
      this.#counters.bump("dhcp.bad-offers");
      this.#complain(offer);
      return;
    }
    this.#offer = offer;
    this.#begin("requesting", now);
    this.#send(now);
  }

  #onAck(message: Dhcpv4Message, now: Instant): void {
    const wanted = this.#state === "requesting" ? this.#offer : this.#lease;
    if (
      wanted === undefined || this.#state === "checking" || this.#state === "bound" ||
      this.#state === "selecting"
    ) return this.#counters.bump("dhcp.unexpected");
    const lease = leaseOf(message);
    if (typeof lease === "string" || !lease.address.equals(wanted.address)) {
      this.#counters.bump("dhcp.bad-acks");
      return this.#complain(typeof lease === "string" ? lease : `${lease.server} did not keep to its offer`);
    }
    const anybody = this.#state === "rebinding" || this.#state === "rebooting";
    if (!anybody && !lease.server.equals(wanted.server)) return this.#counters.bump("dhcp.wrong-server");
    this.#offer = lease;
    if (this.#state !== "requesting") return this.#bind(now);
    this.#state = "checking";
    this.#tries = 0;
    this.#probe(now);
  }

  #onNak(message: Dhcpv4Message, now: Instant): void {
    const { serverId, message: why } = message.options;
    const asked = this.#state === "requesting" || this.#state === "renewing" || this.#state === "rebinding" ||
      this.#state === "rebooting";
    if (!asked || serverId === undefined) return this.#counters.bump("dhcp.unexpected");
    const chosen = this.#state === "requesting"
      ? this.#offer?.server
      : this.#state === "renewing"
      ? this.#lease?.server
      : undefined;
    if (chosen !== undefined && !chosen.equals(serverId)) return this.#counters.bump("dhcp.wrong-server");
    this.#counters.bump("dhcp.naks-received");
    this.#observer.onNote?.(`${serverId} refused the address${why === undefined ? "" : `: ${why}`}`);
    // The first refusal of a lease that was good is no reason to wait.
    if (this.#lease === undefined) this.#setbacks++;
    this.#drop(now);
    this.#init(now);
  }

  /** Once for each question of ours, however many answers there are. */
  #complain(text: string): void {
    if (this.#complained) return;
    this.#complained = true;
    this.#observer.onNote?.(text);
  }

  #probe(now: Instant): void {
    this.#tries++;
    this.#counters.bump("dhcp.probes-sent");
    this.#transport.probe(this.#offer!.address, now);
    this.#timer = later(now, this.#jitter(PROBE_INTERVAL));
  }

  #decline(address: IpAddress, now: Instant): void {
    const { server: serverId } = this.#offer!;
    this.#counters.bump("dhcp.declines-sent");
    this.#observer.onNote?.(`${serverId} gave ${address}, which somebody has already`);
    this.#transport.broadcast(this.#fields("decline", { requestedAddress: address, serverId }, now), now);
    this.#offer = undefined;
    this.#state = "init";
    this.#timer = later(now, DECLINE_WAIT);
  }

  /** The offer becomes the lease. It counts from the request on (RFC 2131 section 4.4.1). */
  #bind(now: Instant): void {
    const lease = this.#offer!;
    const fresh = this.#lease === undefined;
    this.#offer = undefined;
    this.#lease = lease;
    this.#nic.unaddressed = false;
    this.#leaseBegan = this.#sentAt;
    this.#setbacks = 0;
    this.#counters.bump(fresh ? "dhcp.leases-obtained" : "dhcp.leases-renewed");
    this.#settle();
    this.#observer.onLease(lease, now);
    if (fresh) this.#transport.announce(lease.address, now);
  }

  #settle(): void {
    this.#state = "bound";
    this.#timer = later(this.#leaseBegan, this.#lease!.renewAfter);
  }

  #drop(now: Instant): void {
    if (this.#lease === undefined) return;
    this.#lease = undefined;
    this.#nic.unaddressed = this.#state !== "stopped";
    this.#observer.onLease(undefined, now);
  }

  #jitter(time: Microseconds): Microseconds {
    return time * (1 + RETRY_JITTER * (this.#random() / 0x8000_0000 - 1));
  }

  #fields(type: Dhcpv4Type, options: Dhcpv4Options, now: Instant) {
    const { mac } = this.#nic;
    const clientId = new Uint8Array(7);
    clientId[0] = 1;
    mac.write(new DataView(clientId.buffer), 1);
    return {
      reply: false,
      transaction: this.#transaction,
      seconds: Math.min(0xffff, Math.floor((now - this.#began) / SECOND)),
      broadcast: true,
      hardware: mac,
      options: { type, clientId, maxMessageSize: 1_500, ...options },
    };
  }
}

function backOff(setbacks: number): Microseconds {
  return Math.min(FIRST_RETRY * 2 ** (setbacks - 1), LAST_RETRY);
}
