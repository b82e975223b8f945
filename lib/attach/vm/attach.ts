/**
 * Attachment `vm`: the guests are virtual machines, whose monitors come to sockets of ours with Ethernet frames.
 *
 * @module
 */

import { errnoText } from "../../host/errno.ts";
import { tcpListen } from "../../host/inet.ts";
import type { Reactor } from "../../host/reactor.ts";
import { claimUnix, listenUnix, removeIfSocket } from "../../host/unix_listen.ts";
import { DatagramReceiver } from "../../link/datagram_receiver.ts";
import { DatagramSender } from "../../link/datagram_sender.ts";
import type { LengthSize } from "../../link/frame_length.ts";
import type { Merging } from "../../link/merger.ts";
import type { WireOffload } from "../../link/offload.ts";
import type { BufferPool } from "../../stack/buffer/pool.ts";
import type { PacketBuffer } from "../../stack/buffer/packet.ts";
import { earlier, type Instant, NEVER } from "../../stack/time.ts";
import { IpAddress } from "../../stack/wire/address.ts";
import type { MacAddress } from "../../stack/wire/mac_address.ts";
import { DatagramListener } from "./datagram_listener.ts";
import type { StreamProtocol, VmEndpoint } from "./endpoint.ts";
import type { Listener } from "./listener.ts";
import { type PacketIo, PacketWire } from "./packet_wire.ts";
import type { Port } from "./port.ts";
import { StreamListener } from "./stream_listener.ts";
import { StreamWire } from "./stream_wire.ts";
import { Switch, type SwitchOptions } from "./switch.ts";
import { VpnkitHandshakes } from "./vpnkit_handshake.ts";
import type { GuestWire } from "./wire.ts";

/** What the attachment needs of the one who composes it. */
export interface VmContext extends SwitchOptions {
  readonly reactor: Reactor;
  readonly pool: BufferPool;
  readonly endpoints: readonly VmEndpoint[];
  /** Hardware addresses of HyperKit's machines, by UUID in lower case. */
  readonly vpnkitMacs?: ReadonlyMap<string, MacAddress>;
  /** Which frames of guests may come merged: those for the gateway, unless somebody captures. */
  readonly merging?: Merging;
}

/** The virtual machines, behind their switch. */
export interface VmAttachment {
  readonly switch: Switch;
  pollAt(): Instant;
  poll(now: Instant): void;
  /** Sends what the gateway's interface has, and what the ports have. */
  flush(nic: { egress(now: Instant): PacketBuffer | undefined }, now: Instant): void;
  /** What went wrong, by name. */
  counters(): Readonly<Record<string, number>>;
  close(): void;
}

/** Rounds of one flush: a port that is relieved lets more of TCP come. */
const ROUNDS = 4;
/**
 * Bytes that the gateway's interface sends in one flush, and what a short frame counts as. Without a bound every connection
 * would send its whole window each time, and the widest window would win; with one, connections wait for their turn, and turns
 * are fair.
 */
const FLUSH_BYTES = 768 * 1_024, FRAME_COST = 1_514;

/**
 * Listens everywhere, or nowhere.
 *
 * @throws {Error} `Cannot listen on PATH: …`
 */
export function attachVms(context: VmContext): VmAttachment {
  const { pool, endpoints } = context;
  const owner = new Switch(context);
  const io = new SharedIo(pool, context.merging);
  const { reactor, mtu, vpnkitMacs: macs = new Map() } = context;
  const handshakes = new VpnkitHandshakes(reactor, { mtu, macs });
  const listeners: Listener[] = [handshakes];
  try {
    // All names first: the second of two that are one would take over the first's.
    for (const endpoint of endpoints) if (endpoint.kind !== "tcp") claimUnix(endpoint.path);
    for (const endpoint of endpoints) listeners.push(listen(endpoint, context, owner, io, handshakes));
  } catch (error) {
    for (const listener of listeners) listener.close();
    throw error;
  }
  let more = false;
  return {
    switch: owner,
    pollAt: () =>
      more ? 0 as Instant : listeners.reduce((at, listener) => earlier(at, listener.pollAt()), NEVER),
    poll: (now) => {
      for (const listener of listeners) listener.poll(now);
    },
    flush: (nic, now) => {
      let left = FLUSH_BYTES;
      for (let round = 0; round < ROUNDS && left > 0; round++) {
        const before = left;
        while (left > 0) {
          const frame = nic.egress(now);
          if (frame === undefined) break;
          left -= Math.max(frame.totalLength, FRAME_COST);
          owner.fromGateway(frame, now);
        }
        owner.flush();
        if (left === before) break;
      }
      more = left <= 0;
    },
    counters: () => owner.counters.all(),
    close: () => {
      for (const listener of listeners) listener.close();
      owner.close();
      io.close();
    },
  };
}

/** What reads and writes the datagrams of all guests; a receiver for each length of headers. */
class SharedIo {
  readonly #sender = new DatagramSender();
  readonly #receivers = new Map<number, DatagramReceiver>();

  constructor(readonly pool: BufferPool, readonly merging: Merging | undefined) {}

  for(offload: WireOffload): PacketIo {
    const { vnetHeader } = offload;
    const receiver = this.#receivers.get(vnetHeader) ?? new DatagramReceiver(this.pool, vnetHeader);
    this.#receivers.set(vnetHeader, receiver);
    return { receiver, sender: this.#sender, offload, merging: this.merging };
  }

  close(): void {
    for (const receiver of this.#receivers.values()) receiver.close();
  }
}

function listen(
  endpoint: VmEndpoint,
  { reactor, pool, mtu, merging }: VmContext,
  owner: Switch,
  shared: SharedIo,
  handshakes: VpnkitHandshakes,
): Listener {
  const { offload } = endpoint;
  const framed = (lengthSize: LengthSize) => (fd: number, port: Port) =>
    new StreamWire(fd, reactor, pool, mtu, port, {
      lengthSize,
      offload,
      ...(merging !== undefined && { merging }),
    });
  const streams: Readonly<Record<StreamProtocol, (fd: number, port: Port) => GuestWire>> = {
    qemu: framed(4),
    hyperkit: framed(2),
    vpnkit: (fd, port) => handshakes.begin(fd, port, streams.hyperkit),
  };
  if (endpoint.kind === "tcp") {
    const { address, port } = endpoint;
    const fd = tcpListen(IpAddress.parse(address)!, port);
    if (fd < 0) throw new Error(`Cannot listen on ${address}:${port}: ${errnoText(-fd)}`);
    return new StreamListener(fd, reactor, owner, "tcp", streams[endpoint.protocol ?? "qemu"]);
  }
  const { path } = endpoint;
  const io = shared.for(offload);
  if (endpoint.kind === "unixgram") return new DatagramListener(path, reactor, io, owner);
  const fd = listenUnix(endpoint.kind === "unixstream" ? "stream" : "seqpacket", path);
  const wire = endpoint.kind === "unixstream"
    ? streams[endpoint.protocol ?? "qemu"]
    : (fd: number, port: Port) => new PacketWire(fd, reactor, io, port);
  return unlinking(new StreamListener(fd, reactor, owner, "unix", wire), path);
}

/** A listener whose name goes with it. */
function unlinking(listener: Listener, path: string): Listener {
  return {
    pollAt: () => listener.pollAt(),
    poll: (now) => listener.poll(now),
    close: () => {
      removeIfSocket(path);
      listener.close();
    },
  };
}
