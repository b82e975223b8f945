/**
 * A stack of ours at one end of a path, wired straight into it, with one connection that sends or checks the pattern.
 *
 * @module
 */

import type { PacketBuffer } from "../../../lib/stack/buffer/packet.ts";
import type { BufferPool } from "../../../lib/stack/buffer/pool.ts";
import { seeded } from "../random.ts";
import { NO_OFFLOAD } from "../../../lib/stack/link/link.ts";
import type { Nic } from "../../../lib/stack/nic.ts";
import { Stack } from "../../../lib/stack/stack.ts";
import type { TcpOptions } from "../../../lib/stack/tcp/options.ts";
import type { Instant } from "../../../lib/stack/time.ts";
import type { IpAddress } from "../../../lib/stack/wire/address.ts";
import { MacAddress } from "../../../lib/stack/wire/ethernet.ts";
import { App } from "../../netsim/apps.ts";
import type { PathEnd } from "./path.ts";

/** What our connection does. */
export interface StackOptions {
  /** Bytes to send; 0 for who only receives. */
  readonly send?: number;
  readonly tcp?: Partial<TcpOptions>;
  readonly seed?: number;
}

/** A stack, an interface and a connection. */
export class StackEnd implements PathEnd {
  readonly descriptors: readonly number[] = [];
  readonly app: App;
  readonly stack: Stack;
  readonly #nic: Nic;

  /** @param peer whom to connect to; undefined: wait for a connection */
  constructor(
    address: IpAddress,
    port: number,
    peer: IpAddress | undefined,
    pool: BufferPool,
    now: Instant,
    options: StackOptions = {},
  ) {
    const { seed = 1, send = 0, tcp = {} } = options;
    this.stack = new Stack({ random: seeded(seed), pool, tcp });
    this.#nic = this.stack.addNic({
      name: "eth0",
      mac: new MacAddress(0x0200, address.d),
      mtu: 1_500,
      capabilities: NO_OFFLOAD,
    });
    this.#nic.addAddress(address, 24);
    const app = this.app = new App(pool, { send });
    const made = peer === undefined
      ? this.stack.tcpListen({
        address,
        port,
        observer: {
          onTcpAccept(listener, at) {
            for (let c = listener.accept(at); c !== undefined; c = listener.accept(at)) c.observer = app;
          },
        },
      }, now)
      : this.stack.tcpConnect({ remoteAddress: peer, remotePort: port, observer: app }, now);
    if (typeof made === "string") throw new Error(`Cannot open port ${port}: ${made}`);
  }

  get established(): boolean {
    return this.app.established;
  }

  get peerClosed(): boolean {
    return this.app.peerClosed;
  }

  get received(): number {
    return this.app.received;
  }

  get wrongAt(): number {
    return this.app.wrongAt;
  }

  ingress(frame: PacketBuffer, now: Instant): void {
    this.#nic.ingress(frame, now);
  }

  egress(now: Instant): PacketBuffer | undefined {
    return this.#nic.egress(now);
  }

  work(now: Instant): number {
    if (this.stack.pollAt() <= now) this.stack.poll(now);
    return -1;
  }

  workAt(): Instant {
    return this.stack.pollAt();
  }

  close(): void {
    this.app.connection?.abort(0 as Instant);
  }
}
