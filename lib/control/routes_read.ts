/**
 * The questions: what `ip -j`, `tc -s -j` and `ss` would answer inside the stack.
 *
 * @module
 */

import type { Context, Hono } from "hono";
import type { EngineClient } from "../engine/messages.ts";
import { ApiError } from "./errors.ts";
import { addressesJson } from "./render/address.ts";
import { flowJson } from "./render/flow.ts";
import { linkJson, statsJson } from "./render/link.ts";
import { neighboursJson } from "./render/neighbour.ts";
import { qdiscsJson } from "./render/qdisc.ts";
import { routesJson } from "./render/route.ts";
import { socketJson } from "./render/socket.ts";

/** What the reading routes need. */
export interface ReadDependencies {
  readonly engine: EngineClient;
  readonly id: string;
  /** Plain JSON: the configuration with its origins. */
  readonly settings: unknown;
}

/** Adds every `GET /v1/…` that only asks. */
export function addReadRoutes(app: Hono, { engine, id, settings }: ReadDependencies): void {
  app.get("/v1/addr", async function addr(c) {
    const family = familyOf(c);
    return c.json(addressesJson((await engine.ask("stack")).nics, family));
  });
  app.get("/v1/link", async function link(c) {
    const stats = booleanOf(c, "stats");
    return c.json((await engine.ask("stack")).nics.map((nic) => linkJson(nic, stats)));
  });
  app.get("/v1/route", async function route(c) {
    const family = familyOf(c);
    return c.json(routesJson((await engine.ask("stack")).routes, family));
  });
  app.get("/v1/neigh", async function neigh(c) {
    const family = familyOf(c);
    return c.json(neighboursJson((await engine.ask("stack")).neighbours, family));
  });
  app.get("/v1/qdisc", async function qdisc(c) {
    return c.json(qdiscsJson((await engine.ask("stack")).nics, c.req.query("dev")));
  });
  app.get("/v1/sockets", async function sockets(c) {
    return c.json((await engine.ask("stack")).sockets.map(socketJson));
  });
  app.get("/v1/flows", async function flows(c) {
    return c.json((await engine.ask("flows")).map(flowJson));
  });
  app.get("/v1/stats", async function stats(c) {
    const { nics, counters } = await engine.ask("stack");
    const links = nics.map((nic) => ({ ifname: nic.name, stats64: statsJson(nic) }));
    return c.json({ counters, links });
  });
  app.get("/v1/config", function config(c) {
    return c.json(settings as Record<string, unknown>);
  });
  app.get("/v1/health", async function health(c) {
    const { uptime, mode, attachment, flows, longestTurn } = await engine.ask("health");
    return c.json({
      status: "ok",
      id,
      network: mode,
      attach: attachment,
      uptime,
      flows,
      longest_turn_us: longestTurn,
    });
  });
}

/** `?family=4` and `?family=6`: iproute2's `-4` and `-6`. */
function familyOf(c: Context): 4 | 6 | undefined {
  const text = c.req.query("family");
  if (text === undefined) return undefined;
  if (text === "4" || text === "inet") return 4;
  if (text === "6" || text === "inet6") return 6;
  throw new ApiError("invalid-request", `Cannot read family ${JSON.stringify(text)}: it must be 4 or 6`);
}

function booleanOf(c: Context, name: string): boolean {
  const text = c.req.query(name) ?? "false";
  if (text === "true" || text === "1" || text === "") return true;
  if (text === "false" || text === "0") return false;
  throw new ApiError(
    "invalid-request",
    `Cannot read ${name} ${JSON.stringify(text)}: it must be true or false`,
  );
}
