import { deepStrictEqual, match, ok, strictEqual } from "node:assert/strict";
import { test } from "node:test";
import { FrameQueue, QUEUE_FRAMES } from "../../../lib/attach/vm/frame_queue.ts";
import { PORT_IPS } from "../../../lib/attach/vm/guard.ts";
import { MacTable, PORT_ADDRESSES } from "../../../lib/attach/vm/mac_table.ts";
import { FLOOD_BURST, type Port } from "../../../lib/attach/vm/port.ts";
import { MAX_PORTS, Switch } from "../../../lib/attach/vm/switch.ts";
import type { GuestWire } from "../../../lib/attach/vm/wire.ts";
import type { Reactor } from "../../../lib/host/reactor.ts";
import { Gso, type PacketBuffer } from "../../../lib/stack/buffer/packet.ts";
import { BufferPool } from "../../../lib/stack/buffer/pool.ts";
import { type Instant, SECOND } from "../../../lib/stack/time.ts";
import { IpAddress } from "../../../lib/stack/wire/address.ts";
import { MacAddress } from "../../../lib/stack/wire/mac_address.ts";
import { hex, tight, toHex } from "../../support/bytes.ts";

const GATEWAY = "5a94efe40cdd";

/** A wire that keeps what it is sent, or is full. */
class FakeWire implements GuestWire {
  readonly sent: string[] = [];
  full = false;
  closed = false;
  isAlive = true;
  alive(): boolean {
    return this.isAlive;
  }
  send(queue: FrameQueue): boolean {
    while (queue.length > 0 && !this.full) {
      this.sent.push(toHex(queue.at(0).toBytes()));
      queue.drop();
    }
    return !this.full;
  }
  close(): void {
    this.closed = true;
  }
}

class Bench {
  now = 1_000_000;
  readonly toGateway: string[] = [];
  readonly held: string[] = [];
  readonly leased = new Map<string, string>();
  readonly owner: Switch;

  constructor(mtu = 1_500) {
    this.owner = new Switch({
      reactor: { now: () => this.now, defer: () => {} } as unknown as Reactor,
      pool: new BufferPool(),
      mtu,
      owners: {
        isOurs: (address) => String(address) === "192.168.127.1",
        isAnothers: (address, high, low) => {
          const owner = this.leased.get(String(address));
          return owner !== undefined && owner !== String(new MacAddress(high, low));
        },
        isTheirs: (address, high, low) =>
          this.leased.get(String(address)) === String(new MacAddress(high, low)),
      },
      log: () => {},
      hold: (address, held) => void this.held.push(`${address} ${held}`),
    });
    this.owner.join({
      mac: MacAddress.parse("5a:94:ef:e4:0c:dd")!,
      ingress: (frame) => {
        this.toGateway.push(toHex(frame.toBytes()));
        frame.release();
      },
    });
  }

  plug(): { port: Port; wire: FakeWire } {
    const wire = new FakeWire();
    const port = this.owner.attach(() => wire);
    if (port === undefined) throw new Error("Cannot plug one more guest");
    return { port, wire };
  }

  send(port: Port, text: string): void {
    port.received(tight(hex(text)));
    this.owner.flush();
  }

  counted(name: string): number {
    return this.owner.counters.all()[`switch.${name}`] ?? 0;
  }
}

const macOf = (n: number) => `02000000${n.toString(16).padStart(4, "0")}`;
/** An IPv4 packet of UDP, from and to 192.168.127.N unless said otherwise. */
function udp(to: string, from: string, source: string, ports = "0d05 0d05", payload = ""): string {
  return `${to} ${from} 0800 4500 001c 0000 0000 4011 0000 ${source} c0a87f01 ${ports} 0008 0000 ${payload}`;
}
function arp(from: string, sender: string, ip: string): string {
  return `ffffffffffff ${from} 0806 0001 0800 0604 0001 ${sender} ${ip} 000000000000 c0a87f01`;
}
/** The same as the first of several fragments. */
const cut = (packet: string) => packet.replace("4500 001c 0000 0000", "4500 001c 0000 2000");
const compact = (text: string) => text.replaceAll(/\s/g, "");
const BROADCAST = "ffffffffffff";

