/**
 * One published UDP port: datagrams of many clients by one socket of the host, each client an endpoint of its own in
 * the stack, so that the guest sees who it is and can answer.
 *
 * @module
 */

import { Errno } from "../../host/errno.ts";
import { udpSocket } from "../../host/inet.ts";
import { EpollEvents, type ReadyHandler } from "../../host/reactor.ts";
import { type AddressWords, readSockaddr, SocketAddress } from "../../host/structs.ts";
import { close } from "../../host/sys.ts";
import type { PacketBuffer } from "../../stack/buffer/packet.ts";
import type { FlowFacts } from "../../stack/facts.ts";
import { earlier, type Instant, NEVER, SECOND } from "../../stack/time.ts";
import type { RoomWaiter, UdpEndpoint, UdpObserver } from "../../stack/udp/endpoint.ts";
import type { IpAddress } from "../../stack/wire/address.ts";
import type { Publish } from "./config.ts";
import { DatagramReplier, SLOTS, tellDestination } from "./datagram_io.ts";
import { age, endpointText, type Flow } from "./flows.ts";
import { type LruItem, LruList } from "./lru_list.ts";
import { ipAddressOf, spoofOf } from "./spoof.ts";
import type { UdpSurroundings } from "./udp.ts";

/** Batches of one event; the socket is level-triggered, so the rest is reported again. */
const TURN_BATCHES = 4;

const ONE_WAY_LIFETIME = 30 * SECOND;
const TWO_WAY_LIFETIME = 180 * SECOND;

/** A bound socket of the host whose datagrams go to the guest. */
export class UdpPublisher implements ReadyHandler, RoomWaiter {
  readonly surroundings: UdpSurroundings;
  readonly fd: number;
  readonly guestPort: number;
  readonly #guest: IpAddress | undefined;
  /** Clients by a hash of address and port; those that share one are chained. */
  readonly #clients = new Map<number, UdpClient>();
  readonly #oneWay = new LruList<UdpClient>(ONE_WAY_LIFETIME);
  readonly #twoWay = new LruList<UdpClient>(TWO_WAY_LIFETIME);
  readonly #source = new SocketAddress();
  readonly #destination = new SocketAddress();
  /** Who sent the last datagram. */
  #last: UdpClient | undefined;
  /** The guest's endpoint, while it is full and we leave what comes on the host. */
  #full: UdpEndpoint | undefined;
  readonly replier = new DatagramReplier();

  private constructor(surroundings: UdpSurroundings, fd: number, publish: Publish) {
    this.surroundings = surroundings;
    this.fd = fd;
    this.guestPort = publish.guestPort;
    this.#guest = publish.guestAddress;
    surroundings.reactor.add(fd, EpollEvents.in, this);
  }

  /** Binds, or returns −errno. */
  static open(surroundings: UdpSurroundings, address: AddressWords, publish: Publish): UdpPublisher | number {
    const fd = udpSocket(address.family, address, publish.hostPort);
    // Bound to every address, the socket must answer each client from the one that the client knows.
    if (fd >= 0 && publish.hostAddress?.isUnspecified() !== false) {
      tellDestination(fd, address.family);
    }
    return fd < 0 ? fd : new UdpPublisher(surroundings, fd, publish);
  }

  count(name: string): void {
    this.surroundings.registry.counters.bump(name);
  }

