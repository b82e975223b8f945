/**
 * Connections to anywhere: a SYN that no listener takes becomes a request, which somebody answers when he knows what the far
 * side says.
 *
 * The SYN is parked without a connection, and without an answer, so the guest's `connect` succeeds when the far side's has, is
 * refused when it was refused, and hangs as long as it hangs. SYNs that the guest repeats meanwhile are absorbed. A request is
 * answered once; what comes after that has no effect.
 *
 * @module
 */

import type { PacketBuffer } from "../buffer/packet.ts";
import type { Instant } from "../time.ts";
import type { IpAddress } from "../wire/address.ts";
import type { TcpConnection } from "./connection.ts";
import type { TcpPath } from "./context.ts";
import type { TcpObserver } from "./events.ts";
import type { TcpOptions } from "./options.ts";
import type { PeerSyn } from "./peer_syn.ts";
import type { TupleItem } from "./tuple_table.ts";

/** How a request is refused. All but `drop` and `reset` are ICMP errors that quote the SYN. */
export type TcpRejection =
  | "reset"
  | "host-unreachable"
  | "network-unreachable"
  | "port-unreachable"
  | "admin-prohibited"
  | "drop";

/** What a request needs of the table. */
export interface RequestHost {
  acceptRequest(
    request: TcpRequest,
    observer: TcpObserver | undefined,
    options: Partial<TcpOptions> | undefined,
    now: Instant,
  ): TcpConnection;
  rejectRequest(request: TcpRequest, how: TcpRejection, now: Instant): void;
}

/** A SYN that waits for an answer. */
export class TcpRequest implements TupleItem<TcpRequest> {
  /** What the guest dialled. */
  readonly localAddress: IpAddress;
  readonly localPort: number;
  readonly remoteAddress: IpAddress;
  readonly remotePort: number;
  readonly path: TcpPath;
  /** The guest took its SYN back, or the request was answered: `accept` gives a connection that is closed already. */
  expired = false;
  /** What the SYN said. */
  syn: PeerSyn;
  /** Copy of the SYN from its IP header on, for ICMP errors. */
  readonly quote: PacketBuffer;
  chain: TcpRequest | undefined = undefined;
  hash = 0;
  readonly #host: RequestHost;

  constructor(
    host: RequestHost,
    local: IpAddress,
    localPort: number,
    remote: IpAddress,
    remotePort: number,
    path: TcpPath,
    syn: PeerSyn,
    quote: PacketBuffer,
  ) {
    this.#host = host;
    this.localAddress = local;
    this.localPort = localPort;
    this.remoteAddress = remote;
    this.remotePort = remotePort;
    this.path = path;
    this.syn = syn;
    this.quote = quote;
  }

  /** Answers the SYN. The connection is in SYN-RECEIVED; `observer` hears of `established`, or of `closed`. */
  accept(
    observer: TcpObserver | undefined,
    options: Partial<TcpOptions> | undefined,
    now: Instant,
  ): TcpConnection {
    return this.#host.acceptRequest(this, observer, options, now);
  }

  /** Refuses the SYN. */
  reject(how: TcpRejection, now: Instant): void {
    this.#host.rejectRequest(this, how, now);
  }
}

/** Called from ingress for each new SYN that no connection and no listener takes. */
export type TcpForwarder = (request: TcpRequest, now: Instant) => void;
