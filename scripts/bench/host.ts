/**
 * What the machine's face costs on this runtime: a system call, a turn of the loop, a frame through a TAP
 * device.
 *
 * `deno run -A scripts/bench/host.ts` and `bun scripts/bench/host.ts`; the last part needs root, as it makes a network
 * namespace with two TAP devices and routes between them.
 *
 * @module
 */

import { O } from "../../lib/host/arch.ts";
import { CLONE, EpollEvents } from "../../lib/host/constants.ts";
import { check } from "../../lib/host/errno.ts";
import { waitStatus } from "../../lib/host/exit_status.ts";
import { addressOf, cString, NativeMemory } from "../../lib/host/memory.ts";
import { Reactor } from "../../lib/host/reactor.ts";
import { spawn } from "../../lib/host/spawn.ts";
import { eventfd, geteuid, getppid, open, read, unshare, write, writev } from "../../lib/host/sys.ts";
import { openTap } from "../../lib/host/tun.ts";
import { runtimeName } from "../../lib/host/runtime.ts";
import { writeIovec } from "../../lib/host/structs.ts";
import { TapLink } from "../../lib/link/tap.ts";
import { Checksum, Gso, type PacketBuffer } from "../../lib/stack/buffer/packet.ts";
import { BufferPool } from "../../lib/stack/buffer/pool.ts";

/** Best of several rounds, as other work on the machine only ever adds. */
function measure(name: string, count: number, body: (count: number) => void): void {
  body(Math.min(count, 20_000));
  let best = Infinity;
  for (let round = 0; round < 7; round++) {
    const began = performance.now();
    body(count);
    best = Math.min(best, (performance.now() - began) * 1e6 / count);
  }
  console.log(`${runtimeName}  ${name.padEnd(52)} ${best.toFixed(0).padStart(7)} ns`);
}

function systemCalls(): void {
  const sink = check(open(cString("/dev/null").address, O.WRONLY, 0), "open /dev/null");
  const zero = check(open(cString("/dev/zero").address, O.RDONLY, 0), "open /dev/zero");
  const memory = new NativeMemory(65_536);
  const { address } = memory;
  measure("getppid()", 300_000, (n) => {
    for (let i = 0; i < n; i++) getppid();
  });
  measure("write() of 64 bytes to /dev/null", 300_000, (n) => {
    for (let i = 0; i < n; i++) write(sink, address + (i & 63) * 64, 64);
  });
  measure("writev() of two pieces to /dev/null", 300_000, (n) => {
    const iovecs = new NativeMemory(32);
    for (let i = 0; i < n; i++) {
      writeIovec(iovecs, 0, 0, address + (i & 63) * 64, 64);
      writeIovec(iovecs, 0, 1, address + 8_192, 1_448);
      writev(sink, iovecs.address, 2);
    }
  });
  measure("read() of 64 KiB from /dev/zero", 50_000, (n) => {
    for (let i = 0; i < n; i++) read(zero, address, 65_536);
  });
  measure("read() that fails with EBADF", 300_000, (n) => {
    for (let i = 0; i < n; i++) read(-1, address, 64);
  });
}

function loop(): void {
  const reactor = new Reactor();
  const one = new NativeMemory(16);
  one.words[0] = 1;
  let left = 0;
  const fd = eventfd(1, O.NONBLOCK | O.CLOEXEC);
  reactor.add(fd, EpollEvents.in, {
    onReady() {
      if (--left === 0) reactor.stop();
    },
  });
  const hooks = { beforeWait: () => Infinity, afterTurn() {} };
  measure("a turn of the loop with one ready descriptor", 200_000, (n) => {
    left = n;
    reactor.run(hooks);
  });
  reactor.close();
}

function tool(...argv: string[]): void {
  if (waitStatus(spawn({ file: argv[0]!, argv })) !== 0) throw new Error(`Cannot run ${argv.join(" ")}`);
}

function tapDevices(): void {
  check(unshare(CLONE.NEWNET), "make a network namespace");
  const pool = new BufferPool(addressOf);
  const [a, b] = ["tap0", "tap1"].map((name) =>
    new TapLink({ fd: openTap(name).fd, mtu: 65_520, pool, gso: true })
  );
  tool("ip", "link", "set", "tap0", "up", "address", "02:00:00:00:00:02", "mtu", "65520");
  tool("ip", "link", "set", "tap1", "up", "mtu", "65520");
  tool("ip", "address", "add", "10.0.0.1/24", "dev", "tap0");
  tool("ip", "address", "add", "10.1.0.1/24", "dev", "tap1");
  tool("ip", "neighbour", "add", "10.1.0.2", "lladdr", "02:00:00:00:00:03", "dev", "tap1");
  tool("sysctl", "-qw", "net.ipv4.ip_forward=1");
  // What the kernel says of itself (IPv6 multicast) comes first.
  for (const link of [a!, b!]) for (let frame; (frame = link.receive()) !== undefined;) frame.release();
  for (const payload of [0, 1_448, 16_384, 65_000]) {
    const data = pool.take(Math.max(payload, 1));
    data.end = data.start + payload;
    measure(
      `TAP to TAP through a router, ${payload} bytes of payload`,
      payload > 10_000 ? 20_000 : 50_000,
      (n) => {
        let came = 0;
        for (let i = 0; i < n; i++) {
          if (carry(a!, b!, frameOf(pool, data))) came++;
        }
        if (came < n * 0.99) throw new Error(`Cannot measure: ${came} of ${n} frames came`);
      },
    );
  }
}

/** One system call on either side; false when the frame did not come. */
function carry(from: TapLink, to: TapLink, frame: PacketBuffer): boolean {
  if (!from.transmit(frame)) throw new Error("Cannot go on: the device is full");
  const received = to.receive();
  received?.release();
  return received !== undefined;
}

/** A TCP segment that carries `data` by reference, to be cut when it is longer than the usual. */
function frameOf(pool: BufferPool, data: PacketBuffer): PacketBuffer {
  const frame = pool.take(54);
  writeHeaders(frame.bytes, frame.start, data.length);
  frame.end = frame.start + 54;
  frame.checksum = Checksum.partial;
  frame.checksumStart = frame.start + 34;
  frame.checksumOffset = 16;
  if (data.length > 1_448) {
    frame.gso = Gso.tcp4;
    frame.gsoSize = 1_448;
  }
  if (data.length > 0) frame.attach(data, data.start, data.end);
  return frame;
}

function writeHeaders(bytes: Uint8Array, at: number, payload: number): void {
  const length = 40 + payload;
  bytes.fill(0, at, at + 54);
  bytes.set([2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1, 8, 0, 0x45, 0, length >>> 8, length & 0xff], at);
  bytes.set([64, 6, 0, 0, 10, 0, 0, 2, 10, 1, 0, 2], at + 22);
  let sum = 0;
  for (let i = at + 14; i < at + 34; i += 2) sum += bytes[i]! << 8 | bytes[i + 1]!;
  sum = ~((sum & 0xffff) + (sum >>> 16));
  bytes[at + 24] = sum >>> 8;
  bytes[at + 25] = sum;
  bytes[at + 34 + 12] = 5 << 4;
}

systemCalls();
loop();
if (geteuid() === 0) tapDevices();
