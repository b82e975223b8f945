import { deepStrictEqual, ok, strictEqual } from "node:assert/strict";
import { Buffer } from "node:buffer";
import { test } from "node:test";
import dnsPacket from "dns-packet";
import { LOOPBACK4 } from "../../../lib/host/structs.ts";
import { later, SECOND } from "../../../lib/stack/time.ts";
import { DnsZones } from "../../../lib/uplink/gateway/dns_zones.ts";
import { MAX_QUESTION } from "../../../lib/uplink/gateway/dns_streams.ts";
import type { GatewayConfig } from "../../../lib/uplink/gateway/config.ts";
import { randomBytes, seeded } from "../../support/random.ts";
import { guestConnect, type GuestPeer } from "./guest_peers.ts";
import { BlackHole, closedPort, HostServer } from "./host_peers.ts";
import { DNS4, ip, within, type World } from "./world.ts";

const MANY = 3_000;

function zones(): DnsZones {
  const big = Array.from({ length: MANY }, (_, i) => ({ name: "big", ip: `10.1.${i >> 8}.${i & 255}` }));
  return new DnsZones([{ name: "internal.", records: [{ name: "host", ip: "192.168.127.254" }, ...big] }]);
}

/** A message behind its length. */
function framed(id: number, name: string, more: object = {}): Uint8Array {
  const questions = [{ name, type: "A" }];
  return new Uint8Array(
    dnsPacket.streamEncode({ type: "query", id, flags: 0x100, questions, ...more } as never),
  );
}

/** Every whole message that has come: id and records. */
function answers(guest: GuestPeer): { id: number; rcode: string; flags: number; records: number }[] {
  const all = [];
  const bytes = Buffer.from(guest.received);
  for (let at = 0; at + 2 <= bytes.length && at + 2 + bytes.readUInt16BE(at) <= bytes.length;) {
    const { id, rcode, flags, answers } = dnsPacket.streamDecode(bytes.subarray(at)) as unknown as {
      id: number;
      rcode: string;
      flags: number;
      answers: unknown[];
    };
    all.push({ id: id!, rcode, flags, records: answers.length });
    at += 2 + bytes.readUInt16BE(at);
  }
  return all;
}

function connect(world: World): GuestPeer {
  const guest = guestConnect(world, DNS4, 53);
  world.until(() => guest.established, "a connection");
  return guest;
}

function withZones(body: (world: World) => void, config: Partial<GatewayConfig> = {}): void {
  within(body, { zones: zones(), ...config });
}

/** A resolver of the host that says what it hears. */
function echoing(world: World): HostServer {
  const server = new HostServer(world.reactor, (peer) => void (peer.echo = true), LOOPBACK4);
  world.gateway.setResolvers([{ address: ip("127.0.0.1"), port: server.port }]);
  return server;
}

test("DnsStreams answers a zone's names one after the other, and whole however many records there are", () =>
  withZones((world) => {
    const guest = connect(world);
    for (const [id, name] of [[1, "host.internal"], [2, "big.internal"], [3, "nobody.internal"]] as const) {
      guest.write(framed(id, name));
    }
    world.until(() => answers(guest).length === 3, "three answers");
    deepStrictEqual(
      answers(guest).map(({ id, rcode, records }) => [id, rcode, records]),
      [[1, "NOERROR", 1], [2, "NOERROR", MANY], [3, "NXDOMAIN", 0]],
    );
    strictEqual(answers(guest)[1]!.flags & 0x200, 0, "nothing was cut off");
    guest.end();
    world.until(() => guest.ended, "the end");
    deepStrictEqual(world.gateway.flows(), []);
  }));

test("DnsStreams reads questions however they are cut, and answers none before it is whole", () =>
  withZones((world) => {
    const guest = connect(world);
    const cookie = { type: "OPT", name: ".", udpPayloadSize: 1_232, flags: 0, options: [] };
    const bytes = framed(7, "host.internal", { additionals: [cookie] });
    for (let at = 0; at < bytes.length; at++) {
      strictEqual(answers(guest).length, 0);
      guest.write(bytes.subarray(at, at + 1));
      world.idle(2);
    }
    world.until(() => answers(guest).length === 1, "the answer");
  }));

test("DnsStreams hands a connection with another name to a resolver, with that question and all that follow", () =>
  withZones((world) => {
    const server = echoing(world);
    const guest = connect(world);
    const others = [framed(2, "example.org"), framed(3, "host.internal"), framed(4, "example.com")];
    guest.write(framed(1, "host.internal"));
    for (const other of others) guest.write(other);
    const foreign = others.reduce((sum, { length }) => sum + length, 0);
    world.until(() => server.peers[0]?.total === foreign, "the questions");
    world.until(() => answers(guest).length === 4, "the answers");
    deepStrictEqual(answers(guest).map(({ id, records }) => [id, records]), [[1, 1], [2, 0], [3, 0], [4, 0]]);
    strictEqual(world.gateway.flows()[0]?.state, "established");
    guest.end();
    world.until(() => guest.ended && world.gateway.flows().length === 0, "the end");
    server.close();
  }));

