/**
 * The kernel at one end of a path of ours: a network namespace with a TAP, whose far side is in our hands, and one TCP
 * socket that sends or checks the pattern of `tests/netsim/apps.ts`.
 *
 * Namespace, TAP and socket are descriptors of this process; what was learned about a path (`tcp_metrics`) goes with them.
 *
 * @module
 */

import { AF, IPPROTO, SOCK, SOL, TCP } from "../../../lib/host/constants.ts";
import { check, Errno } from "../../../lib/host/errno.ts";
import { bindTo, connectTo, setOption } from "../../../lib/host/inet.ts";
import { cString, NativeMemory } from "../../../lib/host/memory.ts";
import {
  accept4,
  close,
  getsockopt,
  listen,
  read,
  setsockopt,
  shutdown,
  socket,
  write,
} from "../../../lib/host/sys.ts";
import type { PacketBuffer } from "../../../lib/stack/buffer/packet.ts";
import type { BufferPool } from "../../../lib/stack/buffer/pool.ts";
import type { IpAddress } from "../../../lib/stack/wire/address.ts";
import { PATTERN, PatternCheck, PERIOD } from "../../netsim/pattern.ts";
import { Device } from "./device.ts";
import type { PathEnd } from "./path.ts";

const TCP_CONGESTION = 13;
const CHUNK = 65_536;
const SHUT_WR = 1;

/** `struct tcp_info`, as much of it as is compared. */
export interface KernelTcp {
  readonly cwnd: number;
  readonly ssthresh: number;
  readonly rtt: number;
  readonly retransmits: number;
}

/** What the kernel's socket does. */
export interface LinuxOptions {
  /** Bytes to send; 0 for who only receives. */
  readonly send?: number;
  /** A name of `tcp_available_congestion_control`. */
  readonly congestion?: string;
  /** `net.ipv4.*` of the namespace. */
  readonly settings?: Readonly<Record<string, string>>;
}

/** A kernel, its wire and its socket. */
export class LinuxEnd implements PathEnd {
  readonly descriptors: readonly number[];
  established = false;
  peerClosed = false;
  sent = 0;
  received = 0;
  readonly #device: Device;
  readonly #listener: number;
  #socket: number;
  readonly #total: number;
  readonly #memory = new NativeMemory(PERIOD + CHUNK);
  readonly #check = new PatternCheck();
  #shut = false;

  /** @param peer whom to connect to; undefined: wait for a connection */
  constructor(
    address: IpAddress,
    port: number,
    peer: IpAddress | undefined,
    pool: BufferPool,
    options: LinuxOptions = {},
  ) {
    this.#total = options.send ?? 0;
    if (this.#total > 0) {
      for (let at = 0; at < PERIOD + CHUNK; at += PERIOD) {
        this.#memory.bytes.set(PATTERN.subarray(0, Math.min(PERIOD, PERIOD + CHUNK - at)), at);
      }
    }
    let fd = -1;
    this.#device = Device.make(
      address,
      pool,
      options.settings ?? {},
      () => fd = openSocket(options.congestion),
    );
    if (peer === undefined) {
      check(bindTo(fd, address, port), "bind");
      check(listen(fd, 1), "listen");
      this.#listener = fd;
      this.#socket = -1;
    } else {
      this.#listener = -1;
      this.#socket = fd;
      const result = connectTo(fd, peer, port);
      if (result !== -Errno.EINPROGRESS) check(result, "connect");
    }
    this.descriptors = [this.#device.fd, fd];
  }

  /** Position of the first wrong byte, -1 if there was none. */
  get wrongAt(): number {
    return this.#check.wrongAt;
  }

  ingress(frame: PacketBuffer): void {
    // A full device loses it, as a network card does.
    if (!this.#device.link.transmit(frame)) frame.release();
  }

  egress(): PacketBuffer | undefined {
    return this.#device.link.receive();
  }

  /** Lets the socket do what it can; returns the descriptor to watch anew, or -1. */
  work(): number {
    let accepted = -1;
    if (this.#socket < 0) {
      const fd = accept4(this.#listener, 0, 0, SOCK.NONBLOCK | SOCK.CLOEXEC);
      if (fd < 0) return -1;
      this.#socket = accepted = fd;
      this.established = true;
    }
    this.#write();
    this.#read();
    return accepted;
  }

  #write(): void {
    while (this.sent < this.#total) {
      const size = Math.min(CHUNK, this.#total - this.sent);
      const done = write(this.#socket, this.#memory.address + this.sent % PERIOD, size);
      if (done < 0) return;
      this.established = true;
      this.sent += done;
    }
    if (this.#total > 0 && !this.#shut) {
      this.#shut = true;
      shutdown(this.#socket, SHUT_WR);
    }
  }

  #read(): void {
    if (this.#total > 0) return;
    for (;;) {
      const size = read(this.#socket, this.#memory.address, CHUNK);
      if (size === 0) this.peerClosed = true;
      if (size <= 0) return;
      this.#check.take(this.#memory.bytes, 0, size);
      this.received += size;
    }
  }

  /** Bytes that the peer acknowledged. */
  get acknowledged(): number {
    return Number(this.#info().view.getBigUint64(120, true));
  }

  /** What the kernel thinks of the connection. */
  tcp(): KernelTcp {
    const { view } = this.#info();
    const word = (at: number): number => view.getUint32(at, true);
    return { rtt: word(68), ssthresh: word(76), cwnd: word(80), retransmits: word(100) };
  }

  #info(): NativeMemory {
    const info = new NativeMemory(256);
    const length = new NativeMemory(8);
    length.words[0] = 256;
    getsockopt(this.#socket, SOL.TCP, TCP.INFO, info.address, length.address);
    return info;
  }

  close(): void {
    if (this.#socket >= 0) close(this.#socket);
    if (this.#listener >= 0) close(this.#listener);
    this.#device.close();
  }
}

function openSocket(congestion: string | undefined): number {
  const fd = check(socket(AF.INET, SOCK.STREAM | SOCK.NONBLOCK | SOCK.CLOEXEC, IPPROTO.TCP), "open a socket");
  if (congestion !== undefined) {
    const name = cString(congestion);
    check(
      setsockopt(fd, SOL.TCP, TCP_CONGESTION, name.address, congestion.length),
      `use congestion control ${congestion}`,
    );
  }
  setOption(fd, SOL.TCP, TCP.NODELAY, 1);
  return fd;
}
