/**
 * gvproxy's `-notification`: a line of JSON to a unix socket, by a connection of its own, when guests can come, and when one
 * has come or gone.
 *
 * ```text
 *   {"notification_type":"ready"}
 *   {"notification_type":"connection_established","mac_address":"5a:94:ef:e4:0c:ee"}    by its first frame
 *   {"notification_type":"connection_closed","mac_address":"5a:94:ef:e4:0c:ee"}
 * ```
 *
 * Guests are looked at from time to time: who comes and goes between two looks is not told of.
 *
 * @module
 */

import type { EngineClient } from "../engine/messages.ts";
import { sendMessage } from "../host/unix_message.ts";

/** Milliseconds between two looks. */
const LOOK_EVERY = 200;
/** Messages that wait for a listener; more are dropped, as gvproxy drops them (`notification.dropped`). */
export const WAITING_MAX = 100;

/** Tells whoever listens at `path`. */
export class Notifier {
  readonly #engine: EngineClient;
  readonly #path: string;
  readonly #onProblem: (text: string) => void;
  #looking: ReturnType<typeof setInterval> | undefined;
  #guests: ReadonlySet<string> = new Set();
  #waiting = 0;
  #dropped = 0;
  #isBusy = false;
  /** The message that is being sent. */
  #last: Promise<void> = Promise.resolve();

  constructor(engine: EngineClient, path: string, onProblem: (text: string) => void) {
    this.#engine = engine;
    this.#path = path;
    this.#onProblem = onProblem;
  }

  /** Says that guests can come, and goes on until `close`. */
  start(): void {
    this.#tell("ready");
    this.#looking = setInterval(() => void this.#look(), LOOK_EVERY);
  }

  counters(): Readonly<Record<string, number>> {
    return { "notification.dropped": this.#dropped };
  }

  close(): void {
    clearInterval(this.#looking);
  }

  async #look(): Promise<void> {
    // A slow engine is not asked again before it has answered.
    if (this.#isBusy) return;
    this.#isBusy = true;
    try {
      const { guests } = await this.#engine.ask("serving");
      const before = this.#guests;
      const now = new Set(guests.flatMap(({ macs }) => macs));
      for (const mac of before) if (!now.has(mac)) this.#tell("connection_closed", mac);
      for (const mac of now) if (!before.has(mac)) this.#tell("connection_established", mac);
      this.#guests = now;
    } catch {
      // The engine is gone or going, which is told by other means.
    } finally {
      this.#isBusy = false;
    }
  }

  #tell(what: string, mac?: string): void {
    if (this.#waiting >= WAITING_MAX) return void this.#dropped++;
    this.#waiting++;
    const text = `${JSON.stringify({ notification_type: what, mac_address: mac })}\n`;
    this.#last = this.#last.then(() => sendMessage(this.#path, text)).catch((error: unknown) => {
      const why = error instanceof Error ? error.message : String(error);
      this.#onProblem(`cannot notify ${this.#path} of ${what}: ${why}`);
    }).finally(() => this.#waiting--);
  }
}
