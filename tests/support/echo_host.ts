/**
 * Servers on the host's loopback that live in the test's own process.
 *
 * @module
 */

import { createServer as createHttpServer } from "node:http";
import { createServer, type Server } from "node:net";
import { createSocket } from "node:dgram";
import type { Scope } from "./e2e.ts";

async function listen(scope: Scope, server: Server, host: string): Promise<number> {
  await new Promise<void>((resolve, reject) => {
    server.once("error", reject);
    server.listen(0, host, resolve);
  });
  scope.defer(() => void server.close());
  return (server.address() as { port: number }).port;
}

/** A web server that answers every request with its path. */
export async function echoHttp(scope: Scope, host: string): Promise<number> {
  const server = createHttpServer((request, response) => void response.end(request.url));
  scope.defer(() => server.closeAllConnections());
  return await listen(scope, server, host);
}

/** Gives back every byte, and the end when it comes. */
export function echoTcp(scope: Scope, host: string): Promise<number> {
  const server = createServer({ allowHalfOpen: true }, (client) => {
    scope.defer(() => void client.destroy());
    client.on("error", () => {});
    client.pipe(client);
  });
  return listen(scope, server, host);
}

/** Gives back every datagram. */
export async function echoUdp(scope: Scope, host: string): Promise<number> {
  const socket = createSocket(host.includes(":") ? "udp6" : "udp4");
  socket.on("message", (bytes, from) => socket.send(bytes, from.port, from.address));
  await new Promise<void>((resolve) => socket.bind(0, host, resolve));
  scope.defer(() => void socket.close());
  return socket.address().port;
}
