/**
 * What `format.ts` says about the payload of an IP datagram.
 *
 * @module
 */

import type { PacketBuffer } from "../buffer/packet.ts";
import { type Icmpv4Repr, Icmpv4Unreachable, parseIcmpv4 } from "./icmpv4.ts";
import { type Icmpv6Repr, Icmpv6Unreachable, isNdp, parseIcmpv6 } from "./icmpv6.ts";
import { type IpHeader, IpProtocol } from "./ip.ts";
import { type NdpRepr, parseNdp } from "./ndp.ts";
import { parseQuote, Quote } from "./quote.ts";
import { parseTcp, TcpFlag, TcpHeader } from "./tcp.ts";
import { parseUdp, UdpHeader } from "./udp.ts";

/** `source.port > destination.port: …` of a packet that stands at its transport header; moves its cursors. */
export function formatTransport(p: PacketBuffer, ip: IpHeader): string {
  const length = p.totalLength;
  switch (ip.protocol) {
    case IpProtocol.tcp:
      return formatTcp(p, ip);
    case IpProtocol.udp:
      return formatUdp(p, ip);
    case IpProtocol.icmp:
      return `${ends(ip)}: ICMP ${formatIcmpv4(p)}, length ${length}`;
    case IpProtocol.icmpv6:
      return `${ends(ip)}: ICMP6, ${isNdp(p) ? formatNdp(p, ip) : formatIcmpv6(p)}, length ${length}`;
    default:
      return `${ends(ip)}: protocol ${ip.protocol}, length ${length}`;
  }
}

function ends(ip: IpHeader): string {
  return `${ip.source} > ${ip.destination}`;
}

function portEnds(ip: IpHeader, sourcePort: number, destinationPort: number): string {
  return `${ip.source}.${sourcePort} > ${ip.destination}.${destinationPort}`;
}

function formatUdp(p: PacketBuffer, ip: IpHeader): string {
  const udp = new UdpHeader();
  const length = p.totalLength;
  const reason = parseUdp(p, udp);
  if (reason !== undefined) return `${ends(ip)}: UDP [${reason}], length ${length}`;
  return `${portEnds(ip, udp.sourcePort, udp.destinationPort)}: UDP, length ${p.totalLength}`;
}

const FLAG_LETTERS: readonly [bit: number, letter: string][] = [
  [TcpFlag.fin, "F"],
  [TcpFlag.syn, "S"],
  [TcpFlag.rst, "R"],
  [TcpFlag.psh, "P"],
  [TcpFlag.ack, "."],
  [TcpFlag.urg, "U"],
  [TcpFlag.ece, "E"],
  [TcpFlag.cwr, "W"],
];

function formatTcp(p: PacketBuffer, ip: IpHeader): string {
  const h = new TcpHeader();
  const segment = p.totalLength;
  const reason = parseTcp(p, h);
  if (reason !== undefined) return `${ends(ip)}: TCP [${reason}], length ${segment}`;
  const length = p.totalLength;
  const flags = FLAG_LETTERS.filter(([bit]) => (h.flags & bit) !== 0).map(([, letter]) => letter).join("");
  const sequence = h.sequence >>> 0;
  const range = length > 0 ? `${sequence}:${(sequence + length) >>> 0}` : `${sequence}`;
  const parts = [`Flags [${flags || "none"}]`, `seq ${range}`];
  if ((h.flags & TcpFlag.ack) !== 0) parts.push(`ack ${h.acknowledgment >>> 0}`);
  parts.push(`win ${h.window}`);
  if ((h.flags & TcpFlag.urg) !== 0) parts.push(`urg ${h.urgentPointer}`);
  const options = formatTcpOptions(h);
  if (options !== "") parts.push(`options [${options}]`);
  return `${portEnds(ip, h.sourcePort, h.destinationPort)}: ${parts.join(", ")}, length ${length}`;
}

