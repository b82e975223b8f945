/**
 * Headers that keep a browser from doing anything clever with our answers.
 *
 * @module
 */

import type { MiddlewareHandler } from "hono";

/** Sets them on every response; a handler may have set its own Content-Security-Policy. */
export function securityHeaders(): MiddlewareHandler {
  return async function securityHeaders(c, next) {
    await next();
    const { headers } = c.res;
    if (!headers.has("content-security-policy")) {
      headers.set("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'");
    }
    headers.set("X-Content-Type-Options", "nosniff");
    headers.set("Referrer-Policy", "no-referrer"); // the page's address may hold the token
    headers.set("Cross-Origin-Resource-Policy", "same-origin");
    headers.set("Cache-Control", "no-store");
  };
}
