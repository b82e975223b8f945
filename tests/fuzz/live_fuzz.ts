/**
 * A transfer between two stacks, while a third party on the wire sends damaged frames and damaged copies of what it
 * overheard.
 *
 * A stranger does not know the connection (its frames come from the corpus): all bytes must arrive as they were sent. An
 * eavesdropper sees every frame and can forge what it likes within the window: nothing may throw or hang.
 *
 * @module
 */

import { deepEqual, equal, ok } from "node:assert/strict";
import { PacketBuffer } from "../../lib/stack/buffer/packet.ts";
import { TcpConnection } from "../../lib/stack/tcp/connection.ts";
import type { TcpListener } from "../../lib/stack/tcp/listener.ts";
import type { Instant } from "../../lib/stack/time.ts";
import { between, randomBytes } from "../support/random.ts";
import { ip, Pair } from "../support/two_stacks.ts";
import { damagedFrame, mutate, repair } from "./mutate.ts";
import type { FuzzTarget } from "./target.ts";

const BYTES = 60_000;

/** Sends all of `bytes`, and ends. */
class Sender {
  #sent = 0;
  constructor(readonly bytes: Uint8Array) {}
  onTcpEvent(connection: TcpConnection, _events: number, now: Instant): void {
    if (this.#sent === this.bytes.length) return;
    this.#sent += connection.writeBytes(this.bytes.subarray(this.#sent), now);
    if (this.#sent === this.bytes.length) connection.shutdown(now);
  }
}

/** Keeps what arrives on the first connection. */
class Receiver {
  readonly bytes = new Uint8Array(BYTES * 2);
  count = 0;
  done = false;
  onTcpAccept(listener: TcpListener, now: Instant): void {
    for (let c = listener.accept(now); c !== undefined; c = listener.accept(now)) c.observer = this;
  }
  onTcpEvent(connection: TcpConnection, _events: number, now: Instant): void {
    const { receiveQueue } = connection;
    for (let i = 0; i < receiveQueue.count; i++) {
      const { buffer, start, end } = receiveQueue.at(i);
      this.bytes.set(buffer.bytes.subarray(start, end), this.count);
      this.count += end - start;
    }
    connection.consume(receiveQueue.length, now);
    if (connection.peerClosed) {
      this.done = true;
      connection.shutdown(now);
    }
  }
}

function transfer(random: () => number, overhears: boolean): void {
  const overheard: Uint8Array[] = [];
  const pair = new Pair({
    filter: (frame) => {
      if (overhears && overheard.length < 64) overheard.push(frame.toBytes());
      return true;
    },
  });
  const inject = () => {
    for (let frames = between(random, 0, 4); frames > 0; frames--) {
      const known = overheard.length > 0 && random() % 4 !== 0;
      const bytes = known ? mutate(overheard[random() % overheard.length]!, random) : damagedFrame(random);
      if (random() % 4 !== 0) repair(bytes);
      const side = random() % 2 === 0 ? pair.a : pair.b;
      if (!known && bytes.length >= 6) side.nic.mac.write(new DataView(bytes.buffer), 0);
      side.nic.ingress(new PacketBuffer(bytes), pair.now);
    }
  };
  // The corpus holds ARP replies in the names of these two hosts: spoofing that works is not what this is about.
  pair.a.nic.neighbours.setPermanent(ip("10.0.0.2"), pair.b.nic.mac, pair.now);
  pair.b.nic.neighbours.setPermanent(ip("10.0.0.1"), pair.a.nic.mac, pair.now);
  const sent = randomBytes(random, BYTES);
  const receiver = new Receiver();
  pair.b.stack.tcpListen({ address: ip("10.0.0.2"), port: 7_777, observer: receiver }, pair.now);
  const request = { remoteAddress: ip("10.0.0.2"), remotePort: 7_777, observer: new Sender(sent) };
  const connection = pair.a.stack.tcpConnect(request, pair.now);
  ok(connection instanceof TcpConnection);
  const end = pair.now + 30_000_000;
  while (!receiver.done && pair.now < end && connection.error === undefined) {
    inject();
    pair.run(between(random, 100, 400_000), () => receiver.done);
  }
  if (overhears) return; // It may forge bytes in the window: only that we survive is promised.
  equal(connection.error, undefined);
  ok(receiver.done, `${receiver.count} bytes arrived`);
  deepEqual(receiver.bytes.subarray(0, receiver.count), sent);
}

/** For `scripts/fuzz.ts`. */
export const targets: readonly FuzzTarget[] = [
  { name: "live/stranger", round: (random) => transfer(random, false) },
  { name: "live/eavesdropper", round: (random) => transfer(random, true) },
];
