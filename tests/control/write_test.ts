import { deepEqual, equal, match } from "node:assert/strict";
import { test } from "node:test";
import type { Ceilings } from "../../lib/config/ceilings.ts";
import { EngineRefusal } from "../../lib/engine/messages.ts";
import { BODY_LIMIT } from "../../lib/control/body.ts";
import { clientOf, write } from "./client.ts";
import { FakeEngine } from "./fake_engine.ts";

const UDP_8080 = { protocol: "udp", hostPort: 8080, guestPort: 80 };

test("PATCH /v1/qdisc/{dev} changes rate and burst, and keeps what is not said", async () => {
  const engine = new FakeEngine();
  const { status, json } = await clientOf(engine)("/v1/qdisc/eth0", write("PATCH", { rate: 250000 }));
  equal(status, 200);
  equal(json.dev, "eth0");
  deepEqual(engine.changes, [{ op: "qdisc", arguments_: { device: "eth0", rate: 250000, burst: 100000 } }]);
});

const BAD_QDISC: [why: string, path: string, body: unknown, status: number, code: string, detail: RegExp][] =
  [
    ["an unknown device", "/v1/qdisc/eth9", {}, 404, "unknown-device", /"eth9": there are lo, eth0/],
    ["a queue without a rate", "/v1/qdisc/lo", { rate: 1 }, 409, "not-shaped", /qdisc is none, not tbf/],
    ["a rate of 0", "/v1/qdisc/eth0", { rate: 0 }, 400, "invalid-request", /positive integer/],
    ["a fraction", "/v1/qdisc/eth0", { rate: 1.5 }, 400, "invalid-request", /positive integer/],
    ["a text", "/v1/qdisc/eth0", { rate: "1mbit" }, 400, "invalid-request", /"1mbit"/],
    ["null", "/v1/qdisc/eth0", { rate: -1 }, 400, "invalid-request", /-1/],
    [
      "a burst over 32 bits",
      "/v1/qdisc/eth0",
      { burst: 4294967296 },
      400,
      "invalid-request",
      /^qdisc-tbf-burst must be <= 4294967295, got: 4294967296$/,
    ],
    [
      "an unknown key",
      "/v1/qdisc/eth0",
      { limit: 1 },
      400,
      "invalid-request",
      /"limit": known keys are rate, burst/,
    ],
    ["an array", "/v1/qdisc/eth0", [], 400, "invalid-request", /JSON object/],
  ];
for (const [why, path, body, status, code, detail] of BAD_QDISC) {
  test(`PATCH /v1/qdisc/{dev} refuses ${why}`, async () => {
    const engine = new FakeEngine();
    const answer = await clientOf(engine)(path, write("PATCH", body));
    equal(answer.status, status);
    equal(answer.json.code, code);
    match(answer.json.detail, detail);
    deepEqual(engine.changes, []);
  });
}

const CEILINGS = {
  lifted: false,
  tenant: true,
  qdisc: "fifo",
  rate: 1000n,
  burst: 200000n,
  hostUds: "none",
} as const;
const ABOVE: [why: string, ceilings: Partial<Ceilings>, body: unknown, status: number, detail?: RegExp][] = [
  ["a rate at the ceiling", {}, { rate: 1000 }, 200],
  [
    "a rate above it",
    {},
    { rate: 1001 },
    403,
    /^qdisc-tbf-rate=1001 exceeds runtime-configured rate 1000; raising/,
  ],
  ["a burst at the ceiling", {}, { rate: 1, burst: 200000 }, 200],
  [
    "a burst above it",
    {},
    { rate: 1, burst: 200001 },
    403,
    /^qdisc-tbf-burst=200001 exceeds runtime-configured burst/,
  ],
  ["any rate where the operator set none", { rate: 0n }, { rate: 2 ** 40 }, 200],
  ["any rate with --allow-flag-override", { lifted: true }, { rate: 2 ** 40 }, 200],
  ["any rate of an operator's own program", { tenant: false }, { rate: 2 ** 40 }, 200],
];
for (const [why, ceilings, body, status, detail] of ABOVE) {
  test(`PATCH /v1/qdisc/{dev} answers ${status} to ${why}`, async () => {
    const engine = new FakeEngine();
    const client = clientOf(engine, { ceilings: { ...CEILINGS, ...ceilings } });
    const answer = await client("/v1/qdisc/eth0", write("PATCH", body));
    equal(answer.status, status);
    equal(engine.changes.length, status === 200 ? 1 : 0);
    if (detail !== undefined) {
      equal(answer.json.code, "exceeds-ceiling");
      match(answer.json.detail, detail);
    }
  });
}

test("PATCH /v1/qdisc/{dev} hands on the engine's refusal", async () => {
  const engine = new FakeEngine({
    qdisc: new EngineRefusal("denied", "qdisc-tbf-rate=9 exceeds the ceiling"),
  });
  const answer = await clientOf(engine)("/v1/qdisc/eth0", write("PATCH", { rate: 9 }));
  equal(answer.status, 403);
  deepEqual(answer.json, { code: "denied", detail: "qdisc-tbf-rate=9 exceeds the ceiling" });
});

test("GET /v1/forwards lists published ports with the text that names them", async () => {
  const { json } = await clientOf()("/v1/forwards");
  deepEqual(json, [{ protocol: "tcp", host: "127.0.0.1:8080", guest: 80, spec: "127.0.0.1:8080:80/tcp" }]);
});

