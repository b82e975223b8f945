/**
 * The windows that stay open, or are read by machines: events, metrics, the API's own description, the page.
 *
 * @module
 */

import type { Hono } from "hono";
import type { EngineClient } from "../engine/messages.ts";
import { refuse } from "./errors.ts";
import { type EventHub, SUBSCRIBER_LIMIT } from "./event_hub.ts";
import { OPENAPI } from "./openapi.ts";
import { PAGE, pagePolicy } from "./page/page.ts";
import { METRICS_TYPE, renderMetrics } from "./render/metrics.ts";

/** Adds `/v1/events`, `/metrics`, `/openapi.json` and `/`. */
export function addObserveRoutes(app: Hono, engine: EngineClient, hub: EventHub, id: string): void {
  app.get("/v1/events", function events(c) {
    const stream = hub.subscribe({ event: "hello", data: { id } });
    if (stream === undefined) {
      return refuse(c, "too-many-subscribers", `Cannot open one more stream: ${SUBSCRIBER_LIMIT} are open`);
    }
    return c.body(stream, 200, { "Content-Type": "text/event-stream" });
  });
  app.get("/metrics", async function metrics(c) {
    const [stack, health, forwards] = await Promise.all([
      engine.ask("stack"),
      engine.ask("health"),
      engine.ask("forwards"),
    ]);
    const text = renderMetrics({ id, stack, health, forwards: forwards.length, subscribers: hub.size });
    return c.body(text, 200, { "Content-Type": METRICS_TYPE });
  });
  app.get("/openapi.json", function openapi(c) {
    return c.json(OPENAPI);
  });
  app.get("/", async function page(c) {
    c.header("Content-Security-Policy", await pagePolicy());
    return c.html(PAGE);
  });
}
