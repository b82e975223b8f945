/**
 * An HTTP server that can give a connection away: what was a request becomes a stream of bytes, with no response before it.
 *
 * The runtimes' own servers cannot do that. This one knows what a small API needs of HTTP/1.1 (RFC 9112): one request for
 * each connection, with a body of known length or in chunks, and a response with `Connection: close`. All of it is bounded
 * in bytes and in time.
 *
 * @module
 */

import { Buffer } from "node:buffer";
import { createConnection, createServer, type Socket } from "node:net";
import { chmodSync } from "node:fs";
import type { HttpAddress, HttpServer } from "./http_server.ts";
import { withUmask } from "./process.ts";
import { removeIfSocket } from "./unix_listen.ts";

/** What a connection becomes: one with the unix socket `unix`. */
export interface Takeover {
  readonly unix: string;
  /** Said to the client first. */
  readonly greeting: string;
  /** The end of the unix socket is the end of both; without it each direction ends by itself. */
  readonly endsTogether?: boolean;
  /** The unix socket has answered, well or not, or the client has gone before. */
  readonly onConnected?: () => void;
}

/** Answers one request; a response after `takeOver` is not sent. */
export type TakeoverHandler = (
  request: Request,
  takeOver: (takeover: Takeover) => void,
) => Response | Promise<Response>;

/** Bytes of a request line with its header fields, and of a body. */
export const HEAD_MAX = 16 * 1_024, BODY_MAX = 128 * 1_024;
/** Chunks of a body: each has a head of its own, and all are read again when more of the body comes. */
export const CHUNKS_MAX = 1_024;
/** Bounds of one server. Each has a counter. */
export interface TakeoverLimits {
  /** Requests at a time; more are closed at once (`api.connection-limit`). */
  readonly connections: number;
  /** Connections that were taken over, at a time: they keep nobody from asking. More are closed (`api.takeover-limit`). */
  readonly takeovers: number;
  /** Milliseconds that a request may take to arrive (`api.request-timeout`), and a response (`api.response-timeout`). */
  readonly patience: number;
}

/** Defaults of {@linkcode TakeoverLimits}. */
export const TAKEOVER_LIMITS: TakeoverLimits = { connections: 512, takeovers: 1_024, patience: 10_000 };

/** A listening server that counts. */
export interface TakeoverServer extends HttpServer {
  /** How often a bound was hit, by name. */
  counters(): Readonly<Record<string, number>>;
}

const END_OF_HEAD = "\r\n\r\n";

/** A request that HTTP does not allow, or that is too much. */
class BadRequest extends Error {
  constructor(readonly status: number, message: string) {
    super(message);
  }
}

/** Listens; rejects with the system's `code` if it cannot. A unix socket has mode 0600, and its name must be free. */
export async function serveWithTakeover(
  address: HttpAddress,
  handler: TakeoverHandler,
  limits: TakeoverLimits = TAKEOVER_LIMITS,
): Promise<TakeoverServer> {
  const sockets = new Set<Socket>(), taken = new Set<Socket>();
  let refused = 0, refusedTakeovers = 0, late = 0, unread = 0;
  const take = (socket: Socket) => {
    sockets.delete(socket);
    if (taken.size >= limits.takeovers) {
      refusedTakeovers++;
      socket.destroy();
    } else if (!socket.destroyed) taken.add(socket);
  };
  const server = createServer({ allowHalfOpen: true, pauseOnConnect: false }, (socket) => {
    if (sockets.size >= limits.connections) {
      refused++;
      return void socket.destroy();
    }
    sockets.add(socket);
    socket.on("close", () => {
      sockets.delete(socket);
      taken.delete(socket);
    });
    socket.on("error", () => socket.destroy());
    const onLate = { request: () => late++, response: () => unread++ };
    serveOne(socket, handler, limits.patience, onLate, () => take(socket));
  });
  await new Promise<void>((resolve, reject) => {
    server.once("error", reject);
    const done = () => resolve();
    if ("unix" in address) withUmask(0o177, () => server.listen(address.unix, done));
    else server.listen(address.port, address.host, done);
  });
  if ("unix" in address) chmodSync(address.unix, 0o600); // a runtime may bind later than it is told to
  const at = server.address();
  return {
    port: typeof at === "object" && at !== null ? at.port : 0,
    counters: () => ({
      "api.connection-limit": refused,
      "api.takeover-limit": refusedTakeovers,
      "api.request-timeout": late,
      "api.response-timeout": unread,
    }),
    close() {
      server.close();
      for (const socket of [...sockets, ...taken]) socket.destroy();
      if ("unix" in address) removeIfSocket(address.unix);
    },
  };
}

