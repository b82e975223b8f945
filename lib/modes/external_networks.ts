/**
 * External networks: an interface for each, whose frames travel to a provider over a unix socket.
 *
 * ```text
 *   sockets  guest's calls ── guest's stack ── eth0, eth1 … ── pump ── unix socket ── passt, gvproxy, …
 *
 *   tap      guest's kernel ── eth0, eth1 … (TAP) ── patch ── unix socket ── passt, gvproxy, …
 *                                                      └─ eth0, eth1 … of our stack: DHCP, RA, qdisc, counters
 * ```
 *
 * The same uplink and the same clients; on `tap` the guest's kernel gets what our clients have found when the program
 * starts, and follows router advertisements by itself from then on. The program starts when there are addresses.
 *
 * @module
 */

import { attachSockets } from "../attach/sockets/attach.ts";
import type { StageDevice, StageLate } from "../attach/stage/protocol.ts";
import { attachTaps, type TapAttachments } from "../attach/tap/attach_many.ts";
import { runtimeDirectory } from "../host/files.ts";
import { Patch } from "../link/patch.ts";
import { earlier, type Instant, later, NEVER, SECOND } from "../stack/time.ts";
import { unfinishedOf } from "../stack/unfinished.ts";
import { removeStaleSockets, socketPath } from "../uplink/provider/stale_sockets.ts";
import { addresseeWithClients, addresseeWithout } from "./external/addressee.ts";
import { Cables } from "./external/cables.ts";
import { Changes } from "./external/changes.ts";
import { DefaultRoutes } from "./external/default_routes.ts";
import { JoinedNetwork } from "./external/network.ts";
import { Precedence } from "./external/precedence.ts";
import { resolvConfOf } from "./external/resolvers.ts";
import type { ModeContext, ModeSession } from "./mode.ts";
import { noUplink } from "./none.ts";

/** The near end: what differs between the attachments. */
interface NearEnd {
  counters(): Readonly<Record<string, number>>;
  pollAt(): Instant;
  poll(now: Instant): void;
  flush(now: Instant): void;
  go(late: StageLate): void;
  /** The program runs, and something of what `go` has said may have changed. */
  update(late: StageLate): void;
  close(): void;
}

/** Joins the networks of the configuration. */
export function startExternalNetworks(context: ModeContext): ModeSession {
  const { config, reactor, stack, log } = context;
  const now = () => reactor.now() as Instant;
  const directory = runtimeDirectory();
  removeStaleSockets(directory);
  const networks: JoinedNetwork[] = [];
  const defaults = new DefaultRoutes(stack);
  const precedence = new Precedence(stack);
  let session: Session | undefined;
  const changes = new Changes(() => {
    precedence.update(networks);
    defaults.update(networks);
    session?.update();
  });
  const onChange = () => changes.note();
  const stopAll = () => {
    for (const network of networks) network.stop(now());
  };
  try {
    for (const [i, network] of config.networks.entries()) {
      const path = socketPath(directory, i);
      networks.push(new JoinedNetwork(context, network, `eth${i}`, path, onChange));
    }
    const near = config.attach === "sockets" ? socketsEnd(context, networks) : tapEnd(context, networks);
    changes.note();
    changes.settle(now());
    if (!config.ownNetwork) {
      log("warn", "the guest has no mount namespace: it reads the host's /etc/resolv.conf");
    }
    session = new Session(context, networks, precedence, changes, near, stopAll);
    return session.answers();
  } catch (error) {
    stopAll();
    throw error;
  }
}

function socketsEnd(context: ModeContext, networks: readonly JoinedNetwork[]): NearEnd {
  const attachment = attachSockets({ ...context, fixedInterfaces: true });
  const now = context.reactor.now() as Instant;
  for (const network of networks) network.start(now);
  return {
    ...attachment,
    counters: () => ({}),
    flush: () => {},
    update: ({ resolvConf }) => attachment.showResolvConf(resolvConf),
  };
}

function tapEnd(context: ModeContext, networks: readonly JoinedNetwork[]): NearEnd {
  const { pool, config, reactor } = context;
  const names = networks.map(({ nic }) => nic.name);
  const taps: TapAttachments = attachTaps(context, names, config.mtu);
  const now = reactor.now() as Instant;
  const patches = networks.map((network, i) => {
    const { dhcp, addresses } = network.config;
    const clients = dhcp || addresses.length > 0;
    const addressee = clients ? addresseeWithClients(context.stack.counters) : addresseeWithout;
    const patch = new Patch(network.nic, pool, addressee);
    taps.pumpTo(i, patch.guest);
    network.start(now, patch.wire);
    return patch;
  });
  const cables = new Cables(networks, (i, isIn) => taps.setCarrier(i, isIn));
  return {
    counters: () => taps.counters(),
    pollAt: () => earlier(taps.pollAt(), cables.pollAt()),
    poll: (now) => cables.poll(now),
    flush: (now) => taps.flush(now),
    go: (late) => taps.go(late),
    update: (late) => taps.update(late),
    close: () => {
      taps.close();
      for (const patch of patches) patch.close();
    },
  };
}

/** A session from "joined" over "the program runs" to the end. */
class Session {
  readonly #context: ModeContext;
  readonly #networks: readonly JoinedNetwork[];
  readonly #precedence: Precedence;
  readonly #changes: Changes;
  readonly #near: NearEnd;
  readonly #stopAll: () => void;
  /** Until when the program waits; NEVER: it runs, or nobody has asked for it. */
  #waitUntil: Instant = NEVER;
  readonly #began: Instant;
  readonly #tap: boolean;
  /** The program has been told to start, and the end has not come. */
  #running = false;

