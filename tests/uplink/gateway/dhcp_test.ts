import { strictEqual } from "node:assert/strict";
import { test } from "node:test";
import { Counters } from "../../../lib/stack/counters.ts";
import type { IpAddress } from "../../../lib/stack/wire/address.ts";
import {
  DHCPV4_CLIENT_PORT,
  DHCPV4_MESSAGE_MAX,
  DHCPV4_SERVER_PORT,
  type Dhcpv4Type,
  emitDhcpv4,
} from "../../../lib/stack/wire/dhcpv4.ts";
import { DhcpService } from "../../../lib/uplink/gateway/dhcp.ts";
import { ip, Pair } from "../../support/two_stacks.ts";

const SERVER = ip("10.0.0.1");
const OTHERS = ip("10.0.0.9");

/** What the server's interface believes of an address after guest b has said this to the server. */
function believed(type: Dhcpv4Type, clientAddress: IpAddress, address: IpAddress): string {
  const pair = new Pair();
  const { stack, nic } = pair.a;
  const counters = new Counters();
  const pool = { first: ip("10.0.0.2").d, last: ip("10.0.0.254").d, reserved: [SERVER.d] };
  const options = {
    ...pool,
    server: SERVER,
    prefixLength: 24,
    dns: [],
    mtu: 1_500,
    leaseTime: 3_600,
    counters,
  };
  const service = new DhcpService(stack, nic, options, pair.now);
  const guest = pair.b.stack.udpBind(
    { localPort: DHCPV4_CLIENT_PORT, observer: { onUdpDatagram: () => {} } },
    pair.now,
  );
  if (typeof guest === "string") throw new Error(guest);
  const packet = pair.pool.take(DHCPV4_MESSAGE_MAX);
  const { mac: hardware } = pair.b.nic;
  emitDhcpv4(packet, { reply: false, transaction: 1, clientAddress, hardware, options: { type } });
  guest.send(packet, pair.now, SERVER, DHCPV4_SERVER_PORT);
  pair.settle();
  strictEqual(type === "inform" ? counters.all()["dhcp.informed"] : counters.all()["dhcp.leased"], 1);
  const entry = nic.neighbours.peek(address);
  service.close();
  return entry === undefined || entry.mac.isZero() ? "nothing" : String(entry.mac);
}

test("a client is reached where its lease is before it answers for it", () => {
  const mine = ip("10.0.0.2");
  strictEqual(believed("request", mine, mine), "02:00:00:00:00:02");
});

test("nobody becomes the neighbour of another's address by telling that it is his", () => {
  strictEqual(believed("inform", OTHERS, OTHERS), "nothing");
});
