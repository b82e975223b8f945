/**
 * A DHCPv4 server (RFC 2131 section 4.3): a message in, at most one out. Pure: who listens on port 67 is somebody else.
 *
 * ```text
 *   DISCOVER                        OFFER; with rapid commit (RFC 4039) ACK at once
 *   REQUEST  server id is ours      ACK of what was offered, or NAK           (SELECTING)
 *            server id another's    silence; what we offered is free again
 *            requested address      ACK if it is the client's, NAK if not     (INIT-REBOOT)
 *            ciaddr                 ACK if it is the client's, NAK if not     (RENEWING, REBINDING)
 *   DECLINE                         silence; nobody gets the address for a while
 *   RELEASE                         silence
 *   INFORM                          ACK without an address
 * ```
 *
 * We are the only authority on the link: a client that asks for what it cannot have is told so, also if it has never been
 * heard of (RFC 2131 section 4.3.2 would have it met with silence when another server might know it), because silence
 * costs a guest that moved here a minute.
 *
 * @module
 */

import { type Counters } from "../counters.ts";
import { type Instant, later, SECOND } from "../time.ts";
import { ANY4, IpAddress } from "../wire/address.ts";
import type { Dhcpv4Fields, Dhcpv4Message, Dhcpv4Options } from "../wire/dhcpv4.ts";
import { type Lease, LeasePool, type PoolOptions } from "./leases.ts";

/** What the server tells its clients. */
export interface DhcpServerOptions extends PoolOptions {
  /** Us: server identifier. */
  readonly server: IpAddress;
  readonly prefixLength: number;
  readonly router?: IpAddress;
  readonly dns: readonly IpAddress[];
  readonly mtu: number;
  readonly searchDomains?: readonly string[];
  /** Seconds. */
  readonly leaseTime: number;
  readonly counters: Counters;
}

/** Where an answer goes (RFC 2131 section 4.1). */
export interface DhcpReply {
  readonly message: Dhcpv4Fields;
  /** Undefined: to everybody, as the client cannot be reached yet. */
  readonly to: IpAddress | undefined;
}

/** Answers clients. */
export class DhcpServer {
  readonly pool: LeasePool;
  readonly #options: DhcpServerOptions;

  constructor(options: DhcpServerOptions) {
    this.#options = options;
    this.pool = new LeasePool(options);
  }

  /** What to answer, if anything. */
  handle(message: Dhcpv4Message, now: Instant): DhcpReply | undefined {
    // Relays would be routers on our own link; a message by one comes from elsewhere.
    if (message.reply || !message.relay.isUnspecified() || message.hardware.isMulticast()) {
      return this.#ignore("not-for-us");
    }
    switch (message.options.type) {
      case "discover":
        return this.#discover(message, now);
      case "request":
        return this.#request(message, now);
      case "decline":
        return this.#decline(message, now);
      case "release":
        this.pool.release(clientOf(message), message.clientAddress.d);
        return this.#ignore("released");
      case "inform":
        this.#count("informed");
        return this.#reply(message, "ack", {}, ANY4);
      default:
        return this.#ignore("not-for-us");
    }
  }

  /** Whether `address` is leased, or fixed, to another hardware address than `mac`. */
  isAnothers(address: IpAddress, high: number, low: number, now: Instant): boolean {
    const mac = this.pool.holder(address.d, now)?.mac;
    if (mac !== undefined) return mac.low !== low || mac.high !== high;
    return false;
  }

  /** Whether `address` is leased to this hardware address. */
  isTheirs(address: IpAddress, high: number, low: number, now: Instant): boolean {
    const mac = this.pool.holder(address.d, now)?.mac;
    return mac !== undefined && mac.low === low && mac.high === high;
  }

