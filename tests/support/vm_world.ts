/**
 * `serve` with everything but an engine: the mode in a reactor of the test's own, and guests that are stacks of ours on real
 * sockets in the same reactor. Tests turn the loop by hand.
 *
 * @module
 */

import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { SOCK } from "../../lib/host/constants.ts";
import { addressOf, NativeMemory } from "../../lib/host/memory.ts";
import { Reactor } from "../../lib/host/reactor.ts";
import { close, read, write } from "../../lib/host/sys.ts";
import { dialUnix } from "../../lib/host/unix_socket.ts";
import { Pump } from "../../lib/link/pump.ts";
import { NO_WIRE_OFFLOAD, WIRE_CAPABILITIES, type WireOffload } from "../../lib/link/offload.ts";
import { UnixGramLink } from "../../lib/link/unix_gram.ts";
import { UnixStreamLink } from "../../lib/link/unix_stream.ts";
import type { ModeConfig, ModeSession, ServeConfig } from "../../lib/modes/mode.ts";
import { startServe } from "../../lib/modes/serve.ts";
import type { PacketBuffer } from "../../lib/stack/buffer/packet.ts";
import { BufferPool } from "../../lib/stack/buffer/pool.ts";
import { type Link, NO_OFFLOAD } from "../../lib/stack/link/link.ts";
import type { Nic } from "../../lib/stack/nic.ts";
import { Stack } from "../../lib/stack/stack.ts";
import type { Instant } from "../../lib/stack/time.ts";
import { ANY4, ANY6, IpAddress } from "../../lib/stack/wire/address.ts";
import { MacAddress } from "../../lib/stack/wire/ethernet.ts";

/** Microseconds after which something that has not happened will not. */
const PATIENCE = 20_000_000;
const NAP = 5_000;

export const GATEWAY = "192.168.127.1";

/** How a guest comes. */
export type Transport = "unixstream" | "unixgram" | "unixpacket" | "hyperkit" | "vpnkit";
export const TRANSPORTS: readonly Transport[] = [
  "unixstream",
  "unixgram",
  "unixpacket",
  "hyperkit",
  "vpnkit",
];

/** What HyperKit says in its handshake: VPNKit's first message, and that it is a machine of this UUID. */
export function vpnkitHello(uuid: string): Uint8Array {
  const hello = new Uint8Array(49 + 41);
  hello.set(new TextEncoder().encode("VMN3T\x16\0\0\x000123456789abcdef0123456789abcdef01234567\x01" + uuid));
  return hello;
}

/** A guest with addresses of its own choice. */
export interface VmGuest {
  readonly guest: Stack;
  readonly pool: BufferPool;
  now(): Instant;
  readonly nic: Nic;
  readonly address: IpAddress;
  readonly hungUp: () => boolean;
  /** Bytes of the longest frame that came to it. */
  longest(): number;
  close(): void;
}

/** Reads an address that is known to be one. */
export function ip(text: string): IpAddress {
  const address = IpAddress.parse(text);
  if (address === undefined) throw new TypeError(`Cannot read address "${text}"`);
  return address;
}

/** A switch with its gateway, and its guests. */
export class VmWorld {
  readonly directory = mkdtempSync(join(tmpdir(), "sluice-vm-"));
  readonly reactor = new Reactor();
  readonly pool = new BufferPool(addressOf);
  readonly stack: Stack;
  readonly session: ModeSession;
  readonly log: string[] = [];
  readonly #guests: { guest: Stack; flush(now: Instant): void; close(): void }[] = [];
  #seed = 0x2545f491;

