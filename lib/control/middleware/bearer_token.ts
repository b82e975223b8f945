/**
 * Asks for the token of a TCP listener (RFC 6750 section 2.1).
 *
 * @module
 */

import type { MiddlewareHandler } from "hono";
import { refuse } from "../errors.ts";

/**
 * Lets through requests with `Authorization: Bearer <token>`. A browser cannot be told to send that header with a
 * page's address, so for `pagePath` alone the token may be the query parameter `token`.
 */
export function bearerToken(token: string, pagePath: string): MiddlewareHandler {
  if (token === "") throw new TypeError("Cannot ask for a token: it is empty");
  const expected = digest(token);
  return async function bearerToken(c, next) {
    const offered = /^bearer +([^ ]+) *$/i.exec(c.req.header("authorization") ?? "")?.[1] ??
      (c.req.path === pagePath ? c.req.query("token") : undefined);
    if (offered === undefined || !sameBytes(await digest(offered), await expected)) {
      c.header("WWW-Authenticate", "Bearer");
      return refuse(c, "unauthorized", "Cannot serve without the token: send `Authorization: Bearer TOKEN`");
    }
    await next();
  };
}

/** Digests have one length whatever was offered, so that a comparison tells nothing about the token's. */
async function digest(text: string): Promise<Uint8Array> {
  return new Uint8Array(await crypto.subtle.digest("SHA-256", new TextEncoder().encode(text)));
}

/** Takes the same time wherever the difference is. */
function sameBytes(a: Uint8Array, b: Uint8Array): boolean {
  let difference = a.length ^ b.length;
  for (let i = 0; i < a.length; i++) difference |= a[i]! ^ (b[i] ?? 0);
  return difference === 0;
}
