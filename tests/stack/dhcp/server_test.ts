import { deepStrictEqual, ok, strictEqual } from "node:assert/strict";
import { test } from "node:test";
import { Counters } from "../../../lib/stack/counters.ts";
import { OFFER_TIME, QUARANTINE } from "../../../lib/stack/dhcp/leases.ts";
import { type DhcpReply, DhcpServer, type DhcpServerOptions } from "../../../lib/stack/dhcp/server.ts";
import { type Instant, SECOND } from "../../../lib/stack/time.ts";
import { ANY4, IpAddress } from "../../../lib/stack/wire/address.ts";
import type { Dhcpv4Message, Dhcpv4Options, Dhcpv4Type } from "../../../lib/stack/wire/dhcpv4.ts";
import { MacAddress } from "../../../lib/stack/wire/mac_address.ts";
import { between, randomBytes, seeded } from "../../support/random.ts";
import { ip } from "../../support/two_stacks.ts";

const NET = ip("192.168.127.0").d;
const GATEWAY = ip("192.168.127.1");

class Bench {
  now = 1_000_000 as Instant;
  readonly counters = new Counters();
  readonly server: DhcpServer;

  constructor(options: Partial<DhcpServerOptions> = {}) {
    this.server = new DhcpServer({
      server: GATEWAY,
      router: GATEWAY,
      dns: [GATEWAY],
      prefixLength: 24,
      mtu: 1_500,
      leaseTime: 3_600,
      searchDomains: ["example.com"],
      counters: this.counters,
      first: NET + 1,
      last: NET + 254,
      reserved: [GATEWAY.d, ip("192.168.127.254").d],
      ...options,
    });
  }

  wait(microseconds: number): void {
    this.now = (this.now + microseconds) as Instant;
  }

  ask(type: Dhcpv4Type, client: number, options: Dhcpv4Options = {}, more: Partial<Dhcpv4Message> = {}) {
    return this.server.handle({
      reply: false,
      transaction: 0x1234,
      seconds: 0,
      broadcast: false,
      clientAddress: ANY4,
      yourAddress: ANY4,
      nextServer: ANY4,
      relay: ANY4,
      hardware: new MacAddress(0x0200, client),
      options: { ...options, type },
      ...more,
    }, this.now);
  }

  /** DISCOVER, REQUEST; the address. */
  join(client: number): string {
    const offer = this.ask("discover", client);
    const requestedAddress = offer!.message.yourAddress!;
    const ack = this.ask("request", client, { serverId: GATEWAY, requestedAddress });
    strictEqual(ack?.message.options.type, "ack");
    return String(ack.message.yourAddress);
  }
}

const typeOf = (reply: DhcpReply | undefined) => reply?.message.options.type;

test("four-way: an offer, and an acknowledgement with everything that a guest needs", () => {
  const bench = new Bench();
  const offer = bench.ask("discover", 1);
  strictEqual(typeOf(offer), "offer");
  strictEqual(String(offer!.message.yourAddress), "192.168.127.2");
  strictEqual(String(offer!.to), "192.168.127.2", "straight to the client, which is not configured yet");
  const ack = bench.ask("request", 1, { serverId: GATEWAY, requestedAddress: offer!.message.yourAddress! });
  deepStrictEqual(ack!.message.options, {
    type: "ack",
    serverId: GATEWAY,
    leaseTime: 3_600,
    renewalTime: 1_800,
    rebindingTime: 3_150,
    prefixLength: 24,
    routers: [GATEWAY],
    dns: [GATEWAY],
    mtu: 1_500,
    searchDomains: ["example.com"],
  });
});

test("a client that cannot be reached yet is answered by broadcast", () => {
  strictEqual(new Bench().ask("discover", 1, {}, { broadcast: true })!.to, undefined);
});

test("rapid commit saves two messages", () => {
  const bench = new Bench();
  const reply = bench.ask("discover", 1, { rapidCommit: true });
  strictEqual(typeOf(reply), "ack");
  strictEqual(reply!.message.options.rapidCommit, true);
  strictEqual([...bench.server.pool.leases(bench.now)].length, 1);
});

test("the same client gets the same address, also after its lease has ended", () => {
  const bench = new Bench();
  const address = bench.join(1);
  bench.join(2);
  strictEqual(bench.join(1), address);
  bench.wait(4_000 * SECOND);
  strictEqual(bench.server.pool.holder(ip(address).d, bench.now), undefined);
  strictEqual(bench.join(1), address);
});