function formatTcpOptions(h: TcpHeader): string {
  const options: string[] = [];
  if (h.mss !== 0) options.push(`mss ${h.mss}`);
  if (h.sackPermitted) options.push("sackOK");
  if (h.hasTimestamp) options.push(`TS val ${h.timestampValue >>> 0} ecr ${h.timestampEcho >>> 0}`);
  if (h.windowScale >= 0) options.push(`wscale ${h.windowScale}`);
  if (h.sackCount > 0) {
    const blocks = Array.from(
      { length: h.sackCount },
      (_, i) => `{${h.sackLeft[i]! >>> 0}:${h.sackRight[i]! >>> 0}}`,
    );
    options.push(`sack ${h.sackCount} ${blocks.join("")}`);
  }
  return options.join(",");
}

const UNREACHABLE4: Readonly<Record<number, string>> = {
  [Icmpv4Unreachable.network]: "net",
  [Icmpv4Unreachable.host]: "host",
  [Icmpv4Unreachable.protocol]: "protocol",
  [Icmpv4Unreachable.port]: "port",
  [Icmpv4Unreachable.networkProhibited]: "net prohibited",
  [Icmpv4Unreachable.hostProhibited]: "host prohibited",
  [Icmpv4Unreachable.prohibited]: "admin prohibited",
};

function formatIcmpv4(p: PacketBuffer): string {
  const icmp = parseIcmpv4(p);
  return typeof icmp === "string" ? `[${icmp}]` : formatIcmp(p, icmp, UNREACHABLE4);
}

const UNREACHABLE6: Readonly<Record<number, string>> = {
  [Icmpv6Unreachable.noRoute]: "route",
  [Icmpv6Unreachable.prohibited]: "prohibited",
  [Icmpv6Unreachable.beyondScope]: "beyond scope",
  [Icmpv6Unreachable.address]: "address",
  [Icmpv6Unreachable.port]: "port",
};

function formatIcmpv6(p: PacketBuffer): string {
  const icmp = parseIcmpv6(p);
  return typeof icmp === "string" ? `[${icmp}]` : formatIcmp(p, icmp, UNREACHABLE6);
}

function formatIcmp(
  p: PacketBuffer,
  icmp: Icmpv4Repr | Icmpv6Repr,
  unreachable: Readonly<Record<number, string>>,
): string {
  switch (icmp.kind) {
    case "echo-request":
    case "echo-reply":
      return `${icmp.kind.replace("-", " ")}, id ${icmp.identifier}, seq ${icmp.sequence}`;
    case "destination-unreachable": {
      const mtu = "mtu" in icmp && icmp.mtu !== 0 ? ` need to frag (mtu ${icmp.mtu})` : "";
      return `${formatQuote(p)} ${unreachable[icmp.code] ?? `code ${icmp.code}`} unreachable${mtu}`;
    }
    case "packet-too-big":
      return `packet too big, mtu ${icmp.mtu}: ${formatQuote(p)}`;
    case "time-exceeded":
      return `time exceeded ${icmp.code === 0 ? "in-transit" : "in reassembly"}: ${formatQuote(p)}`;
    case "parameter-problem":
      return `parameter problem, code ${icmp.code} at octet ${icmp.pointer}`;
    case "redirect":
      return `redirect to ${icmp.gateway}`;
  }
}

/** The datagram that an error complains about. */
function formatQuote(p: PacketBuffer): string {
  const quote = new Quote();
  const reason = parseQuote(p, quote);
  if (reason !== undefined) return `[quote: ${reason}]`;
  const { ip } = quote;
  if (ip.protocol === IpProtocol.tcp) return `${ip.destination} tcp ${quote.destinationPort}`;
  if (ip.protocol === IpProtocol.udp) return `${ip.destination} udp ${quote.destinationPort}`;
  return `${ip.destination} protocol ${ip.protocol}`;
}

function formatNdp(p: PacketBuffer, ip: IpHeader): string {
  const message: NdpRepr | string = parseNdp(p, ip);
  if (typeof message === "string") return `[${message}]`;
  switch (message.kind) {
    case "router-solicitation":
      return "router solicitation";
    case "router-advertisement":
      return `router advertisement, lifetime ${message.lifetime}s`;
    case "neighbour-solicitation":
      return `neighbor solicitation, who has ${message.target}`;
    case "neighbour-advertisement":
      return `neighbor advertisement, tgt is ${message.target}`;
  }
}
