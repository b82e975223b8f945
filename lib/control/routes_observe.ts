/**
 * The windows that stay open, or are read by machines: events, metrics, the API's own description, the page.
 *
 * @module
 */

import type { Hono } from "hono";
import type { EngineClient } from "../engine/messages.ts";
import { ApiError, refuse } from "./errors.ts";
import { findDevice } from "./find_device.ts";
import { type EventHub, SUBSCRIBER_LIMIT } from "./event_hub.ts";
import { OPENAPI } from "./openapi.ts";
import { PAGE, pagePolicy } from "./page/page.ts";
import { METRICS_TYPE, renderMetrics } from "./render/metrics.ts";

/** Adds `/v1/events`, `/v1/capture`, `/metrics`, `/openapi.json` and `/`. */
export function addObserveRoutes(app: Hono, engine: EngineClient, hub: EventHub, id: string): void {
  app.get("/v1/events", function events(c) {
    const stream = hub.subscribe({ event: "hello", data: { id } });
    if (stream === undefined) {
      return refuse(c, "too-many-subscribers", `Cannot open one more stream: ${SUBSCRIBER_LIMIT} are open`);
    }
    return c.body(stream, 200, { "Content-Type": "text/event-stream" });
  });
  app.get("/v1/capture", async function capture(c) {
    const device = c.req.query("dev");
    if (device !== undefined) findDevice((await engine.ask("stack")).nics, device);
    const snapLength = snapLengthOf(c.req.query("snaplen"));
    const headers = { "Content-Type": "application/x-pcapng" };
    // Nobody would read it.
    if (c.req.method === "HEAD") return c.body(null, 200, headers);
    const stream = await engine.capture({
      ...(device === undefined ? {} : { device }),
      ...(snapLength === undefined ? {} : { snapLength }),
    });
    return c.body(stream, 200, headers);
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

/** Shortest and longest part of a frame that a capture may keep: an Ethernet header, and tcpdump's own limit. */
const SNAP_LENGTH = { least: 14, most: 262_144 } as const;

function snapLengthOf(text: string | undefined): number | undefined {
  if (text === undefined) return undefined;
  const { least, most } = SNAP_LENGTH;
  const value = /^[0-9]{1,6}$/.test(text) ? Number(text) : 0;
  if (value >= least && value <= most) return value;
  throw new ApiError(
    "invalid-request",
    `Cannot use snaplen ${JSON.stringify(text)}: it must be a number from ${least} to ${most}`,
  );
}
