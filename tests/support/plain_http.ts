/**
 * One HTTP/1.0 request on a unix socket, and everything that comes back: also what is no HTTP.
 *
 * @module
 */

import { Buffer } from "node:buffer";
import { createConnection } from "node:net";

/** An answer as it came. */
export interface PlainAnswer {
  /** 0: what came back is no HTTP. */
  readonly status: number;
  /** The first of each name, in lower case. */
  readonly headers: Readonly<Record<string, string>>;
  /** All of it, where it is no HTTP. */
  readonly body: string;
}

/** Asks; resolves when the server has closed, or after `enough` bytes. */
export async function askPlainly(
  path: string,
  method: string,
  target: string,
  body = "",
  enough = Infinity,
): Promise<PlainAnswer> {
  const head = [
    `${method} ${target} HTTP/1.0`,
    "Host: gvproxy",
    `Content-Length: ${Buffer.byteLength(body)}`,
  ];
  const socket = createConnection({ path });
  const chunks: Uint8Array[] = [];
  let size = 0;
  await new Promise<void>((resolve, reject) => {
    const limit = setTimeout(() => reject(new Error(`${method} ${target}: no answer in 10 s`)), 10_000);
    const finish = () => {
      clearTimeout(limit);
      socket.destroy();
      resolve();
    };
    socket.on("data", (chunk: Uint8Array) => {
      chunks.push(chunk);
      if ((size += chunk.length) >= enough) finish();
    });
    socket.on("error", finish);
    socket.on("close", finish);
    socket.write(`${head.join("\r\n")}\r\n\r\n${body}`);
  });
  return parse(Buffer.concat(chunks).toString());
}

function parse(text: string): PlainAnswer {
  const end = text.indexOf("\r\n\r\n");
  const status = /^HTTP\/1\.[01] ([0-9]{3}) /.exec(text)?.[1];
  if (status === undefined || end < 0) return { status: 0, headers: {}, body: text };
  const headers: Record<string, string> = {};
  for (const line of text.slice(0, end).split("\r\n").slice(1)) {
    const colon = line.indexOf(":");
    headers[line.slice(0, colon).toLowerCase()] ??= line.slice(colon + 1).trim();
  }
  return { status: Number(status), headers, body: text.slice(end + 4) };
}