test("a client gets what it asks for, if that is free", () => {
  const bench = new Bench();
  const offer = bench.ask("discover", 1, { requestedAddress: ip("192.168.127.77") });
  strictEqual(String(offer!.message.yourAddress), "192.168.127.77");
  for (const taken of ["192.168.127.1", "192.168.127.254", "192.168.127.255", "192.168.127.0", "10.0.0.1"]) {
    const other = bench.ask("discover", 2, { requestedAddress: ip(taken) });
    strictEqual(String(other!.message.yourAddress), "192.168.127.2", taken);
  }
});

test("renewal extends the lease; an address that is not the client's is refused", () => {
  const bench = new Bench();
  const address = ip(bench.join(1));
  bench.wait(1_800 * SECOND);
  const renewed = bench.ask("request", 1, {}, { clientAddress: address });
  strictEqual(typeOf(renewed), "ack");
  strictEqual(String(renewed!.to), String(address));
  bench.wait(3_000 * SECOND);
  ok(bench.server.pool.holder(address.d, bench.now) !== undefined, "it holds beyond the first lease");
  const nak = bench.ask("request", 2, {}, { clientAddress: address });
  strictEqual(typeOf(nak), "nak");
  strictEqual(nak!.to, undefined, "RFC 2131 section 4.3.2: by broadcast");
  strictEqual(typeOf(bench.ask("request", 2, { requestedAddress: ip("10.9.9.9") })), "nak");
});

test("a request to another server frees what was offered", () => {
  const bench = new Bench();
  const offer = bench.ask("discover", 1);
  strictEqual(
    bench.ask("request", 1, { serverId: ip("192.168.127.9"), requestedAddress: ip("10.0.0.1") }),
    undefined,
  );
  const second = bench.ask("discover", 2, { requestedAddress: offer!.message.yourAddress! });
  strictEqual(String(second!.message.yourAddress), String(offer!.message.yourAddress));
});

test("a declined address rests", () => {
  const bench = new Bench({ last: NET + 3 });
  const address = ip(bench.join(1));
  strictEqual(bench.ask("decline", 1, { requestedAddress: address, serverId: GATEWAY }), undefined);
  strictEqual(bench.join(1), "192.168.127.3");
  strictEqual(bench.ask("discover", 2), undefined, "nothing is left");
  strictEqual(bench.counters.all()["dhcp.pool-exhausted"], 1);
  bench.wait(QUARANTINE + SECOND);
  strictEqual(bench.join(2), String(address));
});

test("nobody declines or releases the address of another", () => {
  const bench = new Bench();
  const address = ip(bench.join(1));
  bench.ask("decline", 2, { requestedAddress: address });
  bench.ask("release", 2, {}, { clientAddress: address });
  ok(bench.server.pool.holder(address.d, bench.now) !== undefined);
  bench.ask("release", 1, {}, { clientAddress: address });
  strictEqual(bench.server.pool.holder(address.d, bench.now), undefined);
});

test("a fixed address is for one guest, and that guest gets no other", () => {
  const fixed = [{ mac: new MacAddress(0x0200, 7), address: ip("192.168.127.2").d }];
  const bench = new Bench({ fixed });
  strictEqual(bench.join(1), "192.168.127.3");
  strictEqual(bench.join(7), "192.168.127.2");
  strictEqual(typeOf(bench.ask("request", 7, { requestedAddress: ip("192.168.127.9") })), "nak");
  strictEqual(typeOf(bench.ask("request", 1, { requestedAddress: ip("192.168.127.2") })), "nak");
});

test("an offer that is not taken is free after a while", () => {
  const bench = new Bench({ last: NET + 2 });
  ok(bench.ask("discover", 1) !== undefined);
  strictEqual(bench.ask("discover", 2), undefined);
  bench.wait(OFFER_TIME + SECOND);
  ok(bench.ask("discover", 2) !== undefined);
});

test("INFORM is answered without an address; replies and relays are not for us", () => {
  const bench = new Bench();
  const reply = bench.ask("inform", 1, {}, { clientAddress: ip("192.168.127.50") });
  strictEqual(typeOf(reply), "ack");
  strictEqual(reply!.message.options.leaseTime, undefined);
  ok(reply!.message.yourAddress!.isUnspecified());
  strictEqual(bench.ask("discover", 1, {}, { reply: true }), undefined);
  strictEqual(bench.ask("discover", 1, {}, { relay: ip("10.0.0.1") }), undefined);
  strictEqual(bench.ask("offer", 1), undefined);
});

