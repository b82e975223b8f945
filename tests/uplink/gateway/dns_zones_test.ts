import { deepStrictEqual, strictEqual, throws } from "node:assert/strict";
import { Buffer } from "node:buffer";
import dnsPacket from "dns-packet";
import { test } from "node:test";
import { BufferPool } from "../../../lib/stack/buffer/pool.ts";
import { DnsZones, MAX_ALL_RECORDS, MAX_RECORDS, MAX_ZONES } from "../../../lib/uplink/gateway/dns_zones.ts";
import { seeded } from "../../support/random.ts";
import { randomBytes } from "../../support/random.ts";
import { tight } from "../../support/bytes.ts";

const pool = new BufferPool();
const ZONES = [
  {
    name: "Containers.Internal.",
    records: [{ name: "gateway", ip: "192.168.127.1" }, { name: "gateway", ip: "fd00::1" }, {
      name: "host",
      ip: "192.168.127.254",
    }],
  },
  { name: "crc.testing", records: [{ regexp: "^api.*$", ip: "10.0.0.2" }], defaultIp: "10.0.0.3" },
  { name: "deep.crc.testing.", records: [{ name: "", ip: "10.0.0.9" }] },
];

/** `NOERROR A 1.2.3.4`, or undefined: for others. */
function ask(zones: DnsZones, name: string, type: "A" | "AAAA" | "MX" | "ANY"): string | undefined {
  const query = dnsPacket.encode(
    { type: "query", id: 7, flags: 0x100, questions: [{ name, type }] } as never,
  );
  const reply = zones.answer(tight(new Uint8Array(query)), pool);
  if (reply === undefined) return undefined;
  const decoded = dnsPacket.decode(Buffer.from(reply.toBytes())) as unknown as {
    id: number;
    rcode: string;
    questions: { name: string }[];
    answers: { type: string; data: string }[];
  };
  strictEqual(decoded.id, 7);
  strictEqual(decoded.questions[0]!.name, name);
  return [decoded.rcode, ...decoded.answers.map(({ type, data }) => `${type} ${data}`)].join(" ");
}

test("a zone answers for its names, with what it has of the type", () => {
  const zones = new DnsZones(ZONES);
  for (
    const [name, type, want] of [
      ["gateway.containers.internal", "A", "NOERROR A 192.168.127.1"],
      ["GATEWAY.containers.INTERNAL", "A", "NOERROR A 192.168.127.1"],
      ["gateway.containers.internal", "AAAA", "NOERROR AAAA fd00::1"],
      ["gateway.containers.internal", "ANY", "NOERROR A 192.168.127.1 AAAA fd00::1"],
      ["host.containers.internal", "AAAA", "NOERROR"],
      ["host.containers.internal", "MX", "NOERROR"],
      ["nobody.containers.internal", "A", "NXDOMAIN"],
      ["containers.internal", "A", "NOERROR"],
      ["api.crc.testing", "A", "NOERROR A 10.0.0.2"],
      ["other.crc.testing", "A", "NOERROR A 10.0.0.3"],
      ["deep.crc.testing", "A", "NOERROR A 10.0.0.9"],
      ["x.deep.crc.testing", "A", "NXDOMAIN"],
      ["notcontainers.internal", "A", undefined],
      ["example.com", "A", undefined],
    ] as const
  ) strictEqual(ask(zones, name, type), want, `${name} ${type}`);
});

test("what is added to a zone comes before what it had", () => {
  const zones = new DnsZones(ZONES);
  zones.add({ name: "containers.internal", records: [{ name: "host", ip: "10.1.1.1" }] });
  strictEqual(ask(zones, "host.containers.internal", "A"), "NOERROR A 10.1.1.1 A 192.168.127.254");
  deepStrictEqual(zones.all().map(({ name }) => name), [
    "Containers.Internal.",
    "crc.testing",
    "deep.crc.testing.",
  ]);
});

test("records that cannot be used, and too many, are refused", () => {
  const zones = new DnsZones();
  throws(
    () => zones.add({ name: "x", records: [{ name: "a", ip: "nonsense" }] }),
    /"nonsense" is not an IP address/,
  );
  throws(
    () => zones.add({ name: "x", records: [{ regexp: "(", ip: "10.0.0.1" }] }),
    /not a regular expression/,
  );
  const many = Array.from({ length: MAX_RECORDS + 1 }, (_, i) => ({ name: `n${i}`, ip: "10.0.0.1" }));
  throws(() => zones.add({ name: "x", records: many }), /more than 4096 records/);
  for (let i = 0; i < MAX_ZONES; i++) zones.add({ name: `zone${i}`, records: [] });
  throws(() => zones.add({ name: "one-more", records: [] }), /there are 256/);
});