test("a switch learns: flooded first, then to one port only", () => {
  const bench = new Bench();
  const [a, b, c] = [bench.plug(), bench.plug(), bench.plug()];
  const toB = udp(macOf(2), macOf(1), "c0a87f05");
  bench.send(a.port, toB);
  deepStrictEqual([b.wire.sent.length, c.wire.sent.length, bench.toGateway.length], [1, 1, 0]);
  bench.send(b.port, udp(macOf(1), macOf(2), "c0a87f06"));
  bench.send(a.port, toB);
  deepStrictEqual([a.wire.sent.length, b.wire.sent.length, c.wire.sent.length], [1, 2, 1]);
  strictEqual(b.wire.sent[1], compact(toB));
});

test("broadcasts reach every guest but the sender, and the gateway", () => {
  const bench = new Bench();
  const [a, b, c] = [bench.plug(), bench.plug(), bench.plug()];
  bench.send(a.port, arp(macOf(1), macOf(1), "c0a87f05"));
  deepStrictEqual([a.wire.sent.length, b.wire.sent.length, c.wire.sent.length], [0, 1, 1]);
  strictEqual(bench.toGateway.length, 1);
});

test("frames of a guest that are refused, each by its counter", () => {
  const cases: readonly [string, string][] = [
    ["runt", "020000000001 0200"],
    ["bad-source", udp(macOf(2), "010000000001", "c0a87f05")],
    ["bad-source", udp(macOf(2), "000000000000", "c0a87f05")],
    ["spoofed-gateway", udp(macOf(2), GATEWAY, "c0a87f05")],
    ["spoofed-ip", udp(macOf(2), macOf(1), "c0a87f01")],
    ["spoofed-arp", arp(macOf(1), macOf(9), "c0a87f05")],
    ["spoofed-ip", arp(macOf(1), macOf(1), "c0a87f01")],
    ["rogue-dhcp", udp(BROADCAST, macOf(1), "c0a87f05", "0043 0044")],
    ["spoofed-dhcp", cut(udp(BROADCAST, macOf(1), "00000000", "0044 0043"))],
    [
      "spoofed-dhcp",
      cut(udp(
        BROADCAST,
        macOf(1),
        "00000000",
        "0044 0043",
        "01010600" + "00".repeat(24) + macOf(1) + "00".repeat(10),
      )),
    ],
    ["malformed", cut(udp(BROADCAST, macOf(1), "00000000", "").replace("0008 0000", ""))],
    [
      "spoofed-dhcp",
      udp(
        BROADCAST,
        macOf(1),
        "00000000",
        "0044 0043",
        "01010600" + "00".repeat(24) + macOf(9) + "00".repeat(10),
      ),
    ],
    [
      "rogue-router",
      `333300000001 ${macOf(1)} 86dd 60000000 0010 3aff fe80000000000000000000fffe000001 ` +
      "ff020000000000000000000000000001 8600 0000 4000 0708 00000000 00000000",
    ],
    ["reserved-group", udp("0180c2000000", macOf(1), "c0a87f05")],
  ];
  for (const [reason, frame] of cases) {
    const bench = new Bench();
    const [a, b] = [bench.plug(), bench.plug()];
    bench.send(a.port, frame);
    strictEqual(bench.counted(reason), 1, reason);
    deepStrictEqual([b.wire.sent.length, bench.toGateway.length], [0, 0], reason);
    strictEqual(a.port.counters.refused, 1);
  }
});