  onReady(): void {
    const { receiver, reactor } = this.surroundings;
    const now = reactor.now() as Instant;
    const guest = this.#guestEndpoint();
    if (guest?.full === true) return this.#waitFor(guest);
    const batches = guest === undefined ? TURN_BATCHES : 1;
    for (let batch = 0; batch < batches; batch++) {
      const count = receiver.receive(this.fd);
      if (count < 0) {
        // An ICMP error about a reply to one of the clients; which one, an unconnected socket does not say.
        if (count !== -Errno.EAGAIN) this.count("gateway.publish.host-error");
        return;
      }
      for (let i = 0; i < count; i++) {
        const known = readSockaddr(receiver.names.view, receiver.nameAt(i), this.#source);
        const told = receiver.destination(i, this.#destination);
        const payload = receiver.take(i);
        const client = known ? this.#client(now) : undefined;
        if (client !== undefined) this.#last = client;
        if (client === undefined) payload.release();
        else client.toGuest(payload, told ? this.#destination : undefined, now);
      }
      if (count < SLOTS) return;
    }
  }

  /** Where the guest is in this program: the endpoint that the last client talks to. */
  #guestEndpoint(): UdpEndpoint | undefined {
    const { guestEndpoint } = this.surroundings.config;
    const last = this.#last?.endpoint;
    if (guestEndpoint === undefined || last === undefined) return undefined;
    return guestEndpoint(last.remoteAddress!, last.remotePort, last.localAddress!, last.localPort);
  }

  /** As in udp_flow.ts: what comes waits on the host. */
  #waitFor(guest: UdpEndpoint): void {
    this.#full = guest;
    guest.whenRoom(this);
    this.count("gateway.publish.guest-waits");
    this.surroundings.reactor.modify(this.fd, 0);
  }

  onRoom(): void {
    this.#full = undefined;
    this.surroundings.reactor.modify(this.fd, EpollEvents.in);
  }

  /** The guest has sent something to `client`. */
  answered(client: UdpClient, now: Instant): void {
    this.#twoWay.touch(client, now);
  }

  pollAt(): Instant {
    return earlier(this.#oneWay.expiresAt(), this.#twoWay.expiresAt());
  }

  poll(now: Instant): void {
    for (const list of [this.#oneWay, this.#twoWay]) {
      for (let client = list.expired(now); client !== undefined; client = list.expired(now)) {
        this.#forget(client);
      }
    }
  }

  /** Who has only sent datagrams has no claim to be heard. */
  finish(): void {
    this.close();
  }

  close(): void {
    for (const list of [this.#oneWay, this.#twoWay]) {
      for (let client = list.oldest; client !== undefined; client = list.oldest) this.#forget(client);
    }
    this.#full?.forget(this);
    this.surroundings.reactor.forget(this.fd);
    close(this.fd);
  }

  /** The flow of the client at `#source`, made if need be. */
  #client(now: Instant): UdpClient | undefined {
    const source = this.#source;
    const hash = hashOf(source);
    let client = this.#clients.get(hash);
    while (client !== undefined && !client.is(source)) client = client.chain;
    if (client === undefined) return this.#open(hash, now);
    client.list?.touch(client, now);
    return client;
  }

  #open(hash: number, now: Instant): UdpClient | undefined {
    const { stack, nic, config, limits, registry } = this.surroundings;
    if (this.#oneWay.length + this.#twoWay.length >= limits.udpFlows) {
      this.count("gateway.publish.client-limit");
      this.#forget((this.#oneWay.oldest ?? this.#twoWay.oldest)!);
    }
    const address = ipAddressOf(this.#source);
    const spoof = spoofOf(address, this.#source.port, config, nic, this.#guest);
    if (spoof === undefined) {
      this.count("gateway.publish.refused");
      return undefined;
    }
    const client = new UdpClient(
      this,
      hash,
      address,
      this.#source.port,
      this.#source.scope,
      spoof.guest,
      now,
    );
    const request = {
      localAddress: spoof.client,
      remoteAddress: spoof.guest,
      remotePort: this.guestPort,
      nic,
      observer: client,
    };
    let endpoint = stack.udpBind({ ...request, localPort: spoof.port }, now);
    // Two published ports may have one client; the guest then sees the second from another port.
    if (typeof endpoint === "string" && spoof.port !== 0) endpoint = stack.udpBind(request, now);
    if (typeof endpoint === "string") {
      this.count("gateway.publish.refused");
      return undefined;
    }
    client.endpoint = endpoint;
    client.chain = this.#clients.get(hash);
    this.#clients.set(hash, client);
    this.#oneWay.touch(client, now);
    registry.add(client);
    return client;
  }

  #forget(client: UdpClient): void {
    client.list?.remove(client);
    if (this.#last === client) this.#last = undefined;
    this.surroundings.registry.delete(client);
    client.endpoint?.close();
    let before = this.#clients.get(client.hash);
    if (before === client) {
      if (client.chain === undefined) this.#clients.delete(client.hash);
      else this.#clients.set(client.hash, client.chain);
      return;
    }
    while (before !== undefined && before.chain !== client) before = before.chain;
    if (before !== undefined) before.chain = client.chain;
  }
}

/** One client of a published UDP port. */
class UdpClient implements UdpObserver, Flow, LruItem<UdpClient> {
  newer: UdpClient | undefined;
  older: UdpClient | undefined;
  list: LruList<UdpClient> | undefined;
  usedAt: Instant = NEVER;

  readonly hash: number;
  chain: UdpClient | undefined;
  endpoint: UdpEndpoint | undefined;
  readonly #publisher: UdpPublisher;
  readonly #address: IpAddress;
  readonly #name = new SocketAddress();
  /** The address of the host that the client writes to. */
  #from: SocketAddress | undefined;
  readonly #guest: IpAddress;
  readonly #since: Instant;
  #answered = false;
  #bytesOut = 0;
  #bytesIn = 0;

  constructor(
    publisher: UdpPublisher,
    hash: number,
    address: IpAddress,
    port: number,
    scope: number,
    guest: IpAddress,
    now: Instant,
  ) {
    this.#publisher = publisher;
    this.hash = hash;
    this.#address = address;
    this.#name.set(address, port, scope);
    this.#guest = guest;
    this.#since = now;
  }

  is(source: SocketAddress): boolean {
    return source.port === this.#name.port && source.scope === this.#name.scope &&
      this.#address.equals(source);
  }

  /** Takes ownership. `from` is where the client sent it to, if known. */
  toGuest(payload: PacketBuffer, from: SocketAddress | undefined, now: Instant): void {
    if (from !== undefined) (this.#from ??= new SocketAddress()).set(from, 0, from.scope);
    this.#bytesIn += payload.length;
    if (!this.endpoint!.send(payload, now)) this.#publisher.count("gateway.udp.guest-full");
  }

  onUdpDatagram(
    _endpoint: UdpEndpoint,
    packet: PacketBuffer,
    _ip: unknown,
    _udp: unknown,
    now: Instant,
  ): void {
    this.#answered = true;
    this.#publisher.answered(this, now);
    this.#bytesOut += packet.totalLength;
    const { pool } = this.#publisher.surroundings;
    const plain = packet.fragments.length === 0 && packet.address !== 0;
    const bytes = plain ? packet.retain() : pool.take(packet.totalLength);
    if (!plain) bytes.end = bytes.start + packet.copyTo(bytes.bytes, bytes.start);
    const sent = this.#publisher.replier.send(this.#publisher.fd, bytes, this.#name, this.#from);
    if (sent < 0) this.#publisher.count("gateway.publish.host-error");
    bytes.release();
  }

  onUdpError(): void {
    this.#publisher.count("gateway.publish.guest-unreachable");
  }

  facts(now: Instant): FlowFacts {
    const endpoint = this.endpoint!;
    return {
      protocol: "udp",
      direction: "in",
      guest: endpointText(this.#guest, this.#publisher.guestPort),
      destination: endpointText(endpoint.localAddress ?? this.#address, endpoint.localPort),
      host: endpointText(this.#address, this.#name.port),
      state: this.#answered ? "two-way" : "one-way",
      bytesOut: this.#bytesOut,
      bytesIn: this.#bytesIn,
      age: age(this.#since, now),
    };
  }
}

function hashOf({ a, b, c, d, port }: SocketAddress): number {
  let hash = Math.imul(a ^ b, 0x9e3779b1) ^ Math.imul(c, 0x85ebca6b) ^ d;
  hash = Math.imul(hash ^ (hash >>> 16) ^ port, 0x45d9f3b);
  return hash ^ (hash >>> 15);
}
