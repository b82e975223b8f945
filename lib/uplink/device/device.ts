/**
 * Uplink `device`: the guest's stack drives the interfaces of the network namespace that we were started in.
 *
 * ```text
 *   before   kernel ── addresses, routes ── eth0 ── wire
 *   while    kernel ──     silent        ── eth0 ── wire
 *                                            ║ packet socket
 *            guest's stack ── addresses, routes, neighbours ── NIC eth0
 *   after    as before
 * ```
 *
 * What the kernel knew moves into the stack as it is (scrape.ts), the kernel falls silent (lease.ts), and a packet
 * socket per interface carries frames (port.ts). While we run, changes made from outside are followed: an address that
 * somebody gives the kernel goes to the guest instead; an interface that goes down takes the guest's down.
 *
 * @module
 */

import { CAP, hasCapability } from "../../host/capabilities.ts";
import { EpollEvents, type Reactor } from "../../host/reactor.ts";
import { type RawMessage, routesElsewhere } from "../../host/route_image.ts";
import { RouteMonitor } from "../../host/route_monitor.ts";
import { RouteNetlink } from "../../host/rtnetlink.ts";
import type { BufferPool } from "../../stack/buffer/pool.ts";
import type { Stack } from "../../stack/stack.ts";
import { unfinishedOf } from "../../stack/unfinished.ts";
import { type Instant, later, NEVER, SECOND } from "../../stack/time.ts";
import { Lease, type Restored, restoreNamespace, whyNotThisNamespace } from "./lease.ts";
import { Port } from "./port.ts";
import { deviceAddress, neighboursOf, scrape, type Scraped } from "./scrape.ts";

/**
 * Addresses that may come from outside while we run (`device.limit.addresses`); somebody who gives the same one for ever is
 * left to it.
 */
export const MAX_FOLLOWED = 256;
/** How long until it is looked again where that failed (`device.look-failed`). */
const LOOK_AGAIN = SECOND;

/** Lines for the log. */
export type Log = (level: "debug" | "info" | "warn" | "error", text: string) => void;

/** What the uplink is told. */
export interface DeviceConfig {
  /** Where the state file goes. */
  readonly directory: string;
  /** Even in the network namespace of the machine itself. */
  readonly force: boolean;
  readonly gso: boolean;
  readonly softwareGso: boolean;
  readonly txChecksumOffload: boolean;
  readonly rxChecksumOffload: boolean;
  readonly qdisc: { readonly kind: "none" | "fifo" | "tbf"; readonly rate: number; readonly burst: number };
}

/** What the uplink needs of the one who composes it. */
export interface DeviceContext {
  readonly config: DeviceConfig;
  readonly reactor: Reactor;
  readonly pool: BufferPool;
  /** The guest's stack; gets the interfaces. */
  readonly stack: Stack;
  readonly log: Log;
}

/** The interfaces of a namespace, driven by a stack. */
export class DeviceUplink {
  readonly #context: DeviceContext;
  readonly #ports: Port[] = [];
  readonly #lease: Lease | undefined;
  readonly #monitor: RouteMonitor | undefined;
  #followed = 0;
  #leftAlone = 0;
  #stopped = false;
  /** `NEVER`: what there is has been looked at. */
  #lookAt: Instant = NEVER;
  #failedLooks = 0;

