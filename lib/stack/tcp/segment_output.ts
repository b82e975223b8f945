/**
 * The segments of one connection: what every header of it has, its segment size, and the packets made of both.
 *
 * @module
 */

import type { PacketBuffer } from "../buffer/packet.ts";
import type { BufferPool } from "../buffer/pool.ts";
import type { Instant } from "../time.ts";
import type { IpAddress } from "../wire/address.ts";
import { Ecn } from "../wire/ip.ts";
import { TcpFlag } from "../wire/tcp.ts";
import type { ConnectionSeed } from "./connection_seed.ts";
import type { TcpPath } from "./context.ts";
import { headersOf, PathMss } from "./path_mss.ts";
import type { Receiver } from "./receiver.ts";
import { emitOutgoing, outgoing, requestSegmentation, takeHeaderBuffer } from "./segment_writer.ts";
import type { Sender } from "./sender.ts";
import type { Timestamps } from "./timestamps.ts";

/** Bytes of the timestamp option with its padding. */
const TIMESTAMP_OPTION = 12;
/** Largest IP packet there is, but for jumbograms. */
const MAX_PACKET = 65_535;

/** Builds the segments of one connection. */
export class SegmentOutput {
  readonly pathMss: PathMss;
  /** DSCP and ECN bits for the IP header of the segment that was built last. */
  trafficClass = 0;
  /** Both sides do ECN. */
  ecn = false;
  /** CE was seen, and the peer has not said CWR yet. */
  echoDue = false;
  readonly #local: IpAddress;
  readonly #localPort: number;
  readonly #remote: IpAddress;
  readonly #remotePort: number;
  readonly #pool: BufferPool;
  readonly #timestamps: Timestamps;
  readonly #receiver: Receiver;

  constructor(seed: ConnectionSeed, pool: BufferPool, timestamps: Timestamps, receiver: Receiver) {
    this.#local = seed.localAddress;
    this.#localPort = seed.localPort;
    this.#remote = seed.remoteAddress;
    this.#remotePort = seed.remotePort;
    this.#pool = pool;
    this.#timestamps = timestamps;
    this.#receiver = receiver;
    this.pathMss = new PathMss(seed.localAddress.family, seed.path.mtu);
  }

  /** Payload per segment on that path, options taken off. */
  mss(path: TcpPath, now: Instant): number {
    const mss = this.pathMss.current(path.mtu, now);
    return this.#timestamps.enabled ? mss - TIMESTAMP_OPTION : mss;
  }

  /** Largest payload of one packet: more than a segment where somebody cuts it. */
  capacity(path: TcpPath, mss: number): number {
    if (path.gsoMaxSize === 0) return mss;
    const headers = headersOf(this.#local.family) + (this.#timestamps.enabled ? TIMESTAMP_OPTION : 0);
    return Math.max(Math.min(path.gsoMaxSize, MAX_PACKET) - headers, mss);
  }

  /** What the sender decided on. */
  planned(sender: Sender, now: Instant): PacketBuffer {
    const { planLength } = sender;
    this.#begin(now);
    let flags: number = TcpFlag.ack;
    if (sender.planFin) flags |= TcpFlag.fin;
    if (sender.planPush) flags |= TcpFlag.psh;
    // RFC 3168 sections 6.1.4 and 6.1.5: pure ACKs and retransmissions are not ECN-capable.
    if (this.ecn && planLength > 0 && !sender.planRetransmission) {
      this.trafficClass = Ecn.capable0;
      if (sender.cwrDue) {
        flags |= TcpFlag.cwr;
        sender.cwrDue = false;
      }
    }
    if (this.echoDue) flags |= TcpFlag.ece;
    const packet = takeHeaderBuffer(this.#pool);
    if (planLength > 0) {
      sender.attachPayload(packet);
      if (planLength > sender.mss) requestSegmentation(packet, this.#local, sender.mss);
    }
    const pointer = sender.urgent.active ? sender.urgent.pointer(sender.planStart, sender.nxt) : 0;
    return this.#emit(packet, flags, sender.planStart, this.#acknowledge(), pointer);
  }

  /** An acknowledgement, with SACK blocks if there are any. */
  acknowledgement(sequence: number, now: Instant): PacketBuffer {
    this.#begin(now);
    this.#receiver.writeSack(outgoing);
    const flags = this.echoDue ? TcpFlag.ack | TcpFlag.ece : TcpFlag.ack;
    return this.#emit(takeHeaderBuffer(this.#pool), flags, sequence, this.#acknowledge());
  }

  /** A SYN or SYN-ACK, whose options are in {@linkcode outgoing}. Its window is not scaled (RFC 7323 section 2.2). */
  syn(flags: number, sequence: number): PacketBuffer {
    this.trafficClass = 0;
    const receiver = this.#receiver;
    let window = Math.min(receiver.buffer.capacity, 65_535);
    if ((flags & TcpFlag.ack) !== 0) {
      window = receiver.advertise(false);
      receiver.onAckSent();
    }
    return this.#emit(takeHeaderBuffer(this.#pool), flags, sequence, window);
  }

  /** A RST; it acknowledges what was received unless it answers a bad acknowledgement. */
  reset(sequence: number, acknowledge: boolean): PacketBuffer {
    outgoing.clearOptions();
    this.trafficClass = 0;
    const flags = acknowledge ? TcpFlag.rst | TcpFlag.ack : TcpFlag.rst;
    return this.#emit(takeHeaderBuffer(this.#pool), flags, sequence, 0);
  }

  #begin(now: Instant): void {
    outgoing.clearOptions();
    this.trafficClass = 0;
    const timestamps = this.#timestamps;
    if (!timestamps.enabled) return;
    outgoing.hasTimestamp = true;
    outgoing.timestampValue = timestamps.value(now);
    outgoing.timestampEcho = timestamps.recent;
  }

  #acknowledge(): number {
    const window = this.#receiver.advertise(true);
    this.#receiver.onAckSent();
    return window;
  }

  #emit(packet: PacketBuffer, flags: number, sequence: number, window: number, urgent = 0): PacketBuffer {
    outgoing.sourcePort = this.#localPort;
    outgoing.destinationPort = this.#remotePort;
    outgoing.sequence = sequence;
    outgoing.acknowledgment = (flags & TcpFlag.ack) !== 0 ? this.#receiver.next : 0;
    outgoing.flags = urgent > 0 ? flags | TcpFlag.urg : flags;
    outgoing.window = window;
    outgoing.urgentPointer = urgent;
    return emitOutgoing(packet, this.#local, this.#remote);
  }
}