test("garbage is for others, or answered, and never an exception", () => {
  const seed = 0x2a;
  const random = seeded(seed);
  const zones = new DnsZones([{ name: "", records: [] }]);
  for (let i = 0; i < 5_000; i++) {
    const bytes = randomBytes(random, 12 + i % 60);
    bytes[4] = 0;
    bytes[5] = 1;
    zones.answer(tight(bytes), pool)?.release();
  }
});

test("the records of all zones are bounded together", () => {
  const zones = new DnsZones();
  const records = Array.from({ length: MAX_RECORDS }, () => ({ name: "a", ip: "10.0.0.1" }));
  for (let i = 0; i < MAX_ALL_RECORDS / MAX_RECORDS; i++) zones.add({ name: `z${i}.`, records });
  throws(() => zones.add({ name: "more.", records: records.slice(0, 1) }), /more than 65536 records/);
});

test("who asks with EDNS is answered with EDNS, and a version that nobody has is refused", () => {
  const zones = new DnsZones(ZONES);
  const asked = (ednsVersion: number, more: object[] = []) => {
    const query = dnsPacket.encode({
      type: "query",
      id: 7,
      questions: [{ name: "host.containers.internal", type: "A" }],
      additionals: [...more, {
        type: "OPT",
        name: ".",
        udpPayloadSize: 4_096,
        ednsVersion,
        flags: 0,
        options: [],
      }],
    } as never);
    const reply = zones.answer(tight(new Uint8Array(query)), pool)!;
    return dnsPacket.decode(Buffer.from(reply.toBytes())) as unknown as {
      answers: { data: string }[];
      additionals: { type: string; udpPayloadSize: number; extendedRcode: number; ednsVersion: number }[];
    };
  };
  const { answers, additionals: [opt] } = asked(0);
  deepStrictEqual(answers.map(({ data }) => data), ["192.168.127.254"]);
  deepStrictEqual([opt!.type, opt!.udpPayloadSize, opt!.extendedRcode], ["OPT", 1_232, 0]);
  const refused = asked(1);
  deepStrictEqual(refused.answers, []);
  deepStrictEqual([refused.additionals[0]!.extendedRcode, refused.additionals[0]!.ednsVersion], [1, 0]);
  deepStrictEqual(asked(0, [{ type: "A", name: "x", data: "1.2.3.4" }]).additionals, []);
});

test("an answer that is too long for its datagram says so, and one that may be longer is whole", () => {
  const address = (i: number) => `10.1.${i >> 8}.${i & 255}`;
  const zones = new DnsZones([{
    name: "big",
    records: Array.from({ length: MAX_RECORDS }, (_, i) => ({ name: "", ip: address(i) })),
  }]);
  const asked = (udpPayloadSize: number | undefined, longest?: number) => {
    const additionals = udpPayloadSize === undefined
      ? []
      : [{ type: "OPT", name: ".", udpPayloadSize, flags: 0, options: [] }];
    const query = { type: "query", id: 7, questions: [{ name: "big", type: "A" }], additionals };
    const bytes = new Uint8Array(dnsPacket.encode(query as never));
    const reply = zones.answer(tight(bytes), pool, longest)!.toBytes();
    const decoded = dnsPacket.decode(Buffer.from(reply)) as unknown as {
      flag_tc: boolean;
      answers: { data: string }[];
      additionals: object[];
    };
    strictEqual(decoded.additionals.length, additionals.length);
    decoded.answers.forEach(({ data }, i) => strictEqual(data, address(i)));
    return [reply.length, decoded.answers.length, decoded.flag_tc];
  };
  const question = 12 + 5 + 4, opt = 11;
  const fits = (room: number) => Math.floor((room - question - opt) / 16);
  for (
    const [payload, room] of [[undefined, 512], [1, 512], [512, 512], [800, 800], [65_535, 1_232]] as const
  ) {
    const [length, count, isTruncated] = asked(payload);
    strictEqual(count, fits(room), `EDNS ${payload}`);
    strictEqual(length, question + 16 * fits(room) + (payload === undefined ? 0 : opt));
    strictEqual(isTruncated, true);
  }
  deepStrictEqual(asked(undefined, 65_535).slice(1), [fits(65_535), true]);
  zones.add({ name: "few.big", records: Array.from({ length: 28 }, () => ({ name: "", ip: "10.0.0.1" })) });
  const few = dnsPacket.encode(
    { type: "query", id: 7, questions: [{ name: "few.big", type: "A" }] } as never,
  );
  const whole = zones.answer(tight(new Uint8Array(few)), pool)!.toBytes();
  deepStrictEqual([whole.length <= 512, whole[2]! & 2, whole[7]], [true, 0, 28]);
});
