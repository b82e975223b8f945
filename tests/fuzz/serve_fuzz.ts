/**
 * Guests that are out to get each other: whatever they send, the switch delivers nothing that is too long or comes from
 * somebody else, lets go of every frame once, and the server of DHCP gives no address to two.
 *
 * @module
 */

import { deepEqual, equal, ok } from "node:assert/strict";
import type { FrameQueue } from "../../lib/attach/vm/frame_queue.ts";
import type { Port } from "../../lib/attach/vm/port.ts";
import { Switch } from "../../lib/attach/vm/switch.ts";
import type { Reactor } from "../../lib/host/reactor.ts";
import { readVnetHeader } from "../../lib/link/vnet_header.ts";
import { Gso, PacketBuffer } from "../../lib/stack/buffer/packet.ts";
import { BufferPool } from "../../lib/stack/buffer/pool.ts";
import { Counters } from "../../lib/stack/counters.ts";
import { DhcpServer } from "../../lib/stack/dhcp/server.ts";
import { Segmenter } from "../../lib/stack/link/segment.ts";
import type { Instant } from "../../lib/stack/time.ts";
import { completeChecksum } from "../../lib/stack/wire/checksum.ts";
import { IpAddress } from "../../lib/stack/wire/address.ts";
import { type Dhcpv4Type, emitDhcpv4, parseDhcpv4 } from "../../lib/stack/wire/dhcpv4.ts";
import { MacAddress } from "../../lib/stack/wire/mac_address.ts";
import { roomy, tight } from "../support/bytes.ts";
import { between, pick } from "../support/random.ts";
import { superPacket } from "../support/tcp_frame.ts";
import { strangeMessage } from "./dhcpv4_fuzz.ts";
import { damagedFrame } from "./mutate.ts";
import type { FuzzTarget } from "./target.ts";

const GATEWAY = MacAddress.parse("5a:94:ef:e4:0c:dd")!;
const MTU = 1_500, ETHERNET = 14, VLAN = 4, VNET = 12;
const NET = 0xc0a87f00 | 0;

/** A few addresses that guests fight for, the gateway's and everybody's among them. */
function writeMac(frame: Uint8Array, at: number, random: () => number): void {
  const mac = pick(random, [
    [0x02, 0, 0, 0, 0, 1],
    [0x02, 0, 0, 0, 0, 2],
    [0x02, 0, 0, 0, 0, 3],
    [0x5a, 0x94, 0xef, 0xe4, 0x0c, 0xdd],
    [0xff, 0xff, 0xff, 0xff, 0xff, 0xff],
    [0x33, 0x33, 0, 0, 0, 1],
    [0x01, 0x80, 0xc2, 0, 0, 0],
    [0, 0, 0, 0, 0, 0],
  ]);
  if (random() % 8 !== 0 && frame.length >= at + 6) frame.set(mac, at);
}

function strangeFrame(random: () => number): Uint8Array<ArrayBuffer> {
  const frame = random() % 16 === 0 ? new Uint8Array(between(random, 0, 9_000)) : damagedFrame(random);
  writeMac(frame, 0, random);
  writeMac(frame, 6, random);
  return frame;
}

/** TCP of up to 64 KiB in one frame, not always as it should be. */
function longFrame(random: () => number): Uint8Array<ArrayBuffer> {
  const payload = new Uint8Array(between(random, 1, 65_000));
  const frame = Uint8Array.from(
    superPacket({ family: pick(random, [4, 6] as const), payload }, 1_448).toBytes(),
  );
  for (let n = random() % 3; n > 0; n--) frame[between(random, 12, 80)] = random();
  writeMac(frame, 0, random);
  writeMac(frame, 6, random);
  return frame;
}