  constructor(
    context: ModeContext,
    networks: readonly JoinedNetwork[],
    precedence: Precedence,
    changes: Changes,
    near: NearEnd,
    stopAll: () => void,
  ) {
    this.#context = context;
    this.#networks = networks;
    this.#precedence = precedence;
    this.#changes = changes;
    this.#near = near;
    this.#stopAll = stopAll;
    this.#began = context.reactor.now() as Instant;
    this.#tap = context.config.attach === "tap";
  }

  answers(): ModeSession {
    return {
      ...noUplink("with external networks"),
      counters: () => this.#counters(),
      pollAt: () => this.#pollAt(),
      poll: (now) => this.#poll(now),
      flush: (now) => this.#flush(now),
      unfinished: () => this.#unfinished(),
      go: () => {
        this.#waitUntil = later(this.#began, this.#context.config.addressWait * SECOND);
        this.#startIfReady(this.#context.reactor.now() as Instant);
      },
      stop: () => {
        this.#running = false;
        this.#stopAll();
        this.#near.close();
      },
    };
  }

  #counters(): Record<string, number> {
    const counters: Record<string, number> = { ...this.#near.counters() };
    for (const network of this.#networks) {
      for (const [name, value] of Object.entries(network.counters())) {
        counters[`${network.nic.name}.${name}`] = value;
      }
    }
    return counters;
  }

  #pollAt(): Instant {
    const at = earlier(earlier(this.#near.pollAt(), this.#waitUntil), this.#changes.pollAt());
    return this.#networks.reduce((soonest, network) => earlier(soonest, network.pollAt()), at);
  }

  #poll(now: Instant): void {
    for (const network of this.#networks) network.poll(now);
    this.#changes.poll(now);
    this.#near.poll(now);
    if (this.#waitUntil !== NEVER) this.#startIfReady(now);
  }

  /** To the provider and to the guest, and once more what the one made room for. */
  #flush(now: Instant): void {
    this.#near.flush(now);
    for (const { provider } of this.#networks) provider.flush(now);
    this.#near.flush(now);
  }

  #unfinished(): { flows: number; bytes: number } {
    let { flows, bytes } = unfinishedOf(this.#context.stack);
    for (const { nic } of this.#networks) {
      // Frames of a guest that has a kernel are on the wire once they are here and the queue is empty.
      if (nic.hasEgress) flows++;
      bytes += nic.tx.bytes;
    }
    return { flows, bytes };
  }

  #startIfReady(now: Instant): void {
    this.#changes.settle(now);
    const missing = this.#networks.filter(({ addressing }) => !addressing.ready);
    if (missing.length > 0) {
      if (now < this.#waitUntil) return;
      const without = missing.find(({ addressing }) => !addressing.configured);
      if (without !== undefined) return this.#giveUp(without);
    }
    this.#waitUntil = NEVER;
    this.#running = true;
    this.#near.go(this.#late());
  }

  /** Something that the guest may have to know has changed. */
  update(): void {
    if (this.#running) this.#near.update(this.#late());
  }

  #giveUp({ config, nic, addressing }: JoinedNetwork): void {
    this.#waitUntil = NEVER;
    const { addressWait } = this.#context.config;
    const why = nic.carrier ? addressing.trouble ?? "no DHCP server gave it one" : "its provider hung up";
    // The stage must not wait for a word that will never come.
    this.#near.close();
    this.#context.fail(
      `network ${config.name} has no address after ${addressWait} s: ${why} (is ${config.socket} a provider ` +
        "that answers DHCP? else use addr=)",
      125,
    );
  }

  /** What the guest's kernel and its resolver are to know. */
  #late(): StageLate {
    return {
      devices: this.#tap ? this.#networks.map((network, i) => this.#deviceOf(network, i)) : [],
      resolvConf: resolvConfOf(this.#networks.map(({ nic, addressing }) => ({
        device: nic.name,
        dns: addressing.dns,
        searchDomains: addressing.searchDomains,
      }))),
    };
  }

  #deviceOf(network: JoinedNetwork, index: number): StageDevice {
    const { nic, config, addressing } = network;
    const { routes } = this.#context.stack;
    const gateways = routes.all()
      .filter((route) => route.nic === nic && route.prefixLength === 0 && route.gateway !== undefined)
      .filter((route) =>
        route.destination.family === 4 || config.addresses.some((one) => one.address.includes(":"))
      )
      .map((route) => route.gateway!.toString());
    return {
      name: nic.name,
      mtu: nic.mtu,
      // The kernel makes its own IPv6 addresses, from the same advertisements and the same hardware address.
      addresses: nic.addresses
        .filter(({ address, scope }) =>
          scope === "global" &&
          (address.family === 4 || !followsRouters(config) || addressing.isLeased6(address))
        )
        .map(({ address, prefixLength }) => ({ address: address.toString(), prefixLength })),
      // Of two networks with one prefix the first has it.
      ...(index > 0 && { metric: index }),
      gateways,
      routes: this.#precedence.routesOf(network).map(({ destination, prefixLength, gateway }) => ({
        address: destination.toString(),
        prefixLength,
        ...(gateway.isUnspecified() ? {} : { gateway: gateway.toString() }),
      })),
    };
  }
}

/** Whether IPv6 addresses of a network come from its routers. */
function followsRouters({ dhcp, addresses }: JoinedNetwork["config"]): boolean {
  return dhcp || !addresses.some(({ address }) => address.includes(":"));
}
