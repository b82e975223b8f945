/**
 * Takes writes as JSON only. A form or an image of a foreign page can send `text/plain` or a form's types without asking
 * (a "simple request" of the Fetch standard); `application/json` makes the browser ask first, and we never say yes.
 *
 * @module
 */

import type { MiddlewareHandler } from "hono";
import { refuse } from "../errors.ts";

const SAFE = new Set(["GET", "HEAD", "OPTIONS"]);

/** Refuses a write whose body is not `application/json`. A DELETE without a body needs no type. */
export function jsonWrites(): MiddlewareHandler {
  return async function jsonWrites(c, next) {
    const type = c.req.header("content-type");
    const bare = c.req.method === "DELETE" && type === undefined;
    if (!SAFE.has(c.req.method) && !bare && !/^application\/json *(;|$)/i.test(type ?? "")) {
      return refuse(
        c,
        "unsupported-media-type",
        "Cannot read the body: send `Content-Type: application/json`",
      );
    }
    await next();
  };
}