/** The same behind a virtio-net header that may be true. */
function headed(frame: Uint8Array<ArrayBuffer>, random: () => number): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(VNET + frame.length);
  const view = new DataView(bytes.buffer);
  bytes.set([random() % 3, pick(random, [0, 1, 4, random() % 256])]);
  view.setUint16(4, pick(random, [1, 1_448, random() % 0x10000]), true);
  view.setUint16(6, pick(random, [34, 54, random() % 0x10000]), true);
  view.setUint16(8, pick(random, [16, 6, random() % 64]), true);
  bytes.set(frame, VNET);
  return bytes;
}

function switches(random: () => number): void {
  let now = 1_000_000, given = 0, returned = 0;
  const home = { recycle: () => void returned++ };
  const frameOf = (bytes: Uint8Array<ArrayBuffer>) => {
    given++;
    return new PacketBuffer(bytes, 0, bytes.length, home);
  };
  const segmenter = new Segmenter(new BufferPool());
  const owner = new Switch({
    reactor: { now: () => now, defer: () => {} } as unknown as Reactor,
    pool: new BufferPool(),
    mtu: MTU,
    owners: {
      isOurs: (address) => address.family === 4 && address.d === (NET | 1),
      isAnothers: (address, _high, low) => address.d === (NET | 5) && low !== 1,
      isTheirs: (address, _high, low) => address.d === (NET | 5) && low === 1,
    },
    log: () => {},
    hold: () => {},
  });
  /** The port that each source was delivered from, for as long as both are there. */
  let sender: Port | undefined;
  const owners = new Map<string, Port | undefined>();
  const seen = (frame: PacketBuffer) => {
    if (sender === undefined) return;
    const source = frame.toBytes().subarray(6, 12);
    ok((source[0]! & 1) === 0, "no group sends");
    equal(source.join() === [0x5a, 0x94, 0xef, 0xe4, 0x0c, 0xdd].join(), false, "nobody is the gateway");
    const before = owners.get(source.join());
    ok(before === undefined || !before.open || before === sender, "an address has one port");
    owners.set(source.join(), sender);
  };
  owner.join({
    mac: GATEWAY,
    ingress: (frame) => {
      seen(frame);
      frame.release();
    },
  });
  const plug = () => {
    let isFull = false;
    return owner.attach((port) => ({
      send(queue: FrameQueue): boolean {
        if (random() % 8 === 0) isFull = !isFull;
        while (queue.length > 0 && !isFull) {
          const frame = queue.at(0);
          if (frame.gso !== Gso.none) {
            // As a wire does whose guest takes no long ones.
            segmenter.begin(frame.retain());
            for (let part = segmenter.next(); part !== undefined; part = segmenter.next()) {
              ok(part.totalLength <= MTU + ETHERNET, "never longer than the guest takes");
              completeChecksum(part);
              part.release();
            }
          } else {
            completeChecksum(frame);
            ok(frame.totalLength <= MTU + ETHERNET + VLAN, "never longer than the guest takes");
          }
          ok(port.open);
          queue.drop();
        }
        return !isFull;
      },
      close: () => {},
    }))!;
  };
  const ports = [plug(), plug(), plug()];
  for (let i = 0; i < 60; i++) {
    now += between(random, 0, 2_000_000);
    const at = random() % ports.length;
    const what = random() % 16;
    if (what === 0) {
      owner.detach(ports[at]!, "gone");
      ports[at] = plug();
    } else if (what === 1) {
      ports[at]!.writable();
    } else if (what < 5) {
      const bytes = strangeFrame(random);
      if (bytes.length < ETHERNET) continue;
      sender = undefined;
      owner.fromGateway(frameOf(bytes), now as Instant);
    } else {
      sender = ports[at]!;
      const bytes = random() % 6 === 0 ? longFrame(random) : strangeFrame(random);
      if (random() % 4 === 0) {
        const frame = frameOf(headed(bytes, random));
        frame.start = VNET;
        if (readVnetHeader(frame, 0)) sender.received(frame);
        else frame.release();
      } else sender.received(frameOf(bytes));
      sender = undefined;
    }
    if (random() % 4 === 0) owner.flush();
  }
  owner.flush();
  owner.close();
  equal(returned, given, "every frame went home once");
  deepEqual(owner.ports(), []);
}

