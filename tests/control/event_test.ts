import { deepEqual, equal } from "node:assert/strict";
import { test } from "node:test";
import { createApi } from "../../lib/control/api.ts";
import { EventHub, LOST_LIMIT, QUEUE_LIMIT, SUBSCRIBER_LIMIT } from "../../lib/control/event_hub.ts";
import { sampler, TOLD_FLOWS_LIMIT } from "../../lib/control/sampler.ts";
import { type FlowFacts } from "../../lib/engine/messages.ts";
import { FakeEngine, FLOW, HEALTH } from "./fake_engine.ts";

interface Told {
  readonly event: string;
  // deno-lint-ignore no-explicit-any -- each event has data of its own
  readonly data: any;
}

/** Reads events until `count` of them are there, or the stream's end. */
async function take(stream: ReadableStream<Uint8Array>, count: number): Promise<Told[]> {
  const reader = stream.getReader();
  const decoder = new TextDecoder();
  const told: Told[] = [];
  while (told.length < count) {
    const { done, value } = await reader.read();
    if (done) break;
    const [, event = "", data = ""] = /^event: (.*)\ndata: (.*)\n\n$/.exec(decoder.decode(value)) ?? [];
    told.push({ event, data: JSON.parse(data) });
  }
  reader.releaseLock();
  return told;
}

const HELLO = { event: "hello", data: { id: "test" } } as const;

test("EventHub tells every reader what was published, hello first", async () => {
  const hub = new EventHub();
  const streams = [hub.subscribe(HELLO)!, hub.subscribe(HELLO)!];
  hub.publish({ event: "qdisc", data: { dev: "eth0\n\n" } });
  for (const stream of streams) {
    deepEqual(await take(stream, 2), [HELLO, { event: "qdisc", data: { dev: "eth0\n\n" } }]);
  }
  hub.close();
});

test("EventHub has a limit of readers, and forgets those that go", async () => {
  const hub = new EventHub();
  const streams = Array.from({ length: SUBSCRIBER_LIMIT }, () => hub.subscribe(HELLO)!);
  equal(hub.subscribe(HELLO), undefined);
  await streams[0]!.cancel();
  equal(hub.size, SUBSCRIBER_LIMIT - 1);
  equal(hub.subscribe(HELLO) === undefined, false);
  hub.close();
  equal(hub.size, 0);
});

test("EventHub counts what a slow reader misses, and tells it", async () => {
  const hub = new EventHub();
  const stream = hub.subscribe(HELLO)!;
  for (let i = 0; i < QUEUE_LIMIT + 10; i++) hub.publish({ event: "log", data: i });
  const queued = await take(stream, QUEUE_LIMIT);
  deepEqual(queued.at(-1), { event: "log", data: QUEUE_LIMIT - 2 });
  hub.publish({ event: "log", data: "after" });
  deepEqual(await take(stream, 2), [
    { event: "lost", data: { events: 11 } },
    { event: "log", data: "after" },
  ]);
  hub.close();
});

test("EventHub lets a reader go that never reads", async () => {
  const hub = new EventHub();
  const stream = hub.subscribe(HELLO)!;
  for (let i = 0; i < QUEUE_LIMIT + LOST_LIMIT + 1; i++) hub.publish({ event: "log", data: i });
  equal(hub.size, 0);
  equal((await take(stream, 1000)).length, QUEUE_LIMIT);
});

test("EventHub starts its producer with the first reader and stops it with the last", async () => {
  const hub = new EventHub();
  const calls: string[] = [];
  hub.producer = { start: () => calls.push("start"), stop: () => calls.push("stop") };
  const streams = [hub.subscribe(HELLO)!, hub.subscribe(HELLO)!];
  await streams[0]!.cancel();
  deepEqual(calls, ["start"]);
  await streams[1]!.cancel();
  deepEqual(calls, ["start", "stop"]);
});

