/**
 * The engine's ear: requests from the main thread, one JSON text per datagram.
 *
 * @module
 */

import { NativeMemory } from "../host/memory.ts";
import { EpollEvents, type Reactor } from "../host/reactor.ts";
import { read } from "../host/sys.ts";
import type { EngineMessage, EngineRequest } from "./messages.ts";

/** Longest request, bytes; the longest real one is a published port. */
export const REQUEST_MAX = 65_536;

/** Reads requests from a socket and posts their answers. */
export class RequestPort {
  readonly #fd: number;
  readonly #answer: (request: EngineRequest) => unknown;
  readonly #post: (message: EngineMessage) => void;
  readonly #memory = new NativeMemory(REQUEST_MAX);
  readonly #decoder = new TextDecoder();

  constructor(
    reactor: Reactor,
    fd: number,
    answer: (request: EngineRequest) => unknown,
    post: (message: EngineMessage) => void,
  ) {
    this.#fd = fd;
    this.#answer = answer;
    this.#post = post;
    reactor.add(fd, EpollEvents.in, this);
  }

  /** One request a turn: the main thread never floods, and the data plane comes first. */
  onReady(): void {
    const length = read(this.#fd, this.#memory.address, REQUEST_MAX);
    if (length <= 0) return;
    // Our own other thread wrote it.
    const text = this.#decoder.decode(this.#memory.bytes.subarray(0, length));
    const request = JSON.parse(text) as EngineRequest;
    const { id } = request;
    try {
      this.#post({ type: "answer", id, value: this.#answer(request) });
    } catch (error) {
      const code = (error as { code?: unknown }).code;
      const message = error instanceof Error ? error.message : String(error);
      this.#post({ type: "refused", id, code: typeof code === "string" ? code : "refused", message });
    }
  }
}
