/**
 * Packet sockets of the guest (packet(7)): the kernel's own, in the guest's empty namespace, on interfaces that show those
 * of its stack.
 *
 * ```text
 *   in     wire ─▶ Nic ─▶ stack                       out   stack ─▶ Nic ─▶ wire
 *                   └ copy ─▶ TAP ─▶ packet sockets                   └ copy ─▶ sender ─▶ packet sockets
 *   sent by a packet socket ─▶ TAP ─▶ ring ─▶ Nic ─▶ wire, through its qdisc and its counters
 * ```
 *
 * Rings, filters, fanout, statistics are the kernel's, and so is the speed of reading. Frames are copied only while
 * there is a packet socket: the engine sees each being opened, and asks the namespace's list whether one is left.
 *
 * Whether a thread may have one the kernel decides (CAP_NET_RAW over the namespace); we see to it that the thread is in
 * that namespace and no other. The arguments of `socket` are in registers and a thread that waits for its answer
 * cannot change namespaces, so nothing can change between our look and the kernel's.
 *
 * @module
 */

import { countPacketSockets } from "../../../host/packet_list.ts";
import type { Reactor } from "../../../host/reactor.ts";
import { close } from "../../../host/sys.ts";
import { FrameCopier } from "../../../link/frame_copier.ts";
import { FrameRing } from "../../../link/frame_ring.ts";
import { Pump } from "../../../link/pump.ts";
import { TapLink } from "../../../link/tap.ts";
import type { PacketBuffer } from "../../../stack/buffer/packet.ts";
import type { BufferPool } from "../../../stack/buffer/pool.ts";
import type { Counter } from "../../../stack/counters.ts";
import type { FrameObserver } from "../../../stack/frame_observer.ts";
import type { Nic } from "../../../stack/nic.ts";
import type { Stack } from "../../../stack/stack.ts";
import { earlier, type Instant, later, NEVER } from "../../../stack/time.ts";
import { ETHERNET_HEADER } from "../../../stack/wire/ethernet.ts";
import type { StageHanded } from "../../stage/protocol.ts";

/** Time between two looks at the list of packet sockets, microseconds. */
const LOOK_INTERVAL = 1_000_000;
/** Frames of packet sockets on their way to the wire that are remembered, so as not to be shown twice. */
const SENT_MAX = 256;
/** A tag of IEEE 802.1Q. */
const VLAN_TAG = 4;

/** What they are made of. */
export interface PacketSocketsOptions {
  readonly stack: Stack;
  readonly reactor: Reactor;
  readonly pool: BufferPool;
  /** From the stage; ours from now on. */
  readonly handed: readonly (StageHanded & { readonly fd: number })[];
}

/** One interface, as the kernel shows it. */
interface Shadow {
  readonly sender: FrameCopier;
  /** Absent: a loopback, where what is sent comes in by itself. */
  readonly tap: FrameCopier | undefined;
}

/** The guest's packet sockets, if it may have some. */
export class PacketSockets implements FrameObserver {
  /** Whether there is what they need. */
  readonly available: boolean;
  readonly #stack: Stack;
  readonly #reactor: Reactor;
  readonly #descriptors: readonly number[];
  readonly #list: number;
  /** Senders, which are in the list as well. */
  readonly #own: number;
  /** By index of the interface. */
  readonly #shadows: Shadow[] = [];
  readonly #pumps: Pump[] = [];
  readonly #links: TapLink[] = [];
  readonly #rings: FrameRing[] = [];
  /** Frames of packet sockets that have not passed their interface yet. */
  readonly #sent = new Set<PacketBuffer>();
  readonly #opened: Counter;
  readonly #lost: Counter;
  readonly #tooLong: Counter;
  readonly #forgotten: Counter;
  #stop: (() => void) | undefined;
  #lookAt: Instant = NEVER;
  #everOpened = false;

