/**
 * A link decorator that writes one line per frame (`--log-packets`).
 *
 * ```text
 * eth0 > 10.0.2.100.42000 > 10.0.2.2.80: Flags [S], seq 1, win 65535, length 0
 * eth0 < …
 * ```
 *
 * @module
 */

import type { PacketBuffer } from "../buffer/packet.ts";
import type { Link, LinkCapabilities } from "./link.ts";

/** Where lines go, and how a frame is put into words. */
export interface LogOptions {
  /** Name of the interface, in front of each line. */
  readonly name: string;
  /** One line per call, without a line end. */
  readonly sink: (line: string) => void;
  /** A frame as text; must not throw, whatever the bytes. */
  readonly format: (frame: Uint8Array) => string;
}

/** `inner`, with a line for every frame that was received (`<`) or taken for transmission (`>`). */
export function withLog(inner: Link, options: LogOptions): Link {
  return new LogLink(inner, options);
}

class LogLink implements Link {
  readonly mtu: number;
  readonly capabilities: LinkCapabilities;
  readonly #inner: Link;
  readonly #options: LogOptions;

  constructor(inner: Link, options: LogOptions) {
    this.mtu = inner.mtu;
    this.capabilities = inner.capabilities;
    this.#inner = inner;
    this.#options = options;
  }

  receive(): PacketBuffer | undefined {
    const frame = this.#inner.receive();
    if (frame !== undefined) this.#options.sink(this.#line("<", frame));
    return frame;
  }

  transmit(frame: PacketBuffer): boolean {
    // Before it is handed on, for afterwards it is not ours; the line is kept back, for a full wire takes it again later.
    const line = this.#line(">", frame);
    const taken = this.#inner.transmit(frame);
    if (taken) this.#options.sink(line);
    return taken;
  }

  flush(): boolean {
    return this.#inner.flush?.() ?? true;
  }

  #line(direction: "<" | ">", frame: PacketBuffer): string {
    const bytes = frame.fragments.length === 0
      ? frame.bytes.subarray(frame.start, frame.end)
      : frame.toBytes();
    return `${this.#options.name} ${direction} ${this.#options.format(bytes)}`;
  }
}
