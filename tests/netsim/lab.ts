/**
 * Two stacks, a wire in each direction, and a client and a server: what the simulations start from.
 */

import type { PacketBuffer } from "../../lib/stack/buffer/packet.ts";
import { BufferPool } from "../../lib/stack/buffer/pool.ts";
import { seeded } from "../support/random.ts";
import { type LinkCapabilities, NO_OFFLOAD } from "../../lib/stack/link/link.ts";
import type { Nic } from "../../lib/stack/nic.ts";
import type { Qdisc } from "../../lib/stack/qdisc/qdisc.ts";
import { Stack } from "../../lib/stack/stack.ts";
import type { TcpOptions } from "../../lib/stack/tcp/options.ts";
import { IpAddress } from "../../lib/stack/wire/address.ts";
import { MacAddress } from "../../lib/stack/wire/ethernet.ts";
import { App, type AppOptions } from "./apps.ts";
import { SimWire, type WireSpec } from "./wire.ts";
import { World } from "./world.ts";

/** How the lab is set up. */
export interface LabOptions {
  readonly seed: number;
  /** From client to server, and back. */
  readonly there: WireSpec;
  readonly back: WireSpec;
  readonly mtu?: number;
  readonly family?: 4 | 6;
  /** Of both interfaces; no offload if absent. */
  readonly capabilities?: LinkCapabilities;
  readonly tcp?: Partial<TcpOptions>;
  /** Of the client's interface. */
  readonly qdisc?: Qdisc;
}

/** A pool that knows which of its buffers somebody still holds. */
export class AuditedPool extends BufferPool {
  readonly #taken = new Set<PacketBuffer>();

  override take(payload: number): PacketBuffer {
    const buffer = super.take(payload);
    this.#taken.add(buffer);
    return buffer;
  }

  /** Buffers that were not released. */
  get held(): number {
    let held = 0;
    for (const buffer of this.#taken) if (buffer.references > 0) held++;
    return held;
  }
}

/** One stack with one interface. */
export interface Host {
  readonly stack: Stack;
  readonly nic: Nic;
  readonly pool: AuditedPool;
  readonly address: IpAddress;
}

const ADDRESSES = {
  4: { client: "192.0.2.1", server: "192.0.2.2", prefix: 24 },
  6: { client: "2001:db8::1", server: "2001:db8::2", prefix: 64 },
} as const;

/** A client and a server on one cable. */
export class Lab {
  readonly world: World = new World();
  readonly client: Host;
  readonly server: Host;
  readonly there: SimWire;
  readonly back: SimWire;
  #port = 5000;

  constructor(options: LabOptions) {
    const addresses = ADDRESSES[options.family ?? 4];
    const { seed } = options;
    this.client = makeHost(options, addresses.client, addresses.prefix, 1, options.qdisc);
    this.server = makeHost(options, addresses.server, addresses.prefix, 2, undefined);
    // Each wire has dice of its own, so that what one direction sends does not decide what the other one loses.
    this.there = new SimWire(options.there, seeded(seed ^ 0x5eed_0001), this.server.pool);
    this.back = new SimWire(options.back, seeded(seed ^ 0x5eed_0002), this.client.pool);
    this.world.add(this.client.stack);
    this.world.add(this.server.stack);
    this.world.join(this.client.nic, this.server.nic, this.there);
    this.world.join(this.server.nic, this.client.nic, this.back);
  }

  /** Opens one connection on a port of its own; the server's end comes to life when the handshake is over. */
  connect(client: AppOptions, server: AppOptions): { client: App; server: App } {
    const { now } = this.world;
    const port = this.#port++;
    const far = new App(this.server.pool, server);
    const listener = this.server.stack.tcpListen({
      address: this.server.address,
      port,
      observer: {
        onTcpAccept(listener, at) {
          for (let c = listener.accept(at); c !== undefined; c = listener.accept(at)) c.observer = far;
        },
      },
    }, now);
    if (typeof listener === "string") throw new Error(`Cannot listen on ${port}: ${listener}`);
    return { client: this.dial(port, client), server: far };
  }

  /** Connects to a port of the server. */
  dial(port: number, options: AppOptions = {}): App {
    const app = new App(this.client.pool, options);
    const connection = this.client.stack.tcpConnect({
      remoteAddress: this.server.address,
      remotePort: port,
      observer: app,
    }, this.world.now);
    if (typeof connection === "string") throw new Error(`Cannot connect to ${port}: ${connection}`);
    app.connection = connection;
    return app;
  }
}

function makeHost(
  options: LabOptions,
  text: string,
  prefix: number,
  number: number,
  qdisc: Qdisc | undefined,
): Host {
  const pool = new AuditedPool();
  const address = IpAddress.parse(text)!;
  const stack = new Stack({
    random: seeded(options.seed + number),
    pool,
    ...(options.tcp === undefined ? {} : { tcp: options.tcp }),
  });
  const nic = stack.addNic({
    name: "eth0",
    mac: new MacAddress(0x0200, number),
    mtu: options.mtu ?? 1500,
    capabilities: options.capabilities ?? NO_OFFLOAD,
    ...(qdisc === undefined ? {} : { qdisc }),
  });
  nic.addAddress(address, prefix);
  return { stack, nic, pool, address };
}
