/**
 * Uplink `provider`: one interface's wire to somebody else's network, for as long as the guest runs.
 *
 * ```text
 *              dialled                     it hangs up, sends nonsense, vanishes
 *   start ──▶ connected ─────────────────────────────┐
 *                 ▲                                   ▼
 *                 └──────── dialled again ◀──── no carrier (100 ms, doubling up to 5 s)
 * ```
 *
 * The wait begins anew only with a connection that was good for a while: a provider that says a word and hangs up is dialled
 * less and less often, as one that says none.
 *
 * While there is no carrier nothing is pulled from the interface: what connections have to say waits in its queue and in
 * theirs, so that they survive a short gap and go on at once.
 *
 * A stream tells of its end. Of a datagram socket's end one learns when sending; so once a second it is looked whether
 * somebody still answers to the name, and whether the name is still the same file. Neither proves anything (a provider may
 * give each guest a socket of its own and make a new one of that name), but in doubt a frame is sent that says nothing.
 *
 * Who is there but reads nothing, or stops in the middle of a frame, is told of and counted, and not hung up on: it may have
 * been stopped by somebody who will let it go on, and then nothing is lost.
 *
 * @module
 */

import type { Reactor } from "../../host/reactor.ts";
import { answersDatagrams, fileIdentity } from "../../host/unix_socket.ts";
import type { Merging } from "../../link/merger.ts";
import { Pump, type PumpEnd } from "../../link/pump.ts";
import { Checksum, type PacketBuffer } from "../../stack/buffer/packet.ts";
import type { BufferPool } from "../../stack/buffer/pool.ts";
import type { Link, LinkCapabilities } from "../../stack/link/link.ts";
import {
  earlier,
  type Instant,
  later,
  type Microseconds,
  MILLISECOND,
  NEVER,
  SECOND,
} from "../../stack/time.ts";
import { ANY4 } from "../../stack/wire/address.ts";
import { ARP_PACKET, ArpOperation, emitArp } from "../../stack/wire/arp.ts";
import { emitEthernet, EtherType, MAC_BROADCAST, MAC_ZERO, MacAddress } from "../../stack/wire/ethernet.ts";
import { capabilitiesOf, largestMtu, type ProviderConfig } from "./config.ts";
import { type Connection, dial, type DialFailure } from "./dial.ts";
import { StallWatch } from "./stall_watch.ts";

/** Before the first and the later attempts to dial again; half of it is chance, so that guests do not come all at once. */
const FIRST_REDIAL = 100 * MILLISECOND, LAST_REDIAL = 5 * SECOND;
/** A connection that lasted so long was a good one. */
const GOOD_TIME = LAST_REDIAL;
/** How often a datagram socket's name is looked at. */
const HEALTH_INTERVAL = SECOND;

/** What the uplink needs of the one who composes it. */
export interface ProviderContext {
  readonly reactor: Reactor;
  readonly pool: BufferPool;
  /** Uniform in 0 … 2³² − 1. */
  random(): number;
  log(level: "debug" | "info" | "warn", text: string): void;
  /** Whether frames may be merged as they come; absent: they may not. */
  readonly merges?: () => boolean;
  /** The wire is there, or is gone. Not called for the first time. */
  onCarrier(up: boolean, now: Instant): void;
}

/** One wire, dialled again and again. */
export class Provider {
  /** The same for whatever connection there is. */
  readonly link: Link;
  readonly #config: ProviderConfig;
  readonly #context: ProviderContext;
  /** Where our datagram socket is. */
  readonly #name: string;
  readonly #wire: Wire;
  readonly #merging: Merging | undefined;
  #connection: Connection | undefined;
  #identity: string | undefined;
  #pump: Pump | undefined;
  #end: PumpEnd | undefined;
  #stopped = false;
  #lostAt: Instant = NEVER;
  #redialAt: Instant = NEVER;
  #wait: Microseconds = FIRST_REDIAL;
  #healthAt: Instant = NEVER;
  #dialledAt: Instant = NEVER;
  /** Why it could not be dialled, as it was last told. */
  #failure = "";
  readonly #out = new StallWatch();
  readonly #in = new StallWatch();
  #losses = 0;
  #redials = 0;
  #stalls = 0;
  #halfFrames = 0;
  /** Counters of the connections that are gone. */
  readonly #past = new Map<string, number>();

