/**
 * The control API as a Hono application. It listens on nothing: whoever has a server gives it `app.fetch`.
 *
 * A request passes, in this order: security headers → Host and Origin → token → JSON writes → body size → route. All that
 * a route knows comes from an {@linkcode EngineClient}; all that it answers is built in `render/`.
 *
 * @module
 */

import { Hono } from "hono";
import { bodyLimit } from "hono/body-limit";
import type { Ceilings } from "../config/ceilings.ts";
import type { EngineClient } from "../engine/messages.ts";
import { BODY_LIMIT } from "./body.ts";
import { withDeadline } from "./deadline.ts";
import { answerError, refuse } from "./errors.ts";
import { EventHub } from "./event_hub.ts";
import { bearerToken } from "./middleware/bearer_token.ts";
import { hostAllowList } from "./middleware/host_allow_list.ts";
import { jsonWrites } from "./middleware/json_writes.ts";
import { securityHeaders } from "./middleware/security_headers.ts";
import { addObserveRoutes } from "./routes_observe.ts";
import { addReadRoutes } from "./routes_read.ts";
import { addWriteRoutes } from "./routes_write.ts";
import { sampler } from "./sampler.ts";

/** What the API is made of. */
export interface ApiOptions {
  readonly engine: EngineClient;
  /** Plain JSON, answered by `/v1/config` as it is. */
  readonly settings: unknown;
  /** What a change of rate and burst must stay below; absent: nothing but what the stack can do. */
  readonly ceilings?: Ceilings;
  /** The instance's name. */
  readonly id: string;
  /** Asked for on every request; absent on the unix socket, whose mode is the guard. */
  readonly token?: string;
  /** Names that Host may have: `UNIX_HOSTS`, or `LOOPBACK_HOSTS`. */
  readonly allowedHosts: readonly string[];
  /** For a program that has events of its own to tell; absent: one is made. */
  readonly events?: EventHub;
  /** Told what went wrong behind an `internal` answer. */
  readonly onError?: (error: Error) => void;
}

/** The API over `options.engine`. */
export function createApi(options: ApiOptions): Hono {
  const { id, token, settings } = options;
  const engine = withDeadline(options.engine);
  const hub = options.events ?? new EventHub();
  hub.producer = sampler(engine, hub);

  const app = new Hono();
  app.use(securityHeaders());
  app.use(hostAllowList(options.allowedHosts));
  if (token !== undefined) app.use(bearerToken(token, "/"));
  app.use(jsonWrites());
  app.use(bodyLimit({
    maxSize: BODY_LIMIT,
    onError: (c) => refuse(c, "body-too-large", `Cannot read the body: it exceeds ${BODY_LIMIT} bytes`),
  }));

  addReadRoutes(app, { engine, id, settings });
  addWriteRoutes(app, engine, hub, options.ceilings);
  addObserveRoutes(app, engine, hub, id);

  refuseOtherMethods(app);
  app.notFound((c) => refuse(c, "not-found", `Cannot find ${c.req.path}: see /openapi.json`));
  app.onError((error, c) => {
    const response = answerError(error, c);
    if (response.status === 500) options.onError?.(error);
    return response;
  });
  return app;
}

/** Known paths answer 405 with Allow (RFC 9110 section 15.5.6) where other routers would say 404. */
function refuseOtherMethods(app: Hono): void {
  const methods = new Map<string, string[]>();
  for (const { method, path } of listRoutes(app)) methods.set(path, [...(methods.get(path) ?? []), method]);
  for (const [path, allowed] of methods) {
    app.all(path, function methodNotAllowed(c) {
      c.header("Allow", (allowed.includes("GET") ? [...allowed, "HEAD"] : allowed).join(", "));
      return refuse(
        c,
        "method-not-allowed",
        `Cannot ${c.req.method} ${c.req.path}: it takes ${allowed.join(", ")}`,
      );
    });
  }
}

/** Methods and paths that the application serves, without middleware. */
export function listRoutes(app: Hono): { readonly method: string; readonly path: string }[] {
  return app.routes.filter(({ method }) => method !== "ALL").map(({ method, path }) => ({ method, path }));
}