test("who has the lease gets the address from whoever helped himself to it", () => {
  const bench = new Bench();
  const [thief, owner] = [bench.plug(), bench.plug()];
  const use = (n: number) => udp(GATEWAY, macOf(n), "c0a87f05");
  bench.send(thief.port, use(1));
  bench.send(owner.port, use(2));
  strictEqual(bench.counted("spoofed-ip"), 1, "no lease yet");
  bench.leased.set("192.168.127.5", "02:00:00:00:00:02");
  bench.send(owner.port, use(2));
  strictEqual(bench.counted("spoofed-ip"), 1);
  bench.send(thief.port, use(1));
  strictEqual(bench.counted("spoofed-ip"), 2);
  strictEqual(bench.owner.portOf(IpAddress.parse("192.168.127.5")!), owner.port.id);
});

test("an honest DHCP request passes", () => {
  const bench = new Bench();
  const a = bench.plug();
  const body = "01010600" + "00".repeat(24) + macOf(1) + "00".repeat(10);
  bench.send(a.port, udp(BROADCAST, macOf(1), "00000000", "0044 0043", body));
  strictEqual(bench.toGateway.length, 1);
});

test("a MAC belongs to the port that uses it, however long it is silent, until that is gone", () => {
  const bench = new Bench();
  const [a, b] = [bench.plug(), bench.plug()];
  const frame = udp(GATEWAY, macOf(1), "c0a87f05");
  bench.send(a.port, frame);
  bench.now += 1_000 * SECOND;
  bench.send(b.port, frame);
  strictEqual(bench.counted("spoofed-mac"), 1);
  a.wire.isAlive = false;
  bench.send(b.port, frame);
  strictEqual(bench.counted("spoofed-mac"), 1, "it came back by another wire, and its address with it");
  strictEqual(bench.counted("spoofed-ip"), 0);
  ok(a.wire.closed);
  bench.owner.detach(b.port, "gone");
  bench.send(bench.plug().port, frame);
  strictEqual(bench.toGateway.length, 3);
});

test("nothing is hidden from the guard behind what receivers look through", () => {
  const bench = new Bench();
  const [a, b] = [bench.plug(), bench.plug()];
  bench.send(a.port, arp(macOf(1), macOf(1), "c0a87f05"));
  const poison = arp(macOf(2), macOf(2), "c0a87f05");
  for (const tags of ["8100 0000", "8100 e000", "88a8 0000 8100 0000", "001c aaaa 0300 0000"]) {
    bench.send(b.port, poison.replace("0806", `${tags} 0806`));
  }
  strictEqual(bench.counted("spoofed-ip"), 4);
  bench.send(b.port, poison.replace("0806", `${"8100 0000".repeat(5)} 0806`));
  strictEqual(bench.counted("malformed"), 1);

  const six = (next: string, rest: string) =>
    `333300000001 ${macOf(2)} 86dd 60000000 ${
      (compact(rest).length / 2).toString(16).padStart(4, "0")
    } ${next}ff ` +
    `fe800000000000000000000000000002 ff020000000000000000000000000001 ${rest}`;
  const advertisement = "8600 0000 4000 0708 00000000 00000000";
  bench.send(b.port, six("3a", advertisement));
  bench.send(b.port, six("3c", `3a00 0104 00000000 ${advertisement}`));
  bench.send(b.port, six("00", `3c00 0104 00000000 3a00 0104 00000000 ${advertisement}`));
  bench.send(b.port, six("2c", `3a00 0000 00000001 ${advertisement}`));
  strictEqual(bench.counted("rogue-router"), 4);
  bench.send(b.port, six("2c", "3c00 0001 00000001 3a01 0104 00000000"));
  bench.send(b.port, six("3c", "3c00 0104 00000000".repeat(9)));
  strictEqual(bench.counted("malformed"), 3, "an upper layer that cannot be seen");
  bench.send(b.port, six("11", "0223 0222 0008 0000"));
  strictEqual(bench.counted("rogue-dhcp"), 1);
});

