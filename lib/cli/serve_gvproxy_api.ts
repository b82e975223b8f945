/**
 * gvproxy's HTTP API behind the listeners that its flags name.
 *
 * @module
 */

import { createGvproxyApi } from "../control/gvproxy_api.ts";
import type { EngineClient } from "../engine/messages.ts";
import { type HttpAddress, type HttpServer, serveHttp } from "../host/http_server.ts";
import { claimUnix } from "../host/unix_listen.ts";
import { type CommandContext, Failure } from "./command.ts";

/** Listens everywhere or nowhere; the result stops listening. */
export function serveGvproxyApi(
  context: CommandContext,
  addresses: readonly HttpAddress[],
  engine: EngineClient,
): { close(): void } {
  const servers: HttpServer[] = [];
  const close = () => servers.forEach((server) => server.close());
  for (const address of addresses) {
    const app = createGvproxyApi({
      engine,
      onUnix: "unix" in address,
      onError: (error) => context.stderr(`sluice: gvproxy API: ${error.stack ?? error.message}\n`),
    });
    try {
      if ("unix" in address) claimUnix(address.unix);
      servers.push(serveHttp(address, (request) => app.fetch(request)));
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
