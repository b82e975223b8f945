/**
 * Standard input and output as a connection to a unix socket: what ssh wants of a `ProxyCommand`.
 *
 * @module
 */

import { createConnection } from "node:net";
import process from "node:process";

/**
 * Connects, and resolves to an exit status when the connection is over.
 *
 * @param allowHalfOpen each direction ends by itself; without it the first end is the end of both
 */
export function dialStdio(path: string, allowHalfOpen = true): Promise<number> {
  return new Promise((resolve) => {
    const socket = createConnection({ path, allowHalfOpen });
    socket.on("error", (error) => {
      process.stderr.write(`sluice: cannot connect to ${path}: ${error.message}\n`);
      resolve(1);
    });
    socket.once("connect", () => {
      process.stdin.pipe(socket);
      socket.pipe(process.stdout, { end: false });
    });
    socket.on("close", () => resolve(0));
    process.stdout.on("error", () => resolve(1));
  });
}
