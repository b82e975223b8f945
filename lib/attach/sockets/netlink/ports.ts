/**
 * Port ids of netlink sockets: whose answers are whose (`netlink_autobind`).
 *
 * @module
 */

/** Where automatic port ids begin when that of the process is taken; they go down from there. */
const FIRST_ROVER = -4_097;
const LAST_ROVER = -0x8000_0000;

/** The port ids of one protocol in one network. */
export class NetlinkPorts {
  readonly #taken = new Set<number>();
  #rover = FIRST_ROVER;

  /** False: somebody has it. */
  take(port: number): boolean {
    if (this.#taken.has(port)) return false;
    this.#taken.add(port);
    return true;
  }

  /** The number of `thread`, or one that is nobody's. */
  takeAny(thread: number): number {
    if (thread > 0 && this.take(thread)) return thread;
    for (;;) {
      const port = this.#rover;
      this.#rover = port > LAST_ROVER ? port - 1 : FIRST_ROVER;
      if (this.take(port)) return port;
    }
  }

  release(port: number): void {
    this.#taken.delete(port);
  }
}
