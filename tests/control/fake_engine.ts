/**
 * An engine that answers from a table, and remembers what it was asked to change.
 *
 * @module
 */

import type {
  EngineAnswers,
  EngineArguments,
  EngineClient,
  FlowFacts,
  HealthFacts,
  NicFacts,
  QdiscFacts,
  StackFacts,
} from "../../lib/engine/messages.ts";

const IDLE = { bytes: 0, packets: 0, errors: 0, dropped: 0 };

/** Counters of a queue that nothing went through. */
export const IDLE_QUEUE: Omit<QdiscFacts, "kind"> = {
  bytes: 0,
  packets: 0,
  drops: 0,
  overlimits: 0,
  requeues: 0,
  backlog: 0,
  qlen: 0,
};

/** Every stack's first interface. */
export const LOOPBACK: NicFacts = {
  index: 1,
  name: "lo",
  kind: "loopback",
  mac: "00:00:00:00:00:00",
  mtu: 65536,
  up: true,
  addresses: [
    { family: 4, local: "127.0.0.1", prefixLength: 8, scope: "host" },
    { family: 6, local: "::1", prefixLength: 128, scope: "host" },
  ],
  qdisc: { kind: "none", ...IDLE_QUEUE },
  rx: IDLE,
  tx: IDLE,
};

/** The interface of `sandbox-passthrough`. */
export const ETH0: NicFacts = {
  index: 2,
  name: "eth0",
  kind: "ether",
  mac: "02:11:22:33:44:55",
  mtu: 65520,
  up: true,
  addresses: [
    { family: 4, local: "10.0.2.100", prefixLength: 24, broadcast: "10.0.2.255", scope: "global" },
    { family: 6, local: "fd00::64", prefixLength: 64, scope: "global" },
  ],
  qdisc: {
    kind: "tbf",
    rate: 125000,
    burst: 100000,
    ...IDLE_QUEUE,
    bytes: 4200,
    packets: 42,
    drops: 3,
    overlimits: 7,
    backlog: 2048,
    qlen: 2,
  },
  rx: { bytes: 1500, packets: 1, errors: 0, dropped: 0 },
  tx: { bytes: 4200, packets: 42, errors: 0, dropped: 3 },
};

/** A stack with something of everything. */
export const STACK: StackFacts = {
  nics: [LOOPBACK, ETH0],
  routes: [
    route(4, "10.0.2.0/24", { source: "10.0.2.100", protocol: "kernel", scope: "link" }),
    route(6, "fd00::/64", { protocol: "kernel" }),
    route(4, "default", { gateway: "10.0.2.2" }),
    route(6, "default", { gateway: "fd00::2" }),
  ],
  neighbours: [
    { address: "fd00::2", device: "eth0", mac: "02:aa:bb:cc:dd:ee", state: "STALE", router: true },
    { address: "10.0.2.2", device: "eth0", mac: "02:aa:bb:cc:dd:ee", state: "REACHABLE", router: false },
    { address: "10.0.2.9", device: "eth0", state: "INCOMPLETE", router: false },
  ],
  sockets: [
    {
      protocol: "tcp",
      state: "LISTEN",
      family: 4,
      local: "0.0.0.0",
      localPort: 80,
      remote: "0.0.0.0",
      remotePort: 0,
      receiveQueue: 0,
      sendQueue: 128,
    },
    {
      protocol: "tcp",
      state: "ESTAB",
      family: 4,
      local: "10.0.2.100",
      localPort: 40000,
      remote: "192.0.2.1",
      remotePort: 443,
      receiveQueue: 5,
      sendQueue: 0,
      tcp: {
        congestion: "cubic",
        cwnd: 14600,
        mss: 1460,
        pmtu: 1500,
        rtt: 1234,
        rttvar: 500,
        rto: 201234,
        bytesSent: 1000,
        bytesAcked: 900,
        bytesReceived: 5000,
        bytesRetransmitted: 0,
        retransmits: 0,
        sendWindow: 65535,
        receiveWindow: 65535,
        sendScale: 7,
        receiveScale: 7,
        timestamps: true,
        sack: true,
        ecn: false,
      },
    },
    {
      protocol: "udp",
      state: "UNCONN",
      family: 6,
      local: "::1",
      localPort: 53,
      remote: "::",
      remotePort: 0,
      receiveQueue: 0,
      sendQueue: 0,
    },
  ],
  counters: { "tcp.retransmits": 4, "ip.bad-checksum": 1 },
};