test("DnsStreams carries a question that is over before the resolver is there, and says that none is", () =>
  withZones((world) => {
    const server = echoing(world);
    const guest = connect(world);
    guest.write(framed(2, "example.org"));
    guest.end();
    world.until(() => guest.ended, "the end");
    strictEqual(answers(guest).length, 1);

    world.gateway.setResolvers([{ address: ip("127.0.0.1"), port: closedPort() }]);
    const refused = connect(world);
    refused.write(framed(3, "example.org"));
    world.until(() => refused.closed, "the refusal");
    strictEqual(refused.connection.error, "reset");

    const hole = new BlackHole();
    world.gateway.setResolvers([{ address: ip("127.0.0.1"), port: hole.port }]);
    const gone = connect(world);
    gone.write(framed(4, "example.org"));
    world.until(() => world.gateway.flows()[0]?.state === "dialling", "a dial");
    gone.reset();
    world.idle();
    world.gateway.poll(later(world.now(), 61 * SECOND));
    world.idle();
    deepStrictEqual(world.gateway.flows(), []);
    hole.close();
    server.close();
  }));

test("DnsStreams gives a giant question of another name to the resolver, and refuses one about its own", () =>
  withZones((world) => {
    const server = echoing(world);
    const long = (id: number, name: string, length: number) => {
      const bytes = new Uint8Array(2 + length);
      bytes.set(framed(id, name));
      bytes.set([length >> 8, length & 255]);
      return bytes;
    };
    const foreign = connect(world);
    foreign.write(long(1, "example.org", 65_535));
    world.until(() => (server.peers[0]?.total ?? 0) === 65_537, "the question");
    const own = connect(world);
    own.write(long(2, "host.internal", MAX_QUESTION + 1));
    world.until(() => own.closed, "the refusal");
    strictEqual(world.counted("dns.question-too-long"), 1);
    const longest = connect(world);
    longest.write(long(3, "host.internal", MAX_QUESTION));
    world.until(() => answers(longest).length === 1, "the answer");
    server.close();
  }));

test("DnsStreams ends who is silent, resets who stops within a question, and gives trickling no time", () =>
  withZones((world) => {
    const silent = connect(world), half = connect(world), busy = connect(world);
    half.write(framed(1, "host.internal").subarray(0, 9));
    world.idle(3);
    const since = world.now();
    busy.write(framed(1, "host.internal"));
    world.until(() => answers(busy).length === 1, "the answer");
    half.write(framed(1, "host.internal").subarray(9, 12));
    world.idle(3);
    world.gateway.poll(later(since, 10 * SECOND));
    world.until(() => silent.ended && half.closed, "the ends");
    strictEqual(silent.connection.error, undefined);
    strictEqual(half.connection.error, "reset");
    strictEqual(busy.closed || busy.ended, false);
    strictEqual(world.counted("dns.stream-timeout"), 2);
  }));

test("DnsStreams resets what is no question", () =>
  withZones((world) => {
    const response = framed(1, "host.internal");
    response[4]! |= 0x80;
    for (const bytes of [response, Uint8Array.of(0, 0), Uint8Array.of(0, 3, 1, 2, 3)]) {
      const guest = connect(world);
      guest.write(bytes);
      world.until(() => guest.closed, "the reset");
    }
    const cut = connect(world);
    cut.write(framed(1, "host.internal").subarray(0, 20));
    cut.end();
    world.until(() => cut.closed, "the reset");
    strictEqual(world.counted("dns.malformed"), 4);
  }));

test("DnsStreams at its limit ends the connection that is silent longest", () =>
  withZones((world) => {
    const guests = [0, 1, 2].map(() => connect(world));
    guests[0]!.write(framed(1, "host.internal"));
    world.until(() => answers(guests[0]!).length === 1, "the answer");
    connect(world);
    world.until(() => guests[1]!.closed, "the end");
    deepStrictEqual(guests.map(({ closed }) => closed), [false, true, false]);
    strictEqual(world.counted("dns.stream-limit"), 1);
  }, { limits: { dnsStreams: 3 } }));

test("DnsStreams leaves other guests their share", () =>
  withZones((world) => {
    const mine = Array.from({ length: 20 }, () => connect(world));
    world.idle();
    strictEqual(mine.filter(({ closed }) => !closed).length, 4, "one greedy guest has half");
    strictEqual(world.counted("dns.guest-stream-limit"), 16);
    strictEqual(world.counted("dns.stream-limit"), 0);
  }, { limits: { dnsStreams: 8 }, tenantOf: () => 1 }));

test("DnsStreams asks no more of a guest that does not read its answers", () =>
  withZones((world) => {
    const guest = connect(world);
    guest.paused = true;
    const count = 2_000, question = framed(1, "big.internal"), size = question.length;
    const questions = Uint8Array.from({ length: count * size }, (_, i) => i % size).map((i) => question[i]!);
    let sent = 0;
    guest.onWritable = () => sent += guest.write(questions.subarray(sent));
    guest.onWritable();
    world.idle(100);
    ok(guest.connection.receiveQueue.length < 16 << 20, "answers are bounded");
    world.gateway.poll(later(world.now(), 10 * SECOND));
    world.until(() => guest.closed, "the end");
    strictEqual(world.counted("dns.stream-timeout"), 1);
  }));

test("DnsStreams survives anything", () =>
  withZones((world) => {
    const seed = 0x5eed;
    const random = seeded(seed);
    for (let i = 0; i < 200; i++) {
      const guest = connect(world);
      const bytes = randomBytes(random, 1 + i);
      if (i % 2 === 0) bytes.set([0, i & 127].slice(0, bytes.length));
      if (i % 3 === 0) bytes.set(framed(1, "host.internal").subarray(0, bytes.length));
      guest.write(bytes);
      if (i % 5 === 0) guest.reset();
      else if (i % 5 === 1) guest.end();
      world.idle(2);
    }
    const last = connect(world);
    last.write(framed(9, "host.internal"));
    world.until(() => answers(last).length === 1, `an answer (seed ${seed})`);
  }));
