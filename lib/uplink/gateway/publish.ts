/**
 * Published ports: what the host listens on for the guest.
 *
 * @module
 */

import { Errno, errnoText } from "../../host/errno.ts";
import { type AddressWords, ANY4, ANY6 } from "../../host/structs.ts";
import type { ForwardFacts } from "../../stack/facts.ts";
import { earlier, type Instant, NEVER } from "../../stack/time.ts";
import type { Publish } from "./config.ts";
import { endpointText } from "./flows.ts";
import { TcpPublisher } from "./publish_tcp.ts";
import { UdpPublisher } from "./publish_udp.ts";
import type { TcpRelays } from "./tcp_relays.ts";
import type { UdpSurroundings } from "./udp.ts";

/** A listening socket of the host. */
interface Publisher {
  pollAt(): Instant;
  poll(now: Instant): void;
  /** Ends it for new clients; who is there is served. */
  finish(): void;
  close(): void;
}

interface Entry {
  readonly publish: Publish;
  readonly publishers: readonly Publisher[];
}

/** All published ports of a gateway. */
export class PublishTable {
  readonly #surroundings: UdpSurroundings;
  readonly #relays: TcpRelays;
  readonly #entries: Entry[] = [];

  constructor(surroundings: UdpSurroundings, relays: TcpRelays) {
    this.#surroundings = surroundings;
    this.#relays = relays;
  }

  /**
   * Begins to listen.
   *
   * @throws {Error} `Cannot publish 127.0.0.1:8080: address already in use`, or what `claimUnix` says
   */
  add(publish: Publish): void {
    const { limits, registry } = this.#surroundings;
    if (this.#entries.length >= limits.published) {
      registry.counters.bump("gateway.publish.limit");
      throw new Error(`Cannot publish ${hostText(publish)}: ${limits.published} ports are published already`);
    }
    if (publish.hostPath !== undefined) {
      const publisher = TcpPublisher.openUnix(this.#surroundings, this.#relays, publish.hostPath, publish);
      this.#entries.push({ publish, publishers: [publisher] });
      return;
    }
    const families = familiesOf(publish);
    const publishers: Publisher[] = [];
    for (const address of families) {
      const opened = publish.protocol === "tcp"
        ? TcpPublisher.open(this.#surroundings, this.#relays, address, publish)
        : UdpPublisher.open(this.#surroundings, address, publish);
      if (typeof opened !== "number") {
        publishers.push(opened);
        continue;
      }
      // A host without IPv6 publishes on IPv4 alone, when nobody asked for more.
      const optional = publish.hostAddress === undefined && address.family === 6;
      if (optional && (opened === -Errno.EAFNOSUPPORT || opened === -Errno.EADDRNOTAVAIL)) continue;
      for (const publisher of publishers) publisher.close();
      throw new Error(`Cannot publish ${hostText(publish)}: ${reasonOf(-opened, publish)}`);
    }
    this.#entries.push({ publish, publishers });
  }

  /**
   * Stops to listen; connections that came in stay.
   *
   * @throws {Error} when it is not published
   */
  remove(publish: Publish): void {
    const at = this.#entries.findIndex((entry) => samePort(entry.publish, publish));
    if (at < 0) {
      throw new Error(`Cannot unpublish ${hostText(publish)}/${publish.protocol}: it is not published`);
    }
    const [entry] = this.#entries.splice(at, 1);
    for (const publisher of entry!.publishers) publisher.finish();
  }

  facts(): ForwardFacts[] {
    return this.#entries.map(({ publish }) => ({
      protocol: publish.hostPath === undefined ? publish.protocol : "unix",
      host: hostText(publish),
      guest: publish.guestPort,
      ...(publish.guestAddress === undefined ? {} : { guestAddress: String(publish.guestAddress) }),
    }));
  }

  pollAt(): Instant {
    let at = NEVER;
    for (const { publishers } of this.#entries) {
      for (const publisher of publishers) at = earlier(at, publisher.pollAt());
    }
    return at;
  }

  poll(now: Instant): void {
    for (const { publishers } of this.#entries) {
      for (const publisher of publishers) publisher.poll(now);
    }
  }

  stop(): void {
    for (const { publishers } of this.#entries.splice(0)) {
      for (const publisher of publishers) publisher.close();
    }
  }
}

/** What stands in the way, and what to do where that is not plain. */
function reasonOf(errno: number, publish: Publish): string {
  if (errno === Errno.EADDRINUSE) return "address already in use";
  if (errno === Errno.EADDRNOTAVAIL) return "the host has no such address";
  if (errno === Errno.EACCES && publish.hostPort < 1_024) {
    return "permission denied (use a port from 1024 on, or lower net.ipv4.ip_unprivileged_port_start)";
  }
  return errnoText(errno);
}

function familiesOf(publish: Publish): readonly AddressWords[] {
  return publish.hostAddress === undefined ? [ANY4, ANY6] : [publish.hostAddress];
}

function hostText(publish: Publish): string {
  if (publish.hostPath !== undefined) return publish.hostPath;
  return publish.hostAddress === undefined
    ? `*:${publish.hostPort}`
    : endpointText(publish.hostAddress, publish.hostPort);
}

function samePort(a: Publish, b: Publish): boolean {
  if (a.hostPath !== undefined || b.hostPath !== undefined) return a.hostPath === b.hostPath;
  if (a.protocol !== b.protocol || a.hostPort !== b.hostPort) return false;
  if (a.hostAddress === undefined || b.hostAddress === undefined) return a.hostAddress === b.hostAddress;
  return a.hostAddress.equals(b.hostAddress);
}
