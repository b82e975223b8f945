/**
 * A capture as the stream that an HTTP response is made of.
 *
 * @module
 */

import { RingReader } from "./capture_ring.ts";

/** Bytes handed on at once. */
const CHUNK = 262_144;
/** Milliseconds after which a stream that has nothing to say says so: servers and proxies close silent connections. */
const HEARTBEAT = 10_000;

/** What the owner of the engine does for a stream. */
export interface CaptureSource {
  readonly ring: SharedArrayBuffer;
  /** Ends the capture. */
  close(): void;
}

/** A reader of one capture; `stream` is pulled, so a client that does not read costs the ring and nothing more. */
export class CaptureStream {
  readonly stream: ReadableStream<Uint8Array<ArrayBuffer>>;
  /** Resolves when the stream has been read to its end, or cancelled. */
  readonly done: Promise<void>;
  readonly #reader: RingReader;
  #wake: (() => void) | undefined;
  #over = false;

  constructor(source: CaptureSource, heartbeat: number = HEARTBEAT) {
    this.#reader = new RingReader(source.ring);
    const { promise, resolve } = Promise.withResolvers<void>();
    this.done = promise;
    this.stream = new ReadableStream({
      pull: async (controller) => {
        for (;;) {
          const bytes = this.#reader.read(CHUNK);
          if (bytes !== undefined) return controller.enqueue(bytes);
          if (this.#over) {
            resolve();
            return controller.close();
          }
          if (!await this.#woken(heartbeat)) return controller.enqueue(statistics(Date.now()));
        }
      },
      cancel: () => {
        this.end();
        resolve();
        source.close();
      },
    }, { highWaterMark: 0 });
  }

  /** The ring has something. */
  wake(): void {
    this.#wake?.();
  }

  /** Nothing more will come; what is in the ring is still read. */
  end(): void {
    this.#over = true;
    this.wake();
  }

  #woken(milliseconds: number): Promise<boolean> {
    return new Promise((resolve) => {
      const timer = setTimeout(() => done(false), milliseconds);
      const done = (woken: boolean) => {
        clearTimeout(timer);
        this.#wake = undefined;
        resolve(woken);
      };
      this.#wake = () => done(true);
    });
  }
}

/**
 * An interface statistics block without statistics (draft-ietf-opsawg-pcapng section 4.6): a block that says nothing, of
 * the first interface. The ring holds whole blocks, so where it is empty is between two.
 */
function statistics(now: number): Uint8Array<ArrayBuffer> {
  const block = new Uint8Array(24);
  const view = new DataView(block.buffer);
  const microseconds = now * 1000;
  [5, block.length, 0, Math.floor(microseconds / 0x1_0000_0000), microseconds % 0x1_0000_0000, block.length]
    .forEach((word, i) => view.setUint32(4 * i, word, true));
  return block;
}
