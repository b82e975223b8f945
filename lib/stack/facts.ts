/**
 * What a stack tells about itself: plain data that crosses a thread as it is. The control API renders it as
 * `ip -j`, `tc -s -j` and `ss` do.
 *
 * @module
 */

/** One address of an interface (`ip -j addr`: `addr_info`). */
export interface AddressFacts {
  readonly family: 4 | 6;
  /** Text form. */
  readonly local: string;
  readonly prefixLength: number;
  readonly broadcast?: string;
  readonly scope: "global" | "link" | "host";
  /** Absent: the interface's name. */
  readonly label?: string;
  /** Netlink's flags that it was given with: `IFA_F_NODAD`, `IFA_F_NOPREFIXROUTE`. */
  readonly flags?: number;
}

/** Counters of one queueing discipline (`tc -s -j qdisc`). */
export interface QdiscFacts {
  readonly kind: "none" | "fifo" | "tbf";
  /** fifo: packets. */
  readonly limit?: number;
  /** tbf: bytes per second, bytes. */
  readonly rate?: number;
  readonly burst?: number;
  readonly bytes: number;
  readonly packets: number;
  readonly drops: number;
  readonly overlimits: number;
  readonly requeues: number;
  /** Bytes and packets that wait. */
  readonly backlog: number;
  readonly qlen: number;
}

/** One interface of the stack (`ip -j -s link`). */
export interface NicFacts {
  readonly index: number;
  readonly name: string;
  readonly kind: "loopback" | "ether";
  /** Colon-separated. */
  readonly mac: string;
  readonly mtu: number;
  readonly up: boolean;
  /** Whether there is somebody at the other end of the wire; absent: there is. */
  readonly carrier?: boolean;
  readonly addresses: readonly AddressFacts[];
  /** Absent: 1000, as everywhere. */
  readonly txQueueLength?: number;
  /** Nothing is behind it. */
  readonly dummy?: boolean;
  readonly qdisc: QdiscFacts;
  readonly rx: {
    readonly bytes: number;
    readonly packets: number;
    readonly errors: number;
    readonly dropped: number;
  };
  readonly tx: {
    readonly bytes: number;
    readonly packets: number;
    readonly errors: number;
    readonly dropped: number;
  };
}

/** How a route came to be: with an address (`kernel`), or who made it. */
export type RouteProtocol = "kernel" | "boot" | "static" | "ra" | "dhcp" | `${number}`;

/** One route (`ip -j route`). */
export interface RouteFacts {
  readonly family: 4 | 6;
  /** `default`, or `address/length`. */
  readonly destination: string;
  readonly gateway?: string;
  readonly device: string;
  readonly metric: number;
  readonly source?: string;
  readonly protocol: RouteProtocol;
  readonly scope: "global" | "link" | "host";
}

/** One neighbour (`ip -j neigh`). */
export interface NeighbourFacts {
  readonly address: string;
  readonly device: string;
  readonly mac?: string;
  readonly state: "INCOMPLETE" | "REACHABLE" | "STALE" | "DELAY" | "PROBE" | "FAILED" | "PERMANENT";
  readonly router: boolean;
}

/** One endpoint (`ss -tuanp`). */
export interface SocketFacts {
  readonly protocol: "tcp" | "udp" | "icmp" | "raw";
  /** Linux' names: ESTAB, LISTEN, SYN-SENT, SYN-RECV, FIN-WAIT-1, …, UNCONN. */
  readonly state: string;
  readonly family: 4 | 6;
  readonly local: string;
  readonly localPort: number;
  readonly remote: string;
  readonly remotePort: number;
  readonly receiveQueue: number;
  readonly sendQueue: number;
  /** TCP only: what `ss -i` prints. */
  readonly tcp?: TcpFacts;
  /** Of the descriptor by which a guest holds it, and the user who opened it, where somebody else than the stack knows. */
  readonly inode?: number;
  readonly user?: number;
}

