/** Packet sockets between the stack and the kernel: what is shown, what is sent, and that nothing is shown to nobody. */

import { test } from "node:test";
import { deepStrictEqual, ok, strictEqual } from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { PacketSockets } from "../../../../lib/attach/sockets/packet/packet_sockets.ts";
import { O } from "../../../../lib/host/arch.ts";
import { SOCK } from "../../../../lib/host/constants.ts";
import { check } from "../../../../lib/host/errno.ts";
import { addressOf, cString, NativeMemory } from "../../../../lib/host/memory.ts";
import { EpollEvents, type Reactor } from "../../../../lib/host/reactor.ts";
import { socketPair } from "../../../../lib/host/socket_pair.ts";
import { close, open, read, write } from "../../../../lib/host/sys.ts";
import { VNET_HEADER } from "../../../../lib/host/tun.ts";
import { HEADROOM, type PacketBuffer } from "../../../../lib/stack/buffer/packet.ts";
import { BufferPool } from "../../../../lib/stack/buffer/pool.ts";
import type { Nic } from "../../../../lib/stack/nic.ts";
import { createQdisc } from "../../../../lib/stack/qdisc/qdisc.ts";
import { Stack } from "../../../../lib/stack/stack.ts";
import { type Instant, MILLISECOND, NEVER, SECOND } from "../../../../lib/stack/time.ts";
import { seeded } from "../../../support/random.ts";
import { ip, mac } from "../../../support/two_stacks.ts";

const HEAD = "sk       RefCnt Type Proto  Iface R Rmem   User   Inode\n";
const LINE = "0000 2 3 0003 2 1 0 0 7\n";
/** The senders of eth0 and of lo are in the list, too. */
const NOBODY = HEAD + LINE.repeat(2), SOMEBODY = NOBODY + LINE;
const MTU = 1_500;

/** A stack with eth0, whose shadow is two pairs of sockets: what the kernel would read and write is at their far ends. */
class World {
  readonly pool = new BufferPool(addressOf);
  readonly stack = new Stack({ random: seeded(1), pool: this.pool });
  readonly nic: Nic;
  readonly sockets: PacketSockets;
  readonly #directory = mkdtempSync(join(tmpdir(), "sluice-test-"));
  readonly #far: readonly number[];
  readonly #memory = new NativeMemory(70_000);
  #ready: ((events: number) => void) | undefined;
  now = 1_000_000 as Instant;

