/**
 * Asks an HTTP server behind a unix socket or a URL, with the runtime's own `fetch`.
 *
 * @module
 */

/** Where a server listens: the path of a unix socket, or the beginning of a URL. */
export type HttpTarget = string;

/** The parts of a request that are used. */
export interface HttpRequest {
  readonly method?: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string;
  /** Milliseconds until the whole exchange is given up. */
  readonly timeout?: number;
}

/** The answer, read to its end. */
export interface HttpAnswer {
  readonly status: number;
  readonly text: string;
}

/** Nobody answers there. */
export class HttpUnreachable extends Error {
  override readonly name: string = "HttpUnreachable";
}

const TIMEOUT = 10_000;

/** Asks for `path`, which begins with a slash. Rejects with {@linkcode HttpUnreachable} if there is no answer. */
export async function askHttp(
  target: HttpTarget,
  path: string,
  request: HttpRequest = {},
): Promise<HttpAnswer> {
  const unix = target.startsWith("/") ? target : undefined;
  const { timeout = TIMEOUT, method = "GET", headers = {}, body } = request;
  const init: RequestInit = {
    method,
    headers,
    redirect: "error",
    signal: AbortSignal.timeout(timeout),
    ...(body === undefined ? {} : { body }),
  };
  const url = unix === undefined ? `${target.replace(/\/$/, "")}${path}` : `http://sluice${path}`;
  const client = unix === undefined ? undefined : denoClient(unix);
  try {
    const response = await fetch(url, { ...init, ...transport(unix, client) } as RequestInit);
    return { status: response.status, text: await response.text() };
  } catch (error) {
    throw new HttpUnreachable(`Cannot reach ${target}: ${reasonOf(error)}`, { cause: error });
  } finally {
    client?.close();
  }
}

/** An answer that goes on: its status, and its body as it comes. */
export interface HttpStream {
  readonly status: number;
  readonly body: AsyncIterable<Uint8Array>;
  /** Ends it from this side. */
  close(): void;
}

/** Asks for `path` and does not wait for the end of the answer. Rejects with {@linkcode HttpUnreachable}. */
export async function streamHttp(
  target: HttpTarget,
  path: string,
  headers: Readonly<Record<string, string>> = {},
): Promise<HttpStream> {
  const unix = target.startsWith("/") ? target : undefined;
  const url = unix === undefined ? `${target.replace(/\/$/, "")}${path}` : `http://sluice${path}`;
  const client = unix === undefined ? undefined : denoClient(unix);
  const abort = new AbortController();
  const init = { headers, redirect: "error", signal: abort.signal, ...transport(unix, client) };
  try {
    const { status, body } = await fetch(url, init as RequestInit);
    const close = () => {
      abort.abort();
      client?.close();
    };
    return { status, body: untilClosed(body, abort.signal), close };
  } catch (error) {
    client?.close();
    throw new HttpUnreachable(`Cannot reach ${target}: ${reasonOf(error)}`, { cause: error });
  }
}

/** A body that ends, without an error, when we end it or the server goes away. */
async function* untilClosed(
  body: ReadableStream<Uint8Array> | null,
  signal: AbortSignal,
): AsyncGenerator<Uint8Array> {
  try {
    for await (const bytes of body ?? []) yield bytes;
  } catch (error) {
    if (!signal.aborted && !(error instanceof Error)) throw error;
  }
}

/** Each runtime names the socket in its own way. */
function transport(unix: string | undefined, client: Deno.HttpClient | undefined): Record<string, unknown> {
  if (unix === undefined) return {};
  return client === undefined ? { unix } : { client };
}

function denoClient(unix: string): Deno.HttpClient | undefined {
  if (typeof Deno === "undefined") return undefined;
  return Deno.createHttpClient({ proxy: { transport: "unix", path: unix } });
}

function reasonOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  if (error.name === "TimeoutError") return "no answer in time";
  const cause = error.cause instanceof Error ? error.cause.message : error.message;
  if (/ENOENT|No such file/.test(cause)) return "there is no such socket";
  if (/ECONNREFUSED|refused|FailedToOpenSocket|Unable to connect/i.test(cause)) return "nobody listens";
  if (/ECONNRESET|closed|reset/i.test(cause)) return "it hung up, as it does when it ends";
  return cause;
}
