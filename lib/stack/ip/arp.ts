/**
 * ARP (RFC 826, RFC 5227): answers for our own addresses only, and asks for others.
 *
 * @module
 */

import type { PacketBuffer } from "../buffer/packet.ts";
import type { BufferPool } from "../buffer/pool.ts";
import type { Counters } from "../counters.ts";
import type { Nic } from "../nic.ts";
import type { Instant } from "../time.ts";
import type { IpAddress } from "../wire/address.ts";
import { ARP_PACKET, ArpOperation, type ArpRepr, emitArp, parseArp } from "../wire/arp.ts";
import { EtherType, MAC_BROADCAST, MAC_ZERO, type MacAddress } from "../wire/ethernet.ts";
import { AddressDefence } from "./address_defence.ts";
import type { Neighbour } from "./neighbours.ts";
import { selectSource } from "./source_address.ts";

/** ARP for all interfaces of a stack. */
export class Arp {
  readonly #pool: BufferPool;
  readonly #counters: Counters;
  readonly #defence = new AddressDefence();

  constructor(pool: BufferPool, counters: Counters) {
    this.#pool = pool;
    this.#counters = counters;
  }

  /** A packet, cursor behind the Ethernet header. Does not own it. */
  input(nic: Nic, packet: PacketBuffer, now: Instant): void {
    const arp = parseArp(packet);
    if (typeof arp === "string") {
      this.#counters.bump(`arp.${arp}`);
      nic.rx.errors++;
      return;
    }
    const { senderIp, senderMac, targetIp, operation } = arp;
    for (const watch of nic.watches) watch.onArp?.(arp, now);
    if (nic.owns(senderIp)) {
      if (!senderMac.equals(nic.mac)) this.#conflict(nic, senderIp, now);
      return;
    }
    const forUs = nic.owns(targetIp);
    if (usable(nic, senderIp)) {
      // RFC 826 "merge": what is known is refreshed by any packet, but only who speaks to us is added, and only if it is
      // on this link. A router that we asked for may be outside of all our prefixes.
      const known = nic.neighbours.peek(senderIp);
      const entry = known ?? (forUs && nic.onLink(senderIp) ? nic.neighbours.entry(senderIp) : undefined);
      if (entry !== undefined) {
        const answer = operation === ArpOperation.reply && forUs;
        // A gratuitous announcement may move an address to other hardware, as a fail-over does.
        nic.neighbours.update(entry, senderMac, answer, true, now);
      }
    }
    if (operation === ArpOperation.request && forUs) {
      this.#counters.bump("arp.replies-sent");
      this.#send(
        nic,
        senderMac,
        {
          operation: ArpOperation.reply,
          senderMac: nic.mac,
          senderIp: targetIp,
          targetMac: senderMac,
          targetIp: senderIp,
        },
        now,
      );
    }
  }

  /** Asks who has the address of `entry`. */
  solicit(nic: Nic, entry: Neighbour, unicast: boolean, now: Instant): void {
    const source = selectSource(entry.address, nic.addresses);
    if (source === undefined) {
      this.#counters.bump("arp.no-source");
      return;
    }
    this.#counters.bump("arp.requests-sent");
    this.#send(
      nic,
      unicast ? entry.mac : MAC_BROADCAST,
      {
        operation: ArpOperation.request,
        senderMac: nic.mac,
        senderIp: source,
        targetMac: MAC_ZERO,
        targetIp: entry.address,
      },
      now,
    );
  }

  /** RFC 5227 section 2.4: somebody else uses our address. */
  #conflict(nic: Nic, address: IpAddress, now: Instant): void {
    this.#counters.bump("arp.conflict");
    if (!this.#defence.due(nic, address, now)) return;
    this.#counters.bump("arp.announcements-sent");
    this.#send(
      nic,
      MAC_BROADCAST,
      {
        operation: ArpOperation.request,
        senderMac: nic.mac,
        senderIp: address,
        targetMac: MAC_ZERO,
        targetIp: address,
      },
      now,
    );
  }

  #send(nic: Nic, destination: MacAddress, repr: ArpRepr, now: Instant): void {
    const packet = this.#pool.take(ARP_PACKET);
    emitArp(packet, repr);
    nic.transmitFrame(packet, destination, EtherType.arp, now);
  }
}

/** Whether a sender's address can be a neighbour on this link. */
function usable(nic: Nic, address: IpAddress): boolean {
  return !address.isUnspecified() && !address.isMulticast() && !address.isLimitedBroadcast() &&
    !address.isLoopback() && !nic.isBroadcast(address);
}
