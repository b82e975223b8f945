/**
 * The gateway's DNS address: questions over UDP, handed as they are to the host's resolvers.
 *
 * The relay reads no records, so every type, class, flag and extension passes. Questions over TCP are an ordinary relayed
 * connection to a resolver; see tcp.ts.
 *
 * ```text
 *   question ─▶ resolver 1 ──(answer)──▶ guest
 *                  │ nothing for ATTEMPT, or an ICMP error, or SERVFAIL, or REFUSED
 *                  ▼
 *               resolver 2 …  all sockets stay open: the first good answer wins, from whomever
 *                  │ LIFETIME over, or all have failed
 *                  ▼
 *               the best of the bad answers, or SERVFAIL of our own: a client must not hang
 * ```
 *
 * Each question has a socket of its own per resolver, so its source port is as unpredictable as the host's kernel
 * makes it (RFC 5452 section 9.2), and the kernel drops what others send. Who asks the same again (a client's retry)
 * sets the next resolver to work at once.
 *
 * @module
 */

import { Errno } from "../../host/errno.ts";
import { connectTo } from "../../host/inet.ts";
import { EpollEvents, type ReadyHandler } from "../../host/reactor.ts";
import { close } from "../../host/sys.ts";
import type { PacketBuffer } from "../../stack/buffer/packet.ts";
import { type Instant, MILLISECOND, NEVER, SECOND } from "../../stack/time.ts";
import type { UdpEndpoint, UdpObserver } from "../../stack/udp/endpoint.ts";
import type { IpAddress } from "../../stack/wire/address.ts";
import type { IpHeader } from "../../stack/wire/ip.ts";
import type { UdpHeader } from "../../stack/wire/udp.ts";
import type { Resolver } from "./config.ts";
import { DatagramSender } from "./datagram_io.ts";
import { isQuery, isResponse, messageId, Rcode, responseCode, toServerFailure } from "./dns_message.ts";
import { openDatagram } from "./host_socket.ts";
import { FairShare, oldestOf } from "../../stack/fair_share.ts";
import { type LruItem, LruList } from "./lru_list.ts";
import { DNS_PORT } from "./policy.ts";
import type { Resolvers } from "./resolvers.ts";
import type { UdpSurroundings } from "./udp.ts";

/** How long a resolver may think before the next one is asked as well. */
const ATTEMPT = 1_500 * MILLISECOND;
/** How long a question may take altogether; less than the ten seconds after which most clients give up. */
const LIFETIME = 8 * SECOND;

/** Relays questions that arrive at the gateway's DNS addresses. */
export class DnsRelay implements UdpObserver {
  readonly surroundings: UdpSurroundings;
  readonly resolvers: Resolvers;
  readonly sender: DatagramSender = new DatagramSender();
  readonly #queries = new Map<string, Query>();
  readonly #share: FairShare;
  readonly #byAge = new LruList<Query>(LIFETIME);
  /** Those that wait for a first resolver's answer and could ask another. */
  readonly #attempts = new LruList<Attempt>(ATTEMPT);
  readonly #endpoints: UdpEndpoint[] = [];

  constructor(surroundings: UdpSurroundings, resolvers: Resolvers) {
    this.surroundings = surroundings;
    this.resolvers = resolvers;
    this.#share = new FairShare(surroundings.limits.dnsQueries);
  }

  /** Questions that wait for an answer. */
  get pending(): number {
    return this.#queries.size;
  }

  /** Begins to listen. Throws if the addresses are taken. */
  start(now: Instant): void {
    const { config, stack, nic } = this.surroundings;
    for (const address of [config.dns4, config.dns6]) {
      if (address === undefined) continue;
      const endpoint = stack.udpBind(
        { localAddress: address, localPort: DNS_PORT, nic, observer: this },
        now,
      );
      if (typeof endpoint === "string") throw new Error(`Cannot serve DNS at ${address}: ${endpoint}`);
      this.#endpoints.push(endpoint);
    }
  }

