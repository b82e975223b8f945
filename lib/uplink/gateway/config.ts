/**
 * What the gateway is told, and how much it will hold.
 *
 * @module
 */

import type { UdpEndpoint } from "../../stack/udp/endpoint.ts";
import type { IpAddress } from "../../stack/wire/address.ts";
import type { DnsZones } from "./dns_zones.ts";
import { SECOND } from "../../stack/time.ts";

/** A resolver of the host. */
export interface Resolver {
  readonly address: IpAddress;
  /** Usually 53. */
  readonly port: number;
}

/** One published port: what the host listens on, and the guest's port behind it. */
export interface Publish {
  readonly protocol: "tcp" | "udp";
  /** Undefined: every address of the host, both families. */
  readonly hostAddress?: IpAddress;
  readonly hostPort: number;
  /** A unix socket of this name in the place of address and port, which has mode 0600. */
  readonly hostPath?: string;
  readonly guestPort: number;
  /** Which guest; absent: the one that {@linkcode GatewayConfig} names. */
  readonly guestAddress?: IpAddress;
}

/** Bounds. Each one has a counter that says how often it was hit. */
export interface GatewayLimits {
  /** Relayed TCP connections, dials included (`gateway.tcp.flow-limit`). */
  readonly tcpFlows: number;
  /** Dials of the host that wait for an answer; one more refuses the oldest (`gateway.tcp.dial-limit`). */
  readonly tcpDials: number;
  /** Microseconds until a dial without an answer is forgotten (`gateway.tcp.dial-timeout`). */
  readonly tcpDialTimeout: number;
  /** UDP flows; one more evicts the least recently used (`gateway.udp.flow-limit`). */
  readonly udpFlows: number;
  /** Echo flows, likewise (`gateway.icmp.flow-limit`). */
  readonly icmpFlows: number;
  /** DNS questions that wait for a resolver; one more fails the oldest (`gateway.dns.query-limit`). */
  readonly dnsQueries: number;
  /** TCP connections whose questions are read here; one more ends the one that is silent longest (`gateway.dns.stream-limit`). */
  readonly dnsStreams: number;
  /** Accepted connections per published port that wait for the guest to answer; more stay in the kernel's queue. */
  readonly publishPending: number;
  /** Published ports and unix sockets, at the start and later; one more is refused (`gateway.publish.limit`). */
  readonly published: number;
}

/** Defaults of {@linkcode GatewayLimits}. */
export const DEFAULT_LIMITS: GatewayLimits = {
  tcpFlows: 16_384,
  tcpDials: 1_024,
  tcpDialTimeout: 60 * SECOND,
  udpFlows: 4_096,
  icmpFlows: 256,
  dnsQueries: 1_024,
  dnsStreams: 256,
  publishPending: 256,
  published: 2_048,
};

/**
 * {@linkcode DEFAULT_LIMITS} for a process that may have `descriptors` open. Each kind of flow has a share that the others
 * cannot take, and something is left: the control API and the log of the same process need descriptors, too, whatever the
 * guest does.
 */
export function limitsWithin(descriptors: number): GatewayLimits {
  const share = (of32: number, most: number) =>
    Math.max(1, Math.min(most, Math.floor(descriptors * of32 / 32)));
  return {
    ...DEFAULT_LIMITS,
    tcpFlows: share(18, DEFAULT_LIMITS.tcpFlows), // dials are among them
    tcpDials: share(9, DEFAULT_LIMITS.tcpDials),
    udpFlows: share(5, DEFAULT_LIMITS.udpFlows),
    dnsQueries: share(2, DEFAULT_LIMITS.dnsQueries), // with up to three resolvers each
    icmpFlows: share(1, DEFAULT_LIMITS.icmpFlows),
  };
}

/** Addresses are the gateway's own unless they say `guest`. */
export interface GatewayConfig {
  readonly gateway4?: IpAddress | undefined;
  readonly gateway6?: IpAddress | undefined;
  /** Port 53 of these is relayed to {@linkcode resolvers}. */
  readonly dns4?: IpAddress | undefined;
  readonly dns6?: IpAddress | undefined;
  /** Where published ports lead that name no guest. */
  readonly guest4?: IpAddress | undefined;
  readonly guest6?: IpAddress | undefined;
  readonly resolvers: readonly Resolver[];
  /** The gateway's address reaches 127.0.0.1 and ::1 of the host. */
  readonly hostLoopback: boolean;
  readonly publish: readonly Publish[];
  readonly limits?: Partial<GatewayLimits> | undefined;
  /** The guest's stack is in this program, too, and no wire needs the bytes of a stream. Default: false. */
  readonly inMemory?: boolean;
  /**
   * The guest's own endpoint for datagrams from `remote`, where its stack is in this program. What is on the host is left there
   * while that endpoint is full: read, it would be lost all the same, and the reading would cost the guest's calls their turn.
   */
  readonly guestEndpoint?:
    | ((
      guest: IpAddress,
      guestPort: number,
      remote: IpAddress,
      remotePort: number,
    ) => UdpEndpoint | undefined)
    | undefined;
  /** One more address that reaches 127.0.0.1 of the host, whatever `hostLoopback` says: gvproxy's `host`. */
  readonly host4?: IpAddress | undefined;
  /** Ports of the host's loopback that are never dialled: somebody who trusts the host listens there. */
  readonly closedPorts?: readonly number[] | undefined;
  /** Where many guests are: nothing in these prefixes is dialled, for guests reach each other without us. */
  readonly links?: readonly { readonly address: IpAddress; readonly prefixLength: number }[] | undefined;
  /** Names that are answered here, before the resolvers. */
  readonly zones?: DnsZones | undefined;
  /** Whose an address is, a number: no guest may take the others' share of a limit. Absent: there is one guest. */
  readonly tenantOf?: ((address: IpAddress) => number) | undefined;
}

/** How the gateway speaks to its owner's log. */
export type Log = (level: "debug" | "info" | "warn" | "error", text: string) => void;
