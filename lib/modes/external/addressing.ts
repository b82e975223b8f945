/**
 * Where the addresses of one external network come from: the configuration, DHCP, router advertisements; and what comes with
 * them: default gateways, resolvers, the MTU.
 *
 * ```text
 *            IPv4                         IPv6
 *   addr     as configured; gateway: the first host of the prefix (nerdbox guesses so)
 *   dhcp     DHCP                         router advertisements, if there are any, and DHCPv6 if those say so
 *   neither  none: the guest may do as it likes
 * ```
 *
 * A network with an IPv4 address alone follows router advertisements, too, as Linux does.
 *
 * @module
 */

import { Dhcpv4Client } from "../../stack/dhcp/client.ts";
import { Dhcpv6Client } from "../../stack/dhcp/client6.ts";
import type { Dhcpv4Lease } from "../../stack/dhcp/lease.ts";
import type { Dhcpv6Information, Dhcpv6Lease } from "../../stack/dhcp/lease6.ts";
import { Dhcpv4Transport } from "../../stack/dhcp/transport.ts";
import { prefixOf } from "../../stack/ip/routes.ts";
import { Slaac } from "../../stack/ip/slaac.ts";
import type { Nic } from "../../stack/nic.ts";
import type { Stack } from "../../stack/stack.ts";
import { earlier, type Instant, later, NEVER, SECOND } from "../../stack/time.ts";
import { IpAddress, type IpFamily } from "../../stack/wire/address.ts";

/** RFC 8200 section 5: what a link with IPv6 must carry. */
const MTU_MIN = 1_280;
/** How long a program waits for a router that may not be there: routers take their time, up to MAX_RA_DELAY_TIME, 500 ms. */
const ROUTER_WAIT = SECOND;

/** An address and how much of it is the network's. */
export interface Cidr {
  readonly address: IpAddress;
  readonly prefixLength: number;
}

/** What the configuration says. */
export interface AddressingConfig {
  readonly addresses: readonly Cidr[];
  readonly dhcp: boolean;
  /** The MTU where nobody on the network says otherwise. */
  readonly mtu: number;
  /** Largest MTU that DHCP may set. */
  readonly mtuMax: number;
}

/** Who wants to know. */
export interface AddressingObserver {
  /** Gateways, resolvers, addresses or the MTU are others now. */
  onChange(now: Instant): void;
  onNote(text: string): void;
}

/** Addresses of one interface. */
export class Addressing {
  readonly #stack: Stack;
  readonly #nic: Nic;
  readonly #config: AddressingConfig;
  readonly #observer: AddressingObserver;
  readonly #dhcp: Dhcpv4Client | undefined;
  readonly #slaac: Slaac | undefined;
  readonly #dhcp6: Dhcpv6Client | undefined;
  readonly #gateway4: IpAddress | undefined;
  readonly #gateway6: IpAddress | undefined;
  #lease: Dhcpv4Lease | undefined;
  #lease6: IpAddress | undefined;
  /** What of the leases is on the interface. */
  #applied: Cidr | undefined;
  #applied6: IpAddress | undefined;
  #trouble: string | undefined;
  #information6: Dhcpv6Information | undefined;
  #routerBy: Instant = NEVER;