  onUdpDatagram(
    endpoint: UdpEndpoint,
    packet: PacketBuffer,
    ip: IpHeader,
    udp: UdpHeader,
    now: Instant,
  ): void {
    if (packet.fragments.length > 0 || !isQuery(packet.view, packet.start, packet.end)) {
      this.count("gateway.dns.malformed");
      return;
    }
    const local = this.surroundings.config.zones?.answer(packet, this.surroundings.pool);
    if (local !== undefined) {
      endpoint.send(local, now, ip.source.clone(), udp.sourcePort);
      return;
    }
    const key = `${ip.source} ${udp.sourcePort} ${messageId(packet.view, packet.start)}`;
    const known = this.#queries.get(key);
    if (known !== undefined) {
      known.retry(now);
      return;
    }
    if (this.#queries.size >= this.surroundings.limits.dnsQueries) {
      this.count("gateway.dns.query-limit");
      this.#byAge.oldest?.fail(now);
    }
    const tenant = this.surroundings.config.tenantOf?.(ip.source) ?? 0;
    if (this.surroundings.config.tenantOf !== undefined && !this.#share.admits(tenant)) {
      this.count("gateway.dns.guest-limit");
      const own = oldestOf(this.#byAge.oldest, tenant);
      if (own === undefined) return;
      own.fail(now);
    }
    const question = copy(packet, this);
    const query = new Query(this, key, endpoint, question, ip.source.clone(), udp.sourcePort, tenant);
    this.#share.add(tenant);
    this.#queries.set(key, query);
    this.#byAge.touch(query, now);
    query.next(now);
  }

  onUdpError(): void {}

  count(name: string): void {
    this.surroundings.registry.counters.bump(name);
  }

  pollAt(): Instant {
    const attempt = this.#attempts.expiresAt();
    const query = this.#byAge.expiresAt();
    return attempt < query ? attempt : query;
  }

  poll(now: Instant): void {
    for (let late = this.#attempts.expired(now); late !== undefined; late = this.#attempts.expired(now)) {
      this.count("gateway.dns.attempt-timeout");
      this.#attempts.remove(late);
      late.query.next(now);
    }
    for (let query = this.#byAge.expired(now); query !== undefined; query = this.#byAge.expired(now)) {
      this.count("gateway.dns.timeout");
      query.fail(now);
    }
  }

  stop(): void {
    for (const query of [...this.#queries.values()]) query.close();
    for (const endpoint of this.#endpoints) endpoint.close();
    this.#endpoints.length = 0;
  }

  /** For queries: the attempt's time begins. */
  began(attempt: Attempt, now: Instant): void {
    this.#attempts.touch(attempt, now);
  }

  ended(attempt: Attempt): void {
    this.#attempts.remove(attempt);
  }

  forget(query: Query): void {
    this.#byAge.remove(query);
    this.#share.remove(query.tenant);
    this.#queries.delete(query.key);
  }
}

/** One question of a client. */
class Query implements LruItem<Query> {
  newer: Query | undefined;
  older: Query | undefined;
  list: LruList<Query> | undefined;
  usedAt: Instant = NEVER;

  readonly key: string;
  readonly id: number;
  readonly question: PacketBuffer;
  /** Whose share of the questions it is part of. */
  readonly tenant: number;
  readonly #relay: DnsRelay;
  readonly #endpoint: UdpEndpoint;
  readonly #client: IpAddress;
  readonly #clientPort: number;
  readonly #targets: readonly Resolver[];
  readonly #attempts: Attempt[] = [];
  #next = 0;
  #open = 0;
  /** The least bad of the answers so far. */
  #last: PacketBuffer | undefined;

  constructor(
    relay: DnsRelay,
    key: string,
    endpoint: UdpEndpoint,
    question: PacketBuffer,
    client: IpAddress,
    clientPort: number,
    tenant: number,
  ) {
    this.tenant = tenant;
    this.#relay = relay;
    this.key = key;
    this.#endpoint = endpoint;
    this.question = question;
    this.id = messageId(question.view, question.start);
    this.#client = client;
    this.#clientPort = clientPort;
    this.#targets = relay.resolvers.inOrder();
  }

  /** Asks the next resolver, if there is one; fails if that was the last hope. */
  next(now: Instant): void {
    while (this.#next < this.#targets.length) {
      const attempt = new Attempt(this.#relay, this, this.#targets[this.#next++]!);
      this.#attempts.push(attempt);
      this.#open++;
      if (attempt.ask(now)) return;
      this.#open--;
    }
    if (this.#open === 0) this.fail(now);
  }

  /** The client asks again: so does the relay, of who has not been asked yet if there is such a resolver. */
  retry(now: Instant): void {
    if (this.#next < this.#targets.length) this.next(now);
    else for (const attempt of this.#attempts) attempt.repeat();
  }

  /** An attempt has its answer. Takes ownership. */
  answered(attempt: Attempt, answer: PacketBuffer, now: Instant): void {
    const code = responseCode(answer.view, answer.start);
    if (code !== Rcode.serverFailure && code !== Rcode.refused) {
      this.#relay.resolvers.prefer(attempt.resolver);
      this.#reply(answer, now);
      return;
    }
    this.#last?.release();
    this.#last = answer;
    this.failed(attempt, now);
  }

  /** An attempt will have no (good) answer. */
  failed(attempt: Attempt, now: Instant): void {
    attempt.close();
    this.#open--;
    this.next(now);
  }

  /** Says the best that there is to say, and ends. */
  fail(now: Instant): void {
    this.#relay.count("gateway.dns.failed");
    const last = this.#last;
    this.#last = undefined;
    if (last !== undefined) {
      this.#reply(last, now);
      return;
    }
    const { question } = this;
    question.end = toServerFailure(question.view, question.start, question.end);
    this.#reply(question.retain(), now);
  }

  close(): void {
    for (const attempt of this.#attempts) attempt.close();
    this.#last?.release();
    this.#last = undefined;
    this.question.release();
    this.#relay.forget(this);
  }

  #reply(answer: PacketBuffer, now: Instant): void {
    this.#endpoint.send(answer, now, this.#client, this.#clientPort);
    this.close();
  }
}

/** One question at one resolver. */
class Attempt implements ReadyHandler, LruItem<Attempt> {
  newer: Attempt | undefined;
  older: Attempt | undefined;
  list: LruList<Attempt> | undefined;
  usedAt: Instant = NEVER;

  readonly query: Query;
  readonly resolver: Resolver;
  readonly #relay: DnsRelay;
  #fd = -1;

  constructor(relay: DnsRelay, query: Query, resolver: Resolver) {
    this.#relay = relay;
    this.query = query;
    this.resolver = resolver;
  }

  /** Sends the question. False: it cannot be sent there. */
  ask(now: Instant): boolean {
    const { address, port } = this.resolver;
    const fd = openDatagram(address.family);
    if (fd < 0) {
      this.#relay.count("gateway.dns.no-descriptor");
      return false;
    }
    if (connectTo(fd, address, port) < 0 || this.#relay.sender.one(fd, this.query.question) < 0) {
      close(fd);
      return false;
    }
    this.#fd = fd;
    this.#relay.surroundings.reactor.add(fd, EpollEvents.in, this);
    this.#relay.began(this, now);
    return true;
  }

  /** Sends the question once more, where it has not been answered. */
  repeat(): void {
    if (this.#fd >= 0) this.#relay.sender.one(this.#fd, this.query.question);
  }

  onReady(): void {
    const { receiver, reactor } = this.#relay.surroundings;
    const now = reactor.now() as Instant;
    const count = receiver.receive(this.#fd);
    if (count === -Errno.EAGAIN) return;
    if (count < 0) {
      this.#relay.count("gateway.dns.resolver-error");
      this.query.failed(this, now);
      return;
    }
    for (let i = 0; i < count; i++) {
      const answer = receiver.take(i);
      if (this.#fd >= 0 && isResponse(answer.view, answer.start, answer.end, this.query.id)) {
        this.query.answered(this, answer, now);
      } else {
        answer.release();
      }
    }
  }

  close(): void {
    if (this.#fd < 0) return;
    this.#relay.ended(this);
    this.#relay.surroundings.reactor.forget(this.#fd);
    close(this.#fd);
    this.#fd = -1;
  }
}

/** The question outlives the packet, which the stack takes back. */
function copy(packet: PacketBuffer, relay: DnsRelay): PacketBuffer {
  const question = relay.surroundings.pool.take(packet.length);
  question.end = question.start + packet.copyTo(question.bytes, question.start);
  return question;
}
