/**
 * What the switch needs of a guest's wire. A wire reads by itself, when its descriptor is ready, and hands frames to its
 * port; it writes what its port has queued when it is told to.
 *
 * @module
 */

import type { PacketBuffer } from "../../stack/buffer/packet.ts";
import type { FrameQueue } from "./frame_queue.ts";

/** Where a wire brings its frames. */
export interface WireOwner {
  /** A frame of the guest, cursor at its Ethernet header. Takes ownership. */
  received(frame: PacketBuffer): void;
  /** The wire was full and takes frames again. */
  writable(): void;
  /** The guest is gone, or has broken the rules of the wire. `why` is for the log. */
  gone(why: string): void;
  /** Counts something that went wrong on the wire, by the name behind `vm.`. */
  count(name: string): void;
}

/** A wire to one guest. */
export interface GuestWire {
  /**
   * Sends from the front of `queue`, and drops there what is sent; what the guest does not take, it cuts and completes. False:
   * the wire is full, {@linkcode WireOwner.writable} will follow.
   */
  send(queue: FrameQueue): boolean;
  /** Gives the guest room for so many bytes on their way, in each direction. */
  buffer?(bytes: number): void;
  /** Whether the guest is still there, for wires that are not told. */
  alive?(): boolean;
  close(): void;
}
