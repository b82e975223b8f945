/**
 * The changes: a rate while traffic flows, ports published and withdrawn.
 *
 * @module
 */

import type { Context, Hono } from "hono";
import { type Ceilings, whyAbove } from "../config/ceilings.ts";
import { formatPublish, parsePublish, type Publish } from "../config/publish.ts";
import type { EngineClient, NicFacts, PublishedPort } from "../engine/messages.ts";
import { readObject } from "./body.ts";
import { ApiError } from "./errors.ts";
import type { EventHub } from "./event_hub.ts";
import { forwardJson } from "./render/flow.ts";
import { findDevice } from "./find_device.ts";
import { qdiscsJson } from "./render/qdisc.ts";

/** A bucket's size is a u32 on the wire of `tc`, and in gVisor's flag. */
const BURST_MAX = 4294967295;
/** Characters of a published port's text; the longest real one is two ranges after an IPv6 address. */
const SPEC_LIMIT = 128;

/**
 * Adds the routes that change something.
 *
 * A rate that an operator set for a program of its own is the operator's to change. Where annotations have a say, it is
 * also a promise about the tenant, and whoever speaks to the API may speak for the tenant (an orchestrator that follows
 * a pod's annotations does): the same `ceilings` hold as for annotations, and `--allow-flag-override` lifts both.
 */
export function addWriteRoutes(app: Hono, engine: EngineClient, hub: EventHub, ceilings?: Ceilings): void {
  app.patch("/v1/qdisc/:dev", async function patchQdisc(c) {
    const device = c.req.param("dev");
    const wanted = await readObject(c, ["rate", "burst"]);
    const { qdisc } = findShaped((await engine.ask("stack")).nics, device);
    const rate = positive(wanted["rate"] ?? qdisc.rate, "rate", Number.MAX_SAFE_INTEGER);
    const burst = positive(wanted["burst"] ?? qdisc.burst, "burst", BURST_MAX);
    if (ceilings?.tenant === true) {
      const above = whyAbove("rate", BigInt(rate), ceilings) ?? whyAbove("burst", BigInt(burst), ceilings);
      if (above !== undefined) throw new ApiError("exceeds-ceiling", above);
    }
    await engine.ask("qdisc", { device, rate, burst });
    hub.publish({ event: "qdisc", data: { dev: device, rate, burst } });
    return c.json(qdiscsJson((await engine.ask("stack")).nics, device)[0]!);
  });

  const forwards = async () => (await engine.ask("forwards")).map(forwardJson);
  app.get("/v1/forwards", async function listForwards(c) {
    return c.json(await forwards());
  });
  app.post("/v1/forwards", async function addForward(c) {
    const ports = readSpec((await readObject(c, ["spec"]))["spec"]);
    await publishAll(engine, ports);
    for (const port of ports) {
      hub.publish({ event: "forward", data: { change: "added", spec: formatPublish(port) } });
    }
    return c.json(await forwards(), 201);
  });
  app.delete("/v1/forwards", async function removeForward(c) {
    const spec = await specToRemove(c);
    if (typeof spec === "string" && spec.startsWith("unix:")) {
      const forward = {
        protocol: "tcp",
        hostPort: 0,
        hostPath: spec.slice("unix:".length),
        guestPort: 0,
      } as const;
      await engine.ask("unpublish", { forward });
      hub.publish({ event: "forward", data: { change: "removed", spec } });
      return c.json(await forwards());
    }
    for (const port of readSpec(spec)) {
      await engine.ask("unpublish", { forward: requestOf(port) });
      hub.publish({ event: "forward", data: { change: "removed", spec: formatPublish(port) } });
    }
    return c.json(await forwards());
  });
}

/** `?spec=` or the body's: some clients cannot send a DELETE with a body. */
async function specToRemove(c: Context): Promise<unknown> {
  return c.req.query("spec") ?? (await readObject(c, ["spec"]))["spec"];
}

/** All ports of a range or none: when one is refused, those before it are withdrawn. */
async function publishAll(engine: EngineClient, ports: readonly Publish[]): Promise<void> {
  const done: Publish[] = [];
  try {
    for (const port of ports) {
      await engine.ask("publish", { forward: requestOf(port) });
      done.push(port);
    }
  } catch (error) {
    for (const port of done.reverse()) await engine.ask("unpublish", { forward: requestOf(port) });
    throw error;
  }
}

/** Plain data: an address does not cross to the engine's thread as an object. */
function requestOf({ hostAddress, guestAddress, ...ports }: Publish): PublishedPort {
  return {
    ...ports,
    ...(hostAddress === undefined ? {} : { hostAddress: hostAddress.toString() }),
    ...(guestAddress === undefined ? {} : { guestAddress: guestAddress.toString() }),
  };
}

/** The ports that a text names. */
function readSpec(value: unknown): readonly Publish[] {
  if (typeof value !== "string" || value.length > SPEC_LIMIT) {
    throw new ApiError(
      "invalid-request",
      "Cannot read spec: it must be a text [addr:]hostport:guestport[/tcp|udp]",
    );
  }
  const ports = parsePublish(value);
  if (typeof ports === "string") {
    throw new ApiError("invalid-request", `Cannot use spec ${JSON.stringify(value)}: ${ports}`);
  }
  return ports;
}

function findShaped(nics: readonly NicFacts[], device: string): NicFacts {
  const nic = findDevice(nics, device);
  if (nic.qdisc.kind !== "tbf") {
    throw new ApiError(
      "not-shaped",
      `Cannot set a rate on ${device}: its qdisc is ${nic.qdisc.kind}, not tbf`,
    );
  }
  return nic;
}

function positive(value: unknown, name: "rate" | "burst", max: number): number {
  if (typeof value !== "number" || !Number.isInteger(value) || value < 1) {
    throw new ApiError(
      "invalid-request",
      `Cannot use ${name} ${JSON.stringify(value)}: it must be a positive integer`,
    );
  }
  if (value > max) {
    throw new ApiError("invalid-request", `qdisc-tbf-${name} must be <= ${max}, got: ${value}`);
  }
  return value;
}
