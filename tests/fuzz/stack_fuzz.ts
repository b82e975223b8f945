/**
 * A whole stack against a stream of damaged frames: it may not throw, answer without measure, send malformed frames, or keep
 * a buffer for ever.
 *
 * @module
 */

import { deepEqual, doesNotMatch, equal, ok } from "node:assert/strict";
import { HEADROOM, PacketBuffer, type Recycler } from "../../lib/stack/buffer/packet.ts";
import { BufferPool, LARGE, MEDIUM, SMALL } from "../../lib/stack/buffer/pool.ts";
import { NO_OFFLOAD } from "../../lib/stack/link/link.ts";
import type { Nic } from "../../lib/stack/nic.ts";
import { Stack } from "../../lib/stack/stack.ts";
import { type Instant, MILLISECOND, SECOND } from "../../lib/stack/time.ts";
import { IpAddress } from "../../lib/stack/wire/address.ts";
import { MacAddress } from "../../lib/stack/wire/ethernet.ts";
import { formatFrame } from "../../lib/stack/wire/format.ts";
import { between } from "../support/random.ts";
import { damagedFrame, repair } from "./mutate.ts";
import type { FuzzTarget } from "./target.ts";

/** Frames that may leave in answer to one that came. A neighbour that is found may let go a queue of waiting packets. */
const MOST_ANSWERS = 64;
/** Our hardware address, the one of the second host of the corpus. */
const OURS = MacAddress.parse("02:00:00:00:00:0b")!;
/** When nothing can be left to wait for: longer than any timer of an abandoned connection. */
const AFTERWARDS = 3_600 * SECOND;

/** A pool that knows what was not given back. */
class CountingPool extends BufferPool implements Recycler {
  readonly #out = new Set<PacketBuffer>();

  override take(payload: number): PacketBuffer {
    const capacity = [SMALL, MEDIUM, LARGE].find((size) => HEADROOM + payload <= size)!;
    return this.frame(new Uint8Array(capacity), HEADROOM, HEADROOM);
  }

  /** A buffer with content. */
  frame(bytes: Uint8Array, start: number, end: number): PacketBuffer {
    const buffer = new PacketBuffer(bytes, start, end, this);
    this.#out.add(buffer);
    return buffer;
  }

  recycle(buffer: PacketBuffer): void {
    ok(this.#out.delete(buffer), "a buffer came back twice");
  }

  /** What is still held, as text. */
  get outstanding(): string[] {
    return [...this.#out].map((p) => formatFrame(p.bytes.subarray(p.start, p.end)));
  }
}

function stackOf(random: () => number, pool: BufferPool): { stack: Stack; nic: Nic } {
  const stack = new Stack({ random, pool });
  const nic = stack.addNic({
    name: "eth0",
    mac: OURS,
    mtu: 1_500,
    capabilities: NO_OFFLOAD,
    promiscuous: (random() & 1) === 0,
    spoofing: true,
    learnNeighbours: (random() & 1) === 0,
  });
  nic.addAddress(IpAddress.parse("10.0.0.2")!, 24);
  nic.addAddress(IpAddress.parse("fd00::2")!, 64);
  stack.udpBind({ localPort: 53, observer: { onUdpDatagram() {} } }, 0 as Instant);
  return { stack, nic };
}

/** Takes all frames that want to leave; each must be one that another stack would understand. */
function drain(nic: Nic, now: Instant, most: number): void {
  for (let n = 0;; n++) {
    const frame = nic.egress(now);
    if (frame === undefined) return;
    ok(n < most, `more than ${most} frames leave`);
    // A datagram too short to have ports is quoted as short as it was. No checksum here is partial: the link completes none.
    equal(frame.checksum, 0);
    doesNotMatch(
      formatFrame(frame.toBytes()),
      /^(?:Ethernet|ARP|IP|IP6) \[|: (?:UDP|TCP|ICMP6?,?) \[(?!quote)/,
    );
    frame.release();
  }
}

function survives(random: () => number): void {
  const pool = new CountingPool();
  const { stack, nic } = stackOf(random, pool);
  let now = SECOND as Instant;
  for (let frames = between(random, 1, 60); frames > 0; frames--) {
    const bytes = damagedFrame(random);
    if (random() % 4 !== 0) repair(bytes);
    if (random() % 2 === 0 && bytes.length >= 6) OURS.write(new DataView(bytes.buffer), 0);
    nic.ingress(pool.frame(bytes, 0, bytes.length), now);
    stack.poll(now);
    drain(nic, now, MOST_ANSWERS);
    now = (now + random() % (random() % 8 === 0 ? 20 * SECOND : MILLISECOND)) as Instant;
    stack.poll(now);
    drain(nic, now, MOST_ANSWERS);
  }
  // Time passes, and nothing comes any more.
  for (let turns = 0; turns < 1_000; turns++) {
    const at = stack.pollAt();
    if (at > now + AFTERWARDS) break;
    if (at > now) now = at;
    stack.poll(now);
    drain(nic, now, 1_000);
  }
  deepEqual(pool.outstanding, []);
}

/** For `scripts/fuzz.ts`. */
export const targets: readonly FuzzTarget[] = [{ name: "stack/ingress", round: survives }];