  /** @param takes what the guests of a transport take, as the configuration says */
  constructor(
    config: Partial<ModeConfig> = {},
    serve: Partial<ServeConfig> = {},
    takes: Partial<Record<Transport, WireOffload>> = {},
  ) {
    this.stack = new Stack({ random: () => this.#random(), pool: this.pool });
    this.session = startServe({
      config: {
        network: "serve",
        attach: "vm",
        address: { address: "192.168.127.2", prefixLength: 24 },
        address6: { address: "fd00::2", prefixLength: 64 },
        gateway: GATEWAY,
        gateway6: "fd00::1",
        dns: [GATEWAY, "fd00::1"],
        mtu: 1_500,
        hostUds: "none",
        ownNetwork: true,
        resolvers: [],
        networks: [],
        addressWait: 15,
        hostLoopback: true,
        publish: [],
        qdisc: { kind: "fifo", rate: 0, burst: 0 },
        gso: true,
        ...config,
        serve: {
          listen: TRANSPORTS.map((transport) => {
            const rest = { path: this.path(transport), offload: takes[transport] ?? NO_WIRE_OFFLOAD };
            return transport === "hyperkit" || transport === "vpnkit"
              ? { kind: "unixstream", ...rest, protocol: transport }
              : { kind: transport, ...rest };
          }),
          leases: [],
          leaseTime: 3_600,
          searchDomains: [],
          zones: [],
          closedPorts: [],
          ...serve,
        },
      } as ModeConfig,
      reactor: this.reactor,
      pool: this.pool,
      stack: this.stack,
      child: 0,
      log: (level, text) => void this.log.push(`${level} ${text}`),
      fail: (message) => {
        throw new Error(message);
      },
    });
  }

  /** Where guests of a kind are waited for. */
  path(kind: Transport): string {
    return join(this.directory, kind);
  }

  now(): Instant {
    return this.reactor.now() as Instant;
  }

  /**
   * A guest with the MAC 02:00:00:00:00:NN and the address 192.168.127.NN.
   *
   * @param leaves what it leaves to its device when it sends
   */
  guest(kind: Transport, number: number, mtu = 1_500, leaves = NO_WIRE_OFFLOAD): VmGuest {
    const { reactor, pool } = this;
    const name = join(this.directory, `guest${number}`);
    rmSync(name, { force: true });
    const fd = kind === "unixgram"
      ? dialUnix(SOCK.DGRAM, this.path(kind), name)
      : dialUnix(kind === "unixpacket" ? SOCK.SEQPACKET : SOCK.STREAM, this.path(kind));
    if (fd < 0) throw new Error(`Cannot connect a guest: ${fd}`);
    if (kind === "unixgram") {
      const hello = new NativeMemory(4);
      hello.bytes.set(new TextEncoder().encode("VFKT"));
      write(fd, hello.address, 4);
    }
    if (kind === "vpnkit") this.#handshake(fd, number);
    let ended = false;
    const options = {
      fd,
      mtu,
      pool,
      capabilities: NO_OFFLOAD,
      offload: leaves,
      onEnd: () => ended = true,
    };
    const link: Link = kind === "unixgram" || kind === "unixpacket"
      ? new UnixGramLink(options)
      : new UnixStreamLink({ ...options, lengthSize: kind === "unixstream" ? 4 : 2 });
    const { stack, nic, address } = this.#host(number, mtu, leaves);
    let longest = 0;
    const end = {
      ingress: (frame: PacketBuffer, now: Instant) => {
        longest = Math.max(longest, frame.totalLength);
        nic.ingress(frame, now);
      },
      egress: (now: Instant) => nic.egress(now),
    };
    const pump = new Pump(reactor, fd, link, end, () => ended = true);
    let open = true;
    const guest = {
      guest: stack,
      pool,
      now: () => this.now(),
      nic,
      address,
      hungUp: () => ended,
      longest: () => longest,
      flush: (now: Instant) => {
        if (!ended) pump.flush(now);
      },
      close: () => {
        if (!open) return;
        open = false;
        ended = true;
        pump.close();
        close(fd);
      },
    };
    this.#guests.push(guest);
    return guest;
  }

  #handshake(fd: number, number: number): void {
    const hello = vpnkitHello(`00000000-0000-0000-0000-${String(number).padStart(12, "0")}`);
    const memory = new NativeMemory(49 + 258);
    memory.bytes.set(hello);
    write(fd, memory.address, hello.length);
    let got = 0;
    this.until(() => {
      const n = read(fd, memory.address, 49 + 258 - got);
      if (n > 0) got += n;
      return got === 49 + 258;
    }, "the answer to the handshake");
  }

  #host(number: number, mtu: number, leaves: WireOffload) {
    const stack = new Stack({ random: () => this.#random(), pool: this.pool });
    const nic = stack.addNic({
      name: "eth0",
      mac: new MacAddress(0x0200, number),
      mtu,
      capabilities: leaves === NO_WIRE_OFFLOAD ? NO_OFFLOAD : WIRE_CAPABILITIES,
      learnNeighbours: true,
    });
    const address = ip(`192.168.127.${number}`);
    nic.addAddress(address, 24);
    nic.addAddress(ip(`fd00::${number.toString(16)}`), 64);
    stack.routes.add({ destination: ANY4, prefixLength: 0, gateway: ip(GATEWAY), nic });
    stack.routes.add({ destination: ANY6, prefixLength: 0, gateway: ip("fd00::1"), nic });
    return { stack, nic, address };
  }

  /** One turn of the loop, with everything that it makes the stacks do. */
  turn(): void {
    this.reactor.turn({
      beforeWait: () => {
        let deadline = Math.min(this.stack.pollAt(), this.session.pollAt(), this.now() + NAP);
        for (const { guest } of this.#guests) deadline = Math.min(deadline, guest.pollAt());
        return deadline;
      },
      afterTurn: () => {
        const now = this.now();
        this.session.poll(now);
        for (let round = 0; round < 4; round++) {
          this.stack.poll(now);
          this.session.flush(now);
        }
        for (const guest of this.#guests) {
          guest.guest.poll(now);
          guest.flush(now);
        }
      },
    });
  }

  /** Turns until `done()`; throws with the words of `what` if it never is. */
  until(done: () => boolean, what: string): void {
    const patience = this.reactor.refresh() + PATIENCE;
    while (this.now() < patience) {
      if (done()) return;
      this.turn();
    }
    throw new Error(
      `Cannot wait longer for ${what}: ${JSON.stringify(this.session.counters())} ${this.log.join(" | ")}`,
    );
  }

  /** Turns for a while, to see that nothing happens. */
  idle(turns = 20): void {
    for (let turn = 0; turn < turns; turn++) this.turn();
  }

  /** Whether `to` answers a ping of `from` within a second. */
  pings(from: VmGuest, to: IpAddress): boolean {
    let heard = false;
    const endpoint = from.guest.echoOpen({ onEchoReply: () => heard = true });
    if (endpoint === undefined) throw new Error("Cannot open a ping endpoint");
    endpoint.send(to, 1, this.pool.take(8), this.now());
    const until = this.reactor.refresh() + 1_000_000;
    while (!heard && this.now() < until) this.turn();
    endpoint.close();
    return heard;
  }

  counted(name: string): number {
    return this.session.counters()[name] ?? 0;
  }

  close(): void {
    for (const guest of this.#guests) guest.close();
    this.session.stop();
    this.reactor.close();
    rmSync(this.directory, { recursive: true, force: true });
  }

  /** xorshift32: the same world every time. */
  #random(): number {
    let x = this.#seed;
    x ^= x << 13;
    x ^= x >>> 17;
    x ^= x << 5;
    this.#seed = x;
    return x >>> 0;
  }
}

/** Runs `body` in a world, and takes it down whatever happens. */
export function within(
  body: (world: VmWorld) => void,
  config: Partial<ModeConfig> = {},
  serve: Partial<ServeConfig> = {},
): void {
  const world = new VmWorld(config, serve);
  try {
    body(world);
  } finally {
    world.close();
  }
}