test("an IP address belongs to who uses it, and a leased one to its owner", () => {
  const bench = new Bench();
  const [a, b] = [bench.plug(), bench.plug()];
  bench.send(a.port, udp(GATEWAY, macOf(1), "c0a87f05"));
  bench.send(b.port, udp(GATEWAY, macOf(2), "c0a87f05"));
  strictEqual(bench.counted("spoofed-ip"), 1);
  bench.leased.set("192.168.127.9", "02:00:00:00:00:03");
  bench.send(b.port, udp(GATEWAY, macOf(2), "c0a87f09"));
  strictEqual(bench.counted("spoofed-ip"), 2);
  bench.send(b.port, udp(GATEWAY, macOf(3), "c0a87f09"));
  strictEqual(bench.counted("spoofed-ip"), 2);
  strictEqual(bench.owner.portOf(IpAddress.parse("192.168.127.9")!), b.port.id);
});

test("a neighbour advertisement in another's name is refused", () => {
  const bench = new Bench();
  const [a, b] = [bench.plug(), bench.plug()];
  const advertise = (mac: string, source: string, target: string) =>
    `${GATEWAY} ${mac} 86dd 60000000 0020 3aff ${source} fd000000000000000000000000000001 ` +
    `8800 0000 60000000 ${target} 0201 ${mac}`;
  const [one, two] = ["fd000000000000000000000000000005", "fd000000000000000000000000000006"];
  bench.send(a.port, advertise(macOf(1), one, one));
  bench.send(b.port, advertise(macOf(2), two, one));
  strictEqual(bench.counted("spoofed-ip"), 1);
});

test("who invents MACs fills his own share of the table, and nobody else's", () => {
  const bench = new Bench();
  const [a, b] = [bench.plug(), bench.plug()];
  for (let i = 0; i < 5_000; i++) bench.send(a.port, udp(GATEWAY, macOf(256 + i), "00000000"));
  strictEqual(bench.toGateway.length, PORT_ADDRESSES);
  strictEqual(bench.counted("address-limit"), 5_000 - PORT_ADDRESSES);
  bench.send(b.port, udp(GATEWAY, macOf(1), "c0a87f05"));
  strictEqual(bench.toGateway.length, PORT_ADDRESSES + 1);
});

test("who invents IP addresses is bounded, too, and may change them after a while", () => {
  const bench = new Bench();
  const a = bench.plug();
  const from = (i: number) => udp(GATEWAY, macOf(1), `0a00${i.toString(16).padStart(4, "0")}`);
  for (let i = 0; i < 200; i++) bench.send(a.port, from(i));
  strictEqual(bench.toGateway.length, PORT_IPS);
  strictEqual(bench.counted("ip-limit"), 200 - PORT_IPS);
  bench.now += 61 * SECOND;
  bench.send(a.port, from(199));
  strictEqual(bench.toGateway.length, PORT_IPS + 1);
});