/** What `ss -i` prints of a connection. */
export interface TcpFacts {
  readonly congestion: string;
  /** Bytes. */
  readonly cwnd: number;
  readonly ssthresh?: number;
  readonly mss: number;
  readonly pmtu: number;
  /** Microseconds. */
  readonly rtt: number;
  readonly rttvar: number;
  readonly rto: number;
  readonly bytesSent: number;
  readonly bytesAcked: number;
  readonly bytesReceived: number;
  readonly bytesRetransmitted: number;
  readonly retransmits: number;
  readonly sendWindow: number;
  readonly receiveWindow: number;
  readonly sendScale: number;
  readonly receiveScale: number;
  readonly timestamps: boolean;
  readonly sack: boolean;
  readonly ecn: boolean;
}

/** Everything, at one instant. */
export interface StackFacts {
  readonly nics: readonly NicFacts[];
  readonly routes: readonly RouteFacts[];
  readonly neighbours: readonly NeighbourFacts[];
  readonly sockets: readonly SocketFacts[];
  /** Counter name to value; names are the reasons of drops and the events of protocols, e.g. `tcp.retransmits`. */
  readonly counters: Readonly<Record<string, number>>;
}

/** One flow that a forwarder relays between the stack and the host. */
export interface FlowFacts {
  readonly protocol: "tcp" | "udp" | "icmp";
  readonly direction: "out" | "in";
  /** The guest's end, `address:port` or `[address]:port`. */
  readonly guest: string;
  /** The far end as the guest names it. */
  readonly destination: string;
  /** The far end that the host socket really talks to. */
  readonly host: string;
  readonly state: string;
  readonly bytesOut: number;
  readonly bytesIn: number;
  /** Seconds since it began. */
  readonly age: number;
}

/** A port of the host that leads, or is to lead, to a port of the guest; plain data, for it crosses threads. */
export interface PublishedPort {
  readonly protocol: "tcp" | "udp";
  /** Absent: every address of the host, both families. */
  readonly hostAddress?: string;
  readonly hostPort: number;
  /** A unix socket of this name, in the place of address and port; `protocol` is `tcp` then, and `hostPort` 0. */
  readonly hostPath?: string;
  readonly guestPort: number;
  /** Which of several guests. */
  readonly guestAddress?: string;
}

/** A name that the gateway answers itself; `name` is relative to its zone. */
export interface ZoneRecord {
  readonly name?: string;
  readonly ip?: string;
  /** Matches names in the place of `name`. */
  readonly regexp?: string;
}

/** A zone that the gateway answers itself. */
export interface ZoneFacts {
  /** With or without the dot at the end. */
  readonly name: string;
  readonly records: readonly ZoneRecord[];
  /** For names that have no record. */
  readonly defaultIp?: string;
}

/** A guest of a switch, for people and programs. */
export interface PortFacts {
  readonly id: number;
  readonly name: string;
  readonly macs: readonly string[];
  readonly addresses: readonly string[];
  readonly rxFrames: number;
  readonly rxBytes: number;
  readonly txFrames: number;
  readonly txBytes: number;
  readonly dropped: number;
  readonly refused: number;
  readonly queued: number;
}

/** What serves virtual machines. */
export interface ServeFacts {
  /** Address → hardware address, of leases that hold. */
  readonly leases: Readonly<Record<string, string>>;
  /** The same of addresses that only one hardware address may have, there or not. */
  readonly fixed: Readonly<Record<string, string>>;
  readonly gateway: { readonly address: string; readonly mac: string };
  readonly guests: readonly PortFacts[];
  readonly zones: readonly ZoneFacts[];
  /** Where published ports lead that name no guest. */
  readonly device: string;
}

/** A published port. */
export interface ForwardFacts {
  readonly protocol: "tcp" | "udp" | "unix";
  /** Host side, `address:port`; the name of a unix socket. */
  readonly host: string;
  /** Guest port. */
  readonly guest: number;
  /** Which of several guests. */
  readonly guestAddress?: string;
}