  /**
   * Takes the interfaces over.
   *
   * @throws {Error} with a clear message, and nothing changed: the machine's own namespace, a missing capability, another
   * sluice in this namespace, a shaper that cannot work
   */
  constructor(context: DeviceContext) {
    this.#context = context;
    const { config, log } = context;
    const why = config.force ? undefined : whyNotThisNamespace();
    if (why !== undefined) {
      throw new Error(
        `Cannot use --network=sandbox here: ${why} (make one: ip netns add, unshare -n, pasta; or insist with --force)`,
      );
    }
    const left = restoreNamespace(config.directory);
    if (left !== undefined) report(left, log, "an earlier sluice ended without putting back");
    const scraped = scrape();
    if (scraped.devices.length > 0) mustHaveCapabilities();
    for (const remark of scraped.remarks) log("warn", remark);
    try {
      for (const device of scraped.devices) {
        this.#ports.push(new Port({ ...context, device }));
      }
      if (scraped.devices.length === 0) {
        log("warn", "no interface of this network namespace has an address: the guest has its loopback only");
        return;
      }
      this.#monitor = new RouteMonitor();
      this.#lease = Lease.take(
        config.directory,
        scraped.devices.map(({ index, name, mac }) => ({ index, name, mac: mac.toString() })),
        (text) => log("warn", text),
      );
    } catch (error) {
      this.#close();
      throw error;
    }
    const elsewhere = routesElsewhere(this.#lease.image);
    if (elsewhere > 0) {
      const routes = elsewhere === 1 ? "1 route of another table" : `${elsewhere} routes of other tables`;
      log("warn", `${routes} than main stay behind, as rules do: the guest has no policy routing`);
    }
    this.#furnish(scraped);
    for (const port of this.#ports) {
      port.start();
      context.stack.groups.announce(port.nic);
    }
    context.reactor.add(this.#monitor.fd, EpollEvents.in, this);
  }

  /** Something has changed in the kernel. */
  onReady(): void {
    this.#monitor!.drain();
    try {
      this.#look();
      this.#lookAt = NEVER;
    } catch (error) {
      // Out of descriptors or memory for a moment: nobody will tell us of this change again.
      this.#failedLooks++;
      if (this.#lookAt === NEVER) {
        const why = error instanceof Error ? error.message : String(error);
        this.#context.log("warn", `Cannot look at what has changed in the kernel: ${why} (looking again)`);
      }
      this.#lookAt = later(this.#context.reactor.now() as Instant, LOOK_AGAIN);
    }
  }

  /** When {@linkcode poll} is due. */
  pollAt(): Instant {
    return this.#lookAt;
  }

  /** Looks again at what could not be looked at. */
  poll(now: Instant): void {
    if (now >= this.#lookAt && !this.#stopped) this.onReady();
  }

  #look(): void {
    const netlink = new RouteNetlink();
    try {
      const links = netlink.links();
      for (const port of this.#ports) {
        const { nic } = port;
        const wasThere = nic.up && nic.carrier;
        port.follow(links.find(({ index }) => index === port.device.index));
        // Whoever is at the other end now may have forgotten.
        if (nic.up && nic.carrier && !wasThere) this.#context.stack.groups.announce(nic);
      }
      const addresses = netlink.addresses();
      for (const raw of this.#lease!.intruders()) this.#follow(raw, addresses);
    } finally {
      netlink.close();
    }
  }

  flush(now: Instant): void {
    for (const port of this.#ports) port.flush(now);
  }

  /** What the guest has sent and nobody has yet: data that is not acknowledged, packets whose neighbour is being asked for. */
  unfinished(): { flows: number; bytes: number } {
    if (!this.#ports.some(({ nic }) => nic.up)) return { flows: 0, bytes: 0 };
    let { flows, bytes } = unfinishedOf(this.#context.stack);
    for (const port of this.#ports) {
      const { nic } = port;
      if (port.busy) {
        flows++;
        bytes += nic.tx.bytes;
      }
      for (const { pending } of nic.neighbours.all()) if (pending.length > 0) flows++;
    }
    return { flows, bytes };
  }

  /** What went wrong on the wires, by name. */
  counters(): Record<string, number> {
    return Object.assign(
      this.#leftAlone === 0 ? {} : { "device.limit.addresses": this.#leftAlone },
      this.#failedLooks === 0 ? {} : { "device.look-failed": this.#failedLooks },
      ...this.#ports.map((port) => port.problems()),
    );
  }

  /** Gives everything back to the kernel. */
  stop(): void {
    if (this.#stopped) return;
    this.#close();
    const restored = this.#lease?.release();
    if (restored !== undefined) report(restored, this.#context.log, undefined);
  }

  #close(): void {
    this.#stopped = true;
    if (this.#monitor !== undefined) {
      this.#context.reactor.remove(this.#monitor.fd);
      this.#monitor.close();
    }
    for (const port of this.#ports) port.close();
  }

  #furnish({ routes }: Scraped): void {
    const { stack, reactor, log } = this.#context;
    const nicOf = (index: number) => this.#ports.find(({ device }) => device.index === index)?.nic;
    for (const { device, nic } of this.#ports) {
      for (const { address, prefixLength, scope } of device.addresses) {
        // The same address twice on one device, with two prefixes: ours has it once.
        if (!nic.owns(address)) nic.addAddress(address, prefixLength, { scope, alone: true });
      }
    }
    for (const { device, gateway, source, ...route } of routes) {
      const nic = nicOf(device);
      if (nic === undefined) continue;
      stack.routes.add({
        ...route,
        nic,
        ...(gateway === undefined ? {} : { gateway }),
        ...(source === undefined ? {} : { source }),
      });
    }
    for (const { device, address, mac } of neighboursOf(this.#lease!.image)) {
      nicOf(device)?.neighbours.setPermanent(address, mac, reactor.now() as Instant);
    }
    const names = this.#ports.map(({ device }) => device.name).join(", ");
    log("debug", `the guest's stack drives ${names}; the kernel is silent there`);
  }

  /** An address that somebody gave the kernel: it is the guest's. */
  #follow(raw: RawMessage, all: ReturnType<RouteNetlink["addresses"]>): void {
    const { log } = this.#context;
    if (this.#followed >= MAX_FOLLOWED) {
      this.#leftAlone++;
      return;
    }
    const view = new DataView(raw.buffer, raw.byteOffset, raw.length);
    for (const found of all) {
      const port = this.#ports.find(({ device }) => device.index === found.index);
      if (port === undefined || found.index !== view.getInt32(4, true)) continue;
      const { address, prefixLength, scope } = deviceAddress(found);
      if (port.nic.owns(address)) continue;
      port.nic.addAddress(address, prefixLength, { scope });
      log("warn", `${port.device.name} was given ${address}/${prefixLength}: the guest has it now`);
    }
    this.#lease!.takeAddress(raw);
    if (++this.#followed === MAX_FOLLOWED) {
      log("warn", "somebody keeps giving the kernel addresses: they stay there from now on");
    }
  }
}

/** We may not even look at frames without the one, nor take addresses without the other. */
function mustHaveCapabilities(): void {
  const lacking = (["NET_ADMIN", "NET_RAW"] as const).filter((name) => !hasCapability(CAP[name]));
  if (lacking.length === 0) return;
  const names = lacking.map((name) => `CAP_${name}`).join(" and ");
  throw new Error(
    `Cannot drive the interfaces of this network namespace: ${names} missing (run it as root, or as root of a user ` +
      "namespace: pasta -- sluice …, podman unshare, unshare -rn)",
  );
}

function report({ devices, failures }: Restored, log: Log, why: string | undefined): void {
  if (why !== undefined && devices.length > 0) log("warn", `${why} ${devices.join(", ")}: it is done now`);
  for (const failure of failures) {
    log("warn", `not everything is as it was before: ${failure} (sluice restore-netns tries again)`);
  }
}