function leases(random: () => number): void {
  let now = 1_000_000 as Instant;
  const [first, last] = [NET + 1, NET + 14];
  const server = new DhcpServer({
    server: IpAddress.v4(NET + 1),
    router: IpAddress.v4(NET + 1),
    dns: [IpAddress.v4(NET + 1)],
    prefixLength: 28,
    mtu: MTU,
    leaseTime: 60,
    searchDomains: [],
    counters: new Counters(),
    first,
    last,
    reserved: [NET + 1],
    fixed: [{ mac: new MacAddress(0x0200, 3), address: NET + 3 }],
  });
  /** Who was told that an address is his, and until when. */
  const granted = new Map<number, { readonly client: string; readonly until: number }>();
  for (let i = 0; i < 60; i++) {
    now = now + between(random, 0, 5_000_000) as Instant;
    const parsed = parseDhcpv4(tight(strangeMessage(random)));
    if (parsed === undefined || typeof parsed === "string") continue;
    const mac = new MacAddress(0x0200, 1 + random() % 20);
    const address = () => IpAddress.v4(NET + random() % 17);
    const message = {
      ...parsed,
      reply: random() % 32 === 0,
      relay: random() % 32 === 0 ? parsed.relay : IpAddress.v4(0),
      clientAddress: pick(random, [parsed.clientAddress, IpAddress.v4(0), address()]),
      hardware: pick(random, [parsed.hardware, mac, mac, mac]),
      options: {
        ...parsed.options,
        type: pick<Dhcpv4Type>(random, ["discover", "request", "request", "decline", "release", "inform"]),
        ...(random() % 2 === 0 ? { requestedAddress: address() } : {}),
        ...(random() % 2 === 0 ? { serverId: IpAddress.v4(NET + 1) } : {}),
      },
    };
    const reply = server.handle(message, now);
    const held = [...server.pool.leases(now)];
    equal(new Set(held.map(({ address }) => address)).size, held.length, "an address has one holder");
    for (const { address, mac: holder } of held) {
      ok(address > NET + 1 && address <= last, "only what is to be given");
      if (address === NET + 3) equal(String(holder), "02:00:00:00:00:03");
    }
    const { type, clientId } = message.options;
    // The fixed address is the guest's, whatever else it calls itself.
    const isFixed = String(message.hardware) === "02:00:00:00:00:03";
    const client = `${message.hardware} ${isFixed ? "" : clientId?.subarray(0, 64) ?? ""}`;
    if (type === "release" || type === "decline") {
      const { d } = type === "release"
        ? message.clientAddress
        : message.options.requestedAddress ?? IpAddress.v4(0);
      if (granted.get(d)?.client === client) granted.delete(d);
    }
    if (reply === undefined) continue;
    if (reply.message.options.type === "ack" && type !== "inform") {
      const { d } = reply.message.yourAddress!;
      // Who gets another address has given the old one up.
      for (const [address, grant] of granted) {
        if (grant.client === client && address !== d) granted.delete(address);
      }
      const before = granted.get(d);
      ok(
        before === undefined || before.until <= now || before.client === client,
        "nobody is told another's address",
      );
      granted.set(d, { client, until: now + 60_000_000 });
    }
    const { yourAddress } = reply.message;
    ok(
      yourAddress === undefined || yourAddress.isUnspecified() ||
        yourAddress.d > first && yourAddress.d <= last,
    );
    equal(emitDhcpv4(roomy("", 128, 16_384), reply.message, 1_472), 0, "a reply can be sent");
  }
}

/** For `scripts/fuzz.ts`. */
export const targets: readonly FuzzTarget[] = [
  { name: "serve/switch", round: switches },
  { name: "serve/leases", round: leases },
];