/** Who hears of a client that takes too long. */
interface OnLate {
  request(): void;
  response(): void;
}

function serveOne(
  socket: Socket,
  handler: TakeoverHandler,
  patience: number,
  onLate: OnLate,
  take: () => void,
): void {
  let received: Buffer = Buffer.alloc(0);
  let late: ReturnType<typeof setTimeout> | undefined;
  const within = (onLate: () => void) => {
    late = setTimeout(() => {
      onLate();
      socket.destroy();
    }, patience);
  };
  within(onLate.request);
  socket.on("close", () => clearTimeout(late));
  // A client that neither reads nor goes has its time, too: its place is one of a few.
  const respond = (bytes: string | Uint8Array) => {
    if (socket.destroyed) return;
    within(onLate.response);
    socket.resume(); // hears of the client's end
    socket.end(bytes);
  };
  const finish = () => {
    clearTimeout(late);
    socket.off("data", onData);
    socket.off("end", onEnd);
  };
  const onEnd = () => socket.destroy();
  const onData = (chunk: Uint8Array) => {
    received = Buffer.concat([received, chunk]);
    try {
      const read = readRequest(received);
      if (read === undefined) return;
      socket.pause();
      finish();
      void answer(socket, handler, read.request, received.subarray(read.length), respond, take);
    } catch (error) {
      finish();
      const { status, message } = error instanceof BadRequest
        ? error
        : new BadRequest(400, "malformed request");
      respond(responseText(status, message));
    }
  };
  socket.on("data", onData);
  socket.on("end", onEnd);
}

async function answer(
  socket: Socket,
  handler: TakeoverHandler,
  request: Request,
  rest: Uint8Array,
  respond: (bytes: Uint8Array) => void,
  take: () => void,
): Promise<void> {
  let takeover: Takeover | undefined;
  const response = await handler(request, (wanted) => takeover = wanted);
  if (takeover !== undefined) {
    take();
    return join(socket, takeover, rest);
  }
  const body = Buffer.from(await response.arrayBuffer());
  respond(Buffer.concat([Buffer.from(headOf(response, body.length)), body]));
}

/** Makes the two connections one. */
function join(
  socket: Socket,
  { unix, greeting, endsTogether, onConnected }: Takeover,
  rest: Uint8Array,
): void {
  const other = createConnection({ path: unix, allowHalfOpen: true });
  let told = false;
  const tell = () => {
    if (!told) onConnected?.();
    told = true;
  };
  other.on("error", () => socket.destroy());
  other.on("close", () => {
    tell();
    // What was received last is still to be written; then it ends.
    if (!other.readableEnded) socket.destroy();
  });
  if (endsTogether === true) other.on("end", () => socket.destroy());
  const leave = () => {
    tell();
    other.destroy();
  };
  if (socket.destroyed) return leave();
  socket.on("close", leave);
  other.once("connect", () => {
    tell();
    if (greeting !== "") socket.write(greeting);
    if (rest.length > 0) other.write(rest);
    socket.pipe(other);
    other.pipe(socket);
  });
}