test("POST /v1/forwards publishes and answers 201 with all of them", async () => {
  const engine = new FakeEngine();
  const { status, json } = await clientOf(engine)("/v1/forwards", write("POST", { spec: "8080:80/udp" }));
  equal(status, 201);
  equal(json.length, 1);
  deepEqual(engine.changes, [{ op: "publish", arguments_: { forward: UDP_8080 } }]);
});

test("POST /v1/forwards publishes a range, all of it or nothing", async () => {
  const engine = new FakeEngine();
  equal(
    (await clientOf(engine)("/v1/forwards", write("POST", { spec: "[::1]:8000-8002:80-82" }))).status,
    201,
  );
  deepEqual(
    engine.changes.map(({ arguments_ }) => arguments_?.["forward"]),
    [0, 1, 2].map((i) => (
      { protocol: "tcp", hostPort: 8000 + i, guestPort: 80 + i, hostAddress: "::1" }
    )),
  );

  const refusing = new FakeEngine();
  const ask = refusing.ask.bind(refusing);
  refusing.ask = (op, arguments_) =>
    ask(op, arguments_).then((answer) => {
      const port = (arguments_?.["forward"] as { hostPort?: number } | undefined)?.hostPort;
      if (op === "publish" && port === 8002) {
        throw new EngineRefusal("in-use", "Cannot listen on 8002: it is in use");
      }
      return answer;
    });
  equal((await clientOf(refusing)("/v1/forwards", write("POST", { spec: "8000-8003:80-83" }))).status, 409);
  deepEqual(
    refusing.changes.map((
      { op, arguments_ },
    ) => [op, (arguments_?.["forward"] as { hostPort: number }).hostPort]),
    [["publish", 8000], ["publish", 8001], ["publish", 8002], ["unpublish", 8001], ["unpublish", 8000]],
  );
});

test("DELETE /v1/forwards takes the spec from the body or from the query", async () => {
  const engine = new FakeEngine();
  const ask = clientOf(engine);
  equal((await ask("/v1/forwards", write("DELETE", { spec: "8080:80/tcp" }))).status, 200);
  equal((await ask("/v1/forwards?spec=8081:81/tcp", { method: "DELETE" })).status, 200);
  equal((await ask("/v1/forwards?spec=unix:/run/x:y.sock", { method: "DELETE" })).status, 200);
  deepEqual(engine.changes.map(({ arguments_ }) => arguments_), [
    { forward: { protocol: "tcp", hostPort: 8080, guestPort: 80 } },
    { forward: { protocol: "tcp", hostPort: 8081, guestPort: 81 } },
    { forward: { protocol: "tcp", hostPort: 0, hostPath: "/run/x:y.sock", guestPort: 0 } },
  ]);
});

for (
  const spec of [undefined, 80, "", "80", "x:80", "70000:80", "8000-8002:80", "8080:80/sctp", "9".repeat(200)]
) {
  test(`POST /v1/forwards refuses ${JSON.stringify(spec)?.slice(0, 20)}`, async () => {
    const engine = new FakeEngine();
    const { status, json } = await clientOf(engine)("/v1/forwards", write("POST", { spec }));
    equal(status, 400);
    equal(json.code, "invalid-request");
    deepEqual(engine.changes, []);
  });
}

test("POST /v1/forwards says 409 for a port that is taken", async () => {
  const engine = new FakeEngine({
    publish: new EngineRefusal("in-use", "Cannot listen on 8080: it is in use"),
  });
  equal((await clientOf(engine)("/v1/forwards", write("POST", { spec: "8080:80" }))).status, 409);
});

test("a write that is not JSON is refused, whatever it says it is", async () => {
  const ask = clientOf();
  const post = (type: string, body: string) =>
    ask("/v1/forwards", { method: "POST", headers: { "content-type": type }, body });
  equal((await post("text/plain", '{"spec":"1:1"}')).status, 415);
  equal((await post("application/x-www-form-urlencoded", "spec=1:1")).status, 415);
  equal((await post("application/jsonp", '{"spec":"1:1"}')).status, 415);
  equal((await post("application/json; charset=utf-8", '{"spec":"1:1"}')).status, 201);
  const broken = await post("application/json", '{"spec":');
  equal(broken.status, 400);
  equal(broken.json.detail, "Cannot read the body: it is not JSON");
  // Without a body fetch sends no type at all; only a DELETE may do so.
  equal((await ask("/v1/forwards", { method: "POST" })).status, 415);
});

test("a body over the limit is refused, with and without a Content-Length", async () => {
  const engine = new FakeEngine();
  const ask = clientOf(engine);
  const text = JSON.stringify({ spec: "9".repeat(BODY_LIMIT) });
  const headers = { "content-type": "application/json" };
  const declared = { ...headers, "content-length": String(text.length) };
  const honest = await ask("/v1/forwards", { method: "POST", headers: declared, body: text });
  equal(honest.status, 413);
  equal(honest.json.code, "body-too-large");
  const stream = new Blob([text]).stream();
  const chunked = await ask(
    "/v1/forwards",
    { method: "POST", headers, body: stream, duplex: "half" } as RequestInit,
  );
  equal(chunked.status, 413);
  deepEqual(engine.changes, []);
});