  constructor({ stack, reactor, pool, handed }: PacketSocketsOptions) {
    this.#stack = stack;
    this.#reactor = reactor;
    this.#descriptors = handed.map(({ fd }) => fd);
    const { counters } = stack;
    this.#opened = counters.slot("sockets.packet.opened");
    this.#lost = counters.slot("sockets.packet.copies-lost");
    this.#tooLong = counters.slot("sockets.packet.too-long");
    this.#forgotten = counters.slot("sockets.limit.packet-frames");
    const list = handed.find((one) => one.handed === "packets");
    const senders = handed.filter((one) => one.handed === "sender");
    this.available = list !== undefined;
    this.#list = list?.fd ?? -1;
    this.#own = senders.length;
    if (list === undefined) return;
    for (const { index, fd } of senders) {
      const tap = handed.find((one) => one.handed === "tap" && one.index === index)?.fd;
      const nic = stack.nics.find((one) => one.index === index)!;
      this.#shadows[index] = {
        sender: new FrameCopier(fd, pool),
        tap: tap === undefined ? undefined : new FrameCopier(tap, pool),
      };
      if (tap !== undefined) this.#connect(nic, tap, pool);
    }
  }

  /** Whether the guest has opened one at any time: descriptors that are not ours may be packet sockets. */
  get everOpened(): boolean {
    return this.#everOpened;
  }

  /** A thread in the guest's namespace opens one: shows frames from now on. */
  opens(now: Instant): void {
    this.#opened.value++;
    this.#everOpened = true;
    this.#stop ??= this.#stack.observeFrames(this);
    this.#lookAt = later(now, LOOK_INTERVAL);
  }

  /** When {@linkcode poll} has something to do. */
  pollAt(): Instant {
    return this.#pumps.reduce((at, pump) => earlier(at, pump.pollAt()), this.#lookAt);
  }

  /** Takes what packet sockets have sent as far as there is room; ends showing frames when nobody is left to see them. */
  poll(now: Instant): void {
    for (const pump of this.#pumps) pump.flush(now);
    if (now < this.#lookAt) return;
    if (countPacketSockets(this.#list) > this.#own) {
      this.#lookAt = later(now, LOOK_INTERVAL);
      return;
    }
    this.#lookAt = NEVER;
    this.#stop?.();
    this.#stop = undefined;
    this.#sent.clear();
  }

  outbound(nic: Nic, frame: PacketBuffer, _now: Instant, dropped?: string): void {
    // The kernel has shown it to the others when it was sent.
    if (this.#sent.size > 0 && this.#sent.delete(frame)) return;
    // What leaves the loopback comes in again at once: there it is shown.
    if (dropped !== undefined || nic.kind === "loopback") return;
    const shadow = this.#shadows[nic.index];
    if (shadow !== undefined && !shadow.sender.copy(frame)) this.#lost.value++;
  }

  inbound(nic: Nic, frame: PacketBuffer): void {
    const shadow = this.#shadows[nic.index];
    if (shadow !== undefined && !(shadow.tap ?? shadow.sender).copy(frame)) this.#lost.value++;
  }

  outcome(): void {}

  close(): void {
    this.#stop?.();
    this.#stop = undefined;
    this.#lookAt = NEVER;
    for (const pump of this.#pumps) pump.close();
    for (const link of this.#links) link.close();
    for (const ring of this.#rings) ring.clear();
    for (const fd of this.#descriptors) close(fd);
  }

  /** Has what packet sockets send on the shadow of `nic` leave by `nic`. */
  #connect(nic: Nic, tap: number, pool: BufferPool): void {
    const ring = new FrameRing();
    nic.frameSource = ring;
    const link = new TapLink({ fd: tap, mtu: nic.mtu, pool, gso: false });
    const end = {
      ingress: (frame: PacketBuffer) => this.#send(nic, ring, frame),
      egress: () => undefined,
      get full() {
        return ring.full;
      },
    };
    // The stage has made the device and is gone; only its namespace could take it away.
    this.#pumps.push(new Pump(this.#reactor, tap, link, end, () => {}));
    this.#links.push(link);
    this.#rings.push(ring);
  }

  #send(nic: Nic, ring: FrameRing, frame: PacketBuffer): void {
    if (frame.totalLength > nic.mtu + ETHERNET_HEADER + VLAN_TAG) {
      this.#tooLong.value++;
      frame.release();
      return;
    }
    if (this.#stop !== undefined) {
      // No shaper holds as many. Those in a queue that was thrown away are never seen to pass.
      if (this.#sent.size >= SENT_MAX) {
        this.#sent.clear();
        this.#forgotten.value++;
      }
      this.#sent.add(frame);
    }
    ring.push(frame);
  }
}
