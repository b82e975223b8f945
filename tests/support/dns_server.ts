/**
 * A name server with a zone made for tests (RFC 1035), over UDP and TCP: `dns_server.ts ADDRESS…`, port 53.
 *
 * Answers that do not fit into what the client takes are cut and marked (TC), as section 4.2.1 wants it, so that the
 * client comes back over TCP. `servfail.test` fails, `silent.test` is never answered, every other unknown name does not
 * exist.
 *
 * @module
 */

import { createSocket } from "node:dgram";
import { createServer, type Socket } from "node:net";
import process from "node:process";

const TYPE: Readonly<Record<string, number>> = { A: 1, CNAME: 5, MX: 15, TXT: 16, AAAA: 28, OPT: 41 };
const CLASS_IN = 1;

const RESPONSE = 0x8000;
const AUTHORITATIVE = 0x0400;
const TRUNCATED = 0x0200;
const RECURSION_DESIRED = 0x0100;
const RECURSION_AVAILABLE = 0x0080;
const RCODE = { success: 0, serverFailure: 2, nameError: 3 } as const;

/** 40 strings of 100 bytes: more than UDP takes, with or without EDNS. */
const LARGE = Array.from({ length: 40 }, (_, i) => String(i).padStart(100, "."));

const ZONE: Readonly<Record<string, Readonly<Record<string, readonly string[]>>>> = {
  "www.test": { A: ["198.51.100.7"], AAAA: ["2001:db8::7"], TXT: ["hello world"], MX: ["10 mail.test"] },
  "alias.test": { CNAME: ["www.test"] },
  "large.test": { TXT: LARGE },
  "medium.test": { TXT: LARGE.slice(0, 10) },
  "gateway.test": { A: ["10.0.2.2"], AAAA: ["fd00::2"] },
};

type Bytes = Uint8Array<ArrayBuffer>;

function name(text: string): number[] {
  const labels = text.split(".").filter((label) => label !== "");
  return [...labels.flatMap((label) => [label.length, ...new TextEncoder().encode(label)]), 0];
}

function address6(text: string): number[] {
  const [left = "", right = ""] = text.split("::");
  const words = (part: string) => part === "" ? [] : part.split(":").map((word) => parseInt(word, 16));
  const [head, tail] = [words(left), words(right)];
  const all = [...head, ...new Array<number>(8 - head.length - tail.length).fill(0), ...tail];
  return all.flatMap((word) => [word >> 8, word & 0xff]);
}

function data(type: string, value: string): number[] {
  switch (type) {
    case "A":
      return value.split(".").map(Number);
    case "AAAA":
      return address6(value);
    case "MX": {
      const [preference = "0", exchange = ""] = value.split(" ");
      return [Number(preference) >> 8, Number(preference) & 0xff, ...name(exchange)];
    }
    case "TXT":
      return [value.length, ...new TextEncoder().encode(value)];
    default:
      return name(value);
  }
}

function record(owner: string, type: string, value: string): number[] {
  const rdata = data(type, value);
  const number = TYPE[type]!;
  const ttl = [0, 0, 0, 60];
  return [...name(owner), 0, number, 0, CLASS_IN, ...ttl, rdata.length >> 8, rdata.length & 0xff, ...rdata];
}

interface Question {
  readonly id: number;
  readonly flags: number;
  readonly bytes: Uint8Array;
  readonly owner: string;
  readonly type: number;
  /** Bytes that the client takes in a datagram. */
  readonly room: number;
}

function parse(message: Uint8Array): Question {
  const view = new DataView(message.buffer, message.byteOffset, message.byteLength);
  const labels: string[] = [];
  let at = 12;
  while (message[at] !== 0) {
    const length = message[at]!;
    labels.push(new TextDecoder().decode(message.subarray(at + 1, at + 1 + length)));
    at += 1 + length;
  }
  const end = at + 5;
  // RFC 6891: the first additional record of a query is its OPT, whose class is the room.
  const edns = view.getUint16(10) > 0 && view.getUint16(end + 1) === TYPE["OPT"];
  return {
    id: view.getUint16(0),
    flags: view.getUint16(2),
    bytes: message.subarray(12, end),
    owner: labels.join(".").toLowerCase(),
    type: view.getUint16(at + 1),
    room: edns ? view.getUint16(end + 3) : 512,
  };
}

function message(question: Question, flags: number, records: readonly number[][]): Bytes {
  const all = RESPONSE | AUTHORITATIVE | RECURSION_AVAILABLE | (question.flags & RECURSION_DESIRED) | flags;
  const { id } = question;
  const header = [id >> 8, id & 0xff, all >> 8, all & 0xff, 0, 1, records.length >> 8, records.length & 0xff];
  return Uint8Array.from([...header, 0, 0, 0, 0, ...question.bytes, ...records.flat()]);
}

/** Undefined: no answer at all. */
function answer(query: Uint8Array, overTcp: boolean): Bytes | undefined {
  const question = parse(query);
  let { owner } = question;
  if (owner === "silent.test") return undefined;
  if (owner === "servfail.test") return message(question, RCODE.serverFailure, []);
  const records: number[][] = [];
  const alias = ZONE[owner]?.["CNAME"]?.[0];
  if (alias !== undefined) {
    records.push(record(owner, "CNAME", alias));
    owner = alias;
  }
  const sets = ZONE[owner];
  if (sets === undefined) return message(question, RCODE.nameError, []);
  for (const [type, values] of Object.entries(sets)) {
    if (TYPE[type] === question.type) {
      for (const value of values) records.push(record(owner, type, value));
    }
  }
  const whole = message(question, RCODE.success, records);
  return overTcp || whole.length <= question.room ? whole : message(question, TRUNCATED, []);
}

function serveUdp(host: string, listening: () => void): void {
  const socket = createSocket(host.includes(":") ? "udp6" : "udp4");
  socket.on("message", (query, from) => {
    const reply = answer(query, false);
    if (reply !== undefined) socket.send(reply, from.port, from.address);
  });
  socket.bind(53, host, listening);
}

/** Section 4.2.2: each message has its length before it. */
function serveTcp(host: string, listening: () => void): void {
  createServer((client: Socket) => {
    let seen: Bytes = new Uint8Array(0);
    client.on("error", () => {});
    client.on("data", (chunk: Uint8Array) => {
      const more = new Uint8Array(seen.length + chunk.length);
      more.set(seen);
      more.set(chunk, seen.length);
      seen = more;
      while (seen.length >= 2) {
        const length = (seen[0]! << 8) | seen[1]!;
        if (seen.length < 2 + length) return;
        const reply = answer(seen.subarray(2, 2 + length), true);
        seen = seen.slice(2 + length);
        if (reply === undefined) continue;
        client.write(Uint8Array.of(reply.length >> 8, reply.length & 0xff));
        client.write(reply);
      }
    });
  }).listen(53, host, listening);
}

const hosts = process.argv.slice(2);
let wanted = 2 * hosts.length;
const listening = () => {
  if (--wanted === 0) console.log("ready");
};
for (const host of hosts) {
  serveUdp(host, listening);
  serveTcp(host, listening);
}
