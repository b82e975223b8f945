/** The uplink against stand-ins of socket_vmnet and vmnet-helper, which die, lie and come back. */

import { test } from "node:test";
import { deepEqual, equal, match, ok, throws } from "node:assert/strict";
import { existsSync, mkdirSync, mkdtempSync, readdirSync, renameSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { MSG, SOCK } from "../../../lib/host/constants.ts";
import { addressOf, NativeMemory } from "../../../lib/host/memory.ts";
import { Reactor } from "../../../lib/host/reactor.ts";
import { close, send } from "../../../lib/host/sys.ts";
import { dialUnix } from "../../../lib/host/unix_socket.ts";
import type { PumpEnd } from "../../../lib/link/pump.ts";
import { NO_WIRE_OFFLOAD } from "../../../lib/link/offload.ts";
import { Checksum, Gso, type PacketBuffer } from "../../../lib/stack/buffer/packet.ts";
import { BufferPool } from "../../../lib/stack/buffer/pool.ts";
import { NO_OFFLOAD } from "../../../lib/stack/link/link.ts";
import type { Nic } from "../../../lib/stack/nic.ts";
import { Stack } from "../../../lib/stack/stack.ts";
import { TcpConnection } from "../../../lib/stack/tcp/connection.ts";
import { earlier, type Instant } from "../../../lib/stack/time.ts";
import {
  type ProviderConfig,
  providerOffload,
  shapedCapabilitiesOf,
} from "../../../lib/uplink/provider/config.ts";
import { Provider } from "../../../lib/uplink/provider/provider.ts";
import { ProviderStandIn } from "../../support/provider_stand_in.ts";
import { randomBytes, seeded } from "../../support/random.ts";
import { Client, EchoServer } from "../../support/tcp_echo.ts";
import { ip, mac } from "../../support/two_stacks.ts";

const WORD = new NativeMemory(8);

type Transport = ProviderConfig["transport"];

class World {
  readonly directory = mkdtempSync(join(tmpdir(), "sluice-test-"));
  readonly path = join(this.directory, "provider.sock");
  readonly reactor = new Reactor();
  readonly pool = new BufferPool(addressOf);
  readonly guest = new Stack({ random: seeded(1), pool: this.pool });
  readonly far = new Stack({ random: seeded(2), pool: this.pool });
  readonly provider: Provider;
  readonly nic: Nic;
  readonly standIn: ProviderStandIn;
  readonly log: string[] = [];
  readonly carrier: boolean[] = [];
  /** What the stand-in says when the far stack has nothing to say. */
  flood: () => PacketBuffer | undefined = () => undefined;
  /** Frames that the stand-in has said beside. */
  words = 0;
  /** What the stand-in gets. */
  onFrame: (frame: PacketBuffer) => void = () => {};

  constructor(transport: Transport, options: Partial<ProviderConfig> = {}) {
    const { reactor, pool } = this;
    const config: ProviderConfig = {
      name: "0",
      socket: this.path,
      transport,
      mac: "02:00:00:00:00:01",
      features: 0,
      vfkit: transport === "unixgram",
      vnetHeader: false,
      trustChecksums: false,
      ...options,
    };
    this.provider = new Provider(config, join(this.directory, "ours"), {
      reactor,
      pool,
      random: seeded(3),
      log: (_level, text) => this.log.push(text),
      onCarrier: (up) => this.carrier.push(up),
    });
    const { capabilities } = this.provider.link;
    this.nic = this.guest.addNic({ name: "eth0", mac: mac("02:00:00:00:00:01"), mtu: 1_500, capabilities });
    this.nic.addAddress(ip("10.0.0.1"), 24);
    const farCapabilities = config.vnetHeader ? capabilities : NO_OFFLOAD;
    const far = this.far.addNic({
      name: "eth0",
      mac: mac("02:00:00:00:00:02"),
      mtu: 1_500,
      capabilities: farCapabilities,
    });
    far.addAddress(ip("10.0.0.2"), 24);
    const end: PumpEnd = {
      ingress: (frame, now) => {
        this.onFrame(frame);
        far.ingress(frame, now);
      },
      egress: (now) => far.egress(now) ?? this.flood(),
    };
    const offload = config.vnetHeader
      ? { vnetHeader: 12, checksums: true, tcp4: true, tcp6: true }
      : NO_WIRE_OFFLOAD;
    this.standIn = new ProviderStandIn(reactor, pool, this.path, transport, end, offload, farCapabilities);
    const listener = this.far.tcpListen({ port: 7, observer: new EchoServer() }, this.now);
    ok(typeof listener !== "string");
  }

  get now(): Instant {
    return this.reactor.now() as Instant;
  }

  /** The provider is there, and dialled. */
  open(): void {
    this.standIn.open();
    this.connect();
  }

  connect(): void {
    this.provider.connect();
    this.provider.pumpTo(this.nic);
  }

  /** Turns the loop until `done`; a test that waits longer than ten seconds has failed. */
  until(done: () => boolean, what: string): void {
    const limit = performance.now() + 10_000;
    while (!done()) {
      if (performance.now() > limit) throw new Error(`never happened: ${what}; ${this.log.join("; ")}`);
      this.reactor.turn({
        beforeWait: () => {
          const at = earlier(earlier(this.guest.pollAt(), this.far.pollAt()), this.provider.pollAt());
          return Math.min(at, this.now + 10_000);
        },
        afterTurn: () => {
          const { now } = this;
          this.provider.poll(now);
          for (let i = 0; i < 4; i++) {
            this.guest.poll(now);
            this.provider.flush(now);
            this.far.poll(now);
            this.standIn.flush(now);
          }
        },
      });
    }
  }

  echo(bytes: Uint8Array): { client: Client; connection: TcpConnection } {
    const client = new Client(bytes);
    const request = { remoteAddress: ip("10.0.0.2"), remotePort: 7, observer: client };
    const connection = this.guest.tcpConnect(request, this.now);
    if (!(connection instanceof TcpConnection)) throw new Error(connection);
    return { client, connection };
  }

  /** Waits until a few bytes have come back. */
  echoes(what: string): void {
    const { client } = this.echo(new Uint8Array(100));
    this.until(() => client.done, what);
  }

  end(): void {
    this.provider.stop();
    this.standIn.die();
    this.reactor.close();
    rmSync(this.directory, { recursive: true });
  }
}

function withWorld(
  body: (world: World) => void,
  transport: Transport,
  options?: Partial<ProviderConfig>,
): void {
  const world = new World(transport, options);
  try {
    body(world);
  } finally {
    world.end();
  }
}

function collected(client: Client): Uint8Array {
  const all = new Uint8Array(client.count);
  let at = 0;
  for (const part of client.received) {
    all.set(part, at);
    at += part.length;
  }
  return all;
}

const TRANSPORTS: Transport[] = ["unixstream", "unixgram"];
for (const transport of TRANSPORTS) {
  test(`${transport}: bytes arrive as they were sent`, () =>
    withWorld((world) => {
      world.open();
      const bytes = randomBytes(seeded(1), 1_000_000);
      const { client } = world.echo(bytes);
      world.until(() => client.done, "the echo");
      deepEqual(collected(client), bytes);
      equal(world.standIn.clients, 1);
    }, transport));

  test(`${transport}: a connection survives a provider that dies and comes back`, () =>
    withWorld((world) => {
      world.open();
      const bytes = randomBytes(seeded(1), 3_000_000);
      const { client, connection } = world.echo(bytes);
      world.until(() => client.count > 300_000, "the first bytes");
      world.standIn.die();
      world.until(() => world.carrier.length === 1, "the loss of the carrier");
      deepEqual(world.carrier, [false]);
      // Long enough for a few attempts that find nobody.
      world.until(() => (world.provider.counters()["redials"] ?? 0) >= 2, "attempts to dial");
      // Whether all is sent by now is a matter of timing; that the answer is not here, is not.
      ok(!client.done && client.count < bytes.length, `${client.count} bytes`);
      ok(["established", "fin-wait-1", "fin-wait-2"].includes(connection.state), connection.state);
      world.standIn.open();
      world.until(() => client.done, "the rest of the echo");
      deepEqual(collected(client), bytes);
      deepEqual(world.carrier, [false, true]);
      match(
        world.log.find((line) => line.includes("back")) ?? "",
        /^network 0: the provider is back after [0-9.]+ s$/,
      );
    }, transport));

  test(`${transport}: nobody there is an error that says what to do`, () =>
    withWorld((world) => {
      throws(
        () => world.connect(),
        {
          message:
            `Cannot join network 0 by ${transport} socket ${world.path}: no such file or directory (ENOENT): ` +
            "nobody listens there (start the provider first)",
        },
      );
    }, transport));

  test(`${transport}: a socket of the other kind is an error that says so`, () =>
    withWorld((world) => {
      const other = transport === "unixstream" ? "unixgram" : "unixstream";
      const standIn = new ProviderStandIn(world.reactor, world.pool, world.path, other, world.nic);
      standIn.open();
      throws(
        () => world.connect(),
        new RegExp(`the socket is not of mode ${transport} \\(it may be of mode ${other}\\)`),
      );
      standIn.die();
    }, transport));

  test(`${transport}: what is no socket is an error that says so`, () =>
    withWorld((world) => {
      mkdirSync(world.path);
      throws(() => world.connect(), /: it is no socket \(socket= is to name the provider's\)$/);
      rmSync(world.path, { recursive: true });
    }, transport));

  test(`${transport}: a provider that looks at nobody is an error that says so`, () =>
    withWorld((world) => {
      world.standIn.open();
      const busy: number[] = [];
      const type = transport === "unixstream" ? SOCK.STREAM : SOCK.DGRAM;
      // Until the backlog, or the queue, is full.
      for (let full = false; !full;) {
        const fd = dialUnix(type, world.path);
        full = fd < 0;
        if (full) break;
        busy.push(fd);
        if (type === SOCK.DGRAM) { while (!full) full = send(fd, WORD.address, 4, MSG.DONTWAIT) < 0; }
      }
      throws(
        () => world.connect(),
        /: its queue is full: the provider does not look at it \(it may be stuck/,
      );
      for (const fd of busy) close(fd);
    }, transport));

  test(`${transport}: our own socket is gone at the end`, () =>
    withWorld((world) => {
      world.open();
      equal(existsSync(join(world.directory, "ours")), transport === "unixgram");
      world.provider.stop();
      deepEqual(readdirSync(world.directory), ["provider.sock"]);
    }, transport));
}

test("unixgram: VFKT is said first when asked for", () =>
  withWorld(
    (world) => {
      world.open();
      world.echoes("the echo");
      deepEqual(world.standIn.greetings, ["VFKT"]);
    },
    "unixgram",
    { vfkit: true },
  ));

test("unixgram: a provider that vanishes is noticed though nobody speaks", () =>
  withWorld((world) => {
    world.open();
    world.echoes("the echo");
    world.standIn.die(true);
    world.until(() => world.carrier.includes(false), "the loss of the carrier");
    match(world.log[0]!, /the provider is gone: connection refused/);
  }, "unixgram"));

test("unixgram: another provider in the same place is noticed", () =>
  withWorld((world) => {
    world.open();
    world.echoes("the echo");
    world.standIn.die(true);
    // The old file stays, lest the new one gets its inode number in the same tick of the clock.
    renameSync(world.path, `${world.path}.old`);
    world.standIn.open();
    world.until(() => world.carrier.includes(true), "the carrier");
    world.echoes("the second echo");
  }, "unixgram"));

test("unixstream: nonsense ends the wire, which is then dialled anew", () =>
  withWorld((world) => {
    world.open();
    world.until(() => world.standIn.clients === 1, "the client");
    world.standIn.say(Uint8Array.of(0xff, 0xff, 0xff, 0xff, 1, 2, 3));
    world.until(() => world.standIn.clients === 2, "the client again");
    equal(world.provider.counters()["rx-bad-length"], 1);
    match(world.log[0]!, /announced a frame of 4294967295 bytes/);
    world.echoes("the echo");
  }, "unixstream"));

test("unixstream: half a frame that never ends does not stop what we send", () =>
  withWorld((world) => {
    world.open();
    world.until(() => world.standIn.clients === 1, "the client");
    world.standIn.say(Uint8Array.of(0, 0, 4, 0, 1, 2, 3));
    const sent = world.nic.tx.packets;
    world.echo(new Uint8Array(100));
    world.until(() => world.nic.tx.packets > sent, "frames");
    deepEqual(world.carrier, []);
  }, "unixstream"));

for (const word of [false, true]) {
  const says = word ? "says a word" : "only accepts";
  test(`a provider that ${says} and hangs up is dialled less and less often`, () =>
    withWorld((world) => {
      world.open();
      const began = performance.now();
      let served = 0;
      world.until(() => {
        const { standIn, nic } = world;
        if (standIn.clients > served && (!word || said(world, nic.rx.packets))) {
          served = standIn.clients;
          standIn.hangUp();
        }
        return performance.now() - began > 2_000;
      }, "two seconds");
      const { clients } = world.standIn;
      ok(clients >= 2 && clients <= 8, `${clients} clients in 2 s`);
    }, "unixstream"));
}

/** Has the stand-in say one frame to its client; true once that has arrived. */
function said(world: World, arrived: number): boolean {
  if (arrived >= world.standIn.clients) return true;
  if (world.words < world.standIn.clients) {
    world.words++;
    world.standIn.say(Uint8Array.of(0, 0, 0, 60, ...new Uint8Array(60).fill(255)));
  }
  return false;
}

for (const transport of TRANSPORTS) {
  test(`${transport}: a provider that reads nothing stops what we send, and nothing grows`, () =>
    withWorld((world) => {
      world.open();
      world.echoes("the first echo");
      world.standIn.stall();
      const before = world.nic.tx.packets;
      const bytes = randomBytes(seeded(1), 300_000);
      const { client } = world.echo(bytes);
      const began = performance.now();
      world.until(() => performance.now() - began > 1_500, "a second and a half");
      ok(world.nic.tx.packets - before < 200, `${world.nic.tx.packets - before} packets into a full wire`);
      deepEqual(world.carrier, []);
      world.standIn.resume();
      world.until(() => client.done, "the echo, late");
      deepEqual(collected(client), bytes);
    }, transport));
}

test("unixstream: a flood of frames for nobody leaves room for what we want", () =>
  withWorld((world) => {
    world.open();
    world.until(() => world.standIn.clients === 1, "the client");
    const bytes = randomBytes(seeded(1), 100_000);
    const { client } = world.echo(bytes);
    const header = [2, 0, 0, 0, 0, 9, 2, 0, 0, 0, 0, 2, 8, 0];
    let flooded = 0, left = 0;
    world.flood = () => {
      if (left-- <= 0) return undefined;
      flooded++;
      const frame = world.pool.take(60);
      frame.bytes.set(header, frame.start);
      frame.end = frame.start + 60;
      return frame;
    };
    world.until(() => {
      left = 1_000;
      return client.done;
    }, "the echo");
    deepEqual(collected(client), bytes);
    ok(flooded > 500, `${flooded} frames`);
    deepEqual(world.carrier, []);
  }, "unixstream"));

test("garbage in frames harms nobody", () =>
  withWorld((world) => {
    world.open();
    world.until(() => world.standIn.clients === 1, "the client");
    const random = seeded(9);
    for (let i = 0; i < 500; i++) {
      const frame = randomBytes(random, 14 + random() % 1_500);
      const framed = new Uint8Array(4 + frame.length);
      new DataView(framed.buffer).setUint32(0, frame.length);
      framed.set(frame, 4);
      world.standIn.say(framed);
      if (i % 16 === 0) world.until(() => true, "");
    }
    const { client } = world.echo(new Uint8Array(10_000));
    world.until(() => client.done, "the echo");
    deepEqual(world.carrier, []);
  }, "unixstream"));

for (const trustChecksums of [false, true]) {
  test(`checksums of the provider's frames are ${trustChecksums ? "its affair if it is trusted" : "verified"}`, () =>
    withWorld(
      (world) => {
        world.open();
        world.until(() => world.standIn.clients === 1, "the client");
        const before = world.nic.rx.packets;
        // Protocol 17, 10.0.0.2 to 10.0.0.1, port 9 to 9, four bytes, a checksum that is wrong.
        const hex = "020000000001020000000002" + "0800" + "45000020000000004011" + "66cb" +
          "0a0000020a000001" +
          "00090009000cbad0" + "01020304";
        const frame = Uint8Array.from(hex.match(/../g)!, (byte) => parseInt(byte, 16));
        world.standIn.say(Uint8Array.of(0, 0, 0, frame.length, ...frame));
        world.until(() => world.nic.rx.packets > before, "the frame");
        equal(world.guest.counters.get("udp.bad-checksum"), trustChecksums ? 0 : 1);
      },
      "unixstream",
      { trustChecksums },
    ));
}

const CSUM = 1, TSO4 = 1 << 11, TSO6 = 1 << 12;
const GUEST_CSUM = 1 << 1, GUEST_TSO4 = 1 << 7, GUEST_TSO6 = 1 << 8;
for (const transport of TRANSPORTS) {
  for (const [features, vnetHeader] of [[0, false], [CSUM, true], [CSUM | TSO4 | TSO6, true]] as const) {
    test(`${transport}: features ${features.toString(16)}: no frame asks more of the provider than it has said`, () =>
      withWorld(
        (world) => {
          const got = { partial: 0, cut: 0, longest: 0 };
          world.onFrame = (frame) => {
            if (frame.checksum === Checksum.partial) got.partial++;
            if (frame.gso !== Gso.none) got.cut++;
            got.longest = Math.max(got.longest, frame.totalLength);
          };
          world.open();
          const bytes = randomBytes(seeded(1), 500_000);
          const { client } = world.echo(bytes);
          world.until(() => client.done, "the echo");
          deepEqual(collected(client), bytes);
          equal(got.partial > 0, vnetHeader, `${got.partial} partial checksums`);
          const cuts = (features & TSO4) !== 0;
          equal(got.cut > 0, cuts, `${got.cut} packets to cut`);
          ok(cuts ? got.longest > 10_000 : got.longest === 1_514, `${got.longest} bytes`);
          deepEqual(world.carrier, []);
        },
        transport,
        { features, vnetHeader },
      ));
  }
}

const FEATURES: [
  features: number,
  vnetHeader: boolean,
  wire: [checksums: boolean, tcp4: boolean, tcp6: boolean],
  shaped: [txChecksum: boolean, gsoMaxSize: number],
][] = [
  [0, false, [false, false, false], [false, 0]],
  [CSUM, false, [false, false, false], [false, 0]],
  [TSO4 | TSO6, true, [false, false, false], [false, 0]],
  [CSUM | TSO4, true, [true, true, false], [true, 0]],
  [CSUM | TSO6, false, [false, false, true], [false, 0]],
  [CSUM | TSO4 | TSO6, false, [false, true, true], [false, 65_509]],
  [CSUM | TSO4 | TSO6, true, [true, true, true], [true, 65_509]],
  // What it sends to us is its own affair.
  [GUEST_CSUM | GUEST_TSO4 | GUEST_TSO6, true, [false, false, false], [false, 0]],
];
for (const [features, vnetHeader, wire, shaped] of FEATURES) {
  test(`features ${features.toString(16)}${vnetHeader ? " with headers" : ""} are taken at their word`, () => {
    const config = {
      name: "0",
      socket: "/",
      transport: "unixgram",
      mac: "02:00:00:00:00:01",
      features,
      vfkit: false,
      vnetHeader,
      trustChecksums: false,
    } as const;
    const { checksums, tcp4, tcp6 } = providerOffload(config);
    deepEqual([checksums, tcp4, tcp6], wire);
    const { txChecksum, gsoMaxSize } = shapedCapabilitiesOf(config);
    deepEqual([txChecksum, gsoMaxSize], shaped);
  });
}
