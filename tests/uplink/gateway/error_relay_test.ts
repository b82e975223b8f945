import { deepStrictEqual, ok, strictEqual } from "node:assert/strict";
import { test } from "node:test";
import { udpDial } from "../../support/host_dial.ts";
import { alloc } from "../../../lib/host/memory.ts";
import { LOOPBACK4 } from "../../../lib/host/structs.ts";
import { close, send } from "../../../lib/host/sys.ts";
import { Icmpv4Type } from "../../../lib/stack/wire/icmpv4.ts";
import { Icmpv6Type } from "../../../lib/stack/wire/icmpv6.ts";
import { emitUdp } from "../../../lib/stack/wire/udp.ts";
import { quotedSequence } from "../../../lib/uplink/gateway/echo_socket.ts";
import { ErrorRelay, type ErrorSubject } from "../../../lib/uplink/gateway/error_relay.ts";
import { FlowRegistry } from "../../../lib/uplink/gateway/flows.ts";
import { DatagramReceiver } from "../../../lib/uplink/gateway/datagram_io.ts";
import { DEFAULT_LIMITS } from "../../../lib/uplink/gateway/config.ts";
import { GuestUdp } from "./guest_peers.ts";
import { closedPort } from "./host_peers.ts";
import { GATEWAY4, GUEST4, ip, within, type World } from "./world.ts";

const byte = alloc(1);

/** Lets errors about datagrams to a closed port pass a relay; `change` makes the subject lie. */
function errorsOf(count: number, world: World, change: Partial<ErrorSubject>): string[] {
  const receiver = new DatagramReceiver(world.pool);
  const relay = new ErrorRelay({
    stack: world.stack,
    nic: world.nic,
    reactor: world.reactor,
    pool: world.pool,
    config: { resolvers: [], hostLoopback: true, publish: [] },
    limits: DEFAULT_LIMITS,
    registry: new FlowRegistry(),
    receiver,
  });
  const guest = new GuestUdp(world);
  const port = closedPort();
  // So that the guest has sent something that an error can be about.
  guest.send(new Uint8Array(1), GATEWAY4, port);
  world.until(() => guest.errors.length === 1, "the gateway's own error");
  const fd = udpDial(LOOPBACK4, port);
  const seen: string[] = [];
  const subject: ErrorSubject = {
    fd,
    host: ip("127.0.0.1"),
    destination: GATEWAY4,
    guest: GUEST4,
    restore(quote, into) {
      emitUdp(quote, guest.endpoint.localPort, port);
      Object.assign(into, { protocol: 17, hopLimit: 64, identification: 0, length: quote.length });
      return true;
    },
    onOutsideError: (what) => void seen.push(what),
    ...change,
  };
  // While an error waits, a send fails: that one has not been tried.
  for (let sent = 0; sent < count;) if (send(fd, byte.address, 1, 0) === 1) sent++;
  world.until(() => {
    ok(relay.drain(subject, world.now()) <= ErrorRelay.batch);
    return seen.length === count;
  }, "errors");
  world.turn();
  close(fd);
  receiver.close();
  return [...seen, ...guest.errors.slice(1).map((text) => text.split(" ")[0]!)];
}

test("ErrorRelay.drain() tells the guest, with the guest's own ports", () =>
  within((world) => deepStrictEqual(errorsOf(1, world, {}), ["port-unreachable", "port-unreachable"])));

test("ErrorRelay.drain() drops what is about another destination", () =>
  within((world) => deepStrictEqual(errorsOf(1, world, { host: ip("127.0.0.2") }), ["odd"])));

test("ErrorRelay.drain() drops what quotes nothing that the guest sent", () =>
  within((world) => deepStrictEqual(errorsOf(1, world, { restore: () => false }), ["odd"])));

test("ErrorRelay.drain() takes a bounded number of errors at a time", () =>
  within((world) => strictEqual(errorsOf(20, world, { restore: () => false }).length, 20)));

for (const [family, type] of [[4, Icmpv4Type.echoRequest], [6, Icmpv6Type.echoRequest]] as const) {
  test(`quotedSequence() believes an echo request of ours over IPv${family}, and nothing else`, () =>
    within(({ pool }) => {
      const quote = pool.take(8);
      const of = (bytes: readonly number[], identifier: number) => {
        quote.bytes.set(bytes, quote.start);
        quote.end = quote.start + bytes.length;
        return quotedSequence(quote, family, identifier);
      };
      const request = [type, 0, 0, 0, 0x12, 0x34, 0x56, 0x78];
      strictEqual(of(request, -1), 0x5678);
      strictEqual(of(request, 0x1234), 0x5678);
      strictEqual(of(request, 0x1235), -1);
      strictEqual(of(request.slice(0, 7), -1), -1);
      strictEqual(of(request.with(0, type ^ 1), -1), -1);
      strictEqual(of(request.with(1, 1), -1), -1);
      quote.release();
    }));
}
