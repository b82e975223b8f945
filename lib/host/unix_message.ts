/**
 * A message for whoever listens on a unix socket: a connection of its own, and no answer.
 *
 * @module
 */

import { createConnection } from "node:net";

/** Milliseconds until a listener that does not take a message is given up. */
export const MESSAGE_PATIENCE = 1_000;

/** Resolves when `text` was taken; rejects with the system's reason, or after {@linkcode MESSAGE_PATIENCE}. */
export function sendMessage(path: string, text: string): Promise<void> {
  return new Promise((resolve, reject) => {
    const socket = createConnection({ path });
    const limit = setTimeout(() => finish(new Error("nobody takes it")), MESSAGE_PATIENCE);
    const finish = (error?: Error) => {
      clearTimeout(limit);
      socket.destroy();
      if (error === undefined) resolve();
      else reject(error);
    };
    socket.on("error", finish);
    socket.once("connect", () => socket.end(text, () => finish()));
  });
}
