/**
 * Names that the gateway itself knows: `gateway.containers.internal` and what a user adds.
 *
 * A zone owns all names below its own: one that it does not have does not exist (NXDOMAIN), and one that it has under
 * another type has no data (NOERROR), as for any authoritative server (RFC 2308). The most specific zone answers.
 *
 * An answer that is too long for its datagram says so (TC), and holds the records that fit: who wants all asks by TCP.
 *
 * @module
 */

import type { PacketBuffer } from "../../stack/buffer/packet.ts";
import type { BufferPool } from "../../stack/buffer/pool.ts";
import type { ZoneFacts } from "../../stack/facts.ts";
import { IpAddress } from "../../stack/wire/address.ts";
import { DNS_HEADER } from "./dns_message.ts";
import { NamePattern } from "./name_pattern.ts";

/** Zones, records in each, and in all of them: what an API may fill. */
export const MAX_ZONES = 256, MAX_RECORDS = 4_096, MAX_ALL_RECORDS = 65_536;
/** States of a zone's patterns, all together: what a question may cost, times its length. */
export const MAX_PATTERN_STATES = 4_096;
/** Seconds for which an answer holds: records may change at any time. */
const TTL = 5;
const TYPE_A = 1, TYPE_AAAA = 28, TYPE_OPT = 41, TYPE_ANY = 255, CLASS_IN = 1;
/** RFC 6891: an empty OPT record, and what we say that we take and send (section 6.2.5, and what fits everywhere). */
const OPT_LENGTH = 11, UDP_PAYLOAD = 1_232;
/** What everybody takes in a datagram (RFC 1035 section 4.2.1). */
const PLAIN_PAYLOAD = 512;
/** RFC 6891 section 9: the upper bits of rcode 16. */
const BADVERS = 1;
const QR = 0x80, AA = 0x04, TC = 0x02, RA = 0x80, NXDOMAIN = 3;
const POINTER_TO_QUESTION = 0xc00c;

interface Question {
  /** Lower case. */
  readonly name: string;
  readonly type: number;
  readonly class: number;
  /** Where it ends in its packet. */
  readonly end: number;
}

interface Compiled {
  readonly zone: ZoneFacts;
  /** Lower case, no dot at the end. */
  readonly suffix: string;
  readonly records: readonly {
    readonly name: string;
    readonly pattern?: NamePattern;
    readonly ip: IpAddress;
  }[];
  readonly defaultIp: IpAddress | undefined;
}

/** A set of zones. */
export class DnsZones {
  #zones: Compiled[] = [];

  /** @throws {RangeError} for records that cannot be used */
  constructor(zones: readonly ZoneFacts[] = []) {
    for (const zone of zones) this.add(zone);
  }

  /** As they were given, in the order in which they were. */
  all(): readonly ZoneFacts[] {
    return this.#zones.map(({ zone }) => zone);
  }

  /**
   * Adds a zone; the records of one that is there already come before its old ones.
   *
   * @throws {RangeError} for records that cannot be used, or too many
   */
  add(zone: ZoneFacts): void {
    const suffix = canonical(zone.name);
    const at = this.#zones.findIndex((one) => one.suffix === suffix);
    if (at < 0 && this.#zones.length >= MAX_ZONES) {
      throw new RangeError(`Cannot add zone ${zone.name}: there are ${MAX_ZONES}`);
    }
    const old = at < 0 ? undefined : this.#zones[at]!.zone;
    const records = [...zone.records, ...old?.records ?? []];
    if (records.length > MAX_RECORDS) {
      throw new RangeError(`Cannot add to zone ${zone.name}: it would have more than ${MAX_RECORDS} records`);
    }
    const all = this.#zones.reduce((sum, other) => sum + other.zone.records.length, zone.records.length);
    if (all > MAX_ALL_RECORDS) {
      throw new RangeError(
        `Cannot add to zone ${zone.name}: there would be more than ${MAX_ALL_RECORDS} records`,
      );
    }
    const defaultIp = zone.defaultIp ?? old?.defaultIp;
    const merged: ZoneFacts = {
      name: old?.name ?? zone.name,
      records,
      ...(defaultIp === undefined ? {} : { defaultIp }),
    };
    const compiled = compile(merged, suffix);
    if (compiled.records.reduce((sum, { pattern }) => sum + (pattern?.size ?? 0), 0) > MAX_PATTERN_STATES) {
      throw new RangeError(`Cannot add to zone ${zone.name}: its regular expressions are too long together`);
    }
    if (at < 0) this.#zones.push(compiled);
    else this.#zones[at] = compiled;
  }

