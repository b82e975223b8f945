import { createHash } from "node:crypto";
import { ok, strictEqual } from "node:assert/strict";
import { test } from "node:test";
import { guestConnect } from "./guest_peers.ts";
import { type HostPeer, HostServer } from "./host_peers.ts";
import { GATEWAY4, within, type World } from "./world.ts";

const TOTAL = 50_000_000;

/** A stream of bytes that repeats with an odd period, so that a lost or doubled piece changes everything behind it. */
const PATTERN = Uint8Array.from({ length: 131_071 }, (_, i) => (i * 31 + (i >>> 7)) & 255);

/** Hands the stream out piece by piece to whoever takes a part of it. */
class Source {
  readonly #hash = createHash("sha256");
  sent = 0;

  /** Offers bytes to `take` until it takes no more; true when all of the stream is gone. */
  feed(take: (bytes: Uint8Array) => number): boolean {
    while (this.sent < TOTAL) {
      const at = this.sent % PATTERN.length;
      const piece = PATTERN.subarray(at, Math.min(PATTERN.length, at + Math.min(60_000, TOTAL - this.sent)));
      const taken = take(piece);
      if (taken > 0) this.#hash.update(piece.subarray(0, taken));
      this.sent += taken;
      if (taken < piece.length) return false;
    }
    return true;
  }

  digest(): string {
    return this.#hash.digest("hex");
  }
}

class Sink {
  readonly #hash = createHash("sha256");

  readonly take = (bytes: Uint8Array): void => void this.#hash.update(bytes);

  digest(): string {
    return this.#hash.digest("hex");
  }
}

function connected(world: World, onPeer: (peer: HostPeer) => void) {
  const server = new HostServer(world.reactor, onPeer);
  const guest = guestConnect(world, GATEWAY4, server.port);
  world.until(() => guest.established && server.peers.length === 1, "a connection");
  return { server, guest, host: server.peers[0]! };
}

for (const slow of [false, true]) {
  const reader = slow ? "a slow reader" : "a fast reader";

  test(`TcpRelay carries 50 MB from guest to host, whole, with ${reader}`, () =>
    within((world) => {
      const sink = new Sink();
      const source = new Source();
      const { server, guest, host } = connected(world, (peer) => {
        peer.sink = sink.take;
        peer.paused = slow;
      });
      let most = 0;
      let done = false;
      const push = () => {
        if (done) return;
        done = source.feed((bytes) => guest.write(bytes));
        if (done) guest.end();
      };
      world.until(() => {
        push();
        if (slow) host.drain(300_000);
        most = Math.max(most, source.sent - host.total);
        return host.ended;
      }, "the end");
      strictEqual(host.total, TOTAL);
      strictEqual(sink.digest(), source.digest());
      // What is under way lies in bounded queues: the guest's, ours, and the two of the host's kernel.
      ok(most < 24_000_000, `${most} bytes were under way`);
      server.close();
    }));

  test(`TcpRelay carries 50 MB from host to guest, whole, with ${reader}`, () =>
    within((world) => {
      const sink = new Sink();
      const source = new Source();
      const { server, guest, host } = connected(world, () => {});
      guest.sink = sink.take;
      guest.paused = slow;
      let done = false;
      let most = 0;
      world.until(() => {
        if (!done) {
          done = source.feed((bytes) => host.write(bytes));
          if (done) host.end();
        }
        if (slow) guest.drain(300_000);
        most = Math.max(most, source.sent - guest.total);
        return guest.ended;
      }, "the end");
      strictEqual(guest.total, TOTAL);
      strictEqual(sink.digest(), source.digest());
      ok(most < 24_000_000, `${most} bytes were under way`);
      server.close();
    }));
}

test("TcpRelay holds the host back while the guest does not read at all", () =>
  within((world) => {
    const source = new Source();
    const { server, guest, host } = connected(world, () => {});
    guest.paused = true;
    let before = -1;
    while (source.sent > before) {
      before = source.sent;
      for (let i = 0; i < 50; i++) {
        source.feed((bytes) => host.write(bytes));
        world.turn();
      }
    }
    ok(source.sent > 0 && source.sent < 24_000_000, `${source.sent} bytes went nowhere`);
    const flow = world.gateway.flows()[0]!;
    ok(flow.bytesIn < 12_000_000, `the stack holds ${flow.bytesIn} bytes`);
    guest.reset();
    world.until(() => world.gateway.flows().length === 0, "the reset");
    server.close();
  }));