const [OURS6, PEER6] = ["fd000000000000000000000000000005", "fe800000000000000000000000000099"];
/** An address, a frame of a MAC that uses it, and what its owner is asked. */
const CLAIMS: [family: string, use: (mac: string) => string, question: RegExp][] = [
  [
    "IPv4",
    (mac) => udp(GATEWAY, mac, "c0a87f05"),
    new RegExp(`^${macOf(1)}${GATEWAY}08060001080006040001${GATEWAY}00000000000000000000c0a87f05$`),
  ],
  [
    "IPv6",
    (mac) => `${GATEWAY} ${mac} 86dd 60000000 0000 3bff ${OURS6} ${PEER6}`,
    new RegExp(`^${macOf(1)}${GATEWAY}86dd.*ff0200000000000000000001ff0000058700....00000000${OURS6}$`),
  ],
];
for (const [family, use, question] of CLAIMS) {
  test(`an idle guest keeps its ${family} address, for it answers when it is asked`, () => {
    const bench = new Bench();
    const [owner, thief, other] = [bench.plug(), bench.plug(), bench.plug()];
    bench.send(owner.port, use(macOf(1)));
    const before = bench.toGateway.length;
    for (let i = 0; i < 600; i++) {
      bench.now += SECOND;
      bench.send(thief.port, use(macOf(2)));
      for (const asked of owner.wire.sent.splice(0)) {
        match(asked, question);
        bench.send(owner.port, use(macOf(1)));
      }
    }
    strictEqual(bench.counted("spoofed-ip"), 600);
    strictEqual(bench.counted("address-questions"), 9, "once a minute");
    strictEqual(bench.toGateway.length, before + 9);
    deepStrictEqual([thief.wire.sent, other.wire.sent], [[], []], "nobody else is asked");
  });

  test(`the ${family} address of a guest that answers no more is another's, after three questions`, () => {
    const bench = new Bench();
    const [owner, heir] = [bench.plug(), bench.plug()];
    bench.send(owner.port, use(macOf(1)));
    bench.now += 61 * SECOND;
    const tries: number[] = [];
    for (let i = 0; i < 40; i++, bench.now += SECOND / 10) {
      const before = bench.toGateway.length;
      bench.send(heir.port, use(macOf(2)));
      if (bench.toGateway.length > before) tries.push(i);
    }
    strictEqual(tries[0], 15, "three times half a second");
    strictEqual(owner.wire.sent.length, 3);
    bench.send(owner.port, use(macOf(1)));
    strictEqual(bench.toGateway.length, 1 + tries.length, "the former owner comes too late");
  });
}

test("a storm of broadcasts and of unknown destinations is bounded per guest", () => {
  const bench = new Bench();
  const [a, b, c] = [bench.plug(), bench.plug(), bench.plug()];
  for (let i = 0; i < FLOOD_BURST; i++) bench.send(a.port, arp(macOf(1), macOf(1), "c0a87f05"));
  for (let i = 0; i < 1_000; i++) bench.send(a.port, udp(macOf(99), macOf(1), "c0a87f05"));
  strictEqual(c.wire.sent.length, FLOOD_BURST);
  strictEqual(bench.counted("flood-limit"), 1_000);
  bench.send(b.port, arp(macOf(2), macOf(2), "c0a87f06"));
  strictEqual(c.wire.sent.length, FLOOD_BURST + 1, "another guest's still pass");
  bench.now += SECOND;
  bench.send(a.port, arp(macOf(1), macOf(1), "c0a87f05"));
  strictEqual(c.wire.sent.length, FLOOD_BURST + 2);
});

test("a guest that never reads loses its own frames, and is told of as congested", () => {
  const bench = new Bench();
  const [a, b, c] = [bench.plug(), bench.plug(), bench.plug()];
  bench.send(b.port, udp(GATEWAY, macOf(2), "c0a87f06"));
  bench.send(c.port, udp(GATEWAY, macOf(3), "c0a87f07"));
  b.wire.full = true;
  for (let i = 0; i < QUEUE_FRAMES + 100; i++) {
    bench.send(a.port, udp(macOf(2), macOf(1), "c0a87f05"));
    bench.send(a.port, udp(macOf(3), macOf(1), "c0a87f05"));
  }
  strictEqual(b.port.queue.length, QUEUE_FRAMES);
  strictEqual(b.port.counters.dropped, 100);
  strictEqual(bench.owner.queueFull.value, 100);
  strictEqual(c.wire.sent.length, QUEUE_FRAMES + 100);
  deepStrictEqual(bench.held, ["192.168.127.6 true"]);
  b.wire.full = false;
  b.port.writable();
  strictEqual(b.wire.sent.length, QUEUE_FRAMES);
  deepStrictEqual(bench.held, ["192.168.127.6 true", "192.168.127.6 false"]);
});

