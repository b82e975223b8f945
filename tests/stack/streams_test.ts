import { deepEqual, equal, ok, rejects } from "node:assert/strict";
import { test } from "node:test";
import { type TcpStream, TcpStreamError, TcpStreams } from "../../lib/stack/streams.ts";
import { SECOND } from "../../lib/stack/time.ts";
import { randomBytes, seeded } from "../support/random.ts";
import { ip, Pair } from "../support/two_stacks.ts";

/** Two stacks whose clock runs as long as somebody awaits something. */
class StreamPair extends Pair {
  readonly client = this.#streams(this.a.stack);
  readonly server = this.#streams(this.b.stack);

  #streams(stack: Pair["a"]["stack"]): TcpStreams {
    return new TcpStreams({ stack, now: () => this.now, wake: () => {} });
  }

  /** Lets time pass, and promises settle, until `promise` is. */
  async until<T>(promise: Promise<T>): Promise<T> {
    let done = false;
    promise.then(() => done = true, () => done = true);
    for (let i = 0; !done && i < 10_000; i++) {
      await new Promise((resolve) => setImmediate(resolve));
      this.run(i < 100 ? 0 : SECOND / 100);
    }
    ok(done, "it never happens");
    return await promise;
  }

  async connected(): Promise<[TcpStream, TcpStream]> {
    const listener = this.server.listen({ port: 7 });
    const accepted = listener.accept();
    const near = await this.until(this.client.connect({ remoteAddress: ip("10.0.0.2"), remotePort: 7 }));
    return [near, (await this.until(accepted))!];
  }
}

async function readAll(stream: TcpStream): Promise<Uint8Array> {
  return new Uint8Array(
    await new Response(stream.readable as ReadableStream<Uint8Array<ArrayBuffer>>).arrayBuffer(),
  );
}

test("TcpStreams.connect() carries bytes both ways and ends in order", async () => {
  const pair = new StreamPair();
  const [near, far] = await pair.connected();
  const bytes = randomBytes(seeded(1), 300_000);
  const echoed = far.readable.pipeTo(far.writable);
  const sent = (async () => {
    const writer = near.writable.getWriter();
    await writer.write(bytes);
    await writer.close();
  })();
  deepEqual(await pair.until(readAll(near)), bytes);
  await pair.until(Promise.all([sent, echoed]));
});

test("TcpStreams.connect() rejects when nobody listens, and when there is no way", async () => {
  const pair = new StreamPair();
  const refused = pair.client.connect({ remoteAddress: ip("10.0.0.2"), remotePort: 9 });
  await rejects(pair.until(refused), (error) => error instanceof TcpStreamError && error.code === "refused");
  const lost = pair.client.connect({ remoteAddress: ip("8.8.8.8"), remotePort: 9 });
  await rejects(
    pair.until(lost),
    (error) => error instanceof TcpStreamError && error.code === "network-unreachable",
  );
});

test("TcpStream.writable waits for a reader: back-pressure reaches the writer", async () => {
  const pair = new StreamPair();
  const [near, far] = await pair.connected();
  const bytes = randomBytes(seeded(2), 16_000_000);
  let written = false;
  const writer = near.writable.getWriter();
  const writing = writer.write(bytes).then(() => written = true);
  pair.run(10 * SECOND);
  await new Promise((resolve) => setImmediate(resolve));
  equal(written, false);
  ok(far.connection.receiveQueue.length < 8_000_000);
  let count = 0;
  const reading = (async () => {
    const reader = far.readable.getReader();
    while (count < bytes.length) count += (await reader.read()).value?.length ?? 0;
  })();
  await pair.until(Promise.all([writing, reading]));
  equal(count, bytes.length);
});

test("TcpStream.writable.abort() is a reset at the other end", async () => {
  const pair = new StreamPair();
  const [near, far] = await pair.connected();
  await near.writable.abort();
  await rejects(
    pair.until(readAll(far)),
    (error) => error instanceof TcpStreamError && error.code === "reset",
  );
  await rejects(pair.until(far.closed), TcpStreamError);
});

test("TcpStreamListener ends its iteration when it is closed", async () => {
  const pair = new StreamPair();
  const listener = pair.server.listen({ port: 7 });
  const seen = (async () => {
    let count = 0;
    for await (const _stream of listener) count++;
    return count;
  })();
  for (let i = 0; i < 3; i++) {
    await pair.until(pair.client.connect({ remoteAddress: ip("10.0.0.2"), remotePort: 7 }));
  }
  await pair.until(new Promise<void>((resolve) => resolve()));
  for (let i = 0; i < 5; i++) await new Promise((resolve) => setImmediate(resolve));
  listener.close();
  equal(await pair.until(seen), 3);
});
