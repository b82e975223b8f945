/**
 * gvproxy's HTTP API behind the listeners that its flags name.
 *
 * @module
 */

import { createGvproxyApi } from "../control/gvproxy/api.ts";
import type { EngineClient } from "../engine/messages.ts";
import type { HttpAddress } from "../host/http_server.ts";
import { privateDirectory } from "../host/private_directory.ts";
import { serveWithTakeover, type TakeoverServer } from "../host/takeover_server.ts";
import { claimUnix } from "../host/unix_listen.ts";
import { type CommandContext, Failure } from "./command.ts";

/**
 * Listens everywhere or nowhere; the result stops listening.
 *
 * @param wire the path of a `unixstream://` socket of guests, for `/connect`
 */
export async function serveGvproxyApi(
  context: CommandContext,
  addresses: readonly HttpAddress[],
  engine: EngineClient,
  wire?: string,
): Promise<{ close(): void }> {
  const servers: TakeoverServer[] = [];
  const place = privateDirectory("sluice-tunnels-");
  const close = () => {
    for (const server of servers) server.close();
    place.remove();
  };
  for (const address of addresses) {
    const app = createGvproxyApi({
      engine,
      onUnix: "unix" in address,
      onError: (error) => context.stderr(`sluice: gvproxy API: ${error.stack ?? error.message}\n`),
      privateSocket: () => place.newPath(),
      counters: () => summed(servers.map((server) => server.counters())),
      ...(wire === undefined ? {} : { wire }),
    });
    try {
      if ("unix" in address) claimUnix(address.unix);
      servers.push(
        await serveWithTakeover(address, (request, takeOver) => app.fetch(request, { takeOver })),
      );
    } catch (error) {
      close();
      const where = "unix" in address ? address.unix : `${address.host}:${address.port}`;
      const why = (error as { code?: unknown }).code === "EADDRINUSE"
        ? "the address is in use"
        : error instanceof Error
        ? error.message
        : String(error);
      throw new Failure(`Cannot serve gvproxy's API on ${where}: ${why}`);
    }
  }
  return { close };
}

function summed(all: readonly Readonly<Record<string, number>>[]): Record<string, number> {
  const sums: Record<string, number> = {};
  for (const one of all) {
    for (const [name, count] of Object.entries(one)) sums[name] = (sums[name] ?? 0) + count;
  }
  return sums;
}
