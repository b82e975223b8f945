/**
 * A unix socket whose connections become connections to another one, which may come later or go and come again.
 *
 * @module
 */

import { createConnection, createServer, type Socket } from "node:net";
import { chmodSync } from "node:fs";
import { withUmask } from "./process.ts";
import { claimUnix, removeIfSocket } from "./unix_listen.ts";

/** Connections at a time; more are closed at once. */
export const RELAY_CONNECTIONS = 256;
/** Milliseconds for which a connection waits until the other socket is there, and between two tries. */
export const RELAY_PATIENCE = 60_000, RELAY_TRY = 100;

/**
 * Whoever listens there may have lost his own other end without knowing: of what has not been heard of for this long, a
 * connection is given some time to be hung up, and tried so many times, before anything is said.
 */
export const RELAY_FRESH = 500, RELAY_SETTLE = 100, RELAY_HANGUPS = 3;

/** A listening relay. */
export interface UnixRelay {
  /** Connections that were closed because there were too many, or because nobody came to serve them. */
  counters(): { readonly refused: number; readonly late: number };
  /** Stops listening, ends every connection and takes the name away. */
  close(): void;
}

/**
 * Listens at `path`, with mode 0600. Rejects when the name is a file, or somebody's socket.
 *
 * @param patience milliseconds, for {@linkcode RELAY_PATIENCE}
 */
export async function relayUnix(path: string, to: string, patience = RELAY_PATIENCE): Promise<UnixRelay> {
  const sockets = new Set<Socket>();
  let refused = 0, late = 0;
  let heardAt = -Infinity;
  const server = createServer({ allowHalfOpen: true, pauseOnConnect: true }, (socket) => {
    if (sockets.size >= RELAY_CONNECTIONS) {
      refused++;
      return void socket.destroy();
    }
    sockets.add(socket);
    socket.on("close", () => sockets.delete(socket));
    socket.on("error", () => socket.destroy());
    const end = performance.now() + patience;
    let hangUps = 0;
    const again = (wait: number) => void setTimeout(tryOnce, wait);
    const tryOnce = () => {
      if (socket.destroyed) return;
      const other = createConnection({ path: to, allowHalfOpen: true });
      let connected = false, joined = false;
      let settling: ReturnType<typeof setTimeout> | undefined;
      const join = () => {
        clearTimeout(settling);
        other.off("readable", onReadable);
        // It has ended meanwhile, and would not say so again.
        if (socket.destroyed) return void other.destroy();
        joined = true;
        socket.on("close", () => other.destroy());
        other.once("data", () => heardAt = performance.now());
        socket.pipe(other);
        other.pipe(socket);
      };
      other.on("error", () => {});
      other.once("connect", () => {
        connected = true;
        if (performance.now() - heardAt < RELAY_FRESH) return join();
        settling = setTimeout(join, RELAY_SETTLE);
        // Only one that reads hears of the other's end.
        other.on("readable", onReadable);
      });
      const onReadable = () => {
        const first: Uint8Array | null = other.read();
        if (first === null) return void (other.readableEnded || other.readableLength > 0 || other.destroy());
        other.unshift(first);
        join();
      };
      other.on("close", () => {
        clearTimeout(settling);
        // What was received last is still to be written; then it ends.
        if (joined) return void (other.readableEnded || socket.destroy());
        const mayTry = connected ? ++hangUps < RELAY_HANGUPS : performance.now() < end;
        if (mayTry) return again(connected ? 2 * RELAY_TRY : RELAY_TRY);
        late++;
        socket.destroy();
      });
    };
    tryOnce();
  });
  claimUnix(path);
  removeIfSocket(path);
  await new Promise<void>((resolve, reject) => {
    server.once("error", reject);
    withUmask(0o177, () => server.listen(path, () => resolve()));
  });
  chmodSync(path, 0o600); // a runtime may bind later than it is told to
  return {
    counters: () => ({ refused, late }),
    close() {
      server.close();
      for (const socket of sockets) socket.destroy();
      removeIfSocket(path);
    },
  };
}