  #discover(message: Dhcpv4Message, now: Instant): DhcpReply | undefined {
    const { options } = message;
    const client = clientOf(message);
    const lease = this.pool.offer(client, message.hardware, options.requestedAddress?.d, now);
    if (lease === undefined) {
      return this.#ignore(this.pool.mayHaveMore(message.hardware, now) ? "pool-exhausted" : "guest-limit");
    }
    if (options.rapidCommit === true) return this.#ack(message, lease.address, { rapidCommit: true }, now);
    this.#count("offered");
    return this.#reply(message, "offer", this.#times(), IpAddress.v4(lease.address));
  }

  #request(message: Dhcpv4Message, now: Instant): DhcpReply | undefined {
    const { options, clientAddress, hardware } = message;
    const client = clientOf(message);
    if (options.serverId !== undefined && !options.serverId.equals(this.#options.server)) {
      const offered = this.pool.of(client);
      if (offered?.state === "offered") this.pool.release(client, offered.address);
      return this.#ignore("another-server");
    }
    const wanted = clientAddress.isUnspecified() ? options.requestedAddress : clientAddress;
    if (wanted === undefined) return this.#ignore("malformed");
    if (!this.pool.admits(client, hardware, wanted.d, now)) return this.#nak(message);
    return this.#ack(message, wanted.d, {}, now);
  }

  #decline(message: Dhcpv4Message, now: Instant): undefined {
    const { requestedAddress } = message.options;
    const client = clientOf(message);
    if (requestedAddress !== undefined) this.pool.decline(client, requestedAddress.d, now);
    return this.#ignore("declined");
  }

  #ack(message: Dhcpv4Message, address: number, extra: Dhcpv4Options, now: Instant): DhcpReply {
    const { leaseTime } = this.#options;
    const lease: Lease = this.pool.lease(
      clientOf(message),
      message.hardware,
      address,
      later(now, leaseTime * SECOND),
    );
    lease.hostName = message.options.hostName;
    this.#count("leased");
    return this.#reply(message, "ack", { ...this.#times(), ...extra }, IpAddress.v4(address));
  }

  #nak(message: Dhcpv4Message): DhcpReply {
    this.#count("refused");
    return {
      message: {
        reply: true,
        transaction: message.transaction,
        broadcast: true,
        hardware: message.hardware,
        options: { type: "nak", serverId: this.#options.server, message: "not your address" },
      },
      to: undefined,
    };
  }

  /** RFC 2131 section 4.4.5: T1 and T2. */
  #times(): Dhcpv4Options {
    const { leaseTime } = this.#options;
    return {
      leaseTime,
      renewalTime: Math.floor(leaseTime / 2),
      rebindingTime: Math.floor(leaseTime * 7 / 8),
    };
  }

  #reply(message: Dhcpv4Message, type: "offer" | "ack", extra: Dhcpv4Options, your: IpAddress): DhcpReply {
    const { server, prefixLength, router, dns, mtu, searchDomains } = this.#options;
    const { clientAddress, broadcast } = message;
    return {
      message: {
        reply: true,
        transaction: message.transaction,
        broadcast,
        clientAddress,
        yourAddress: your,
        hardware: message.hardware,
        options: {
          type,
          serverId: server,
          ...extra,
          prefixLength,
          ...(router !== undefined && { routers: [router] }),
          ...(dns.length > 0 && { dns }),
          mtu,
          ...(searchDomains !== undefined && searchDomains.length > 0 && { searchDomains }),
        },
      },
      to: !clientAddress.isUnspecified() ? clientAddress : broadcast ? undefined : your,
    };
  }

  #ignore(why: string): undefined {
    this.#count(why);
    return undefined;
  }

  #count(what: string): void {
    this.#options.counters.bump(`dhcp.${what}`);
  }
}

/** By what a client is known: its identifier if it has one (RFC 6842), else its hardware address. */
function clientOf({ options, hardware }: Dhcpv4Message): string {
  const { clientId } = options;
  if (clientId === undefined || clientId.length === 0) return hardware.toString();
  let text = "";
  for (const byte of clientId.subarray(0, 64)) text += byte.toString(16).padStart(2, "0");
  return `${hardware} ${text}`;
}
