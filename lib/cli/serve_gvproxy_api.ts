/**
 * gvproxy's HTTP API behind the listeners that its flags name.
 *
 * @module
 */

import { createGvproxyApi } from "../control/gvproxy/api.ts";
import type { EngineClient } from "../engine/messages.ts";
import type { HttpAddress } from "../host/http_server.ts";
import type { PrivateDirectory } from "../host/private_directory.ts";
import { serveWithTakeover, type TakeoverServer } from "../host/takeover_server.ts";
import { claimUnix } from "../host/unix_listen.ts";
import { type CommandContext, Failure } from "./command.ts";
import type { Notifier } from "./notifier.ts";
import type { SshForwards } from "./ssh_forwards.ts";

/** What the API works on. */
export interface GvproxyApiParts {
  readonly engine: EngineClient;
  readonly ssh: SshForwards;
  /** For sockets of tunnels. */
  readonly place: PrivateDirectory;
  /** The path of a socket of guests, for `/connect`; absent: there is none. */
  readonly wire: string | undefined;
  /** Counts, too. */
  readonly notifier: Notifier | undefined;
}

/** Listens everywhere or nowhere; the result stops listening. */
export async function serveGvproxyApi(
  context: CommandContext,
  { api, services }: { readonly api: readonly HttpAddress[]; readonly services: readonly HttpAddress[] },
  { engine, ssh, place, wire, notifier }: GvproxyApiParts,
): Promise<{ close(): void }> {
  const servers: TakeoverServer[] = [];
  const close = () => {
    for (const server of servers) server.close();
  };
  for (const address of [...api, ...services]) {
    const app = createGvproxyApi({
      engine,
      onUnix: "unix" in address,
      onError: (error) => context.stderr(`sluice: gvproxy API: ${error.stack ?? error.message}\n`),
      privateSocket: () => place.newPath(),
      counters: () =>
        summed([...servers.map((server) => server.counters()), ssh.counters(), notifier?.counters() ?? {}]),
      ssh,
      ...(wire === undefined || services.includes(address) ? {} : { wire }),
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