  constructor(stack: Stack, nic: Nic, config: AddressingConfig, observer: AddressingObserver) {
    this.#stack = stack;
    this.#nic = nic;
    this.#config = config;
    this.#observer = observer;
    const { addresses, dhcp } = config;
    this.#gateway4 = guessGateway(addresses, 4);
    this.#gateway6 = guessGateway(addresses, 6);
    const onNote = (text: string) => observer.onNote(text);
    if (dhcp) {
      this.#dhcp = new Dhcpv4Client(stack, nic, {
        onLease: (lease, now) => this.#onLease(lease, now),
        onNote: (text) => {
          this.#trouble = text;
          onNote(text);
        },
      });
      this.#dhcp6 = new Dhcpv6Client(stack, nic, {
        onLease: (lease, now) => this.#onLease6(lease, now),
        onInformation: (information, now) => {
          this.#information6 = information;
          observer.onChange(now);
        },
        onNote,
      });
    }
    if (dhcp || (addresses.length > 0 && !addresses.some(({ address }) => address.family === 6))) {
      this.#slaac = new Slaac(stack, nic, { onChange: (now) => this.#onRouter(now), onNote });
    }
  }

  start(now: Instant): void {
    for (const { address, prefixLength } of this.#config.addresses) {
      this.#nic.addAddress(address, prefixLength);
    }
    this.#announce(now);
    this.#dhcp?.start(now);
    this.#slaac?.start(now);
    if (this.#config.dhcp) this.#routerBy = later(now, ROUTER_WAIT);
  }

  /** The wire was gone and is back. */
  resume(now: Instant): void {
    this.#announce(now);
    this.#dhcp?.reboot(now);
    this.#dhcp6?.reboot(now);
    this.#slaac?.start(now);
  }

  /** Gives addresses back. */
  stop(now: Instant): void {
    this.#dhcp?.stop(now);
    this.#dhcp6?.stop(now);
    this.#slaac?.stop();
  }

  pollAt(): Instant {
    const v6 = earlier(this.#slaac?.pollAt() ?? NEVER, this.#dhcp6?.pollAt() ?? NEVER);
    return earlier(earlier(this.#dhcp?.pollAt() ?? NEVER, v6), this.#routerBy);
  }

  poll(now: Instant): void {
    if (now >= this.#routerBy) this.#routerBy = NEVER;
    if (now >= (this.#dhcp?.pollAt() ?? NEVER)) this.#dhcp?.poll(now);
    if (now >= (this.#slaac?.pollAt() ?? NEVER)) this.#slaac?.poll(now);
    if (now >= (this.#dhcp6?.pollAt() ?? NEVER)) this.#dhcp6?.poll(now);
  }

  /** Whether a program may start. */
  get ready(): boolean {
    if (!this.#config.dhcp) return true;
    if (this.#lease === undefined) return false;
    if (this.#slaac?.tentative === true || this.#dhcp6?.isClose === true) return false;
    if (this.#routerBy === NEVER || this.#lease6 !== undefined) return true;
    // A router's first word may be without a prefix: its own addresses were new then.
    return this.#slaac?.configured === true && this.#slaac.dhcp !== "address";
  }

  /** What went wrong last in asking for an IPv4 address. */
  get trouble(): string | undefined {
    return this.#trouble;
  }

  /** Whether there is any address to speak of. */
  get configured(): boolean {
    return !this.#config.dhcp || this.#nic.addresses.some(({ scope }) => scope === "global");
  }

  /** The default gateway of a family. */
  gateway(family: IpFamily): IpAddress | undefined {
    if (family === 4) return this.#config.dhcp ? this.#lease?.routers[0] : this.#gateway4;
    return this.#gateway6 ?? this.#slaac?.router;
  }

  /** Resolvers: who is named; the gateway of a configured address, as nerdbox has it, and where nobody is named. */
  get dns(): readonly IpAddress[] {
    const named = [...this.#lease?.dns ?? [], ...this.#slaac?.dns ?? [], ...this.#information6?.dns ?? []];
    if (this.#config.dhcp && named.length > 0) return named;
    const gateway = this.gateway(4) ?? this.#gateway6;
    return gateway === undefined ? named : [gateway, ...named];
  }

  get searchDomains(): readonly string[] {
    return [
      ...this.#lease?.searchDomains ?? [],
      ...this.#slaac?.searchDomains ?? [],
      ...this.#information6?.searchDomains ?? [],
    ];
  }

  /** Whether DHCPv6 gave this address: no kernel makes it by itself. */
  isLeased6(address: IpAddress): boolean {
    return this.#applied6?.equals(address) === true;
  }

  /** Routes beside the default one that DHCP gives; {@linkcode Precedence} has those that are used. */
  get routes(): Dhcpv4Lease["routes"] {
    return this.#lease?.routes ?? [];
  }

  /** Addresses that DHCP and DHCPv6 give. */
  get offered4(): Cidr | undefined {
    return this.#lease;
  }
  get offered6(): IpAddress | undefined {
    return this.#lease6;
  }

  /** How much of DHCP's address may be used: all that it is, not what is said of its neighbours, or nothing. */
  use4(what: "prefix" | "address" | "nothing"): void {
    if (this.#lease === undefined || what === "nothing") return this.#apply4(undefined);
    const { address, prefixLength } = this.#lease;
    this.#apply4({ address, prefixLength: what === "prefix" ? prefixLength : 32 });
  }

  /** Whether DHCPv6's address may be used. */
  use6(used: boolean): void {
    this.#apply6(used ? this.#lease6 : undefined);
  }

  /** Tells the provider's switch where we are (RFC 5227 section 3). */
  #announce(now: Instant): void {
    const { addresses } = this.#nic;
    if (!addresses.some(({ address }) => address.family === 4)) return;
    const transport = new Dhcpv4Transport(this.#stack, this.#nic, () => {});
    for (const { address } of addresses) if (address.family === 4) transport.announce(address, now);
  }

  #onLease(lease: Dhcpv4Lease | undefined, now: Instant): void {
    this.#lease = lease;
    if (lease !== undefined) this.#trouble = undefined;
    // What is over is over at once; what is new, the order of the networks decides about.
    if (lease === undefined || this.#applied?.address.equals(lease.address) !== true) this.#apply4(undefined);
    this.#setMtu();
    this.#observer.onChange(now);
  }

  #apply4(wanted: Cidr | undefined): void {
    const before = this.#applied;
    this.#applied = wanted;
    if (before !== undefined) {
      if (wanted?.address.equals(before.address) === true && wanted.prefixLength === before.prefixLength) {
        return;
      }
      this.#nic.removeAddress(before.address);
    }
    if (wanted !== undefined && !this.#nic.owns(wanted.address)) {
      this.#nic.addAddress(wanted.address, wanted.prefixLength);
    }
  }

  /** Of which prefix an address is, DHCPv6 does not say: hosts beside us are reached by the router unless it says so. */
  #onLease6(lease: Dhcpv6Lease | undefined, now: Instant): void {
    this.#lease6 = lease?.address;
    if (lease === undefined || !this.isLeased6(lease.address)) this.#apply6(undefined);
    this.#observer.onChange(now);
  }

  #apply6(wanted: IpAddress | undefined): void {
    const before = this.#applied6;
    if (before !== undefined && wanted?.equals(before) === true) return;
    if (before !== undefined) this.#nic.removeAddress(before);
    this.#applied6 = wanted;
    if (wanted !== undefined && !this.#nic.owns(wanted)) this.#nic.addAddress(wanted, 128);
  }

  #onRouter(now: Instant): void {
    const has = this.#slaac?.dhcp;
    if (has !== undefined) this.#dhcp6?.start(has, now);
    this.#setMtu();
    this.#observer.onChange(now);
  }

  /** DHCP's word may raise it; a router's only lowers it (RFC 4861 section 4.6.4 has it for links whose MTU varies). */
  #setMtu(): void {
    const { mtu, mtuMax } = this.#config;
    const told = Math.max(this.#lease?.mtu ?? mtu, MTU_MIN);
    this.#nic.setMtu(Math.min(told, this.#slaac?.mtu ?? told, mtuMax));
  }
}

/** The first address of the prefix, unless that is our own, or the prefix has no room for two. */
function guessGateway(addresses: AddressingConfig["addresses"], family: IpFamily): IpAddress | undefined {
  const own = addresses.find(({ address }) => address.family === family);
  if (own === undefined || own.prefixLength >= (family === 4 ? 31 : 127)) return undefined;
  const { a, b, c, d } = prefixOf(own.address, own.prefixLength);
  const first = new IpAddress(family, a, b, c, d | 1);
  return first.equals(own.address) ? undefined : first;
}
