/**
 * A raw endpoint: copies of all packets of one IP protocol, and packets of that protocol with a header that we write.
 *
 * @module
 */

import type { PacketBuffer } from "../buffer/packet.ts";
import type { SocketFacts } from "../facts.ts";
import { DEFAULT_HOP_LIMIT, type IpOutput, type OutputError } from "../ip/output.ts";
import type { NoPath, PathResolver } from "../ip/path.ts";
import type { Nic } from "../nic.ts";
import type { Instant } from "../time.ts";
import { ANY4, ANY6, type IpAddress, type IpFamily } from "../wire/address.ts";
import type { IpHeader } from "../wire/ip.ts";

/** The user of a raw endpoint. */
export interface RawObserver {
  /** A packet, cursor at its transport header; the stack's. Moving the cursor does no harm. `ip` is scratch. */
  onRawPacket(endpoint: RawEndpoint, packet: PacketBuffer, ip: IpHeader, now: Instant): void;
}

/** Sees every packet of one protocol. Made by {@linkcode Stack.rawOpen}. */
export class RawEndpoint {
  readonly family: IpFamily;
  readonly protocol: number;
  observer: RawObserver | undefined;
  hopLimit: number = DEFAULT_HOP_LIMIT;
  readonly #table: RawTable;

  constructor(table: RawTable, family: IpFamily, protocol: number, observer: RawObserver) {
    this.#table = table;
    this.family = family;
    this.protocol = protocol;
    this.observer = observer;
  }

  /** Sends a packet with the cursor at its transport header. Takes ownership. */
  send(
    packet: PacketBuffer,
    destination: IpAddress,
    now: Instant,
    source?: IpAddress,
  ): NoPath | OutputError | undefined {
    return this.#table.send(this, packet, destination, source, now);
  }

  /** Idempotent. */
  close(): void {
    this.observer = undefined;
    this.#table.delete(this);
  }

  facts(): SocketFacts {
    const any = (this.family === 4 ? ANY4 : ANY6).toString();
    const { family, protocol } = this;
    return {
      protocol: "raw",
      state: "UNCONN",
      family,
      local: any,
      localPort: protocol,
      remote: any,
      remotePort: 0,
      receiveQueue: 0,
      sendQueue: 0,
    };
  }
}

/** All raw endpoints of a stack. */
export class RawTable {
  readonly #endpoints: RawEndpoint[] = [];
  readonly #paths: PathResolver;
  readonly #output: IpOutput;
  readonly #limit: number;

  constructor(paths: PathResolver, output: IpOutput, limit: number) {
    this.#paths = paths;
    this.#output = output;
    this.#limit = limit;
  }

  all(): readonly RawEndpoint[] {
    return this.#endpoints;
  }

  /** Undefined: there are too many. */
  open(family: IpFamily, protocol: number, observer: RawObserver): RawEndpoint | undefined {
    if (this.#endpoints.length >= this.#limit) return undefined;
    const endpoint = new RawEndpoint(this, family, protocol, observer);
    this.#endpoints.push(endpoint);
    return endpoint;
  }

  delete(endpoint: RawEndpoint): void {
    const at = this.#endpoints.indexOf(endpoint);
    if (at >= 0) this.#endpoints.splice(at, 1);
  }

  /** A packet that was accepted, before its transport sees it. True: somebody wanted it. */
  input(_nic: Nic, packet: PacketBuffer, ip: IpHeader, now: Instant): boolean {
    if (this.#endpoints.length === 0) return false;
    let taken = false;
    const { start, end } = packet;
    // A copy of the list: an observer may close its endpoint.
    for (const endpoint of [...this.#endpoints]) {
      if (endpoint.protocol !== ip.protocol || endpoint.family !== ip.family) continue;
      taken = true;
      endpoint.observer?.onRawPacket(endpoint, packet, ip, now);
      packet.start = start;
      packet.end = end;
    }
    return taken;
  }

  send(
    endpoint: RawEndpoint,
    packet: PacketBuffer,
    destination: IpAddress,
    source: IpAddress | undefined,
    now: Instant,
  ): NoPath | OutputError | undefined {
    const path = this.#paths.resolve(destination.clone(), now, source);
    if (typeof path === "string") {
      packet.release();
      return path;
    }
    return this.#output.send(path, packet, endpoint.protocol, endpoint.hopLimit, 0, false, now);
  }
}
