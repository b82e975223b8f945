/**
 * The neighbour cache of one interface, for ARP and NDP alike.
 *
 * Theory of operation
 *
 * One state machine serves both families: RFC 4861 section 7.3.2 (what Linux does for ARP as well). The protocols
 * (`arp.ts`, `ndp.ts`) only translate messages into `update` and ask their questions when `solicit` is called.
 *
 * ```text
 *            use                 answer                  30 s               use           5 s
 *  (nothing) ──► INCOMPLETE ─────────────► REACHABLE ─────────► STALE ─────────► DELAY ─────────► PROBE
 *                 │ 3 questions              ▲  ▲                                  │ confirmed      │ 3 questions
 *                 ▼                          │  └──────────────────────────────────┴────────────────┤
 *               FAILED ──► next use asks again                                                      ▼ FAILED
 * ```
 *
 * REACHABLE turns STALE without a timer: `until` is compared when the entry is used. So a quiet cache costs nothing,
 * and a timer is armed only while questions are out (INCOMPLETE, PROBE) or owed (DELAY).
 *
 * Bounds. The table holds `limits.neighbours` entries; the least recently used one makes room, permanent ones stay.
 * Each unresolved entry holds `limits.pendingPackets` packets; the oldest one makes room (RFC 4861 section 7.2.2:
 * "the queue … MUST hold at least one packet", "new … replace the oldest"). What fails is handed to `unreachable`.
 *
 * Trust. Permanent entries are never changed by what the wire says. An interface may learn from the packets it
 * receives (`learn`), so that answering a guest needs no question at all; it learns only addresses that are on the
 * link, and the table's bound holds for them too.
 *
 * @module
 */

import type { PacketBuffer } from "../buffer/packet.ts";
import { type Instant, later, NEVER, SECOND } from "../time.ts";
import type { IpAddress } from "../wire/address.ts";
import { MacAddress } from "../wire/ethernet.ts";
import { AddressEntry, AddressTable } from "./address_table.ts";

/** RFC 4861 section 10: MAX_MULTICAST_SOLICIT and MAX_UNICAST_SOLICIT. */
const MAX_SOLICIT = 3;
/** RFC 4861 section 10: RETRANS_TIMER. */
const RETRANS_TIMER = SECOND;
/** RFC 4861 section 10: REACHABLE_TIME, the base of a random value between half and one and a half of it. */
const REACHABLE_TIME = 30 * SECOND;
/** RFC 4861 section 10: DELAY_FIRST_PROBE_TIME. */
const DELAY_FIRST_PROBE_TIME = 5 * SECOND;

/** The states of RFC 4861 section 7.3.2, and two of Linux'. */
export type NeighbourState =
  | "incomplete"
  | "reachable"
  | "stale"
  | "delay"
  | "probe"
  | "failed"
  | "permanent";

/** What the cache needs from its interface. */
export interface NeighbourContext {
  /** A uniform 32-bit number. */
  random(): number;
  setTimer(entry: Neighbour, at: Instant): void;
  /** Ask who has the entry's address: everybody, or (`unicast`) the one we believe has it. */
  solicit(entry: Neighbour, unicast: boolean, now: Instant): void;
  /** Send a packet that waited. It is at its IP header; takes ownership. */
  transmit(entry: Neighbour, packet: PacketBuffer, now: Instant): void;
  /** Nobody answered; `packet` will never leave. Takes ownership. */
  unreachable(entry: Neighbour, packet: PacketBuffer, now: Instant): void;
  bump(counter: string): void;
}

/** One neighbour. */
export class Neighbour extends AddressEntry {
  state: NeighbourState = "incomplete";
  readonly mac: MacAddress = new MacAddress(0, 0);
  /** It said that it is a router. */
  router = false;
  /** Until when REACHABLE holds. */
  until: Instant = 0 as Instant;
  /** Questions asked since the timer was first armed. */
  asked = 0;
  readonly pending: PacketBuffer[] = [];
  timerAt: Instant = NEVER;
  timerIndex = -1;
  readonly #cache: NeighbourCache;

  constructor(address: IpAddress, cache: NeighbourCache) {
    super(address);
    this.#cache = cache;
  }