test("a congested guest that goes lets nobody wait for it", () => {
  const bench = new Bench();
  const [a, b] = [bench.plug(), bench.plug()];
  bench.send(b.port, udp(GATEWAY, macOf(2), "c0a87f06"));
  b.wire.full = true;
  for (let i = 0; i < 500; i++) bench.send(a.port, udp(macOf(2), macOf(1), "c0a87f05"));
  bench.owner.detach(b.port, "gone");
  deepStrictEqual(bench.held, ["192.168.127.6 true", "192.168.127.6 false"]);
  strictEqual(b.port.queue.length, 0);
});

test("a frame longer than a guest takes is not sent to it; a VLAN tag may be on top", () => {
  const bench = new Bench();
  const [a, b] = [bench.plug(), bench.plug()];
  bench.send(b.port, udp(GATEWAY, macOf(2), "c0a87f06"));
  const frame = (length: number, type: string) => {
    const head = `${macOf(2)} ${macOf(1)} ${type}`;
    return head + "00".repeat(length - 14);
  };
  bench.send(a.port, frame(1_514, "88b5"));
  bench.send(a.port, frame(1_518, "8100"));
  strictEqual(b.wire.sent.length, 2);
  bench.send(a.port, frame(1_515, "88b5"));
  bench.send(a.port, frame(1_519, "8100"));
  bench.send(a.port, frame(65_000, "88b5"));
  strictEqual(b.wire.sent.length, 2);
  strictEqual(bench.counted("too-long"), 3);
});

test("guests are bounded in number, and a place is free again", () => {
  const bench = new Bench();
  const ports = Array.from({ length: MAX_PORTS }, () => bench.plug().port);
  strictEqual(bench.owner.attach(() => new FakeWire()), undefined);
  strictEqual(bench.counted("port-limit"), 1);
  bench.owner.detach(ports[7]!, "gone");
  strictEqual(bench.plug().port.id, 7);
});

test("MacTable ages what is not used, when it is full", () => {
  const table = new MacTable(8, 8);
  const at = (seconds: number) => (seconds * SECOND) as Instant;
  for (let i = 0; i < 8; i++) strictEqual(table.learn(0x0200, i, 0, at(i * 100)), "new");
  strictEqual(table.learn(0x0200, 99, 1, at(701)), "new", "the oldest have aged");
  strictEqual(table.lookup(0x0200, 0, at(701)), -1);
  strictEqual(table.lookup(0x0200, 7, at(701)), 0);
  table.forget(0);
  strictEqual(table.size, 1);
});

test("FrameQueue counts bytes as well", () => {
  const queue = new FrameQueue();
  const pool = new BufferPool();
  const frame = (): PacketBuffer => {
    const one = pool.take(60_000);
    one.end = one.start + 60_000;
    return one;
  };
  let taken = 0;
  for (; taken < 1_000 && queue.push(frame()); taken++);
  strictEqual(taken, Math.floor(8 * 1_024 * 1_024 / 60_000));
  queue.clear();
  strictEqual(queue.bytes, 0);
});

test("a frame to the port that it came from goes nowhere: its guest has heard it", () => {
  const bench = new Bench();
  const [a, b] = [bench.plug(), bench.plug()];
  bench.send(a.port, udp(GATEWAY, macOf(2), "c0a87f06"));
  bench.send(a.port, udp(macOf(2), macOf(1), "c0a87f05"));
  deepStrictEqual([a.wire.sent.length, b.wire.sent.length], [0, 0]);
  strictEqual(bench.counted("hairpin"), 1);
});

test("what a virtio-net header says is believed only if it is true, whoever the frame is for", () => {
  const bench = new Bench();
  const { port } = bench.plug();
  for (const to of [GATEWAY, macOf(2), BROADCAST]) {
    const frame = tight(hex(udp(to, macOf(1), "c0a87f05")));
    frame.gso = Gso.tcp4;
    frame.gsoSize = 1;
    port.received(frame);
    strictEqual(frame.references, 0);
  }
  strictEqual(bench.counted("malformed"), 3);
  deepStrictEqual(bench.toGateway, []);
  deepStrictEqual([port.counters.rxFrames, port.counters.refused], [0, 3]);
});
