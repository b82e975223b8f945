import { test } from "node:test";
import { deepStrictEqual, strictEqual } from "node:assert/strict";
import fc from "fast-check";
import { findClash, formatPublish, parsePublish, type Publish } from "../../lib/config/publish.ts";
import { IpAddress } from "../../lib/stack/wire/address.ts";

function all(...texts: string[]): Publish[] {
  return texts.flatMap((text) => {
    const parsed = parsePublish(text);
    if (typeof parsed === "string") throw new Error(`${text}: ${parsed}`);
    return parsed;
  });
}

const READ: [text: string, want: string[]][] = [
  ["8080:80", ["8080:80/tcp"]],
  ["8080:80/tcp", ["8080:80/tcp"]],
  ["53:53/udp", ["53:53/udp"]],
  ["127.0.0.1:8080:80", ["127.0.0.1:8080:80/tcp"]],
  ["0.0.0.0:8080:80/udp", ["0.0.0.0:8080:80/udp"]],
  ["[::1]:80:80", ["[::1]:80:80/tcp"]],
  ["[::]:80:81/udp", ["[::]:80:81/udp"]],
  ["8000-8002:9000-9002", ["8000:9000/tcp", "8001:9001/tcp", "8002:9002/tcp"]],
  ["[::1]:8000-8001:9000-9001/udp", ["[::1]:8000:9000/udp", "[::1]:8001:9001/udp"]],
  ["1:65535", ["1:65535/tcp"]],
  ["80-80:81-81", ["80:81/tcp"]],
];
for (const [text, want] of READ) {
  test(`parsePublish() reads ${text}`, () => deepStrictEqual(all(text).map(formatPublish), want));
}

test("parsePublish() expands a range of eleven", () => {
  const ports = all("8000-8010:9000-9010");
  strictEqual(ports.length, 11);
  deepStrictEqual(ports.at(-1), { protocol: "tcp", hostPort: 8010, guestPort: 9010 });
});

const REFUSED: [text: string, want: string][] = [
  ["", "want [addr:]hostport:[guestaddr:]guestport[/tcp|udp]"],
  ["80", "want [addr:]hostport:[guestaddr:]guestport[/tcp|udp]"],
  ["80:", 'guest port "" must be a number from 1 to 65535'],
  [":80", 'host port "" must be a number from 1 to 65535'],
  ["0:80", 'host port "0" must be a number from 1 to 65535'],
  ["80:65536", 'guest port "65536" must be a number from 1 to 65535'],
  ["80:-1", 'guest port "" must be a number from 1 to 65535'],
  ["80:x", 'guest port "x" must be a number from 1 to 65535'],
  ["80:0x50", 'guest port "0x50" must be a number from 1 to 65535'],
  ["80:80/sctp", 'unknown protocol "sctp": must be tcp or udp'],
  ["80:80/", 'unknown protocol "": must be tcp or udp'],
  ["80:80/TCP", 'unknown protocol "TCP": must be tcp or udp'],
  ["localhost:80:80", '"localhost" is not an IP address'],
  ["10.0.0:80:80", '"10.0.0" is not an IP address'],
  ["::1:80:80", "an IPv6 address must be in brackets: [addr]:hostport:guestport"],
  ["[::1:80:80", "an IPv6 address is written [addr]:hostport:guestport"],
  ["[10.0.0.1]:80:80", '"10.0.0.1" is not an IPv6 address'],
  ["[zz]:80:80", '"zz" is not an IPv6 address'],
  ["[::1]:127.0.0.1:80:80", "two addresses"],
  ["8000-8010:9000", "the ranges differ in length: 11 host ports, 1 guest ports"],
  ["8000:9000-9001", "the ranges differ in length: 1 host ports, 2 guest ports"],
  ["8010-8000:9010-9000", "the range 8010-8000 runs backwards"],
  ["1-65535:1-65535", "a range of 65535 ports exceeds the limit of 1024"],
];
for (const [text, want] of REFUSED) {
  test(`parsePublish() refuses "${text}"`, () => strictEqual(parsePublish(text), want));
}

test("formatPublish() and parsePublish() are inverse", () => {
  const port = fc.integer({ min: 1, max: 65535 });
  const host = fc.option(fc.oneof(fc.ipV4(), fc.ipV6()), { nil: undefined });
  fc.assert(
    fc.property(host, port, port, fc.constantFrom("tcp", "udp"), (text, hostPort, guestPort, protocol) => {
      const hostAddress = text === undefined ? undefined : IpAddress.parse(text);
      const publish = {
        protocol,
        ...(hostAddress === undefined ? {} : { hostAddress }),
        hostPort,
        guestPort,
      } as Publish;
      deepStrictEqual(parsePublish(formatPublish(publish)), [publish]);
    }),
  );
});

test("parsePublish() never throws", () => {
  const text = fc.string({ unit: fc.constantFrom(..."0123456789:-/[]tcpud.") });
  fc.assert(fc.property(text, (one) => {
    const parsed = parsePublish(one);
    if (typeof parsed !== "string") { for (const publish of parsed) strictEqual(publish.hostPort > 0, true); }
  }));
});

const CLASHES: [texts: string[], clash: boolean][] = [
  [["80:80", "80:81"], true],
  [["80:80", "80:80/udp"], false],
  [["80:80", "81:80"], false],
  [["127.0.0.1:80:80", "80:81"], true],
  [["127.0.0.1:80:80", "127.0.0.2:80:80"], false],
  [["127.0.0.1:80:80", "0.0.0.0:80:80"], true],
  [["127.0.0.1:80:80", "[::1]:80:80"], false],
  [["0.0.0.0:80:80", "[::]:80:80"], false],
  [["8000-8010:1-11", "8010:9"], true],
];
for (const [texts, clash] of CLASHES) {
  test(`findClash() ${clash ? "finds" : "finds none in"} ${texts.join(" ")}`, () => {
    strictEqual(findClash(all(...texts)) !== undefined, clash);
  });
}