/** The request that `bytes` begin with and its length; undefined while it is incomplete. */
export function readRequest(
  bytes: Buffer,
): { readonly request: Request; readonly length: number } | undefined {
  const end = bytes.subarray(0, HEAD_MAX).indexOf(END_OF_HEAD);
  if (end < 0) {
    if (bytes.length >= HEAD_MAX) throw new BadRequest(431, "the header is too large");
    return undefined;
  }
  const [requestLine = "", ...lines] = bytes.subarray(0, end).toString("latin1").split("\r\n");
  const [, method, target, minor] =
    /^([A-Z]{1,16}) (\/\S*|http:\/\/\S+) HTTP\/1\.([01])$/.exec(requestLine) ??
      [];
  if (method === undefined) throw new BadRequest(400, "malformed request line");
  const headers = new Headers();
  for (const line of lines) {
    const field = /^([!#$%&'*+.^_`|~0-9A-Za-z-]+):[ \t]*(.*?)[ \t]*$/.exec(line);
    if (field === null) throw new BadRequest(400, "malformed header field");
    headers.append(field[1]!, field[2]!);
  }
  // RFC 9112 section 3.2: without it, or with two of them, the request is not to be served.
  const host = headers.get("host");
  if (host === null ? minor === "1" : host.includes(",")) throw new BadRequest(400, "missing or double Host");
  const body = readBody(bytes, end + END_OF_HEAD.length, headers);
  if (body === undefined) return undefined;
  const path = target!.startsWith("/") ? target! : target!.replace(/^http:\/\/[^/]*/, "") || "/";
  const init: RequestInit = { method, headers };
  if (body.bytes.length > 0 && method !== "GET" && method !== "HEAD") init.body = body.bytes;
  return { request: new Request(`http://localhost${path}`, init), length: body.end };
}

/** RFC 9112 section 6. */
function readBody(
  bytes: Buffer,
  at: number,
  headers: Headers,
): { readonly bytes: Uint8Array<ArrayBuffer>; readonly end: number } | undefined {
  const coding = headers.get("transfer-encoding");
  const length = headers.get("content-length");
  if (coding === null) {
    if (length !== null && !/^[0-9]{1,15}$/.test(length)) throw new BadRequest(400, "bad Content-Length");
    const size = Number(length ?? 0);
    if (size > BODY_MAX) throw new BadRequest(413, "the body is too large");
    if (bytes.length < at + size) return undefined;
    return { bytes: new Uint8Array(bytes.subarray(at, at + size)), end: at + size };
  }
  if (coding.toLowerCase() !== "chunked" || length !== null) {
    throw new BadRequest(400, "bad Transfer-Encoding");
  }
  const chunks: Buffer[] = [];
  for (let total = 0;;) {
    const line = bytes.subarray(at, at + 64).indexOf("\r\n");
    if (line < 0 && bytes.length - at < 64) return undefined;
    const [, hex] = /^([0-9a-f]{1,8})(?:;.*)?$/i.exec(bytes.subarray(at, at + line).toString("latin1")) ?? [];
    if (line < 0 || hex === undefined) throw new BadRequest(400, "bad chunk");
    const size = parseInt(hex, 16);
    if ((total += size) > BODY_MAX) throw new BadRequest(413, "the body is too large");
    const data = at + line + 2;
    at = data + size + 2;
    if (bytes.length < at) return undefined;
    // No client of such an API sends trailers.
    if (bytes.toString("latin1", at - 2, at) !== "\r\n") throw new BadRequest(400, "bad chunk");
    if (size === 0) return { bytes: new Uint8Array(Buffer.concat(chunks)), end: at };
    if (chunks.length === CHUNKS_MAX) throw new BadRequest(413, "the body has too many chunks");
    chunks.push(bytes.subarray(data, data + size));
  }
}

function responseText(status: number, text: string): string {
  const headers = { "content-type": "text/plain" };
  return headOf(new Response(null, { status, headers }), text.length) + text;
}

function headOf(response: Response, length: number): string {
  const fields = [...response.headers].filter(([name]) => name !== "content-length" && name !== "connection");
  const lines = [...fields, ["content-length", `${length}`], ["connection", "close"]];
  return `HTTP/1.1 ${response.status} ${response.statusText || STATUS[response.status] || "-"}\r\n${
    lines.map(([name, value]) => `${name}: ${value}\r\n`).join("")
  }\r\n`;
}

const STATUS: Readonly<Record<number, string>> = {
  200: "OK",
  400: "Bad Request",
  403: "Forbidden",
  404: "Not Found",
  413: "Content Too Large",
  431: "Request Header Fields Too Large",
  500: "Internal Server Error",
  501: "Not Implemented",
};