  /** Called when the timer that `setTimer` armed is due. */
  onTimer(now: Instant): void {
    this.#cache.onTimer(this, now);
  }
}

/** Who is behind which address on one link. */
export class NeighbourCache {
  readonly #table: AddressTable<Neighbour>;
  readonly #pendingLimit: number;
  readonly #context: NeighbourContext;
  #lastLearnt: Neighbour | undefined = undefined;

  constructor(
    context: NeighbourContext,
    limits: { readonly neighbours: number; readonly pendingPackets: number },
  ) {
    this.#context = context;
    this.#table = new AddressTable(limits.neighbours);
    this.#pendingLimit = limits.pendingPackets;
  }

  get size(): number {
    return this.#table.size;
  }

  /** Every entry, most recently used first. */
  all(): Iterable<Neighbour> {
    return this.#table;
  }

  /** The entry for `address`, if there is one. Not a use of it. */
  peek(address: IpAddress): Neighbour | undefined {
    return this.#table.peek(address);
  }

  /** The entry for `address`, made if need be. */
  entry(address: IpAddress): Neighbour {
    let entry = this.#table.get(address);
    if (entry === undefined) {
      entry = new Neighbour(address.clone(), this);
      entry.state = "failed";
      this.#add(entry);
    }
    return entry;
  }

  /**
   * A packet is about to be sent to `entry`. True: its hardware address is good, send now. False: ask first, so hand
   * the packet to {@linkcode hold}.
   */
  use(entry: Neighbour, now: Instant): boolean {
    switch (entry.state) {
      case "reachable":
        if (now < entry.until) return true;
        entry.state = "stale";
        // falls through: RFC 4861 section 7.3.3, the first packet to a STALE neighbour arms the delay.
      case "stale":
        entry.state = "delay";
        entry.asked = 0;
        this.#context.setTimer(entry, later(now, DELAY_FIRST_PROBE_TIME));
        return true;
      case "delay":
      case "probe":
      case "permanent":
        return true;
      case "failed":
        entry.state = "incomplete";
        entry.asked = 0;
        this.#ask(entry, now);
        // The answer may have come while asking, on a wire without delay.
        return (entry.state as NeighbourState) === "reachable";
      case "incomplete":
        return false;
    }
  }

  /** Keeps a packet (at its IP header) until `entry` is resolved. Takes ownership. */
  hold(entry: Neighbour, packet: PacketBuffer): void {
    if (!entry.attached) {
      this.#context.bump("neighbour.table-full");
      packet.release();
      return;
    }
    if (entry.pending.length >= this.#pendingLimit) {
      this.#context.bump("neighbour.pending-overflow");
      entry.pending.shift()!.release();
    }
    entry.pending.push(packet);
  }

  /**
   * The neighbour told its hardware address: an ARP packet or a neighbour advertisement (RFC 4861 section 7.2.5).
   *
   * @param solicited it answers a question of ours, so the way to it works in both directions
   * @param override it may replace a different address that we know
   */
  update(
    entry: Neighbour,
    mac: MacAddress,
    solicited: boolean,
    override: boolean,
    now: Instant,
  ): void {
    if (entry.state === "permanent") return;
    const unknown = entry.state === "incomplete" || entry.state === "failed";
    const same = !unknown && entry.mac.equals(mac);
    if (!unknown && !same && !override) {
      // "If the Override flag is clear and the supplied link-layer address differs …: if the state is REACHABLE, set
      // it to STALE, but do not update it in any other way".
      if (entry.state === "reachable") entry.state = "stale";
      return;
    }
    entry.mac.high = mac.high;
    entry.mac.low = mac.low;
    if (solicited) this.#reachable(entry, now);
    else if (!same) {
      entry.state = "stale";
      this.#context.setTimer(entry, NEVER);
    }
    if (entry.pending.length > 0) this.#flush(entry, now);
  }

