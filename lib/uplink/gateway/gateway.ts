/**
 * The uplink `gateway`: the guest's connections, datagrams, pings and DNS questions leave as ordinary sockets of this
 * process, in the network that it was started in. It needs no privilege.
 *
 * ```text
 *                      stack                       │ gateway                          │ host
 *   SYN for nobody ──▶ tcpForwarder ───────────────▶ TcpDialer ──▶ TcpRelay ──────────▶ TCP socket
 *   datagram for nobody ▶ udpForwarder ────────────▶ UdpFlows ──▶ UdpFlow ────────────▶ connected UDP socket
 *   echo request ────▶ echoForwarder ──────────────▶ EchoFlows ───────────────────────▶ ping socket
 *   question ────────▶ endpoint at dns:53 ─────────▶ DnsRelay ────────────────────────▶ UDP socket per question
 *   the guest's port ◀ tcpConnect, udpBind (spoofed) ◀ PublishTable ◀──────────────────  listening sockets
 * ```
 *
 * Which address the host dials for the one that the guest named is decided by policy.ts, once per flow.
 *
 * The owner composes: the NIC is promiscuous (it hears what is for anybody) and spoofing (it answers as anybody), and
 * has the gateway's and the DNS addresses; like a stack, a gateway has deadlines: {@linkcode Gateway.pollAt} counts for
 * the next wait, {@linkcode Gateway.poll} is called when it has come.
 *
 * @module
 */

import { noFileLimit } from "../../host/process.ts";
import type { Reactor } from "../../host/reactor.ts";
import { PipePool } from "../../link/kernel_pipe.ts";
import type { BufferPool } from "../../stack/buffer/pool.ts";
import type { FlowFacts, ForwardFacts } from "../../stack/facts.ts";
import type { Nic } from "../../stack/nic.ts";
import type { Stack } from "../../stack/stack.ts";
import { earlier, type Instant } from "../../stack/time.ts";
import type { IpAddress } from "../../stack/wire/address.ts";
import { type GatewayConfig, limitsWithin, type Log, type Publish, type Resolver } from "./config.ts";
import { DatagramReceiver } from "./datagram_io.ts";
import { DnsRelay } from "./dns.ts";
import { FlowRegistry } from "./flows.ts";
import { EchoFlows } from "./icmp.ts";
import { PublishTable } from "./publish.ts";
import { Resolvers } from "./resolvers.ts";
import { TcpDialer } from "./tcp.ts";
import { TcpRelays } from "./tcp_relays.ts";
import { UdpFlows, type UdpSurroundings } from "./udp.ts";

/** What a gateway is made of. */
export interface GatewayDependencies {
  readonly stack: Stack;
  /** The interface that faces the guest. */
  readonly nic: Nic;
  readonly reactor: Reactor;
  /** Its buffers must have native addresses. */
  readonly pool: BufferPool;
  readonly config: GatewayConfig;
  readonly log: Log;
}

/** Relays everything between one interface of a stack and the host's network. */
export class Gateway {
  readonly #stack: Stack;
  readonly #reactor: Reactor;
  readonly #config: GatewayConfig;
  readonly #registry = new FlowRegistry();
  readonly #receiver: DatagramReceiver;
  readonly #resolvers: Resolvers;
  readonly #relays: TcpRelays;
  readonly #dialer: TcpDialer;
  readonly #udp: UdpFlows;
  readonly #echo: EchoFlows;
  readonly #dns: DnsRelay;
  /** Those of {@linkcode serveDns}. */
  readonly #furtherDns: DnsRelay[] = [];
  readonly #surroundings: UdpSurroundings;
  readonly #published: PublishTable;

  constructor({ stack, nic, reactor, pool, config, log }: GatewayDependencies) {
    this.#stack = stack;
    this.#reactor = reactor;
    this.#config = config;
    const [descriptors] = noFileLimit() ?? [1_024];
    const limits = { ...limitsWithin(descriptors), ...config.limits };
    this.#receiver = new DatagramReceiver(pool);
    const registry = this.#registry;
    const surroundings: UdpSurroundings = {
      stack,
      nic,
      reactor,
      pool,
      config,
      limits,
      registry,
      receiver: this.#receiver,
    };
    this.#surroundings = surroundings;
    this.#resolvers = new Resolvers(config.resolvers);
    const pipes = config.inMemory === true ? new PipePool(registry.counters) : undefined;
    const { tenantOf } = config;
    const isAbsent = (address: IpAddress) => tenantOf !== undefined && tenantOf(address) < 0;
    this.#relays = new TcpRelays(reactor, pool, registry, limits, isAbsent, pipes);
    this.#dialer = new TcpDialer(this.#relays, config, this.#resolvers, registry, log);
    this.#udp = new UdpFlows(surroundings);
    this.#echo = new EchoFlows(surroundings, log);
    this.#dns = new DnsRelay(surroundings, this.#resolvers);
    this.#published = new PublishTable(surroundings, this.#relays);
  }

