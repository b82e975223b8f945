/**
 * Serves HTTP on a unix socket or a TCP address with the runtime's own server.
 *
 * @module
 */

import { unlinkSync } from "node:fs";
import { withUmask } from "./process.ts";

/** Where to listen. `port` 0: any free one. */
export type HttpAddress =
  | { readonly unix: string }
  | { readonly host: string; readonly port: number };

/** Answers one request. */
export type HttpHandler = (request: Request) => Response | Promise<Response>;

/** A listening server. */
export interface HttpServer {
  /** The TCP port; 0 for a unix socket. */
  readonly port: number;
  /** Ends at once, open streams included, and removes the unix socket. */
  close(): void;
}

interface BunServer {
  readonly port?: number;
  stop(closeConnections: boolean): Promise<void>;
}
declare const Bun: { serve(options: Record<string, unknown>): BunServer };

/** `sun_path` holds 108 bytes with the terminating zero. */
const UNIX_PATH_MAX = 107;
/** Seconds without a byte after which Bun closes a connection; every open stream says something each second. */
const IDLE_TIMEOUT = 30;

/** Listens; throws with the system's `code` (`EADDRINUSE`, `EACCES`) if it cannot. A unix socket has mode 0600. */
export function serveHttp(address: HttpAddress, handler: HttpHandler): HttpServer {
  if (!("unix" in address)) return start(address, handler);
  const { unix } = address;
  const length = new TextEncoder().encode(unix).length;
  if (length > UNIX_PATH_MAX) {
    throw new RangeError(
      `Cannot listen on ${unix}: the path has ${length} bytes, more than ${UNIX_PATH_MAX}`,
    );
  }
  // The mode must be right from the first moment, so it is the mask's, not a later chmod's.
  return withUmask(0o177, () => {
    const server = start(address, handler);
    return {
      port: 0,
      close() {
        server.close();
        remove(unix);
      },
    };
  });
}

function start(address: HttpAddress, handler: HttpHandler): HttpServer {
  return typeof Deno === "undefined" ? startBun(address, handler) : startDeno(address, handler);
}

function startBun(address: HttpAddress, handler: HttpHandler): HttpServer {
  const where = "unix" in address ? { unix: address.unix } : { hostname: address.host, port: address.port };
  const server = Bun.serve({
    ...where,
    idleTimeout: IDLE_TIMEOUT,
    development: false,
    reusePort: false, // a second server on our port is an error, not a partner
    fetch: (request: Request) => handler(request),
  });
  return { port: server.port ?? 0, close: () => void server.stop(true) };
}

function startDeno(address: HttpAddress, handler: HttpHandler): HttpServer {
  const abort = new AbortController();
  const common = { signal: abort.signal, onListen() {} };
  const close = () => abort.abort();
  if ("unix" in address) {
    Deno.serve({ ...common, path: address.unix }, handler);
    return { port: 0, close };
  }
  const server = Deno.serve({ ...common, hostname: address.host, port: address.port }, handler);
  return { port: server.addr.port, close };
}

function remove(path: string): void {
  try {
    unlinkSync(path);
  } catch {
    // The runtime was faster, or somebody else: it is gone.
  }
}
