/**
 * One interface of the kernel, as an interface of the guest's stack.
 *
 * @module
 */

import { Errno, errnoText } from "../../host/errno.ts";
import { socketError } from "../../host/inet.ts";
import { openPacketSocket } from "../../host/packet_socket.ts";
import type { Reactor } from "../../host/reactor.ts";
import type { HostLink } from "../../host/rtnetlink.ts";
import { close } from "../../host/sys.ts";
import { PacketLink } from "../../link/packet.ts";
import { Pump } from "../../link/pump.ts";
import type { BufferPool } from "../../stack/buffer/pool.ts";
import type { Nic } from "../../stack/nic.ts";
import { createQdisc } from "../../stack/qdisc/qdisc.ts";
import type { Stack } from "../../stack/stack.ts";
import type { Instant } from "../../stack/time.ts";
import { MacAddress } from "../../stack/wire/ethernet.ts";
import type { DeviceConfig, Log } from "./device.ts";
import { type Device, MIN_MTU } from "./scrape.ts";

/** `IFF_LOWER_UP`: something is at the other end of the cable. `IFF_RUNNING` says so up to a second later. */
const IFF_LOWER_UP = 0x10000;

/** What a port is made of. */
export interface PortOptions {
  readonly device: Device;
  readonly stack: Stack;
  readonly reactor: Reactor;
  readonly pool: BufferPool;
  readonly config: DeviceConfig;
  readonly log: Log;
}

/** An interface that we drive. */
export class Port {
  readonly device: Device;
  readonly nic: Nic;
  readonly #fd: number;
  readonly #packets: PacketLink;
  readonly #reactor: Reactor;
  readonly #log: Log;
  #pump: Pump | undefined;
  #gone = false;
  #mtu: number;

  /**
   * Begins to listen, and gives the stack an interface, without addresses yet. What comes in waits until {@linkcode start}.
   *
   * @throws {PacketSocketError} when we may not; {RangeError} for a shaper that cannot work
   */
  constructor({ device, stack, reactor, pool, config, log }: PortOptions) {
    this.device = device;
    this.#reactor = reactor;
    this.#log = log;
    this.#mtu = device.mtu;
    this.#fd = openPacketSocket(device.index);
    try {
      this.#packets = new PacketLink({
        fd: this.#fd,
        mtu: device.mtu,
        pool,
        gsoMaxSize: config.gso ? device.gsoMaxSize : 0,
        txChecksum: config.txChecksumOffload,
        rxChecksum: config.rxChecksumOffload,
      });
      const { capabilities } = this.#packets;
      this.nic = stack.addNic({
        name: device.name,
        mac: device.mac,
        mtu: device.mtu,
        capabilities,
        softwareGso: config.softwareGso,
        coalesce: capabilities.gsoMaxSize === 0,
        defendAddresses: true,
        reportGroups: true,
        qdisc: createQdisc({ ...config.qdisc, mtu: device.mtu, gsoMaxSize: capabilities.gsoMaxSize }),
      });
    } catch (error) {
      close(this.#fd);
      throw error;
    }
  }

  /** Begins to move frames. */
  start(): void {
    this.#pump = new Pump(this.#reactor, this.#fd, this.#packets, this.nic, () => {}, () => this.#recover());
  }

  flush(now: Instant): void {
    this.#pump?.flush(now);
  }

  /** Whether a frame waits for the kernel. */
  get busy(): boolean {
    return this.#pump?.full === true || this.nic.qdiscFacts().qlen > 0;
  }

  /** What went wrong on the wire, by name. */
  problems(): Record<string, number> {
    return this.#packets.problems(this.device.name);
  }

  /** Compares with what the kernel says of the interface now: follows what can be followed, and tells the rest. */
  follow(link: HostLink | undefined): void {
    const { name } = this.device;
    if (link === undefined) {
      if (!this.#gone) {
        this.#log("error", `interface ${name} is gone: the guest's ${name} has no wire any more`);
      }
      this.#gone = true;
      this.nic.up = false;
      return;
    }
    const carrier = (link.flags & IFF_LOWER_UP) !== 0;
    if (link.up !== this.nic.up || carrier !== this.nic.carrier) {
      const state = !link.up ? "is down" : carrier ? "is up again" : "has no carrier";
      this.#log("warn", `interface ${name} ${state}`);
      this.nic.up = link.up;
      this.nic.carrier = carrier;
    }
    const mac = MacAddress.parse(link.mac);
    if (mac !== undefined && !mac.equals(this.nic.mac)) {
      this.#log("warn", `interface ${name} has hardware address ${mac} now: so has the guest's`);
      this.nic.mac.high = mac.high;
      this.nic.mac.low = mac.low;
    }
    if (link.mtu !== this.#mtu) {
      this.#mtu = link.mtu;
      // A shaper's bucket was measured for the packets that the interface was made for.
      const follows = link.mtu >= MIN_MTU && link.mtu <= this.device.mtu;
      if (follows) this.nic.setMtu(link.mtu);
      const guests = follows ? "so has the guest's" : `the guest keeps ${this.nic.mtu}`;
      this.#log("warn", `interface ${name} has MTU ${link.mtu} now: ${guests}`);
    }
  }

  close(): void {
    this.#pump?.close();
    this.#packets.close();
    close(this.#fd);
  }

  /** An interface that goes down says so once, and comes back to this very socket. */
  #recover(): boolean {
    const error = socketError(this.#fd);
    if (error !== 0 && error !== Errno.ENETDOWN) {
      this.#log("debug", `interface ${this.device.name}: ${errnoText(error)}`);
    }
    return true;
  }
}
