/**
 * What headers cost, in nanoseconds per packet: `bun scripts/bench/codec.ts`, `deno run -A scripts/bench/codec.ts`.
 *
 * @module
 */

import { PacketBuffer } from "../../lib/stack/buffer/packet.ts";
import { startChecksum, verifyTransport } from "../../lib/stack/wire/checksum.ts";
import { emitEthernet, EthernetHeader, EtherType, parseEthernet } from "../../lib/stack/wire/ethernet.ts";
import { IpHeader, IpProtocol } from "../../lib/stack/wire/ip.ts";
import { emitIpv4, parseIpv4 } from "../../lib/stack/wire/ipv4.ts";
import { emitIpv6, parseIpv6 } from "../../lib/stack/wire/ipv6.ts";
import { emitTcp, parseTcp, TCP_CHECKSUM, TcpHeader } from "../../lib/stack/wire/tcp.ts";
import { FRAMES } from "../../tests/support/frames.ts";

const ROUNDS = 10;
const TIMES = 300_000;

const ethernet = new EthernetHeader();
const ip = new IpHeader();
const tcp = new TcpHeader();

/** The packet at its Ethernet header again. */
function rewound(p: PacketBuffer, frame: Uint8Array): PacketBuffer {
  p.start = 128;
  p.end = 128 + frame.length;
  return p;
}

function packetOf(frame: Uint8Array): PacketBuffer {
  const p = new PacketBuffer(new Uint8Array(2_048), 128, 128 + frame.length);
  p.bytes.set(frame, 128);
  return p;
}

function expect(reason: string | undefined): void {
  if (reason !== undefined) throw new Error(`Cannot parse the frame: ${reason}`);
}

function receive(frame: Uint8Array, isV6: boolean): () => void {
  const p = packetOf(frame);
  return () => {
    rewound(p, frame);
    expect(parseEthernet(p, ethernet));
    expect(isV6 ? parseIpv6(p, ip) : parseIpv4(p, ip));
    if (!verifyTransport(p, ip)) throw new Error("Cannot verify the frame");
    expect(parseTcp(p, tcp));
  };
}

function send(frame: Uint8Array, isV6: boolean): () => void {
  const p = packetOf(frame);
  receive(frame, isV6)();
  return () => {
    p.start = p.end = 256;
    emitTcp(p, tcp);
    startChecksum(p, ip.source, ip.destination, IpProtocol.tcp, TCP_CHECKSUM);
    if (isV6) emitIpv6(p, ip);
    else emitIpv4(p, ip);
    emitEthernet(p, ethernet.destination, ethernet.source, isV6 ? EtherType.ipv6 : EtherType.ipv4);
  };
}

const CASES: [what: string, run: () => void][] = [
  ["parse Ethernet, IPv4, TCP with timestamps; both checksums", receive(FRAMES.ack4, false)],
  ["parse Ethernet, IPv6, TCP with all options; checksum", receive(FRAMES.syn6, true)],
  ["emit Ethernet, IPv6, TCP with all options; partial checksum", send(FRAMES.syn6, true)],
  ["emit Ethernet, IPv4, TCP with timestamps; partial checksum", send(FRAMES.ack4, false)],
];

for (const [what, run] of CASES) {
  let best = Infinity;
  for (let round = 0; round < ROUNDS; round++) {
    const begin = performance.now();
    for (let i = 0; i < TIMES; i++) run();
    best = Math.min(best, (performance.now() - begin) * 1e6 / TIMES);
  }
  console.log(`${what}: ${best.toFixed(0)} ns`);
}
