import { deepEqual, equal, ok } from "node:assert/strict";
import { test } from "node:test";
import type { PacketBuffer } from "../../../lib/stack/buffer/packet.ts";
import type { IcmpErrorKind } from "../../../lib/stack/ip/icmp_kind.ts";
import { type UdpBindRequest, UdpEndpoint, type UdpObserver } from "../../../lib/stack/udp/endpoint.ts";
import type { IpHeader } from "../../../lib/stack/wire/ip.ts";
import type { UdpHeader } from "../../../lib/stack/wire/udp.ts";
import { randomBytes, seeded } from "../../support/random.ts";
import { ip, Pair, type Side } from "../../support/two_stacks.ts";

/** Keeps what it hears as text. */
class Ear implements UdpObserver {
  readonly heard: string[] = [];
  readonly errors: string[] = [];
  bytes: Uint8Array | undefined = undefined;
  onUdpDatagram(_endpoint: UdpEndpoint, packet: PacketBuffer, header: IpHeader, udp: UdpHeader): void {
    this.bytes = packet.toBytes();
    const text = this.bytes.length > 40 ? `${this.bytes.length} bytes` : new TextDecoder().decode(this.bytes);
    this.heard.push(`${header.source}:${udp.sourcePort} ${text}`);
  }
  onUdpError(_endpoint: UdpEndpoint, kind: IcmpErrorKind, remote: unknown, port: number): void {
    this.errors.push(`${kind} ${remote}:${port}`);
  }
}

function bind(pair: Pair, side: Side, request: Omit<UdpBindRequest, "observer">): [UdpEndpoint, Ear] {
  const observer = new Ear();
  const endpoint = side.stack.udpBind({ ...request, observer }, pair.now);
  if (!(endpoint instanceof UdpEndpoint)) throw new Error(`Cannot bind: ${endpoint}`);
  return [endpoint, observer];
}

for (
  const [family, remote, local] of [["IPv4", "10.0.0.2", "10.0.0.1"], ["IPv6", "fd00::2", "fd00::1"]] as const
) {
  test(`UdpEndpoint.send() reaches the other stack over ${family}, and back`, () => {
    const pair = new Pair();
    const [a, earA] = bind(pair, pair.a, {});
    const [b, earB] = bind(pair, pair.b, { localPort: 53 });
    ok(a.send(pair.payload("question"), pair.now, ip(remote), 53));
    pair.settle();
    deepEqual(earB.heard, [`${local}:${a.localPort} question`]);
    ok(b.send(pair.payload("answer"), pair.now, ip(local), a.localPort));
    pair.settle();
    deepEqual(earA.heard, [`${remote}:53 answer`]);
  });

  test(`UdpEndpoint.send() cuts and joins 60000 bytes over ${family}`, () => {
    const pair = new Pair();
    const [a] = bind(pair, pair.a, {});
    const [, ear] = bind(pair, pair.b, { localPort: 9 });
    const bytes = randomBytes(seeded(7), 60_000);
    // The neighbour is not known yet: the parts wait for it.
    ok(a.send(pair.payload(bytes.slice(0, 20_000)), pair.now, ip(remote), 9));
    pair.settle();
    equal(ear.bytes?.length, 20_000);
    ok(a.send(pair.payload(bytes), pair.now, ip(remote), 9));
    pair.settle();
    deepEqual(ear.bytes, bytes);
    equal(pair.b.stack.counters.get("ip.reassembled"), 2);
  });

  test(`Udp answers with port unreachable over ${family}, and the sender hears it`, () => {
    const pair = new Pair();
    const [a, ear] = bind(pair, pair.a, { remoteAddress: ip(remote), remotePort: 9 });
    ok(a.send(pair.payload("anybody?"), pair.now));
    pair.settle();
    deepEqual(ear.errors, [`port-unreachable ${remote}:9`]);
  });
}