  /** Whether every question is for others. */
  get isEmpty(): boolean {
    return this.#zones.length === 0;
  }

  /** Whether the question in `packet`, of which its beginning is enough, is answered here. */
  knows(packet: PacketBuffer): boolean {
    return this.#ask(packet) !== undefined;
  }

  /**
   * The answer to the question in `packet`, the caller's to send; undefined if it is for others.
   *
   * @param longest bytes that the answer may have; absent: as many as the question says, in a datagram
   */
  answer(packet: PacketBuffer, pool: BufferPool, longest?: number): PacketBuffer | undefined {
    const asked = this.#ask(packet);
    if (asked === undefined) return undefined;
    const { question, zone } = asked;
    const { start, end } = packet;
    const relative = question.name === zone.suffix
      ? ""
      : zone.suffix === ""
      ? question.name
      : question.name.slice(0, -zone.suffix.length - 1);
    const addresses = zone.records.filter(({ name, pattern }) => pattern?.test(relative) ?? name === relative)
      .map(({ ip }) => ip);
    if (addresses.length === 0 && zone.defaultIp !== undefined) addresses.push(zone.defaultIp);
    const exists = addresses.length > 0 || relative === "";
    const { version, payload } = ednsOf(packet, question.end, end);
    const all = version > 0
      ? []
      : addresses.filter(({ family }) =>
        question.type === TYPE_ANY || question.type === (family === 4 ? TYPE_A : TYPE_AAAA)
      );
    const room = (longest ?? payload) - (question.end - start) - OPT_LENGTH;
    const wanted = all.slice(0, countWithin(all, room));

    const reply = pool.take(question.end - start + lengthOf(wanted) + OPT_LENGTH);
    let at = reply.start + (question.end - start);
    reply.bytes.set(packet.bytes.subarray(start, question.end), reply.start);
    const out = reply.view;
    out.setUint8(
      reply.start + 2,
      (out.getUint8(reply.start + 2) & 0x79) | QR | AA | (wanted.length < all.length ? TC : 0),
    );
    out.setUint8(reply.start + 3, RA | (exists || version > 0 ? 0 : NXDOMAIN));
    out.setUint16(reply.start + 6, wanted.length);
    out.setUint32(reply.start + 8, 0);
    for (const ip of wanted) {
      out.setUint16(at, POINTER_TO_QUESTION);
      out.setUint16(at + 2, ip.family === 4 ? TYPE_A : TYPE_AAAA);
      out.setUint16(at + 4, CLASS_IN);
      out.setUint32(at + 6, TTL);
      out.setUint16(at + 10, ip.family === 4 ? 4 : 16);
      ip.write(out, at + 12);
      at += 12 + (ip.family === 4 ? 4 : 16);
    }
    // RFC 6891 section 6.1.1: who asked with an OPT record gets one back.
    if (version >= 0) {
      out.setUint16(reply.start + 10, 1);
      out.setUint8(at, 0);
      out.setUint16(at + 1, TYPE_OPT);
      out.setUint16(at + 3, UDP_PAYLOAD);
      out.setUint32(at + 5, version > 0 ? BADVERS << 24 : 0);
      out.setUint16(at + 9, 0);
      at += OPT_LENGTH;
    }
    reply.end = at;
    return reply;
  }