/** A route by `eth0`. */
export function route(
  family: 4 | 6,
  destination: string,
  more: Partial<StackFacts["routes"][number]> = {},
): StackFacts["routes"][number] {
  return { family, destination, device: "eth0", metric: 0, protocol: "static", scope: "global", ...more };
}

export const FLOW: FlowFacts = {
  protocol: "tcp",
  direction: "out",
  guest: "10.0.2.100:40000",
  destination: "192.0.2.1:443",
  host: "192.0.2.1:443",
  state: "established",
  bytesOut: 1000,
  bytesIn: 5000,
  age: 1.5,
};

export const HEALTH: HealthFacts = {
  uptime: 12.5,
  mode: "sandbox-passthrough",
  attachment: "tap",
  flows: 1,
  longestTurn: 2500,
};

const ANSWERS: EngineAnswers = {
  go: null,
  ping: null,
  stack: STACK,
  flows: [FLOW],
  health: HEALTH,
  forwards: [{ protocol: "tcp", host: "127.0.0.1:8080", guest: 80 }],
  publish: null,
  unpublish: null,
  qdisc: null,
  serving: {
    leases: { "192.168.127.2": "5a:94:ef:e4:0c:ee" },
    fixed: { "192.168.127.2": "5a:94:ef:e4:0c:ee", "192.168.127.9": "5a:94:ef:e4:0c:ff" },
    gateway: { address: "192.168.127.1", mac: "5a:94:ef:e4:0c:dd" },
    guests: [{
      id: 3,
      name: "vm3",
      macs: ["5a:94:ef:e4:0c:ee"],
      addresses: ["192.168.127.2"],
      rxFrames: 1,
      rxBytes: 100,
      txFrames: 2,
      txBytes: 200,
      dropped: 0,
      refused: 0,
      queued: 0,
    }],
    zones: [{ name: "containers.internal.", records: [{ name: "host", ip: "192.168.127.254" }] }],
    device: "192.168.127.2",
  },
  "add-zone": null,
  capture: { capture: 1, ring: new SharedArrayBuffer(16) },
  uncapture: null,
  stop: null,
};

/** What was asked, in order. */
export interface Asked {
  readonly op: string;
  readonly arguments_: Readonly<Record<string, unknown>> | undefined;
}

/** Answers with `answers`; an Error among them is what the question is refused with. */
export class FakeEngine implements EngineClient {
  readonly asked: Asked[] = [];
  readonly #answers: Record<string, unknown>;

  constructor(answers: { readonly [Op in keyof EngineAnswers]?: EngineAnswers[Op] | Error } = {}) {
    this.#answers = { ...ANSWERS, ...answers };
  }

  ask<Op extends keyof EngineAnswers>(
    op: Op,
    arguments_?: Readonly<Record<string, unknown>>,
  ): Promise<EngineAnswers[Op]> {
    this.asked.push({ op, arguments_ });
    const answer = this.#answers[op];
    return answer instanceof Error ? Promise.reject(answer) : Promise.resolve(answer as EngineAnswers[Op]);
  }

  /** A capture of three bytes, and the end. */
  capture(options: EngineArguments<"capture">[0]): Promise<ReadableStream<Uint8Array<ArrayBuffer>>> {
    this.asked.push({ op: "capture", arguments_: { ...options } });
    const answer = this.#answers["capture"];
    if (answer instanceof Error) return Promise.reject(answer);
    return Promise.resolve(new Response(new Uint8Array([1, 2, 3])).body!);
  }

  /** Only the questions that change something. */
  get changes(): Asked[] {
    return this.asked.filter(({ op }) =>
      op === "publish" || op === "unpublish" || op === "qdisc" || op === "add-zone"
    );
  }
}
