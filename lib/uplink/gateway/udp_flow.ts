/**
 * One UDP flow of the guest: an endpoint of the stack in the destination's place, and a connected socket of the host.
 *
 * @module
 */

import { Errno } from "../../host/errno.ts";
import { EpollEvents, type ReadyHandler } from "../../host/reactor.ts";
import { close } from "../../host/sys.ts";
import type { PacketBuffer } from "../../stack/buffer/packet.ts";
import type { FlowFacts } from "../../stack/facts.ts";
import type { Instant } from "../../stack/time.ts";
import type { UdpEndpoint, UdpObserver } from "../../stack/udp/endpoint.ts";
import type { IpAddress } from "../../stack/wire/address.ts";
import { SLOTS } from "./datagram_io.ts";
import { age, endpointText, type Flow } from "./flows.ts";
import type { LruItem, LruList } from "./lru_list.ts";
import type { UdpFlows } from "./udp.ts";
import { unreachable } from "./unreachable.ts";

/** Batches of one flow in one turn. */
const TURN_BATCHES = 4;

/** A UDP flow. Exists until {@linkcode UdpFlow.close}. */
export class UdpFlow implements UdpObserver, ReadyHandler, Flow, LruItem<UdpFlow> {
  newer: UdpFlow | undefined;
  older: UdpFlow | undefined;
  list: LruList<UdpFlow> | undefined;
  usedAt: Instant;

  readonly fd: number;
  /** The far end as the host dials it. */
  readonly host: IpAddress;
  readonly port: number;
  /** The host cannot cut super-datagrams on this route. */
  unsegmented = false;
  /** The far end has answered. */
  answered = false;
  bytesOut = 0;
  readonly #flows: UdpFlows;
  readonly #since: Instant;
  #endpoint: UdpEndpoint | undefined;
  #bytesIn = 0;
  #deferred = false;

  constructor(flows: UdpFlows, fd: number, host: IpAddress, port: number, now: Instant) {
    this.#flows = flows;
    this.fd = fd;
    this.host = host;
    this.port = port;
    this.#since = now;
    this.usedAt = now;
  }

  get closed(): boolean {
    return this.#endpoint === undefined;
  }

  /** Takes the endpoint whose observer this is. Call once. */
  join(endpoint: UdpEndpoint): void {
    this.#endpoint = endpoint;
  }

  /** A datagram of the guest. */
  onUdpDatagram(_endpoint: UdpEndpoint, packet: PacketBuffer): void {
    this.#flows.send(this, packet);
  }

  /** The guest does not want what came. The far end's kernel would hear of it; ours has no way to say so. */
  onUdpError(): void {
    this.#flows.count("gateway.udp.guest-unreachable");
  }

  onReady(events: number): void {
    if ((events & (EpollEvents.in | EpollEvents.err | EpollEvents.hup)) !== 0) this.run();
  }

  /** Receives what waits; the rest of a long queue is left to the work list. */
  run(): void {
    this.#deferred = false;
    const endpoint = this.#endpoint;
    if (endpoint === undefined) return;
    const { receiver, reactor } = this.#flows;
    const now = this.#flows.now();
    for (let batch = 0; batch < TURN_BATCHES; batch++) {
      const count = receiver.receive(this.fd);
      if (count < 0) {
        if (count === -Errno.EAGAIN) return;
        this.failed(-count, now);
        if (this.#endpoint === undefined) return;
        continue; // the error is cleared by being told; datagrams may wait behind it
      }
      for (let i = 0; i < count; i++) {
        const payload = receiver.take(i);
        this.#bytesIn += payload.length;
        if (!endpoint.send(payload, now)) this.#flows.count("gateway.udp.guest-full");
      }
      if (count > 0) this.#flows.heard(this, now);
      if (count < SLOTS) return;
    }
    if (!this.#deferred) {
      this.#deferred = true;
      reactor.defer(this);
    }
  }

  /** The host's kernel knows something of the far end: the guest hears it as the ICMP error that it was. */
  failed(errno: number, now: Instant): void {
    const endpoint = this.#endpoint;
    if (endpoint === undefined) return;
    switch (errno) {
      case Errno.ECONNREFUSED:
        this.#flows.count("gateway.udp.host-refused");
        endpoint.sendPortUnreachable(now);
        return;
      case Errno.EAGAIN:
      case Errno.ENOBUFS:
        this.#flows.count("gateway.udp.host-full");
        return;
      case Errno.EMSGSIZE:
        this.#flows.count("gateway.udp.too-long");
        return;
      default:
        this.#flows.count("gateway.udp.host-error");
        endpoint.sendPortUnreachable(now, unreachable(errno));
    }
  }

  close(): void {
    const endpoint = this.#endpoint;
    if (endpoint === undefined) return;
    this.#endpoint = undefined;
    endpoint.close();
    this.#flows.reactor.forget(this.fd);
    close(this.fd);
  }

  facts(now: Instant): FlowFacts {
    const endpoint = this.#endpoint!;
    return {
      protocol: "udp",
      direction: "out",
      guest: endpointText(endpoint.remoteAddress!, endpoint.remotePort),
      destination: endpointText(endpoint.localAddress!, endpoint.localPort),
      host: endpointText(this.host, this.port),
      state: this.answered ? "two-way" : "one-way",
      bytesOut: this.bytesOut,
      bytesIn: this.#bytesIn,
      age: age(this.#since, now),
    };
  }
}
