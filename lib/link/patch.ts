/**
 * A patch between two wires, by way of an interface of our stack: the guest has a kernel and an interface of its own, and
 * yet its frames pass the queueing discipline and the counters of ours.
 *
 * ```text
 *   guest's TAP ── guest.ingress ─▶ ring ─ pulled ─▶ Nic: cut, summed, qdisc ─▶ wire.egress ── provider
 *               ◀─ guest.egress ── queue ◀──┬── wire.ingress ──────────────────────────────────
 *                                           └─▶ Nic.ingress: what our own clients of DHCP and RA wait for
 * ```
 *
 * Both queues are short: a full one stops the other wire from being read, so that nothing is lost in between.
 *
 * @module
 */

import { Gso, type PacketBuffer } from "../stack/buffer/packet.ts";
import type { BufferPool } from "../stack/buffer/pool.ts";
import { copyOf } from "../stack/link/copy.ts";
import { isCuttable } from "../stack/link/segment_headers.ts";
import type { Nic } from "../stack/nic.ts";
import type { Instant } from "../stack/time.ts";
import { FrameRing } from "./frame_ring.ts";
import type { PumpEnd } from "./pump.ts";

/** Whom a frame from the wire is for. */
export type Addressee = "guest" | "stack" | "both" | "nobody";

/** The two ends of a patch, for a pump each. */
export class Patch {
  readonly guest: PumpEnd;
  readonly wire: PumpEnd;
  readonly #out = new FrameRing();
  readonly #in = new FrameRing();

  /** @param addressee decides by the bytes; must not throw, whatever they are */
  constructor(nic: Nic, pool: BufferPool, addressee: (frame: PacketBuffer, now: Instant) => Addressee) {
    const out = this.#out;
    const toGuest = this.#in;
    nic.frameSource = out;
    this.guest = {
      ingress: (frame) => {
        // A guest may send by a packet socket what no stack would, and the kernel passes on what it says of it.
        if (frame.gso === Gso.none || isCuttable(frame)) return out.push(frame);
        nic.tx.errors++;
        frame.release();
      },
      egress: () => toGuest.next(),
      get full() {
        return out.full;
      },
    };
    this.wire = {
      ingress: (frame, now) => {
        const whom = addressee(frame, now);
        if (whom === "stack") return nic.ingress(frame, now);
        if (whom === "nobody") {
          nic.rx.dropped++;
          return frame.release();
        }
        if (whom === "both") nic.ingress(copyOf(frame, pool), now);
        else nic.passed(frame, now);
        toGuest.push(frame);
      },
      egress: (now: Instant) => nic.egress(now),
      get full() {
        return toGuest.full;
      },
    };
  }

  close(): void {
    this.#out.clear();
    this.#in.clear();
  }
}