/** A sampler whose clock is the caller, with flows that the caller sets. */
function sampled(first: readonly FlowFacts[]) {
  const state = { flows: first, tick: () => {}, cancelled: 0 };
  const engine = new FakeEngine();
  const ask = engine.ask.bind(engine);
  engine.ask =
    ((op: never, args: never) =>
      op === "flows"
        ? Promise.resolve(state.flows)
        : op === "health"
        ? Promise.resolve({ ...HEALTH, flows: state.flows.length })
        : ask(op, args)) as typeof engine.ask;
  const hub = new EventHub();
  hub.producer = sampler(engine, hub, (work) => {
    state.tick = work;
    return () => void state.cancelled++;
  });
  return { state, hub, engine };
}

test("sampler() tells samples, and flows that open and close between two of them", async () => {
  const { state, hub } = sampled([FLOW]);
  const stream = hub.subscribe(HELLO)!;
  const [, sample] = await take(stream, 2);
  equal(sample!.event, "sample");
  deepEqual([sample!.data.flows, sample!.data.sockets, sample!.data.links.length], [1, 3, 2]);
  await settled();
  state.flows = [{ ...FLOW, guest: "10.0.2.100:40001" }];
  state.tick();
  deepEqual(
    (await take(stream, 3)).map(({ event, data }) => [event, data.change, data.flow?.guest]),
    [["sample", undefined, undefined], ["flow", "opened", "10.0.2.100:40001"], [
      "flow",
      "closed",
      FLOW.guest,
    ]],
  );
  await stream.cancel();
  equal(state.cancelled, 1);
});

test("sampler() asks for single flows only while they are few", async () => {
  const { state, hub, engine } = sampled(Array.from({ length: TOLD_FLOWS_LIMIT + 1 }, () => FLOW));
  let asked = 0;
  const ask = engine.ask;
  engine.ask =
    ((op: never, args: never) => (asked += op === "flows" ? 1 : 0, ask(op, args))) as typeof engine.ask;
  const stream = hub.subscribe(HELLO)!;
  await take(stream, 2);
  await settled();
  equal(asked, 0);
  state.flows = [FLOW];
  state.tick();
  await take(stream, 1);
  await settled();
  equal(asked, 1);
  await stream.cancel();
});

/** Lets promises that are already resolved run their continuations. */
async function settled(): Promise<void> {
  for (let i = 0; i < 20; i++) await Promise.resolve();
}

test("GET /v1/events streams, and a reader too many gets 503", async () => {
  const events = new EventHub();
  const app = createApi({
    engine: new FakeEngine(),
    settings: {},
    id: "test",
    allowedHosts: ["sluice"],
    events,
  });
  const ask = () => app.request("http://sluice/v1/events", { headers: { host: "sluice" } });
  const first = await ask();
  equal(first.headers.get("content-type"), "text/event-stream");
  deepEqual((await take(first.body!, 1))[0], HELLO);
  for (let i = 1; i < SUBSCRIBER_LIMIT; i++) await ask();
  const refused = await ask();
  equal(refused.status, 503);
  equal((await refused.json()).code, "too-many-subscribers");
  events.close();
});

test("a change by the API is an event", async () => {
  const events = new EventHub();
  const app = createApi({
    engine: new FakeEngine(),
    settings: {},
    id: "test",
    allowedHosts: ["sluice"],
    events,
  });
  events.producer = undefined;
  const stream = events.subscribe(HELLO)!;
  const send = (method: string, path: string, body: unknown) =>
    app.request(`http://sluice${path}`, {
      method,
      headers: { host: "sluice", "content-type": "application/json" },
      body: JSON.stringify(body),
    });
  await send("POST", "/v1/forwards", { spec: "8080:80" });
  await send("DELETE", "/v1/forwards", { spec: "8080:80" });
  await send("PATCH", "/v1/qdisc/eth0", { rate: 7 });
  deepEqual(await take(stream, 4), [
    HELLO,
    { event: "forward", data: { change: "added", spec: "8080:80/tcp" } },
    { event: "forward", data: { change: "removed", spec: "8080:80/tcp" } },
    { event: "qdisc", data: { dev: "eth0", rate: 7, burst: 100000 } },
  ]);
  events.close();
});