  #ask(packet: PacketBuffer): { question: Question; zone: Compiled } | undefined {
    const { view, start, end } = packet;
    if (this.isEmpty || end - start < DNS_HEADER || view.getUint16(start + 4) !== 1) return undefined;
    const question = readQuestion(packet, start + DNS_HEADER, end);
    if (question === undefined || question.class !== CLASS_IN) return undefined;
    const zone = this.#zoneOf(question.name);
    return zone && { question, zone };
  }

  #zoneOf(name: string): Compiled | undefined {
    let best: Compiled | undefined;
    for (const zone of this.#zones) {
      const { suffix } = zone;
      if (suffix !== "" && name !== suffix && !name.endsWith(`.${suffix}`)) continue;
      if (best === undefined || suffix.length > best.suffix.length) best = zone;
    }
    return best;
  }
}

function compile(zone: ZoneFacts, suffix: string): Compiled {
  const addressOf = (text: string): IpAddress => {
    const ip = IpAddress.parse(text);
    if (ip === undefined) {
      throw new RangeError(`Cannot use zone ${zone.name}: "${text}" is not an IP address`);
    }
    return ip;
  };
  const patternOf = (text: string): NamePattern => {
    try {
      return new NamePattern(text);
    } catch (error) {
      const why = error instanceof RangeError ? error.message : String(error);
      throw new RangeError(`Cannot use zone ${zone.name}: "${text}" is not a regular expression: ${why}`);
    }
  };
  return {
    zone,
    suffix,
    // A record without an address is a name that exists for others; there are none here.
    records: zone.records.filter(({ ip }) => ip !== undefined && ip !== "").map(({ name, ip, regexp }) => ({
      name: canonical(name ?? ""),
      ip: addressOf(ip!),
      ...(regexp === undefined || regexp === "" ? {} : { pattern: patternOf(regexp) }),
    })),
    defaultIp: zone.defaultIp === undefined || zone.defaultIp === "" ? undefined : addressOf(zone.defaultIp),
  };
}

function canonical(name: string): string {
  return name.toLowerCase().replace(/\.$/, "");
}

/** Bytes of an address's record, its name a pointer. */
function recordLength(ip: IpAddress): number {
  return 12 + (ip.family === 4 ? 4 : 16);
}

function lengthOf(records: readonly IpAddress[]): number {
  return records.reduce((sum, ip) => sum + recordLength(ip), 0);
}

/** How many of `records`, from the first on, `room` bytes hold. */
function countWithin(records: readonly IpAddress[], room: number): number {
  let count = 0;
  while (count < records.length && (room -= recordLength(records[count]!)) >= 0) count++;
  return count;
}

/** The first question; undefined if it cannot be read. */
function readQuestion({ view, bytes }: PacketBuffer, at: number, end: number): Question | undefined {
  const labels: string[] = [];
  while (at < end) {
    const length = view.getUint8(at++);
    if (length > 63 || at + length > end) return undefined;
    if (length === 0) {
      if (at + 4 > end) return undefined;
      const name = labels.join(".");
      return { name, type: view.getUint16(at), class: view.getUint16(at + 2), end: at + 4 };
    }
    let label = "";
    for (let i = 0; i < length; i++) label += String.fromCharCode(bytes[at + i]!);
    labels.push(label.toLowerCase());
    at += length;
  }
  return undefined;
}

/**
 * The version of the OPT record right behind the question, −1 if there is none, as with whatever is no plain question; and how
 * long a datagram the client takes, within what fits everywhere.
 */
function ednsOf(
  { view, start }: PacketBuffer,
  at: number,
  end: number,
): { version: number; payload: number } {
  const isPlain = view.getUint32(start + 6) === 0 && view.getUint16(start + 10) > 0;
  if (!isPlain || at + OPT_LENGTH > end || view.getUint8(at) !== 0 || view.getUint16(at + 1) !== TYPE_OPT) {
    return { version: -1, payload: PLAIN_PAYLOAD };
  }
  const payload = Math.max(PLAIN_PAYLOAD, Math.min(view.getUint16(at + 3), UDP_PAYLOAD));
  return { version: view.getUint8(at + 6), payload };
}
