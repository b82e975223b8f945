import { test } from "node:test";
import { deepEqual, equal, ok } from "node:assert/strict";
import { addresseeWithClients } from "../../../lib/modes/external/addressee.ts";
import { Counters } from "../../../lib/stack/counters.ts";
import { type Instant, later, SECOND } from "../../../lib/stack/time.ts";
import { FRAMES } from "../../support/frames.ts";
import { tight } from "../../support/bytes.ts";
import { claim4, claim6, dhcp6Answer, dhcpAnswer, ndpFrame } from "../../support/provider_frames.ts";
import { OURS } from "../../support/segment.ts";
import { ip } from "../../support/two_stacks.ts";

const HOST = ip("2001:db8::5");
const ADVERTISEMENT = ndpFrame({
  kind: "router-advertisement",
  hopLimit: 64,
  managed: false,
  otherConfig: false,
  preference: "medium",
  lifetime: 1_800,
  reachableTime: 0,
  retransTimer: 0,
  options: {},
});
const asked = { kind: "neighbour-solicitation", target: HOST, options: {} } as const;

const FRAMES_FOR = [
  ["DHCP's answer", dhcpAnswer({ transaction: 1, hardware: OURS }, "offer", {}, {}), "stack"],
  ["DHCPv6's answer", dhcp6Answer({ type: "reply", transaction: 1 }, ip("fe80::1"), OURS), "stack"],
  ["ARP", claim4(ip("10.0.0.1")), "both"],
  ["a router advertisement", ADVERTISEMENT, "both"],
  ["a neighbour advertisement, for a duplicate says so by one", claim6(HOST), "both"],
  ["a solicitation by nobody, who wants our address", claim6(HOST, ip("::")), "both"],
  ["a solicitation by somebody", ndpFrame(asked), "guest"],
  ["an echo request", tight(FRAMES.echoRequest4), "guest"],
] as const;
for (const [what, frame, whom] of FRAMES_FOR) {
  test(`${what} is for the ${whom}`, () => {
    equal(addresseeWithClients(new Counters())(frame, 0 as Instant), whom);
  });
}

test("no frame that is cut short makes it look beyond the end", () => {
  const addressee = addresseeWithClients(new Counters());
  for (const [, frame] of FRAMES_FOR) {
    const bytes = frame.toBytes();
    for (let length = 0; length <= bytes.length; length++) {
      ok(addressee(tight(bytes.slice(0, length)), 0 as Instant) !== undefined);
    }
  }
});

test("of a flood of router advertisements nobody hears most, and one a second is always heard", () => {
  const counters = new Counters();
  const addressee = addresseeWithClients(counters);
  const heard = new Map<string, number>();
  let now = 0 as Instant;
  for (let i = 0; i < 10_000; i++, now = later(now, SECOND / 1_000)) {
    const whom = addressee(ADVERTISEMENT, now);
    heard.set(whom, (heard.get(whom) ?? 0) + 1);
  }
  const dropped = counters.get("ndp.router-advertisements-too-many");
  deepEqual([...heard], [["both", 10_000 - dropped], ["nobody", dropped]]);
  ok(heard.get("both")! >= 100 && heard.get("both")! <= 130, `${heard.get("both")} heard in 10 s`);
  for (let i = 0; i < 60; i++, now = later(now, SECOND)) equal(addressee(ADVERTISEMENT, now), "both");
});
