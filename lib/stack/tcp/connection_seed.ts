/**
 * What a connection begins with.
 *
 * @module
 */

import type { Instant } from "../time.ts";
import type { IpAddress } from "../wire/address.ts";
import type { TcpConnection } from "./connection.ts";
import type { TcpPath } from "./context.ts";
import type { MemoryAccount } from "./memory.ts";
import type { TcpOptions } from "./options.ts";

/** The name of a connection, and its secrets. */
export interface ConnectionSeed {
  readonly localAddress: IpAddress;
  readonly localPort: number;
  readonly remoteAddress: IpAddress;
  readonly remotePort: number;
  readonly path: TcpPath;
  readonly options: TcpOptions;
  /** Pays for what its queues hold. */
  readonly memory: MemoryAccount;
  /** Initial sequence number. */
  readonly sequence: number;
  readonly timestampOffset: number;
}

/** Who is told how a passive open goes: a listener. */
export interface TcpAcceptor {
  /** Whether one more connection may wait to be accepted. */
  hasRoom(): boolean;
  established(connection: TcpConnection, now: Instant): void;
  /** The connection ended before it was handed out. */
  abandoned(connection: TcpConnection): void;
}
