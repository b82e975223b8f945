import { writeFileSync } from "node:fs";
import { deepStrictEqual, strictEqual } from "node:assert/strict";
import { test } from "node:test";
import type { PacketBuffer } from "../../../lib/stack/buffer/packet.ts";
import type { EchoEndpoint, EchoObserver } from "../../../lib/stack/icmp/echo.ts";
import { later, SECOND } from "../../../lib/stack/time.ts";
import type { IpAddress } from "../../../lib/stack/wire/address.ts";
import { needs } from "../../support/capability.ts";
import { HOST4, HOST6, inHostNamespace } from "./host_namespace.ts";
import { GATEWAY4, ip, within, type World } from "./world.ts";

/** Runs `body` where the host has two addresses and pings are allowed to `groups`. */
function withHost(groups: string, body: (world: World) => void, limits = {}): void {
  inHostNamespace(() => {
    writeFileSync("/proc/sys/net/ipv4/ping_group_range", groups);
    within(body, { limits });
  });
}

/** A `ping` of the guest. */
class Ping implements EchoObserver {
  readonly replies: string[] = [];
  readonly errors: string[] = [];
  readonly #endpoint: EchoEndpoint;

  constructor(readonly world: World) {
    this.#endpoint = world.guest.echoOpen(this)!;
  }

  onEchoReply(
    _endpoint: EchoEndpoint,
    source: IpAddress,
    sequence: number,
    _hopLimit: number,
    payload: PacketBuffer,
  ): void {
    this.replies.push(`${source} ${sequence} ${new TextDecoder().decode(payload.toBytes())}`);
  }

  onEchoError(_endpoint: EchoEndpoint, kind: string, destination: IpAddress, sequence: number): void {
    this.errors.push(`${kind} ${destination} ${sequence}`);
  }

  send(destination: IpAddress, sequence: number, text: string, hopLimit = 64): void {
    const payload = this.world.pool.take(text.length);
    payload.end = payload.start +
      new TextEncoder().encodeInto(text, payload.bytes.subarray(payload.start)).written;
    this.#endpoint.hopLimit = hopLimit;
    this.#endpoint.send(destination, sequence, payload, this.world.now());
  }
}

for (const [how, groups] of [["ping sockets", "0 2147483647"], ["raw sockets", "1 0"]] as const) {
  test(
    `EchoFlows relays echoes by ${how}, two pings apart`,
    needs("root", "netns"),
    () =>
      withHost(groups, (world) => {
        for (const destination of [HOST4, HOST6]) {
          const [one, two] = [new Ping(world), new Ping(world)];
          one.send(destination, 1, "first");
          two.send(destination, 1, "second");
          one.send(destination, 2, "third");
          world.until(() => one.replies.length === 2 && two.replies.length === 1, "three replies");
          deepStrictEqual(one.replies, [`${destination} 1 first`, `${destination} 2 third`]);
          deepStrictEqual(two.replies, [`${destination} 1 second`]);
        }
        strictEqual(world.gateway.flows().length, 4);
        world.gateway.poll(later(world.now(), 31 * SECOND));
        strictEqual(world.gateway.flows().length, 0);
      }),
  );
}

test(
  "EchoFlows says what the host says of a destination without a route",
  needs("root", "netns"),
  () =>
    withHost("0 2147483647", (world) => {
      const ping = new Ping(world);
      ping.send(ip("198.51.100.1"), 7, "anybody");
      world.until(() => ping.errors.length === 1, "an ICMP error");
      strictEqual(ping.errors[0], "network-unreachable 198.51.100.1 7");
      strictEqual(world.gateway.flows().length, 0);
    }),
);

test(
  "EchoFlows is the router at which a hop limit of one ends",
  needs("root", "netns"),
  () =>
    withHost("0 2147483647", (world) => {
      const ping = new Ping(world);
      ping.send(HOST4, 1, "one hop", 1);
      world.until(() => ping.errors.length === 1, "an ICMP error");
      strictEqual(ping.errors[0], `time-exceeded ${HOST4} 1`);
      ping.send(HOST4, 2, "two hops", 2);
      world.until(() => ping.replies.length === 1, "a reply");
    }),
);

test(
  "EchoFlows evicts the least recently used flow at its limit",
  needs("root", "netns"),
  () =>
    withHost("0 2147483647", (world) => {
      for (let i = 0; i < 6; i++) {
        const ping = new Ping(world);
        ping.send(HOST4, 1, "x");
        world.until(() => ping.replies.length === 1, "a reply");
      }
      strictEqual(world.gateway.flows().length, 4);
      strictEqual(world.counted("icmp.flow-limit"), 2);
    }, { icmpFlows: 4 }),
);

test("EchoFlows leaves the gateway's own address to the stack", () =>
  within((world) => {
    const ping = new Ping(world);
    ping.send(GATEWAY4, 1, "hello");
    world.until(() => ping.replies.length === 1, "a reply");
    strictEqual(world.gateway.flows().length, 0);
  }));
