/**
 * `sluice serve` against passt, as a virtual machine sees them, and how fair `serve` is:
 *
 * ```sh
 * bun scripts/bench/serve.ts [--runs 5] [--megabytes 256] [--warm 32] [--mtu 1500] [--guests 64]
 * ```
 *
 * The guest is a stack of ours, in this process, on the provider's unix socket; on the host's loopback there is a server
 * in python that sends, or swallows. The same guest and the same server for both providers, which take turns. Besides
 * Gbit/s, the provider's own seconds of CPU per gigabyte: the guest costs as much as the provider, and the clock sees both.
 *
 * `--warm` megabytes pass before anything is measured. Ours compiles while it runs: with 32 the compiler's time is in the
 * numbers, as for a short-lived guest; after 2500 there is next to none left.
 *
 * Needs root, `dist/sluice`, passt and python3. All traffic stays on the loopback and on unix sockets.
 *
 * @module
 */

import { type ChildProcess, spawn } from "node:child_process";
import { existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { SOCK } from "../../lib/host/constants.ts";
import { addressOf } from "../../lib/host/memory.ts";
import { Reactor } from "../../lib/host/reactor.ts";
import { dialUnix, setSocketBuffers } from "../../lib/host/unix_socket.ts";
import { close } from "../../lib/host/sys.ts";
import { Pump } from "../../lib/link/pump.ts";
import { UnixStreamLink } from "../../lib/link/unix_stream.ts";
import { BufferPool } from "../../lib/stack/buffer/pool.ts";
import { NO_OFFLOAD } from "../../lib/stack/link/link.ts";
import { Stack } from "../../lib/stack/stack.ts";
import { TcpEvent } from "../../lib/stack/tcp/events.ts";
import type { Instant } from "../../lib/stack/time.ts";
import { ANY4, IpAddress } from "../../lib/stack/wire/address.ts";
import { MacAddress } from "../../lib/stack/wire/mac_address.ts";

const { values } = parseArgs({
  options: {
    runs: { type: "string", default: "5" },
    megabytes: { type: "string", default: "256" },
    warm: { type: "string", default: "32" },
    mtu: { type: "string", default: "1500" },
    guests: { type: "string", default: "64" },
  },
});
const mtu = Number(values.mtu), runs = Number(values.runs), bytes = Number(values.megabytes) * 1e6;
const warm = Number(values.warm) * 1e6;
const GATEWAY = IpAddress.parse("192.168.127.1")!;

const SERVER = `
import socket, sys, threading
def serve(c):
    with c:
        if c.recv(1) == b's':
            block = bytes(1 << 20)
            try:
                while True: c.sendall(block)
            except OSError: pass
        else:
            while c.recv(1 << 20): pass
s = socket.create_server(("127.0.0.1", 0), backlog=256)
print(s.getsockname()[1], flush=True)
while True: threading.Thread(target=serve, args=(s.accept()[0],), daemon=True).start()
`;

const directory = mkdtempSync(join(tmpdir(), "sluice-bench-"));
const children: ChildProcess[] = [];
const pool = new BufferPool(addressOf);
const reactor = new Reactor();
let seed = 1;

/** A guest on a provider's socket. */
class Guest {
  readonly stack = new Stack({ random: () => seed = Math.imul(seed, 1_103_515_245) + 12_345 | 0, pool });
  received = 0;
  readonly #fd: number;
  readonly #pump: Pump;

  constructor(socket: string, number: number) {
    this.#fd = dialUnix(SOCK.STREAM, socket);
    if (this.#fd < 0) throw new Error(`Cannot connect to ${socket}: ${this.#fd}`);
    setSocketBuffers(this.#fd, 1 << 20);
    const link = new UnixStreamLink({
      fd: this.#fd,
      mtu,
      pool,
      capabilities: NO_OFFLOAD,
      vnetHeader: 0,
      onEnd: (why) => {
        throw new Error(`The provider ${why}`);
      },
    });
    const nic = this.stack.addNic({
      name: "eth0",
      mac: new MacAddress(0x0200, number),
      mtu,
      capabilities: NO_OFFLOAD,
      learnNeighbours: true,
    });
    nic.addAddress(IpAddress.parse(`192.168.127.${number}`)!, 24);
    this.stack.routes.add({ destination: ANY4, prefixLength: 0, gateway: GATEWAY, nic });
    this.#pump = new Pump(reactor, this.#fd, link, nic, () => {});
  }

  /** Connects and takes what comes (`s`), or sends until `wanted` is on its way (`r`). */
  start(port: number, direction: "s" | "r", wanted: number): void {
    const block = new Uint8Array(65_536);
    const connection = this.stack.tcpConnect({
      remoteAddress: GATEWAY,
      remotePort: port,
      observer: {
        onTcpEvent: (connection, events, now) => {
          if ((events & TcpEvent.established) !== 0) {
            connection.writeBytes(new TextEncoder().encode(direction), now);
          }
          const { length } = connection.receiveQueue;
          if (length > 0) {
            this.received += length;
            connection.consume(length, now);
          }
          if (direction === "s" || (events & (TcpEvent.established | TcpEvent.writable)) === 0) return;
          while (this.received < wanted && connection.sendSpace > 0) {
            this.received += connection.writeBytes(block, now);
          }
        },
      },
    }, reactor.now() as Instant);
    if (typeof connection === "string") throw new Error(`Cannot connect: ${connection}`);
  }

  settle(now: Instant): void {
    this.stack.poll(now);
    this.#pump.flush(now);
    this.stack.poll(now);
  }

  close(): void {
    this.#pump.close();
    close(this.#fd);
  }
}

function turnUntil(guests: readonly Guest[], done: () => boolean): void {
  const until = performance.now() + 60_000;
  while (!done()) {
    if (performance.now() > until) throw new Error("Cannot wait longer: nothing moves");
    reactor.turn({
      beforeWait: () => Math.min(...guests.map(({ stack }) => stack.pollAt()), reactor.now() + 10_000),
      afterTurn: () => guests.forEach((guest) => guest.settle(reactor.now() as Instant)),
    });
  }
}

function start(argv: readonly string[]): ChildProcess {
  const child = spawn(argv[0]!, argv.slice(1), { stdio: ["ignore", "pipe", "ignore"] });
  children.push(child);
  return child;
}

/** Seconds of CPU of a process so far. */
function cpuOf(pid: number): number {
  const fields = readFileSync(`/proc/${pid}/stat`, "utf8").replace(/^.*\) /, "").split(" ");
  return (Number(fields[11]) + Number(fields[12])) / 100;
}

async function provider(name: "sluice" | "passt"): Promise<{ socket: string; pid: number }> {
  const socket = join(directory, name);
  const child = start(
    name === "sluice"
      ? [
        "dist/sluice",
        "serve",
        "--host-loopback",
        "--mtu",
        String(mtu),
        "--listen",
        `unixstream://${socket}`,
      ]
      // deno-fmt-ignore
      : ["passt", "-f", "-q", "-1", "-s", socket, "-a", "192.168.127.5", "-n", "24", "-g", "192.168.127.1",
        "-m", String(mtu), "--runas", "0"],
  );
  while (!existsSync(socket)) await new Promise((resolve) => setTimeout(resolve, 10));
  return { socket, pid: child.pid! };
}

async function measure(
  name: "sluice" | "passt",
  port: number,
  direction: "s" | "r",
): Promise<[number, number]> {
  const { socket, pid } = await provider(name);
  const guest = new Guest(socket, 5);
  guest.start(port, direction, 2 * bytes + warm);
  turnUntil([guest], () => guest.received > warm);
  const [from, cpu, at] = [guest.received, cpuOf(pid), performance.now()];
  turnUntil([guest], () => guest.received > bytes + from);
  const seconds = (performance.now() - at) / 1e3;
  const moved = guest.received - from;
  const used = cpuOf(pid) - cpu;
  guest.close();
  children.at(-1)!.kill();
  rmSync(socket, { force: true });
  return [moved * 8 / seconds / 1e9, used / (moved / 1e9)];
}

const median = (numbers: number[]) => numbers.sort((a, b) => a - b)[numbers.length >> 1]!;

try {
  process.chdir(new URL("../../", import.meta.url).pathname);
  const server = start(["python3", "-c", SERVER]);
  const port = Number(await new Promise((resolve) => server.stdout!.once("data", resolve)));
  for (const direction of runs > 0 ? ["s", "r"] as const : []) {
    const speed: Record<string, number[]> = { sluice: [], passt: [] };
    const cost: Record<string, number[]> = { sluice: [], passt: [] };
    for (let run = 0; run < runs; run++) {
      for (const name of ["sluice", "passt"] as const) {
        const [gigabits, cpu] = await measure(name, port, direction);
        speed[name]!.push(gigabits);
        cost[name]!.push(cpu);
      }
    }
    const line = (name: string) =>
      `${name} ${median(speed[name]!).toFixed(2)} Gbit/s, ${median(cost[name]!).toFixed(2)} s/GB`;
    const ratio = (median(speed["sluice"]!) / median(speed["passt"]!)).toFixed(2);
    console.log(
      `MTU ${mtu}, ${direction === "s" ? "host→guest" : "guest→host"}: ${line("sluice")}; ${
        line("passt")
      }; ratio ${ratio}`,
    );
  }

  const { socket } = await provider("sluice");
  const guests = Array.from({ length: Number(values.guests) }, (_, i) => new Guest(socket, 10 + i));
  for (const guest of guests) guest.start(port, "s", 0);
  const total = () => guests.reduce((sum, { received }) => sum + received, 0);
  // Whoever begins first has all for himself, and slow start is no steady state: measured from well behind it.
  turnUntil(guests, () => guests.every(({ received }) => received > 100_000) && total() > bytes);
  const before = guests.map(({ received }) => received), from = total();
  turnUntil(guests, () => total() - from > 2 * bytes);
  const fair = (total() - from) / guests.length;
  const shares = guests.map(({ received }, i) => (received - before[i]!) / fair);
  const jain = guests.length / shares.reduce((sum, share) => sum + share * share, 0);
  console.log(
    `${guests.length} guests: the least has ${Math.min(...shares).toFixed(3)} of a fair share, the most ${
      Math.max(...shares).toFixed(3)
    }, Jain's index ${jain.toFixed(4)}`,
  );
  guests.forEach((guest) => guest.close());
} finally {
  for (const child of children) child.kill();
  rmSync(directory, { recursive: true, force: true });
}
