/**
 * Refuses requests for a foreign host. A page from the Internet can make a browser resolve its own name to 127.0.0.1
 * (DNS rebinding) and so reach a loopback listener as "same origin"; but it cannot forge the Host header.
 *
 * @module
 */

import type { MiddlewareHandler } from "hono";
import { refuse } from "../errors.ts";

/** Names for the unix socket: what `curl --unix-socket … http://sluice/` sends. */
export const UNIX_HOSTS: readonly string[] = ["sluice", "localhost"];

/** Names for a TCP listener on loopback. */
export const LOOPBACK_HOSTS: readonly string[] = ["localhost", "127.0.0.1", "[::1]"];

/**
 * Lets through what names one of `allowed` (with any port; `*`: any name; an empty one: none, or no Host at all) in Host, and
 * the same in Origin if a browser sends one.
 */
export function hostAllowList(allowed: readonly string[]): MiddlewareHandler {
  const names = new Set(allowed.map((name) => name.toLowerCase()));
  const isOurs = (name: string) => names.has("*") || names.has(name);
  return async function hostAllowList(c, next) {
    const host = c.req.header("host") ?? "";
    if (!isOurs(withoutPort(host))) {
      return refuse(
        c,
        "forbidden-host",
        `Cannot serve host ${JSON.stringify(host)}: it is not this API's name, which is ${
          [...names].join(" or ")
        }`,
      );
    }
    const origin = c.req.header("origin");
    if (origin !== undefined && !sameHost(origin, host)) {
      return refuse(
        c,
        "forbidden-origin",
        `Cannot serve origin ${JSON.stringify(origin)}: it is not this API's page`,
      );
    }
    await next();
  };
}

/** A page served by us comes from the very host and port that it asks. */
function sameHost(origin: string, host: string): boolean {
  return origin.toLowerCase() === `http://${host.toLowerCase()}`;
}

/** `name:port`, `1.2.3.4:port`, `[v6]:port` without the port. */
function withoutPort(authority: string): string {
  return authority.toLowerCase().replace(/:[0-9]+$/, "");
}
