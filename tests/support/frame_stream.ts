/**
 * A machine monitor's end of a stream of frames with 16 bits of length: gvforwarder's after `POST /connect`, HyperKit's after
 * its handshake, or that of who has started the network and speaks over its standard input and output.
 *
 * @module
 */

import { Buffer } from "node:buffer";
import type { ChildProcess } from "node:child_process";
import { createConnection, createServer, type Socket } from "node:net";
import type { Readable, Writable } from "node:stream";
import { framed, framesIn } from "./framed.ts";
import type { Scope } from "./e2e.ts";

/** Milliseconds after which a question is asked again, for who loses what comes too early, and until it is given up. */
const AGAIN = 200, PATIENCE = 20_000;

/** Frames both ways. */
export class FrameStream {
  /** The other side has closed. */
  readonly ended: Promise<void>;
  readonly #writer: Writable;
  #rest: Uint8Array = new Uint8Array();
  #onBytes: () => void = () => {};
  #onFrame: ((frame: Uint8Array) => void) | undefined;

  constructor(reader: Readable, writer: Writable) {
    this.#writer = writer;
    reader.on("data", (chunk: Uint8Array) => {
      this.#rest = Buffer.concat([this.#rest, chunk]);
      this.#onBytes();
      this.#deliver();
    });
    writer.on("error", () => {});
    this.ended = new Promise((resolve) => reader.once("close", resolve));
  }

  write(bytes: Uint8Array): void {
    this.#writer.write(bytes);
  }

  send(frame: Uint8Array): void {
    this.write(framed([frame], 2));
  }

  end(): void {
    this.#writer.end();
  }

  /** Every frame from now on. */
  listen(onFrame: (frame: Uint8Array) => void): void {
    this.#onFrame = onFrame;
    this.#deliver();
  }

  /** The next bytes, before anybody listens for frames. */
  async exactly(count: number): Promise<Uint8Array> {
    await this.#within(`${count} bytes`, (resolve) => {
      const look = () => {
        if (this.#rest.length >= count) resolve();
      };
      this.#onBytes = look;
      look();
    });
    const bytes = this.#rest.subarray(0, count);
    this.#rest = this.#rest.subarray(count);
    return bytes;
  }

  /** The first frame that `is` the answer to `frame`, which is asked again and again. */
  async ask(frame: Uint8Array, is: (answer: Uint8Array) => boolean): Promise<Uint8Array> {
    let answer: Uint8Array = frame;
    const asking = setInterval(() => this.send(frame), AGAIN);
    try {
      await this.#within("an answer", (resolve) => {
        this.listen((heard) => {
          if (!is(heard)) return;
          answer = heard;
          resolve();
        });
        this.send(frame);
      });
    } finally {
      clearInterval(asking);
      this.#onFrame = () => {};
    }
    return answer;
  }

  #deliver(): void {
    if (this.#onFrame === undefined) return;
    const { frames, taken } = framesIn(this.#rest, 2);
    this.#rest = this.#rest.subarray(taken);
    for (const frame of frames) this.#onFrame(frame);
  }

  async #within(what: string, begin: (resolve: () => void) => void): Promise<void> {
    let limit: ReturnType<typeof setTimeout> | undefined;
    try {
      await new Promise<void>((resolve, reject) => {
        limit = setTimeout(() => reject(new Error(`${what} did not come`)), PATIENCE);
        void this.ended.then(() => reject(new Error(`${what} did not come before the end`)));
        begin(resolve);
      });
    } finally {
      clearTimeout(limit);
    }
  }
}

/** A connection that is closed with the scope. */
async function dial(scope: Scope, path: string): Promise<Socket> {
  const socket = createConnection({ path });
  scope.defer(() => void socket.destroy());
  await new Promise<void>((resolve, reject) => {
    socket.once("connect", resolve);
    socket.once("error", reject);
  });
  return socket;
}

/** By the HTTP API, as gvforwarder: there is no response to wait for. */
export async function byConnect(scope: Scope, path: string): Promise<FrameStream> {
  const socket = await dial(scope, path);
  socket.write("POST /connect HTTP/1.1\r\nHost: \r\nUser-Agent: Go-http-client/1.1\r\n\r\n");
  return new FrameStream(socket, socket);
}

/** By HyperKit's handshake, which is `hello`; resolves to the answer, too. */
export async function byHandshake(
  scope: Scope,
  path: string,
  hello: Uint8Array,
): Promise<{ readonly stream: FrameStream; readonly answer: Uint8Array }> {
  const socket = await dial(scope, path);
  const stream = new FrameStream(socket, socket);
  stream.write(hello);
  return { stream, answer: await stream.exactly(49 + 258) };
}

/** By standard input and output. */
export function byStdio(child: ChildProcess): FrameStream {
  return new FrameStream(child.stdout!, child.stdin!);
}

/** Listens at `path` for one guest whose frames have 32 bits of length, and carries them over `stream`. */
export async function carryGuest(scope: Scope, path: string, stream: FrameStream): Promise<void> {
  const server = createServer((guest) => {
    scope.defer(() => void guest.destroy());
    let rest: Uint8Array = new Uint8Array();
    guest.on("data", (chunk: Uint8Array) => {
      rest = Buffer.concat([rest, chunk]);
      const { frames, taken } = framesIn(rest, 4);
      rest = rest.subarray(taken);
      stream.write(framed(frames, 2));
    });
    guest.on("error", () => {});
    guest.on("close", () => stream.end());
    stream.listen((frame) => void guest.write(framed([frame], 4)));
  });
  scope.defer(() => void server.close());
  await new Promise<void>((resolve, reject) => {
    server.once("error", reject);
    server.listen(path, resolve);
  });
}
