/**
 * A mode is a function: configuration and the machine in, a running session out.
 *
 * @module
 */

import type { VmEndpoint } from "../attach/vm/endpoint.ts";
import type { Reactor } from "../host/reactor.ts";
import type { BufferPool } from "../stack/buffer/pool.ts";
import type {
  FlowFacts,
  ForwardFacts,
  PublishedPort,
  ServeFacts,
  SocketFacts,
  ZoneFacts,
} from "../stack/facts.ts";
import type { Stack } from "../stack/stack.ts";
import type { Instant } from "../stack/time.ts";

/** An address with its prefix, in text: it crosses a thread. */
export interface CidrText {
  readonly address: string;
  readonly prefixLength: number;
}

/** Virtual machines to serve, for mode `serve`. */
export interface ServeConfig {
  readonly listen: readonly VmEndpoint[];
  /** Addresses that DHCP gives, by hardware address. */
  readonly leases: readonly { readonly mac: string; readonly address: string }[];
  /** Seconds. */
  readonly leaseTime: number;
  readonly searchDomains: readonly string[];
  /** One more address that reaches the host's 127.0.0.1. */
  readonly hostAddress?: string;
  readonly zones: readonly ZoneFacts[];
  /** Hardware addresses of HyperKit's machines, by UUID in lower case. */
  readonly vpnkitMacs?: Readonly<Record<string, string>>;
  /** The gateway's hardware address; absent: gvproxy's. */
  readonly gatewayMac?: string;
  /** Ports of the host's loopback that no guest reaches: those of our own control. */
  readonly closedPorts: readonly number[];
}

/** Queueing discipline of the mode's interfaces. */
export interface QdiscConfig {
  readonly kind: "none" | "fifo" | "tbf";
  /** Bytes per second, bytes. */
  readonly rate: number;
  readonly burst: number;
}

/** An external network, in text; see lib/config/external_network.ts. */
export interface NetworkConfig {
  readonly name: string;
  readonly socket: string;
  readonly transport: "unixgram" | "unixstream";
  readonly mac: string;
  readonly addresses: readonly CidrText[];
  readonly dhcp: boolean;
  /** The user's word on the largest packet; absent: DHCP's, or Ethernet's. */
  readonly mtu?: number;
  /** Bits of virtio-net features. */
  readonly features: number;
  readonly vfkit: boolean;
  readonly vnetHeader: boolean;
}

/** What a mode is told. */
export interface ModeConfig {
  /** `external`: by {@linkcode ModeConfig.networks}; `serve`: only with {@linkcode ModeConfig.serve}. */
  readonly network: "none" | "host" | "sandbox" | "sandbox-passthrough" | "tsi" | "external" | "serve";
  readonly attach: "tap" | "sockets" | "vm";
  /** For mode `external`. */
  readonly networks: readonly NetworkConfig[];
  /** Seconds that the program waits for the addresses of those. */
  readonly addressWait: number;
  /** The engine's end of the stage's socketpair; absent for `host`. */
  readonly stage?: number;
  /** What the stage is to do, as JSON; see lib/attach/stage/protocol.ts. */
  readonly stageConfig?: string;
  readonly address: CidrText;
  readonly address6: CidrText;
  readonly gateway: string;
  readonly gateway6: string;
  /** At most one per family. */
  readonly dns: readonly string[];
  readonly mtu: number;
  /** Hardware address of the guest's interface; absent: one of ours. */
  readonly mac?: string;
  /** Unix sockets of the host: with attachment `sockets` only. */
  readonly hostUds: "none" | "open" | "create" | "all";
  /** Whether the guest has a network namespace of its own. */
  readonly ownNetwork: boolean;
  /** Raw sockets for the guest: with attachment `sockets` only. */
  readonly netRaw: boolean;
  readonly resolvers: readonly { readonly address: string; readonly port: number }[];
  readonly hostLoopback: boolean;
  readonly publish: readonly PublishedPort[];
  /** Mode `tsi`: every port that the guest binds is bound on the host. */
  readonly publishAll: boolean;
  /** Mode `tsi`: TCP sockets of the guest are the host's own. */
  readonly tsiHandoff: boolean;
  /** Where the control API listens on the host's loopback, which no guest may reach; 0: nowhere. */
  readonly controlPort: number;
  readonly qdisc: QdiscConfig;
  /** Give the device TSO and checksum offload. */
  readonly gso: boolean;
  /** Super-packets inside the stack, for a link that takes none. */
  readonly softwareGso: boolean;
  /** Leave checksums to the link. */
  readonly txChecksumOffload: boolean;
  readonly rxChecksumOffload: boolean;
  /** Uplink `device`: even in the network namespace of the machine itself. */
  readonly force: boolean;
  /** For mode `serve`. Then `address` and `address6` are where published ports lead that name no guest. */
  readonly serve?: ServeConfig;
}

/** Lines for the log. */
export type Log = (level: "debug" | "info" | "warn" | "error", text: string) => void;

/** The machine and the stack that a mode composes with. */
export interface ModeContext {
  readonly config: ModeConfig;
  readonly reactor: Reactor;
  readonly pool: BufferPool;
  readonly stack: Stack;
  /** The guest's first process, or 0. */
  readonly child: number;
  readonly log: Log;
  /** The guest cannot start, or has lost its network; the session is over. */
  fail(message: string, status: number): void;
}

/** A mode that runs. */
export interface ModeSession {
  /** When {@linkcode poll} has something to do. */
  pollAt(): Instant;
  /** Ends what has lasted too long; called in every turn. */
  poll(now: Instant): void;
  /** Sends what the interfaces have; called at the end of every turn. */
  flush(now: Instant): void;
  /** Connections on which the guest may have bytes on the way, and how many bytes it got out on those so far. */
  unfinished(): { flows: number; bytes: number };
  /** Lets the program start: everything it could ask for is in place. */
  go(): void;
  flows(): readonly FlowFacts[];
  /** Sockets beside the stack's, for `ss`. */
  sockets?(): readonly SocketFacts[];
  forwards(): readonly ForwardFacts[];
  /** Counters of the uplink, to be shown beside the stack's. */
  counters(): Readonly<Record<string, number>>;
  /** @throws {Error} with a clear message: no such mode, taken port */
  publish(forward: PublishedPort): void;
  unpublish(forward: PublishedPort): void;
  /** What only mode `serve` has. */
  serving?(): ServeFacts;
  /** @throws {RangeError} for a zone that cannot be used */
  addZone?(zone: ZoneFacts): void;
  stop(): void;
}

/** Starts a mode. Throws an `Error` with a clear message if it cannot. */
export type Start = (context: ModeContext) => ModeSession;
