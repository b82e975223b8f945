import { deepEqual, equal, match, ok } from "node:assert/strict";
import { test } from "node:test";
import { EngineRefusal } from "../../lib/engine/messages.ts";
import { createApi, listRoutes } from "../../lib/control/api.ts";
import { OPENAPI } from "../../lib/control/openapi.ts";
import { PAGE } from "../../lib/control/page/page.ts";
import { SCRIPT } from "../../lib/control/page/script.ts";
import { clientOf } from "./client.ts";
import { ETH0, FakeEngine, HEALTH, STACK } from "./fake_engine.ts";

test("GET /metrics is Prometheus text", async () => {
  const { status, headers, text } = await clientOf()("/metrics");
  equal(status, 200);
  equal(headers.get("content-type"), "text/plain; version=0.0.4; charset=utf-8");
  ok(text.endsWith("\n"));
  const lines = text.split("\n").slice(0, -1);
  const types = new Map<string, string>();
  for (const line of lines) {
    const type = /^# TYPE ([a-z_]+) (counter|gauge)$/.exec(line);
    if (type !== null) {
      equal(types.has(type[1]!), false, `${type[1]} is told once`);
      types.set(type[1]!, type[2]!);
      // By convention, and only, what counts upward ends in _total.
      equal(type[1]!.endsWith("_total"), type[2] === "counter");
    } else if (!line.startsWith("# HELP ")) {
      const sample = /^([a-z_]+)(\{([a-z]+="[^"]*",?)+\})? -?[0-9.e+]+$/.exec(line);
      ok(sample !== null, line);
      ok(types.has(sample[1]!), `${line} follows its TYPE`);
    }
  }
  ok(types.size >= 15);
  for (
    const line of [
      'sluice_info{id="test",network="sandbox-passthrough",attach="tap"} 1',
      "sluice_uptime_seconds 12.5",
      "sluice_longest_turn_seconds 0.0025",
      "sluice_flows 1",
      "sluice_forwards 1",
      'sluice_sockets{protocol="tcp",state="ESTAB"} 1',
      'sluice_receive_bytes_total{dev="eth0"} 1500',
      'sluice_qdisc_drops_total{dev="eth0",kind="tbf"} 3',
      'sluice_stack_events_total{name="tcp.retransmits"} 4',
    ]
  ) ok(lines.includes(line), line);
});

test("GET /metrics escapes what names may hold", async () => {
  const nics = [{ ...ETH0, name: 'a"b\\c\nd' }];
  const { text } = await clientOf(new FakeEngine({ stack: { ...STACK, nics }, health: HEALTH }))("/metrics");
  match(text, /^sluice_receive_bytes_total\{dev="a\\"b\\\\c\\nd"\} 1500$/m);
});

test("GET /openapi.json lists exactly the routes that there are", async () => {
  const app = createApi({ engine: new FakeEngine(), settings: {}, id: "test", allowedHosts: [] });
  const served = new Set(
    listRoutes(app).map(({ method, path }) => `${method} ${path.replace(/:([a-z]+)/g, "{$1}")}`),
  );
  const { json } = await clientOf()("/openapi.json");
  deepEqual(json, JSON.parse(JSON.stringify(OPENAPI)));
  const told = Object.entries<Record<string, unknown>>(json.paths).flatMap(([path, methods]) =>
    Object.keys(methods).map((method) => `${method.toUpperCase()} ${path}`)
  );
  deepEqual(told.sort(), [...served].sort());
});

test("every GET route answers 200", async () => {
  const ask = clientOf();
  for (const [path, methods] of Object.entries(OPENAPI.paths)) {
    if (!("get" in methods) || path === "/v1/events") continue;
    equal((await ask(path)).status, 200, path);
  }
});

test("GET / is one document whose policy names its script and style, and nothing else", async () => {
  const { status, headers, text } = await clientOf()("/");
  equal(status, 200);
  match(headers.get("content-type") ?? "", /^text\/html/);
  const policy = headers.get("content-security-policy") ?? "";
  equal(policy.includes("unsafe"), false);
  for (const [tag, directive] of [["script", "script-src"], ["style", "style-src"]] as const) {
    const content = new RegExp(`<${tag}>([^]*?)</${tag}>`).exec(text)?.[1] ?? "";
    const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", new TextEncoder().encode(content)));
    ok(policy.includes(`${directive} 'sha256-${btoa(String.fromCharCode(...digest))}'`), directive);
  }
  match(policy, /default-src 'none'/);
  match(policy, /connect-src 'self'/);
});

test("the page brings its own parts and makes no markup of data", () => {
  equal(/(src|href)=/.test(PAGE), false);
  equal(/https?:\/\//.test(PAGE), false);
  equal(/ style=| on[a-z]+=/.test(PAGE), false);
  equal(/innerHTML|outerHTML|insertAdjacent|document\.write|eval\(|new Function/.test(SCRIPT), false);
  // A syntax error would be seen by nobody else.
  ok(new Function(SCRIPT));
});

test("GET /v1/capture hands on what the engine captures", async () => {
  const engine = new FakeEngine();
  const client = clientOf(engine);
  const all = await client("/v1/capture");
  equal(all.status, 200);
  equal(all.headers.get("content-type"), "application/x-pcapng");
  equal(all.text, "\x01\x02\x03");
  await client("/v1/capture?dev=eth0&snaplen=96");
  deepEqual(engine.asked.filter(({ op }) => op === "capture").map(({ arguments_ }) => arguments_), [
    {},
    { device: "eth0", snapLength: 96 },
  ]);
});

test("HEAD /v1/capture captures nothing", async () => {
  const engine = new FakeEngine();
  equal((await clientOf(engine)("/v1/capture", { method: "HEAD" })).status, 200);
  equal(engine.asked.length, 0);
});

const BAD_CAPTURES: [path: string, status: number, code: string][] = [
  ["?dev=eth9", 404, "unknown-device"],
  ["?dev=", 404, "unknown-device"],
  ["?snaplen=13", 400, "invalid-request"],
  ["?snaplen=262145", 400, "invalid-request"],
  ["?snaplen=", 400, "invalid-request"],
  ["?snaplen=-1", 400, "invalid-request"],
  ["?snaplen=1e3", 400, "invalid-request"],
];
for (const [path, status, code] of BAD_CAPTURES) {
  test(`GET /v1/capture${path} is refused`, async () => {
    const answer = await clientOf()(`/v1/capture${path}`);
    deepEqual([answer.status, answer.json.code], [status, code]);
  });
}

test("GET /v1/capture tells that there are too many", async () => {
  const engine = new FakeEngine({ capture: new EngineRefusal("too-many-captures", "8 are open") });
  const answer = await clientOf(engine)("/v1/capture");
  deepEqual([answer.status, answer.json.code], [503, "too-many-captures"]);
});
