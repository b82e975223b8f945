/**
 * The engine as the main thread sees it.
 *
 * @module
 */

import { close } from "../host/sys.ts";
import { socketPair } from "../host/socket_pair.ts";
import { SOCK } from "../host/constants.ts";
import { startWorker, type WorkerHandle } from "../host/worker.ts";
import { CaptureStream } from "./capture_stream.ts";
import type { EngineConfig } from "./config.ts";
import { logWritten, newLogCounter } from "./log_credit.ts";
import {
  type EngineAnswers,
  type EngineArguments,
  type EngineClient,
  type EngineMessage,
  EngineRefusal,
} from "./messages.ts";
import { RequestQueue } from "./request_queue.ts";
import { REQUEST_MAX } from "./requests.ts";
import { Watchdog } from "./watchdog.ts";

interface Waiting {
  resolve(value: unknown): void;
  reject(error: Error): void;
}

/** What the main thread is told without having asked. */
export interface EngineEvents {
  onLog(level: string, text: string): void;
}

/** How an engine ended. */
export interface EngineEnd {
  readonly status: number;
  /** Why, if it failed. */
  readonly message?: string;
  /** It does not answer: neither the child nor its own loop will be ended by it. */
  readonly isStuck?: boolean;
}

/** A running engine. */
export class EngineHandle implements EngineClient {
  /** Settles when the data plane is set up; rejects with a clear message if it cannot be. */
  readonly ready: Promise<void>;
  /** Settles when the child has ended and what it sent is delivered; the engine goes on until `stop`. Never, if it fails. */
  readonly drained: Promise<void>;
  /** Exit status of the child, or 125 once the engine has failed. */
  readonly over: Promise<EngineEnd>;
  readonly #worker: WorkerHandle;
  readonly #requests: number;
  #watchdog: Watchdog | undefined;
  readonly #queue: RequestQueue;
  readonly #waiting = new Map<number, Waiting>();
  readonly #captures = new Map<number, CaptureStream>();
  #nextId = 1;

  constructor(config: Omit<EngineConfig, "requests" | "logged">, events: EngineEvents) {
    const [ours, theirs] = socketPair(SOCK.SEQPACKET | SOCK.NONBLOCK);
    const logged = newLogCounter();
    this.#requests = ours;
    this.#queue = new RequestQueue(ours);
    this.#worker = startWorker(new URL("./worker.ts", import.meta.url));
    const ready = Promise.withResolvers<void>();
    const drained = Promise.withResolvers<void>();
    const over = Promise.withResolvers<EngineEnd>();
    this.ready = ready.promise;
    this.drained = drained.promise;
    this.over = over.promise;
    void this.over.then(() => this.#captures.forEach((capture) => capture.end()));
    const stuck = { status: 125, message: "the data plane does not answer (a defect)", isStuck: true };
    // To set up may take long.
    void this.ready.then(() => {
      this.#watchdog = new Watchdog(() => this.ask("ping"), () => over.resolve(stuck));
      void this.over.then(() => this.#watchdog?.close());
    }, () => {});
    // Who awaits only one of the two must not see the other as an unhandled rejection.
    this.ready.catch(() => {});
    this.#worker.onMessage = (data) => {
      const message = data as EngineMessage;
      switch (message.type) {
        case "ready":
          return ready.resolve();
        case "failed":
          ready.reject(new EngineRefusal("failed", message.message));
          return over.resolve({ status: message.status, message: message.message });
        case "drained":
          return drained.resolve();
        case "exited":
          return over.resolve({ status: message.status });
        case "stopped":
          return over.resolve({ status: 0 });
        case "captured":
          return this.#captures.get(message.capture)?.wake();
        case "answer":
          return this.#take(message.id)?.resolve(message.value);
        case "refused":
          return this.#take(message.id)?.reject(new EngineRefusal(message.code, message.message));
        case "log":
          events.onLog(message.level, message.text);
          return logWritten(logged);
      }
    };
    this.#worker.onError = (why) => {
      ready.reject(new EngineRefusal("failed", why));
      over.resolve({ status: 125, message: `the engine failed: ${why}` });
    };
    this.#worker.post({ ...config, requests: theirs, logged });
  }

  ask<Op extends keyof EngineAnswers>(
    op: Op,
    ...[details]: EngineArguments<Op>
  ): Promise<EngineAnswers[Op]> {
    const id = this.#nextId++;
    const { promise, resolve, reject } = Promise.withResolvers<unknown>();
    const text = new TextEncoder().encode(JSON.stringify({ ...details, op, id }));
    if (text.length > REQUEST_MAX) {
      return Promise.reject(
        new EngineRefusal("too-large", `Cannot ask ${op}: the request has ${text.length} bytes`),
      );
    }
    this.#waiting.set(id, { resolve, reject });
    this.#queue.send({
      text,
      onLost: (code) => {
        const why = code === "gone" ? "the engine does not listen" : "too many requests wait for the engine";
        this.#take(id)?.reject(new EngineRefusal(code, `Cannot ask ${op}: ${why}`));
      },
    });
    return promise as Promise<EngineAnswers[Op]>;
  }

  /** Somebody wants us to end: if the engine does not answer soon, it is {@linkcode over}. */
  hurry(): void {
    this.#watchdog?.hurry();
  }

  async capture(options: EngineArguments<"capture">[0]): Promise<ReadableStream<Uint8Array<ArrayBuffer>>> {
    const { capture, ring } = await this.ask("capture", options);
    const reader = new CaptureStream({
      ring,
      close: () => {
        this.#captures.delete(capture);
        this.ask("uncapture", { capture }).catch(() => {});
      },
    });
    this.#captures.set(capture, reader);
    return reader.stream;
  }

  /** Once the engine is over: resolves when every capture has been read to its end. */
  async captured(): Promise<void> {
    await Promise.all([...this.#captures.values()].map((capture) => capture.done));
  }

  /** Ends the engine's loop and waits for nothing. */
  dispose(): void {
    this.#watchdog?.close();
    this.#worker.terminate();
    this.#queue.close();
    close(this.#requests);
  }

  #take(id: number): Waiting | undefined {
    const waiting = this.#waiting.get(id);
    this.#waiting.delete(id);
    return waiting;
  }
}
