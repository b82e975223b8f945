/**
 * A program at one end of a path: it runs in the namespace of the device, on the kernel's stack or on whatever it brings
 * along.
 *
 * @module
 */

import { type ChildProcess, spawn } from "node:child_process";
import process from "node:process";
import type { PacketBuffer } from "../../../lib/stack/buffer/packet.ts";
import type { BufferPool } from "../../../lib/stack/buffer/pool.ts";
import type { IpAddress } from "../../../lib/stack/wire/address.ts";
import { Device } from "./device.ts";
import type { PathEnd } from "./path.ts";

/** The namespace, and the program in it. */
export class ProgramEnd implements PathEnd {
  readonly descriptors: readonly number[];
  /** The program's connection is nothing we see: its peer tells. */
  readonly established = true;
  readonly peerClosed = false;
  readonly wrongAt = -1;
  readonly child: ChildProcess;
  /** How much has arrived, by what the peer knows. */
  meter: () => number = () => 0;
  readonly #device: Device;

  constructor(
    address: IpAddress,
    argv: readonly string[],
    env: Readonly<Record<string, string>>,
    pool: BufferPool,
  ) {
    this.#device = Device.make(address, pool, {}, () => {});
    this.descriptors = [this.#device.fd];
    const enter = `/proc/${process.pid}/fd/${this.#device.netns}`;
    this.child = spawn("nsenter", [`--net=${enter}`, "--", ...argv], {
      stdio: ["ignore", "pipe", "inherit"],
      env: { ...process.env, ...env },
    });
  }

  get received(): number {
    return this.meter();
  }

  ingress(frame: PacketBuffer): void {
    if (!this.#device.link.transmit(frame)) frame.release();
  }

  egress(): PacketBuffer | undefined {
    return this.#device.link.receive();
  }

  work(): number {
    return -1;
  }

  close(): void {
    // Before its interface goes, lest it say so.
    this.child.kill("SIGKILL");
    this.#device.close();
  }
}
