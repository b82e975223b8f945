/**
 * The control API of a session: the application behind a listener, and the entry that lets others find it.
 *
 * @module
 */

import { describeSettings, describeTenancy } from "../config/describe.ts";
import type { Settings } from "../config/settings.ts";
import { createApi } from "../control/api.ts";
import { LOOPBACK_HOSTS, UNIX_HOSTS } from "../control/middleware/host_allow_list.ts";
import type { EngineClient } from "../engine/messages.ts";
import { type HttpAddress, type HttpServer, serveHttp } from "../host/http_server.ts";
import { ownProcessId } from "../host/runtime_files.ts";
import { type CommandContext, Failure } from "./command.ts";
import type { Instances } from "./instances.ts";
import { instances } from "./observe.ts";

/** A served API. */
export interface ServedApi {
  readonly id: string;
  /** Stops listening and takes the entry back. */
  close(): void;
}

/** Shortest token that a file may hold; ours have 256 bits. */
const TOKEN_MIN = 16;

/**
 * Listens as `--api` says and registers the instance, with `--api off` without a listener. Rejects with a
 * {@linkcode Failure} if the address or the name is taken.
 */
export async function serveApi(
  context: CommandContext,
  session: {
    readonly command: readonly string[];
    readonly mode?: { readonly network: string; readonly attach: string };
  },
  engine: EngineClient,
  registry: Instances = instances(),
): Promise<ServedApi> {
  const { settings } = context;
  const id = settings.id ?? randomHex(4);
  await registry.claim(id);

  const { api } = settings;
  const token = api.kind === "tcp" ? await tokenOf(context) : undefined;
  const listening = api.kind === "off"
    ? undefined
    : listen(api.kind === "unix" ? { unix: registry.socketPath(id) } : api, {
      engine,
      id,
      settings: { ...describeSettings(context.resolved), ...describeTenancy(context.resolved) },
      ceilings: context.resolved.ceilings,
      allowedHosts: allowedHosts(api),
      onError: (error: Error) => context.stderr(`sluice: control API: ${error.stack ?? error.message}\n`),
      ...(token === undefined ? {} : { token }),
    });
  if (listening !== undefined && token !== undefined) {
    const secret = settings.apiTokenFile === undefined ? `?token=${token}` : "";
    context.stderr(`sluice: control API at ${listening.api}/${secret}\n`);
  }
  const unregister = registry.register({
    id,
    pid: ownProcessId,
    api: listening?.api ?? null,
    network: session.mode?.network ?? settings.network,
    attach: session.mode?.attach ?? settings.attach,
    command: session.command,
    started: new Date().toISOString(),
  }, token);
  return {
    id,
    close() {
      unregister();
      listening?.server.close();
    },
  };
}

function listen(
  address: HttpAddress,
  options: Parameters<typeof createApi>[0],
): { readonly server: HttpServer; readonly api: string } {
  const app = createApi(options);
  try {
    const server = serveHttp(address, (request) => app.fetch(request));
    if ("unix" in address) return { server, api: address.unix };
    return { server, api: `http://${bracketed(address.host)}:${server.port}` };
  } catch (error) {
    const where = "unix" in address ? address.unix : `${bracketed(address.host)}:${address.port}`;
    const taken = (error as { code?: unknown }).code === "EADDRINUSE";
    const why = taken ? "the address is in use" : error instanceof Error ? error.message : String(error);
    // A guest finds its sluice's directory read-only.
    const isReadOnly = (error as { code?: unknown }).code === "EROFS";
    throw new Failure(
      `Cannot serve the control API on ${where}: ${why}`,
      isReadOnly
        ? "XDG_RUNTIME_DIR must name a directory that you may write"
        : "choose another --api, or --api off",
    );
  }
}

/** Who listens on every address cannot know its names; there the token alone guards. */
function allowedHosts(api: Settings["api"]): readonly string[] {
  if (api.kind !== "tcp") return UNIX_HOSTS;
  if (api.host === "0.0.0.0" || api.host === "::") return ["*"];
  return [...LOOPBACK_HOSTS, bracketed(api.host)];
}

async function tokenOf({ settings, readText }: CommandContext): Promise<string> {
  const { apiTokenFile: path } = settings;
  if (path === undefined) return randomHex(32);
  const token = (await readText(path)).trim();
  if (token.length >= TOKEN_MIN && /^[!-~]+$/.test(token)) return token;
  throw new Failure(
    `Cannot use the token in ${path}: it must be one word of at least ${TOKEN_MIN} printable characters`,
    `head -c 32 /dev/urandom | base64 > ${path}`,
  );
}

function randomHex(bytes: number): string {
  const random = crypto.getRandomValues(new Uint8Array(bytes));
  return [...random].map((byte) => byte.toString(16).padStart(2, "0")).join("");
}

function bracketed(host: string): string {
  return host.includes(":") ? `[${host}]` : host;
}
