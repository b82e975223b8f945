/**
 * The control messages of a receive: when the datagram came, to which address, by which interface, from how far.
 *
 * @module
 */

import { AF, IP, IPV6, SOL } from "../../../host/constants.ts";
import { type SocketAddress, writeSockaddr } from "../../../host/structs.ts";
import { ControlWriter } from "../message/control.ts";
import type { OptionValues } from "../options/option.ts";
import type { Arrival } from "./arrival.ts";
import type { QueuedError } from "./error_queue.ts";

/** `SO_TIMESTAMP` and `SO_TIMESTAMPNS`, and the numbers they have on machines whose `time_t` was short. */
const TIMESTAMP = 29, TIMESTAMPNS = 35, TIMESTAMP_NEW = 63, TIMESTAMPNS_NEW = 64;
const IP_ORIGDSTADDR = 20, IPV6_ORIGDSTADDR = 74, IPV6_OLD_PKTINFO = 2, IPV6_OLD_HOPLIMIT = 8;

const writer = new ControlWriter();

/** Which control messages a socket wants; asked once for each change of an option. */
export class Wanted {
  /** False: none of all, which is most sockets. */
  any = false;
  #values: OptionValues | undefined;

  /** An option has changed. */
  refresh(values: OptionValues): void {
    this.#values = values;
    this.any = LEVELS.some(([level, name]) => this.has(level, name));
  }

  has(level: number, name: number): boolean {
    return this.#values !== undefined && (this.#values.get(level, name) ?? 0) !== 0;
  }
}

const LEVELS: readonly (readonly [level: number, name: number])[] = [
  ...[TIMESTAMP, TIMESTAMPNS, TIMESTAMP_NEW, TIMESTAMPNS_NEW].map((name) => [SOL.SOCKET, name] as const),
  ...[IP.PKTINFO, IP.RECVTTL, IP.RECVTOS, IP_ORIGDSTADDR].map((name) => [SOL.IP, name] as const),
  ...[
    IPV6.RECVPKTINFO,
    IPV6.RECVHOPLIMIT,
    IPV6.RECVTCLASS,
    IPV6_ORIGDSTADDR,
    IPV6_OLD_PKTINFO,
    IPV6_OLD_HOPLIMIT,
  ].map((name) => [SOL.IPV6, name] as const),
];

/** What is told about a datagram. Scratch: one for all receives. */
export function receiveControl(
  room: number,
  arrival: Arrival,
  wanted: Wanted,
  domain: number,
): ControlWriter {
  writer.begin(room);
  if (!wanted.any) return writer;
  addTime(arrival.time, wanted);
  if (domain === AF.INET6) addV6(arrival, wanted);
  if (arrival.source.family === 4) addV4(arrival, wanted);
  return writer;
}

function addTime(time: number, wanted: Wanted): void {
  const nanos = wanted.has(SOL.SOCKET, TIMESTAMPNS) || wanted.has(SOL.SOCKET, TIMESTAMPNS_NEW);
  if (!nanos && !wanted.has(SOL.SOCKET, TIMESTAMP) && !wanted.has(SOL.SOCKET, TIMESTAMP_NEW)) return;
  const fresh = wanted.has(SOL.SOCKET, TIMESTAMPNS_NEW) || wanted.has(SOL.SOCKET, TIMESTAMP_NEW);
  const type = nanos ? (fresh ? TIMESTAMPNS_NEW : TIMESTAMPNS) : fresh ? TIMESTAMP_NEW : TIMESTAMP;
  const at = writer.add(SOL.SOCKET, type, 16);
  if (at < 0) return;
  const seconds = Math.floor(time / 1_000_000);
  const micros = time - seconds * 1_000_000;
  writer.memory.setPointer(at, seconds);
  writer.memory.setPointer(at + 8, nanos ? micros * 1_000 : micros);
}