  constructor() {
    this.nic = this.stack.addNic({
      name: "eth0",
      mac: mac("02:00:00:00:00:01"),
      mtu: MTU,
      capabilities: { txChecksum: false, rxChecksum: false, gsoMaxSize: 0 },
    });
    this.nic.addAddress(ip("10.0.0.1"), 24);
    const reactor = {
      now: () => this.now,
      add: (_fd: number, _events: number, handler: { onReady(events: number): void }) => {
        this.#ready = (events) => handler.onReady(events);
      },
      modify: () => {},
      remove: () => {},
      defer: () => {},
    } as unknown as Reactor;
    const pairs = [0, 1, 2].map(() => socketPair(SOCK.DGRAM | SOCK.NONBLOCK));
    this.#far = pairs.map(([, far]) => far);
    const [tap, sender, loopback] = pairs.map(([near]) => near) as [number, number, number];
    this.list(NOBODY);
    const list = check(open(cString(this.#path).address, O.RDONLY | O.CLOEXEC, 0), "open the list");
    this.sockets = new PacketSockets({
      stack: this.stack,
      reactor,
      pool: this.pool,
      handed: [
        { handed: "tap", index: this.nic.index, fd: tap },
        { handed: "sender", index: 1, fd: loopback },
        { handed: "sender", index: this.nic.index, fd: sender },
        { handed: "packets", index: 0, fd: list },
      ],
    });
  }

  get #path(): string {
    return join(this.#directory, "packet");
  }

  /** What `/proc/net/packet` says from now on. */
  list(text: string): void {
    writeFileSync(this.#path, text);
  }

  /** A frame of `length` bytes to us, of an unknown type. */
  frame(length = 60): PacketBuffer {
    const frame = this.pool.take(length);
    frame.end = HEADROOM + length;
    frame.bytes.fill(0xab, HEADROOM, frame.end);
    frame.bytes.set([2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 0x88, 0xb5], HEADROOM);
    return frame;
  }

  /** A packet socket of the guest sends a frame. */
  sends(length = 60): void {
    const frame = this.frame(length);
    this.#memory.bytes.fill(0, 0, VNET_HEADER);
    frame.copyTo(this.#memory.bytes, VNET_HEADER);
    frame.release();
    strictEqual(write(this.#far[0]!, this.#memory.address, VNET_HEADER + length), VNET_HEADER + length);
    this.#ready!(EpollEvents.in);
  }

  /** Lengths of the frames that the kernel was shown: coming in, going out, on the loopback. */
  shown(): number[][] {
    return this.#far.map((far) => {
      const lengths: number[] = [];
      for (;;) {
        const length = read(far, this.#memory.address, 70_000);
        if (length < 0) return lengths;
        lengths.push(length - VNET_HEADER);
      }
    });
  }

  /** Frames that leave eth0. */
  left(): number[] {
    const lengths: number[] = [];
    for (let frame = this.nic.egress(this.now); frame !== undefined; frame = this.nic.egress(this.now)) {
      lengths.push(frame.totalLength);
      frame.release();
    }
    return lengths;
  }

  close(): void {
    this.sockets.close();
    for (const far of this.#far) close(far);
    rmSync(this.#directory, { recursive: true });
  }
}

function withWorld(body: (world: World) => void): void {
  const world = new World();
  try {
    body(world);
  } finally {
    world.close();
  }
}

test("frames are shown from the first socket on, each on its side", () => {
  withWorld((world) => {
    const { nic, stack, sockets } = world;
    nic.ingress(world.frame(), world.now);
    deepStrictEqual(world.shown(), [[], [], []]);
    ok(!sockets.everOpened);
    sockets.opens(world.now);
    ok(sockets.everOpened);
    nic.ingress(world.frame(61), world.now);
    nic.transmitFrame(world.pool.take(0), mac("02:00:00:00:00:02"), 0x88b5, world.now);
    deepStrictEqual(world.left(), [14]);
    deepStrictEqual(world.shown(), [[61], [14], []]);
    strictEqual(stack.counters.get("sockets.packet.opened"), 1);
  });
});

test("the loopback is shown once: its kernel turns frames around itself", () => {
  withWorld((world) => {
    const { stack, sockets, now } = world;
    sockets.opens(now);
    const observer = { onTcpEvent() {} };
    stack.tcpConnect({ remoteAddress: ip("127.0.0.1"), remotePort: 9, observer }, now);
    for (let round = 0; round < 8; round++) stack.poll(now);
    const [, , loopback] = world.shown();
    // SYN and RST.
    strictEqual(loopback!.length, 2);
  });
});

test("nothing is shown any more once the list says that nobody is left", () => {
  withWorld((world) => {
    const { nic, sockets } = world;
    strictEqual(sockets.pollAt(), NEVER);
    sockets.opens(world.now);
    world.list(SOMEBODY);
    world.now = sockets.pollAt();
    sockets.poll(world.now);
    nic.ingress(world.frame(), world.now);
    deepStrictEqual(world.shown()[0], [60]);
    world.list(NOBODY);
    strictEqual(sockets.pollAt(), world.now + SECOND);
    world.now = sockets.pollAt();
    sockets.poll(world.now);
    strictEqual(sockets.pollAt(), NEVER);
    nic.ingress(world.frame(), world.now);
    deepStrictEqual(world.shown()[0], []);
    strictEqual(world.stack.counters.get("ethernet.coalesced"), 0);
  });
});

test("what a packet socket sends leaves by the interface, counted, and is not shown once more", () => {
  withWorld((world) => {
    const { nic, sockets } = world;
    sockets.opens(world.now);
    world.sends(60);
    deepStrictEqual([nic.tx.packets, world.left(), nic.tx.packets], [0, [60], 1]);
    deepStrictEqual(world.shown(), [[], [], []]);
  });
});

test("what a packet socket sends is shaped like everything else", () => {
  withWorld((world) => {
    world.nic.setQdisc(createQdisc({ kind: "tbf", rate: 1_000_000, burst: 2_000, mtu: MTU, gsoMaxSize: 0 }));
    world.sockets.opens(world.now);
    for (let i = 0; i < 3; i++) world.sends(1_000);
    deepStrictEqual(world.left(), [1_000, 1_000]);
    world.now = (world.now + MILLISECOND) as Instant;
    deepStrictEqual(world.left(), [1_000]);
    deepStrictEqual(world.shown(), [[], [], []]);
  });
});

test("frames whose queue was thrown away are not remembered for ever, and that is counted", () => {
  withWorld((world) => {
    world.sockets.opens(world.now);
    const forgotten = () => world.stack.counters.get("sockets.limit.packet-frames");
    for (let round = 0; round < 300 && forgotten() === 0; round++) {
      world.nic.setQdisc(createQdisc({ kind: "tbf", rate: 1_000, burst: 2_000, mtu: MTU, gsoMaxSize: 0 }));
      world.sends(1_500);
      world.left();
      world.sends(1_500);
      // The first had its tokens; the second waits, and is thrown away with the queue. Its buffer is somebody else's then.
      deepStrictEqual(world.left(), []);
      world.nic.qdisc.reset();
      world.pool.take(1_500);
    }
    strictEqual(forgotten(), 1);
  });
});

test("a full interface leaves frames in the kernel, in their order", () => {
  withWorld((world) => {
    const { sockets } = world;
    sockets.opens(world.now);
    const lengths = Array.from({ length: 100 }, (_, i) => 60 + i);
    for (const length of lengths) world.sends(length);
    ok(sockets.pollAt() > world.now);
    const left = world.left();
    ok(left.length < 100);
    // No event tells that there is room again.
    ok(sockets.pollAt() <= world.now);
    sockets.poll(world.now);
    deepStrictEqual([...left, ...world.left()], lengths);
  });
});

test("a frame longer than the interface takes is dropped and counted", () => {
  withWorld((world) => {
    world.sockets.opens(world.now);
    world.sends(MTU + 19);
    world.sends(MTU + 18);
    deepStrictEqual(world.left(), [MTU + 18]);
    strictEqual(world.stack.counters.get("sockets.packet.too-long"), 1);
  });
});

test("copies that the kernel does not take are counted, and the frame goes its way", () => {
  withWorld((world) => {
    const { nic, sockets, stack } = world;
    sockets.opens(world.now);
    for (let i = 0; i < 1_000; i++) nic.ingress(world.frame(), world.now);
    const lost = stack.counters.get("sockets.packet.copies-lost");
    ok(lost > 0 && lost < 1_000, `${lost} lost`);
    strictEqual(world.shown()[0]!.length, 1_000 - lost);
    strictEqual(nic.rx.packets, 1_000);
  });
});

test("without the list there are no packet sockets", () => {
  const stack = new Stack({ random: seeded(1) });
  const reactor = {} as Reactor;
  ok(!new PacketSockets({ stack, reactor, pool: stack.pool, handed: [] }).available);
});