  /**
   * Takes over what the stack has nobody for, and opens the published ports.
   *
   * @throws {Error} for a port that cannot be had; then nothing is left open
   */
  start(): void {
    const now = this.#now();
    try {
      this.#dns.start(now);
      for (const publish of this.#config.publish) this.#published.add(publish);
    } catch (error) {
      this.stop();
      throw error;
    }
    this.#stack.tcpForwarder = (request, at) => this.#dialer.handle(request, at);
    this.#stack.udpForwarder = (packet, ip, udp, nic, at) => this.#udp.handle(packet, ip, udp, nic, at);
    this.#stack.echoForwarder = (request, at) => this.#echo.handle(request, at);
  }

  /** Resets connections, forgets flows, closes every descriptor. */
  stop(): void {
    const now = this.#now();
    this.#stack.tcpForwarder = undefined;
    this.#stack.udpForwarder = undefined;
    this.#stack.echoForwarder = undefined;
    this.#published.stop();
    this.#dns.stop();
    for (const relay of this.#furtherDns.splice(0)) relay.stop();
    this.#echo.stop();
    this.#udp.stop(now);
    this.#dialer.stop(now);
    this.#relays.stop(now);
    this.#receiver.close();
  }

  /** When {@linkcode poll} has something to do. */
  pollAt(): Instant {
    let at = earlier(this.#udp.pollAt(), this.#dialer.pollAt());
    at = earlier(at, this.#relays.pollAt());
    at = earlier(at, this.#echo.pollAt());
    at = earlier(at, this.#dns.pollAt());
    for (const relay of this.#furtherDns) at = earlier(at, relay.pollAt());
    return earlier(at, this.#published.pollAt());
  }

  /** Ends what has lasted too long. Bounded by what is due; costs nothing when called too often. */
  poll(now: Instant): void {
    this.#udp.poll(now);
    this.#dialer.poll(now);
    this.#relays.poll(now);
    this.#echo.poll(now);
    this.#dns.poll(now);
    for (const relay of this.#furtherDns) relay.poll(now);
    this.#published.poll(now);
  }

  /**
   * Publishes one more port.
   *
   * @throws {Error} when it cannot be had, e.g. `Cannot publish 127.0.0.1:8080: address already in use`
   */
  publish(publish: Publish): void {
    this.#published.add(publish);
  }

  /**
   * Takes a published port back; its connections stay.
   *
   * @throws {Error} when it is not published
   */
  unpublish(publish: Publish): void {
    this.#published.remove(publish);
  }

  /**
   * Answers questions at one more address, of any stack: a resolver that the guest finds in the host's configuration and
   * that listens on the host's loopback, such as 127.0.0.53.
   *
   * @throws {Error} when the address is taken
   */
  serveDns(stack: Stack, nic: Nic, address: IpAddress): void {
    const { dns4: _dns4, dns6: _dns6, ...rest } = this.#config;
    const config = address.family === 4 ? { ...rest, dns4: address } : { ...rest, dns6: address };
    const relay = new DnsRelay({ ...this.#surroundings, stack, nic, config }, this.#resolvers);
    relay.start(this.#now());
    this.#furtherDns.push(relay);
  }

  /** Uses other resolvers from now on. */
  setResolvers(resolvers: readonly Resolver[]): void {
    this.#resolvers.replace(resolvers);
  }

  /** TCP connections on which the guest may have bytes on the way to the host, and how many got there so far. */
  unfinished(): { flows: number; bytes: number } {
    return this.#relays.unfinished();
  }

  /** Everything that is relayed at the moment. */
  flows(): FlowFacts[] {
    return this.#registry.facts(this.#now());
  }

  forwards(): ForwardFacts[] {
    return this.#published.facts();
  }

  /** What was counted, by name; all begin with `gateway.`. */
  counters(): Record<string, number> {
    return this.#registry.counters.all();
  }

  #now(): Instant {
    return this.#reactor.now() as Instant;
  }
}
