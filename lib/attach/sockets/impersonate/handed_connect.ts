/**
 * `connect` on a socket that the guest holds itself: carried out on a duplicate, never blocking us.
 *
 * @module
 */

import { F, SO, SOL } from "../../../host/constants.ts";
import { Errno } from "../../../host/errno.ts";
import { connectTo, disconnect } from "../../../host/inet.ts";
import { NativeMemory } from "../../../host/memory.ts";
import { EpollEvents, type ReadyHandler } from "../../../host/reactor.ts";
import type { AddressWords } from "../../../host/structs.ts";
import { close, fcntl, getsockopt } from "../../../host/sys.ts";
import type { Instant } from "../../../stack/time.ts";
import type { Call } from "../call.ts";
import type { SocketsContext } from "../guest_socket.ts";
import { HeldCall } from "../tcp/held_call.ts";

const O_NONBLOCK = 0o4000;

const timeval = new NativeMemory(24);

/**
 * Connects, and answers the call now or when the handshake has ended.
 *
 * @param fd our duplicate of the guest's descriptor
 * @param address absent: dissolves the connection
 * @returns whether `fd` is kept until then
 */
export function dial(
  context: SocketsContext,
  call: Call,
  fd: number,
  address: AddressWords | undefined,
  port: number,
): boolean {
  const result = attempt(fd, address, port);
  if (result !== -Errno.EINPROGRESS && result !== -Errno.EALREADY || !call.blocking) {
    call.reply(result);
    return false;
  }
  new Dialling(context, call, fd, address!, port);
  return true;
}

/** One `connect(2)` that does not wait. The flag is the guest's, too, for the length of the call. */
function attempt(fd: number, address: AddressWords | undefined, port: number): number {
  if (address === undefined) return disconnect(fd);
  const flags = fcntl(fd, F.GETFL, 0);
  if ((flags & O_NONBLOCK) === 0) fcntl(fd, F.SETFL, flags | O_NONBLOCK);
  const result = connectTo(fd, address, port);
  if ((flags & O_NONBLOCK) === 0) fcntl(fd, F.SETFL, flags);
  return result;
}

/** A blocking connect under way. */
class Dialling implements ReadyHandler {
  readonly #context: SocketsContext;
  readonly #held: HeldCall;
  readonly #fd: number;
  readonly #address: AddressWords;
  readonly #port: number;

  constructor(context: SocketsContext, call: Call, fd: number, address: AddressWords, port: number) {
    this.#context = context;
    this.#fd = fd;
    this.#address = address;
    this.#port = port;
    const { reactor, supervisor } = context;
    const onTimeout = (held: HeldCall) => {
      this.#close();
      held.call.fail(Errno.EINPROGRESS);
    };
    const now = reactor.now() as Instant;
    this.#held = new HeldCall(
      supervisor,
      call,
      0,
      timeoutOf(fd, SO.SNDTIMEO),
      now,
      onTimeout,
      () => this.#close(),
    );
    reactor.add(fd, EpollEvents.out, this);
  }

  onReady(): void {
    // The second call tells how the first has ended, and makes the kernel forget it.
    const result = attempt(this.#fd, this.#address, this.#port);
    if (result === -Errno.EALREADY || result === -Errno.EINPROGRESS) return;
    this.#close();
    this.#held.settle().call.reply(result === -Errno.EISCONN ? 0 : result);
  }

  #close(): void {
    // The guest has its own duplicates, so closing ours would not take it out of the set.
    this.#context.reactor.remove(this.#fd);
    close(this.#fd);
  }
}

/** `SO_SNDTIMEO` or `SO_RCVTIMEO`, microseconds; 0: none. */
export function timeoutOf(fd: number, option: number): number {
  timeval.view.setInt32(16, 16, true);
  if (getsockopt(fd, SOL.SOCKET, option, timeval.address, timeval.address + 16) < 0) return 0;
  return timeval.getPointer(0) * 1_000_000 + timeval.getPointer(8);
}
