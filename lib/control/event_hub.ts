/**
 * One publisher, a bounded number of readers of `GET /v1/events`.
 *
 * A reader that does not read loses events, never memory of ours: its queue holds {@linkcode QUEUE_LIMIT} of them, what
 * does not fit is counted and told by a `lost` event as soon as there is room, and a reader that lost
 * {@linkcode LOST_LIMIT} in a row is let go.
 *
 * @module
 */

/** Readers at one time. */
export const SUBSCRIBER_LIMIT = 16;
/** Events that wait for one reader. */
export const QUEUE_LIMIT = 64;
/** Events that one reader may miss in a row before its stream is closed. */
export const LOST_LIMIT = 256;

/** Something that happened. `data` is plain JSON. */
export interface ApiEvent {
  readonly event: "hello" | "sample" | "flow" | "forward" | "qdisc" | "log" | "lost";
  readonly data: unknown;
}

interface Subscriber {
  readonly controller: ReadableStreamDefaultController<Uint8Array>;
  lost: number;
}

/** Whoever produces events only for as long as somebody reads them. */
export interface Producer {
  start(): void;
  stop(): void;
}

/** Hands events to readers as server-sent events (WHATWG HTML section 9.2). */
export class EventHub {
  /** Started with the first reader, stopped with the last. */
  producer: Producer | undefined;
  readonly #subscribers = new Set<Subscriber>();
  readonly #encoder = new TextEncoder();

  /** Readers now. */
  get size(): number {
    return this.#subscribers.size;
  }

  /** A stream of events that begins with `first`; undefined if there are {@linkcode SUBSCRIBER_LIMIT} readers. */
  subscribe(first: ApiEvent): ReadableStream<Uint8Array> | undefined {
    if (this.#subscribers.size >= SUBSCRIBER_LIMIT) return undefined;
    let subscriber: Subscriber;
    return new ReadableStream<Uint8Array>({
      start: (controller) => {
        subscriber = { controller, lost: 0 };
        this.#subscribers.add(subscriber);
        controller.enqueue(this.#encode(first));
        if (this.#subscribers.size === 1) this.producer?.start();
      },
      cancel: () => this.#remove(subscriber),
    }, new CountQueuingStrategy({ highWaterMark: QUEUE_LIMIT }));
  }

  /** Tells every reader. */
  publish(event: ApiEvent): void {
    if (this.#subscribers.size === 0) return;
    const bytes = this.#encode(event);
    for (const subscriber of [...this.#subscribers]) this.#offer(subscriber, bytes);
  }

  /** Ends every stream. */
  close(): void {
    for (const subscriber of [...this.#subscribers]) this.#end(subscriber);
  }

  #offer(subscriber: Subscriber, bytes: Uint8Array): void {
    const { controller } = subscriber;
    // A reader that missed something is told so first, and needs room for both.
    const needed = subscriber.lost > 0 ? 2 : 1;
    if ((controller.desiredSize ?? 0) < needed) {
      if (++subscriber.lost > LOST_LIMIT) this.#end(subscriber);
      return;
    }
    if (subscriber.lost > 0) {
      controller.enqueue(this.#encode({ event: "lost", data: { events: subscriber.lost } }));
      subscriber.lost = 0;
    }
    controller.enqueue(bytes);
  }

  #end(subscriber: Subscriber): void {
    this.#remove(subscriber);
    subscriber.controller.close();
  }

  #remove(subscriber: Subscriber): void {
    if (this.#subscribers.delete(subscriber) && this.#subscribers.size === 0) this.producer?.stop();
  }

  #encode({ event, data }: ApiEvent): Uint8Array {
    // JSON has no raw line feed, so one `data:` line always holds it.
    return this.#encoder.encode(`event: ${event}\ndata: ${JSON.stringify(data)}\n\n`);
  }
}
