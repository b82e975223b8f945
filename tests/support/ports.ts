/**
 * Ports of the host for programs that cannot be told to take any.
 *
 * A port that was bound for a moment to see that it is free belongs to nobody between that moment and the program's own: the
 * kernel may give it to any connection that goes out, and another lane of the tests may find it free as well. So these are
 * below the range that the kernel chooses from (`net.ipv4.ip_local_port_range`, 32768 and above), and each has a twin, which
 * a listener of ours holds for as long as this process lives: who holds the twin has the port.
 *
 * @module
 */

import { createSocket } from "node:dgram";
import { createServer, type Server } from "node:net";

const FIRST = 20_000;
const COUNT = 6_000;

/** A number for TCP and UDP, on any address, that nobody has and no other test process is given while this one lives. */
export async function freePort(): Promise<number> {
  for (let tries = 0; tries < COUNT; tries++) {
    const port = FIRST + Math.floor(Math.random() * COUNT);
    const twin = await listen(port + COUNT, "127.0.0.1");
    if (twin === undefined) continue;
    twin.unref();
    if (await isFree(port)) return port;
    twin.close();
  }
  throw new Error(`Cannot find a free port from ${FIRST} to ${FIRST + COUNT - 1}`);
}

async function isFree(port: number): Promise<boolean> {
  const server = await listen(port, "::");
  if (server === undefined) return false;
  await new Promise<void>((resolve) => server.close(() => resolve()));
  const socket = createSocket("udp6");
  return await new Promise<boolean>((resolve) => {
    socket.once("error", () => resolve(false));
    socket.bind(port, "::", () => socket.close(() => resolve(true)));
  });
}

/** Undefined: somebody is there. */
function listen(port: number, host: string): Promise<Server | undefined> {
  const server = createServer();
  return new Promise((resolve) => {
    server.once("error", () => resolve(undefined));
    server.listen(port, host, () => resolve(server));
  });
}