function addV4({ interfaceIndex, destination, hopLimit, trafficClass }: Arrival, wanted: Wanted): void {
  const { view } = writer.memory;
  if (wanted.has(SOL.IP, IP.PKTINFO)) {
    const at = writer.add(SOL.IP, IP.PKTINFO, 12);
    if (at >= 0) {
      view.setInt32(at, interfaceIndex, true);
      view.setInt32(at + 4, destination.d);
      view.setInt32(at + 8, destination.d);
    }
  }
  if (wanted.has(SOL.IP, IP.RECVTTL)) writer.addInt(SOL.IP, IP.TTL, hopLimit);
  if (wanted.has(SOL.IP, IP.RECVTOS)) {
    const at = writer.add(SOL.IP, IP.TOS, 1);
    if (at >= 0) view.setUint8(at, trafficClass);
  }
  if (wanted.has(SOL.IP, IP_ORIGDSTADDR)) addAddress(SOL.IP, IP_ORIGDSTADDR, destination);
}

function addV6(arrival: Arrival, wanted: Wanted): void {
  const { interfaceIndex, destination, hopLimit, trafficClass } = arrival;
  const { view } = writer.memory;
  for (const [option, type] of PKTINFO_NAMES) {
    if (!wanted.has(SOL.IPV6, option)) continue;
    const at = writer.add(SOL.IPV6, type, 20);
    if (at < 0) continue;
    writeV6(view, at, destination);
    view.setInt32(at + 16, interfaceIndex, true);
  }
  // The rest is about an IPv6 header, which a mapped datagram has not.
  if (arrival.source.family === 4) return;
  if (wanted.has(SOL.IPV6, IPV6.RECVHOPLIMIT)) writer.addInt(SOL.IPV6, IPV6.HOPLIMIT, hopLimit);
  if (wanted.has(SOL.IPV6, IPV6.RECVTCLASS)) writer.addInt(SOL.IPV6, IPV6.TCLASS, trafficClass);
  if (wanted.has(SOL.IPV6, IPV6_OLD_HOPLIMIT)) writer.addInt(SOL.IPV6, IPV6_OLD_HOPLIMIT, hopLimit);
  if (wanted.has(SOL.IPV6, IPV6_ORIGDSTADDR)) addAddress(SOL.IPV6, IPV6_ORIGDSTADDR, destination);
}

const PKTINFO_NAMES: readonly (readonly [option: number, type: number])[] = [
  [IPV6.RECVPKTINFO, IPV6.PKTINFO],
  [IPV6_OLD_PKTINFO, IPV6_OLD_PKTINFO],
];

function writeV6(view: DataView, at: number, { a, b, c, d }: SocketAddress): void {
  view.setInt32(at, a);
  view.setInt32(at + 4, b);
  view.setInt32(at + 8, c);
  view.setInt32(at + 12, d);
}

function addAddress(level: number, type: number, address: SocketAddress): void {
  const length = address.family === 4 ? 16 : 28;
  const at = writer.add(level, type, length);
  if (at < 0) return;
  writer.memory.bytes.fill(0, at, at + length);
  writeSockaddr(writer.memory.view, at, address, address.port, address.scope);
}

/** An error in full: `struct sock_extended_err`, behind it the address of who complained. */
export function errorControl(
  room: number,
  error: QueuedError,
  wanted: Wanted,
  domain: number,
): ControlWriter {
  writer.begin(room);
  addTime(error.time, wanted);
  const v6 = domain === AF.INET6;
  const size = 16 + (v6 ? 28 : 16);
  const at = writer.add(v6 ? SOL.IPV6 : SOL.IP, v6 ? IPV6.RECVERR : IP.RECVERR, size);
  if (at < 0) return writer;
  const { view, bytes } = writer.memory;
  bytes.fill(0, at, at + size);
  view.setUint32(at, error.errno, true);
  view.setUint8(at + 4, error.origin);
  view.setUint8(at + 5, error.type);
  view.setUint8(at + 6, error.code);
  view.setUint32(at + 8, error.info, true);
  const { offender } = error;
  if (offender === undefined) return writer;
  if (v6) {
    const { a, b, c, d } = offender;
    writeSockaddr(view, at + 16, { family: 6, a, b, c, d }, 0);
  } else {
    writeSockaddr(view, at + 16, offender, 0);
  }
  return writer;
}