  /** A packet from `address` came in with this hardware address: it is there, and we can answer without asking. */
  learn(address: IpAddress, mac: MacAddress, now: Instant): void {
    let entry = this.#lastLearnt;
    if (entry === undefined || !entry.attached || !entry.address.equals(address)) {
      entry = this.#table.get(address);
      if (entry === undefined) {
        entry = new Neighbour(address.clone(), this);
        entry.state = "failed";
        this.#add(entry);
        this.#context.bump("neighbour.learnt");
      }
      this.#lastLearnt = entry;
    }
    if (entry.state === "reachable" && entry.mac.low === mac.low && entry.mac.high === mac.high) {
      // Nothing new; extend once half of the time is gone, so that a busy neighbour costs one comparison.
      if (entry.until - now < REACHABLE_TIME / 4) this.#reachable(entry, now);
      return;
    }
    this.update(entry, mac, true, true, now);
  }

  /** The upper layer saw that packets arrive (RFC 4861 section 7.3.1). */
  confirm(entry: Neighbour, now: Instant): void {
    if (entry.state === "stale" || entry.state === "delay" || entry.state === "probe") {
      this.#reachable(entry, now);
    }
  }

  /** Sets an entry that the wire cannot change. */
  setPermanent(address: IpAddress, mac: MacAddress, now: Instant): Neighbour {
    let entry = this.#table.get(address);
    if (entry === undefined) {
      entry = new Neighbour(address.clone(), this);
      entry.pinned = true;
      this.#add(entry);
    }
    entry.pinned = true;
    entry.state = "permanent";
    entry.mac.high = mac.high;
    entry.mac.low = mac.low;
    this.#context.setTimer(entry, NEVER);
    this.#flush(entry, now);
    return entry;
  }

  /** Sets an entry as somebody who knows tells it; the wire may change it. */
  set(address: IpAddress, mac: MacAddress, state: "reachable" | "stale", now: Instant): Neighbour {
    const entry = this.entry(address);
    entry.pinned = false;
    entry.mac.high = mac.high;
    entry.mac.low = mac.low;
    this.#context.setTimer(entry, NEVER);
    if (state === "reachable") this.#reachable(entry, now);
    else entry.state = "stale";
    this.#flush(entry, now);
    return entry;
  }

  /** Forgets all of them. */
  clear(): void {
    for (const entry of [...this.#table]) this.remove(entry.address);
  }

  /** Forgets an entry; packets that wait for it are dropped. */
  remove(address: IpAddress): boolean {
    const entry = this.#table.peek(address);
    if (entry === undefined) return false;
    this.#table.delete(entry);
    this.#drop(entry);
    return true;
  }

  /** What {@linkcode Neighbour.onTimer} does. */
  onTimer(entry: Neighbour, now: Instant): void {
    if (!entry.attached) return;
    if (entry.state === "delay") {
      entry.state = "probe";
      entry.asked = 0;
    }
    if (entry.state !== "incomplete" && entry.state !== "probe") return;
    if (entry.asked < MAX_SOLICIT) {
      this.#ask(entry, now);
      return;
    }
    entry.state = "failed";
    entry.router = false;
    this.#context.bump("neighbour.failed");
    const pending = entry.pending.splice(0);
    for (const packet of pending) this.#context.unreachable(entry, packet, now);
  }

  #ask(entry: Neighbour, now: Instant): void {
    entry.asked++;
    this.#context.setTimer(entry, later(now, RETRANS_TIMER));
    this.#context.solicit(entry, entry.state === "probe", now);
  }

  #reachable(entry: Neighbour, now: Instant): void {
    entry.state = "reachable";
    const spread = REACHABLE_TIME / 2 + (this.#context.random() >>> 0) % REACHABLE_TIME;
    entry.until = later(now, spread);
    if (entry.timerIndex >= 0) this.#context.setTimer(entry, NEVER);
  }

  #flush(entry: Neighbour, now: Instant): void {
    const pending = entry.pending.splice(0);
    for (const packet of pending) this.#context.transmit(entry, packet, now);
  }

  #add(entry: Neighbour): void {
    const evicted = this.#table.add(entry);
    if (evicted !== undefined && evicted !== entry) {
      this.#context.bump("neighbour.evicted");
      this.#drop(evicted);
    }
  }

  #drop(entry: Neighbour): void {
    this.#context.setTimer(entry, NEVER);
    for (const packet of entry.pending.splice(0)) packet.release();
  }
}