  /** @param name path for our own socket, for datagrams */
  constructor(config: ProviderConfig, name: string, context: ProviderContext) {
    this.#config = config;
    this.#name = name;
    this.#context = context;
    const { merges } = context;
    this.#merging = merges === undefined
      ? undefined
      : { mac: MacAddress.parse(config.mac)!, trusted: config.trustChecksums, enabled: merges };
    this.link = this.#wire = new Wire(largestMtu(config), capabilitiesOf(config), config.trustChecksums);
  }

  /** Dials for the first time. Throws an `Error` that says what to do if there is nobody. */
  connect(): void {
    const failure = this.#dial(this.#context.reactor.now() as Instant);
    if (failure === undefined) return;
    const { name, socket, transport } = this.#config;
    throw new Error(
      `Cannot join network ${name} by ${transport} socket ${socket}: ${failure.why} (${failure.remedy})`,
    );
  }

  /** Begins to move frames between {@linkcode Provider.link} and `end`. */
  pumpTo(end: PumpEnd): void {
    this.#end = end;
    if (this.#connection !== undefined) this.#startPump(this.#connection);
  }

  /** Sends what the interface has; without a carrier, nothing. */
  flush(now: Instant): void {
    this.#pump?.flush(now);
    this.#look(now);
  }

  pollAt(): Instant {
    const stall = earlier(this.#out.pollAt(), this.#in.pollAt());
    return earlier(earlier(this.#redialAt, this.#healthAt), stall);
  }

  poll(now: Instant): void {
    if (now >= this.#out.pollAt() || now >= this.#in.pollAt()) this.#judge(now);
    if (now >= this.#healthAt) this.#checkHealth(now);
    if (now >= this.#redialAt) this.#redial(now);
  }

  /** What went wrong on the wire, by name. */
  counters(): Record<string, number> {
    const counters: Record<string, number> = {
      "carrier-losses": this.#losses,
      "redials": this.#redials,
      "stalls": this.#stalls,
      "half-frames": this.#halfFrames,
    };
    for (const [name, value] of this.#past) counters[name] = value;
    for (const [name, value] of Object.entries(this.#connection?.link.problems() ?? {})) {
      counters[name] = (counters[name] ?? 0) + value;
    }
    return counters;
  }

  stop(): void {
    this.#stopped = true;
    this.#redialAt = this.#healthAt = NEVER;
    this.#hangUp();
  }

  /** Why not, or undefined. */
  #dial(now: Instant): DialFailure | undefined {
    const { pool, reactor } = this.#context;
    const connection = dial(this.#config, this.#name, this.link.mtu, pool, (why) => {
      if (this.#connection === connection) this.#lost(why, reactor.now() as Instant);
    }, this.#merging);
    if ("why" in connection) return connection;
    this.#connection = connection;
    this.#dialledAt = now;
    this.#failure = "";
    this.#wire.inner = connection.link;
    if (this.#config.transport === "unixgram") {
      this.#identity = fileIdentity(this.#config.socket);
      this.#healthAt = later(now, HEALTH_INTERVAL);
    }
    if (this.#end !== undefined) this.#startPump(connection);
    return undefined;
  }

  #startPump(connection: Connection): void {
    const { reactor } = this.#context;
    this.#pump = new Pump(reactor, connection.fd, this.link, this.#end!, () => {
      this.#lost("closed the connection", reactor.now() as Instant);
    });
  }

  #look(now: Instant): void {
    const { name } = this.#config;
    const since = this.#out.since;
    if (this.#out.look(this.#pump?.full === true, now) && this.#connection !== undefined) {
      const gap = ((now - since) / SECOND).toFixed(1);
      this.#context.log("info", `network ${name}: the provider reads again after ${gap} s`);
    }
    this.#in.look((this.#connection?.link.partial ?? 0) > 0, now);
  }

  /** Something has waited for long. */
  #judge(now: Instant): void {
    const link = this.#connection?.link;
    if (link === undefined) return;
    const { counters, partial } = link;
    const log = (what: string) =>
      this.#context.log("warn", `network ${this.#config.name}: the provider ${what}`);
    if (now >= this.#out.pollAt() && this.#out.judge(counters.txFrames, now)) {
      this.#stalls++;
      log("does not read; what is sent to it waits");
    }
    if (now >= this.#in.pollAt() && this.#in.judge(counters.rxBytes + partial, now)) {
      this.#halfFrames++;
      log(`stopped in the middle of a frame, ${partial} bytes from its beginning`);
    }
  }

  #checkHealth(now: Instant): void {
    const { socket } = this.#config;
    this.#healthAt = later(now, HEALTH_INTERVAL);
    const identity = fileIdentity(socket);
    if (identity === this.#identity && answersDatagrams(socket)) return;
    this.#identity = identity;
    const frame = emptyProbe(this.#context.pool, this.#config.mac);
    if (!this.#wire.transmit(frame)) frame.release();
    // A wire that is over says so.
    this.#wire.flush();
  }

  #lost(why: string, now: Instant): void {
    const connection = this.#connection;
    if (connection === undefined || this.#stopped) return;
    // One that does nothing but accept, or says a word and hangs up, is dialled less and less often.
    const good = connection.link.counters.rxFrames > 0 && now - this.#dialledAt >= GOOD_TIME;
    if (good) this.#wait = FIRST_REDIAL;
    for (const [name, value] of Object.entries(connection.link.problems())) {
      this.#past.set(name, (this.#past.get(name) ?? 0) + value);
    }
    this.#hangUp();
    this.#losses++;
    this.#lostAt = now;
    this.#healthAt = NEVER;
    this.#schedule(now);
    this.#context.log("warn", `network ${this.#config.name}: the provider ${why}; dialling again`);
    this.#context.onCarrier(false, now);
  }

  #redial(now: Instant): void {
    this.#redials++;
    const failure = this.#dial(now);
    if (failure !== undefined) {
      this.#tellFailure(failure);
      return this.#schedule(now);
    }
    this.#redialAt = NEVER;
    const gap = ((now - this.#lostAt) / SECOND).toFixed(1);
    this.#context.log("info", `network ${this.#config.name}: the provider is back after ${gap} s`);
    this.#context.onCarrier(true, now);
  }

  /** That nobody is there yet is to be expected; what else it may be, somebody has to look after. */
  #tellFailure({ why, remedy, absent }: DialFailure): void {
    const told = why === this.#failure;
    this.#failure = why;
    const { name, socket } = this.#config;
    if (absent || told) this.#context.log("debug", `network ${name}: ${why}`);
    else this.#context.log("warn", `network ${name}: cannot dial ${socket}: ${why} (${remedy})`);
  }

  #schedule(now: Instant): void {
    this.#redialAt = later(now, this.#wait * (0.5 + (this.#context.random() >>> 0) / 0x2_0000_0000));
    this.#wait = Math.min(2 * this.#wait, LAST_REDIAL);
  }

  #hangUp(): void {
    this.#pump?.close();
    this.#pump = undefined;
    this.#wire.inner = undefined;
    this.#connection?.close();
    this.#connection = undefined;
  }
}

/** An ARP request by nobody for nobody: what a switch learns our place from, and no host answers. */
function emptyProbe(pool: BufferPool, text: string): PacketBuffer {
  const mac = MacAddress.parse(text)!;
  const frame = pool.take(ARP_PACKET);
  const nobody = { senderIp: ANY4, targetIp: ANY4, targetMac: MAC_ZERO };
  emitArp(frame, { operation: ArpOperation.request, senderMac: mac, ...nobody });
  emitEthernet(frame, MAC_BROADCAST, mac, EtherType.arp);
  return frame;
}

/** Whatever connection there is; without one, a wire that is full. */
class Wire implements Link {
  inner: Link | undefined;

  constructor(
    readonly mtu: number,
    readonly capabilities: LinkCapabilities,
    readonly trustChecksums: boolean,
  ) {}

  receive(): PacketBuffer | undefined {
    const frame = this.inner?.receive();
    if (this.trustChecksums && frame?.checksum === Checksum.unknown) frame.checksum = Checksum.valid;
    return frame;
  }

  transmit(frame: PacketBuffer): boolean {
    return this.inner?.transmit(frame) ?? false;
  }

  flush(): boolean {
    return this.inner?.flush?.() ?? true;
  }
}
