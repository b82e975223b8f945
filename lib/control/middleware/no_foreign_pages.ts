/**
 * Refuses what a page of another site makes a browser fetch. An image's address is asked for by GET, with a Host that is ours
 * and without Origin; where a GET does something, that is enough. Browsers say so in Sec-Fetch-Site (Fetch Metadata Request
 * Headers, section 2.3), which a page cannot change; programs send nothing of the kind.
 *
 * @module
 */

import type { MiddlewareHandler } from "hono";
import { refuse } from "../errors.ts";

const OWN: ReadonlySet<string> = new Set(["same-origin", "none"]);

/** Lets through what a page of ours asked for, or a person, or who is no browser. */
export function noForeignPages(): MiddlewareHandler {
  return async function noForeignPages(c, next) {
    const site = c.req.header("sec-fetch-site");
    if (site !== undefined && !OWN.has(site.toLowerCase())) {
      return refuse(c, "forbidden-page", "Cannot serve a page of another site");
    }
    await next();
  };
}
