/**
 * What all TCP sockets of one guest share.
 *
 * @module
 */

import { PipePool } from "../../../link/kernel_pipe.ts";
import { StreamIo } from "../../../link/stream_io.ts";
import type { Instant } from "../../../stack/time.ts";
import type { SocketsContext } from "../guest_socket.ts";
import type { ListenGroup } from "./listen_group.ts";
import { PortTable } from "./ports.ts";

/** Shared by the TCP sockets of one guest. */
export class Streams {
  readonly context: SocketsContext;
  readonly io: StreamIo;
  /** For bulk streams that stay in this stack. */
  readonly pipes: PipePool;
  readonly ports: PortTable;
  /** Listeners of the stack by `address port`: sockets with `SO_REUSEPORT` share one. */
  readonly groups = new Map<string, ListenGroup>();

  constructor(context: SocketsContext) {
    const { stack, pool } = context;
    this.context = context;
    this.io = new StreamIo(pool);
    this.pipes = new PipePool(context.counters);
    this.ports = new PortTable(() => stack.random(), () => stack.tcp.connections());
  }

  now(): Instant {
    return this.context.reactor.now() as Instant;
  }
}

const shared = new WeakMap<SocketsContext, Streams>();

/** The streams of this context, made when first asked for. */
export function streamsOf(context: SocketsContext): Streams {
  let streams = shared.get(context);
  if (streams === undefined) shared.set(context, streams = new Streams(context));
  return streams;
}