test("whatever clients do, no address is leased twice, nor one that is reserved", () => {
  const seed = 0x5eed;
  const random = seeded(seed);
  const bench = new Bench({ last: NET + 20, fixed: [{ mac: new MacAddress(0x0200, 3), address: NET + 9 }] });
  const types: readonly Dhcpv4Type[] = ["discover", "request", "decline", "release", "inform"];
  for (let i = 0; i < 20_000; i++) {
    const client = between(random, 1, 30);
    const address = IpAddress.v4(NET + between(random, 0, 22));
    const options: Dhcpv4Options = {
      ...(between(random, 0, 1) === 0 ? {} : { requestedAddress: address }),
      ...(between(random, 0, 3) === 0 ? { serverId: GATEWAY } : {}),
      ...(between(random, 0, 9) === 0 ? { clientId: randomBytes(random, 3) } : {}),
    };
    const clientAddress = between(random, 0, 3) === 0 ? address : ANY4;
    bench.ask(types[between(random, 0, types.length - 1)]!, client, options, { clientAddress });
    bench.wait(between(random, 0, 400) * SECOND);
    const leases = [...bench.server.pool.leases(bench.now)];
    const addresses = new Set(leases.map((lease) => lease.address));
    strictEqual(addresses.size, leases.length, `seed ${seed}, step ${i}`);
    for (const lease of leases) {
      const host = lease.address - NET;
      ok(host >= 2 && host <= 20, `seed ${seed}, step ${i}: .${host}`);
      if (host === 9) strictEqual(lease.mac.low, 3, `seed ${seed}, step ${i}`);
    }
  }
});

const cid = (n: number) => Uint8Array.of(0, n >> 8, n);

for (
  const [how, starve] of [
    [
      "invents identifiers",
      (bench: Bench, i: number) => bench.ask("discover", 1, { clientId: cid(i), rapidCommit: true }),
    ],
    [
      "invents hardware addresses",
      (bench: Bench, i: number) => bench.ask("discover", 0x100 + i, { rapidCommit: true }),
    ],
    ["asks by name for every address", (bench: Bench, i: number) =>
      bench.ask("request", 1, {
        clientId: cid(i),
        serverId: GATEWAY,
        requestedAddress: IpAddress.v4(NET + 2 + i % 252),
      })],
    ["declines all that it is offered", (bench: Bench, i: number) => {
      const clientId = cid(i);
      const offer = bench.ask("discover", 1, { clientId });
      if (offer === undefined) return;
      bench.ask("decline", 1, { clientId, requestedAddress: offer.message.yourAddress! });
    }],
  ] as const
) {
  test(`a guest that ${how} leaves half of the pool to others`, () => {
    // Guest 1 has every hardware address but one.
    const bench = new Bench({ guestOf: (mac) => mac.low === 2 ? 2 : 1 });
    for (let i = 0; i < 2_000; i++) starve(bench, i);
    bench.join(2);
    const held = [...bench.server.pool.leases(bench.now)].length;
    ok(held <= 127, `${held} leases`);
    ok(
      (bench.counters.all()["dhcp.guest-limit"] ?? 0) + (bench.counters.all()["dhcp.refused"] ?? 0) > 1_000,
    );
  });
}

test("what guests have that are gone is given away when nothing else is left", () => {
  let present = 0;
  const bench = new Bench({ guestOf: (mac) => mac.low >> 8 === present ? present : -1 });
  const kept = bench.join(0);
  for (present = 1; present < 10; present++) {
    for (let i = 0; i < 64; i++) bench.ask("discover", present << 8 | i, { rapidCommit: true });
    bench.join(present << 8 | 0xff);
  }
  present = 0;
  ok(kept !== undefined && bench.join(0) !== undefined);
});

test("an address that somebody uses without a lease is given away last", () => {
  const used = new Map([[NET + 2, 7], [NET + 3, 1]]);
  const isUsed = (address: number, mac: MacAddress) => used.has(address) && used.get(address) !== mac.low;
  const bench = new Bench({ last: NET + 5, isUsed });
  strictEqual(bench.join(1), "192.168.127.3", "his own is not in the way");
  strictEqual(bench.join(2), "192.168.127.4");
  const asked = bench.ask("request", 3, { requestedAddress: ip("192.168.127.2") });
  strictEqual(asked?.message.options?.type, "nak");
  strictEqual(bench.join(3), "192.168.127.5");
  strictEqual(bench.join(4), "192.168.127.2", "when nothing else is left");
  strictEqual(bench.join(4), "192.168.127.2", "and then it is his");
});
