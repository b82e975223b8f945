/**
 * Providers of networks, played by another stack of this process: what is documented of socket_vmnet's wire (a stream, each
 * frame behind its length) and of vmnet-helper's (datagrams; the first one, if it is short, is no frame; the socket is then
 * connected back), which exist on macOS only. They can die and come back.
 *
 * @module
 */

import { AF, SOCK } from "../../lib/host/constants.ts";
import { check } from "../../lib/host/errno.ts";
import { NativeMemory, textAt } from "../../lib/host/memory.ts";
import { EpollEvents, type Reactor, type ReadyHandler } from "../../lib/host/reactor.ts";
import { SOCKADDR_SIZE } from "../../lib/host/structs.ts";
import { accept4, close, listen, recvfrom, socket, write } from "../../lib/host/sys.ts";
import { bindUnix, connectUnix, removeSocket, setSocketBuffers } from "../../lib/host/unix_socket.ts";
import { Pump, type PumpEnd } from "../../lib/link/pump.ts";
import { NO_WIRE_OFFLOAD, type WireOffload } from "../../lib/link/offload.ts";
import { UnixGramLink } from "../../lib/link/unix_gram.ts";
import { UnixStreamLink } from "../../lib/link/unix_stream.ts";
import type { BufferPool } from "../../lib/stack/buffer/pool.ts";
import { type Link, type LinkCapabilities, NO_OFFLOAD } from "../../lib/stack/link/link.ts";
import type { Instant } from "../../lib/stack/time.ts";

/** Room in a datagram socket: less than a test sends, so that a provider that dies takes something with it. */
const BUFFER = 256 << 10;

/** A socket at a path, and whoever is behind it. */
export class ProviderStandIn implements ReadyHandler {
  readonly #reactor: Reactor;
  readonly #pool: BufferPool;
  readonly #path: string;
  readonly #transport: "unixstream" | "unixgram";
  readonly #end: PumpEnd;
  readonly #offload: WireOffload;
  readonly #capabilities: LinkCapabilities;
  readonly #name = new NativeMemory(SOCKADDR_SIZE + 8);
  readonly #first = new NativeMemory(65_536);
  #listening = -1;
  #client = -1;
  #pump: Pump | undefined;
  #link: Link | undefined;
  /** How many clients came, and what they said first if it was no frame. */
  clients = 0;
  readonly greetings: string[] = [];

  constructor(
    reactor: Reactor,
    pool: BufferPool,
    path: string,
    transport: "unixstream" | "unixgram",
    end: PumpEnd,
    offload: WireOffload = NO_WIRE_OFFLOAD,
    capabilities: LinkCapabilities = NO_OFFLOAD,
  ) {
    this.#reactor = reactor;
    this.#pool = pool;
    this.#path = path;
    this.#transport = transport;
    this.#end = end;
    this.#offload = offload;
    this.#capabilities = capabilities;
  }

  /** Makes the socket. */
  open(): void {
    const type = this.#transport === "unixstream" ? SOCK.STREAM : SOCK.DGRAM;
    const fd = this.#listening = check(
      socket(AF.UNIX, type | SOCK.NONBLOCK | SOCK.CLOEXEC, 0),
      "make a socket",
    );
    check(bindUnix(fd, this.#path), `bind ${this.#path}`);
    if (this.#transport === "unixstream") check(listen(fd, 4), "listen");
    setSocketBuffers(fd, BUFFER);
    this.#reactor.add(fd, EpollEvents.in, this);
  }

  onReady(): void {
    if (this.#transport === "unixstream") {
      const fd = accept4(this.#listening, 0, 0, SOCK.NONBLOCK | SOCK.CLOEXEC);
      if (fd >= 0) this.#serve(fd);
      return;
    }
    const { view, address, bytes } = this.#name;
    view.setInt32(SOCKADDR_SIZE, SOCKADDR_SIZE, true);
    const n = recvfrom(this.#listening, this.#first.address, 65_536, 0, address, address + SOCKADDR_SIZE);
    if (n < 0) return;
    const length = view.getInt32(SOCKADDR_SIZE, true);
    const peer = bytes[2] === 0 ? `@${textAt(bytes, 3, length - 3)}` : textAt(bytes, 2, length - 2);
    check(connectUnix(this.#listening, peer), `connect back to ${peer}`);
    if (n < 64) this.greetings.push(new TextDecoder().decode(this.#first.bytes.subarray(0, n)));
    this.#reactor.remove(this.#listening);
    const fd = this.#listening;
    this.#listening = -1;
    this.#serve(fd);
  }

  flush(now: Instant): void {
    this.#pump?.flush(now);
  }

  /** Says these bytes to the client, whatever they mean. Returns how many were taken, or −errno. */
  say(bytes: Uint8Array): number {
    const memory = new NativeMemory(bytes.length);
    memory.bytes.set(bytes);
    return write(this.#client, memory.address, bytes.length);
  }

  /** Reads no more until {@linkcode resume}, and writes nothing. */
  stall(): void {
    this.#pump?.close();
    this.#pump = undefined;
  }

  resume(): void {
    this.#pump = new Pump(this.#reactor, this.#client, this.#link!, this.#end, () => this.hangUp());
  }

  /** Hangs up on the client, and goes on listening if there is still a socket for it. */
  hangUp(): void {
    this.#pump?.close();
    this.#pump = undefined;
    if (this.#client >= 0) close(this.#client);
    this.#client = -1;
  }

  /** Dies. A provider that crashes leaves the file. */
  die(leaveFile = false): void {
    this.hangUp();
    if (this.#listening >= 0) {
      this.#reactor.remove(this.#listening);
      close(this.#listening);
    }
    this.#listening = -1;
    if (!leaveFile) removeSocket(this.#path);
  }

  #serve(fd: number): void {
    this.hangUp();
    this.clients++;
    this.#client = fd;
    const options = {
      fd,
      mtu: 1_500,
      pool: this.#pool,
      capabilities: this.#capabilities,
      offload: this.#offload,
      onEnd: () => this.hangUp(),
    };
    const link = this.#transport === "unixstream" ? new UnixStreamLink(options) : new UnixGramLink(options);
    this.#link = link;
    this.resume();
  }
}
