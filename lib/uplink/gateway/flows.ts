/**
 * The registry of what the gateway relays at the moment, for the control API, and its counters.
 *
 * ```text
 *   tcp    SYN ─▶ dialling ─▶ opening ─▶ established ─▶ closing ─▶ gone        (out)
 *                   host answers   guest's ACK   one FIN      both FINs, or a RST
 *          accept ─▶ opening ─▶ established …                                  (in: a published port)
 *   udp    datagram ─▶ one-way ─▶ two-way ─▶ gone after its lifetime
 *   icmp   echo request ─▶ echo ─▶ gone after its lifetime
 * ```
 *
 * Invariants: a flow is registered exactly as long as it owns a descriptor of the host or an endpoint of the stack;
 * every limit is checked before something is opened; what was refused or evicted has been counted.
 *
 * @module
 */

import { Counters } from "../../stack/counters.ts";
import type { FlowFacts } from "../../stack/facts.ts";
import { type Instant, SECOND } from "../../stack/time.ts";
import type { IpAddress } from "../../stack/wire/address.ts";

/** Something that is relayed. */
export interface Flow {
  facts(now: Instant): FlowFacts;
}

/** All flows and all counters of one gateway. */
export class FlowRegistry {
  readonly counters: Counters = new Counters();
  readonly #flows = new Set<Flow>();

  get size(): number {
    return this.#flows.size;
  }

  add(flow: Flow): void {
    this.#flows.add(flow);
  }

  delete(flow: Flow): void {
    this.#flows.delete(flow);
  }

  [Symbol.iterator](): IterableIterator<Flow> {
    return this.#flows.values();
  }

  facts(now: Instant): FlowFacts[] {
    const all: FlowFacts[] = [];
    for (const flow of this.#flows) all.push(flow.facts(now));
    return all;
  }
}

/** `address:port`, with brackets around an IPv6 address. */
export function endpointText(address: IpAddress, port: number): string {
  return address.family === 6 ? `[${address}]:${port}` : `${address}:${port}`;
}

/** Whole seconds between two instants. */
export function age(since: Instant, now: Instant): number {
  return Math.max(0, Math.floor((now - since) / SECOND));
}
