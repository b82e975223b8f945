import { equal, match, throws } from "node:assert/strict";
import { test } from "node:test";
import { LOOPBACK_HOSTS } from "../../lib/control/middleware/host_allow_list.ts";
import { bearerToken } from "../../lib/control/middleware/bearer_token.ts";
import { withDeadline } from "../../lib/control/deadline.ts";
import type { EngineClient } from "../../lib/engine/messages.ts";
import { clientOf, write } from "./client.ts";
import { FakeEngine } from "./fake_engine.ts";

const HOSTS: [host: string, allowed: readonly string[] | undefined, status: number][] = [
  ["sluice", undefined, 200],
  ["localhost", undefined, 200],
  ["LOCALHOST:80", undefined, 200],
  ["evil.example", undefined, 403],
  ["sluice.evil.example", undefined, 403],
  ["127.0.0.1", undefined, 403],
  ["127.0.0.1:8080", LOOPBACK_HOSTS, 200],
  ["[::1]:8080", LOOPBACK_HOSTS, 200],
  ["localhost:8080", LOOPBACK_HOSTS, 200],
  ["sluice", LOOPBACK_HOSTS, 403],
  ["127.0.0.1.evil.example:8080", LOOPBACK_HOSTS, 403],
  ["anything.example", ["*"], 200],
];
for (const [host, allowedHosts, status] of HOSTS) {
  test(`hostAllowList() answers ${status} to ${host} on ${allowedHosts?.join() ?? "the unix socket"}`, async () => {
    const ask = clientOf(undefined, allowedHosts === undefined ? {} : { allowedHosts });
    const answer = await ask("/v1/health", { headers: { host } });
    equal(answer.status, status);
    if (status === 403) equal(answer.json.code, "forbidden-host");
  });
}

test("hostAllowList() refuses a request without Host, and a foreign page", async () => {
  const ask = clientOf();
  equal((await ask("/v1/health", { headers: { host: "" } })).status, 403);
  const foreign = { host: "sluice", origin: "http://evil.example" };
  const answer = await ask("/v1/health", { headers: foreign });
  equal(answer.status, 403);
  equal(answer.json.code, "forbidden-origin");
  equal((await ask("/v1/health", { headers: { host: "sluice", origin: "null" } })).status, 403);
  equal((await ask("/v1/health", { headers: { host: "sluice", origin: "http://sluice" } })).status, 200);
  // Another service on another port of the same machine is another origin.
  const other = { host: "localhost:1", origin: "http://localhost:2" };
  equal((await ask("/v1/health", { headers: other })).status, 403);
});

const TOKEN = "correct-horse-battery-staple";
const TOKENS: [why: string, header: string | undefined, path: string, status: number][] = [
  ["the token", `Bearer ${TOKEN}`, "/v1/health", 200],
  ["the token with a scheme in other letters", `bearer ${TOKEN}`, "/v1/health", 200],
  ["no header", undefined, "/v1/health", 401],
  ["an empty header", "", "/v1/health", 401],
  ["a wrong token", `Bearer ${TOKEN.slice(0, -1)}x`, "/v1/health", 401],
  ["a beginning of the token", `Bearer ${TOKEN.slice(0, 5)}`, "/v1/health", 401],
  ["more than the token", `Bearer ${TOKEN}x`, "/v1/health", 401],
  ["another scheme", `Basic ${TOKEN}`, "/v1/health", 401],
  ["an unknown path without the token", undefined, "/nowhere", 401],
  ["a query on the page", undefined, `/?token=${TOKEN}`, 200],
  ["a wrong query on the page", undefined, "/?token=x", 401],
  ["the page without a token", undefined, "/", 401],
  ["a query elsewhere", undefined, `/v1/health?token=${TOKEN}`, 401],
];
for (const [why, authorization, path, status] of TOKENS) {
  test(`bearerToken() answers ${status} to ${why}`, async () => {
    const ask = clientOf(undefined, { token: TOKEN });
    const answer = await ask(path, authorization === undefined ? {} : { headers: { authorization } });
    equal(answer.status, status);
    if (status === 200) return;
    equal(answer.json.code, "unauthorized");
    equal(answer.headers.get("www-authenticate"), "Bearer");
    equal(answer.text.includes(TOKEN), false);
  });
}

test("bearerToken() refuses to guard with nothing", () => {
  throws(() => bearerToken("", "/"), TypeError);
});

test("an unknown path is 404 in JSON", async () => {
  const { status, json } = await clientOf()("/v1/nothing");
  equal(status, 404);
  equal(json.code, "not-found");
});

const METHODS: [method: string, path: string, allow: string][] = [
  ["DELETE", "/v1/addr", "GET, HEAD"],
  ["PUT", "/v1/forwards", "GET, POST, DELETE, HEAD"],
  ["POST", "/v1/qdisc/eth0", "PATCH"],
  ["POST", "/", "GET, HEAD"],
  ["OPTIONS", "/v1/addr", "GET, HEAD"],
];
for (const [method, path, allow] of METHODS) {
  test(`${method} ${path} is 405 with Allow: ${allow}`, async () => {
    const answer = await clientOf()(path, method === "OPTIONS" ? { method } : write(method, {}));
    equal(answer.status, 405);
    equal(answer.json.code, "method-not-allowed");
    equal(answer.headers.get("allow"), allow);
    // A preflight gets no permission, so no foreign page ever writes.
    equal(answer.headers.get("access-control-allow-origin"), null);
  });
}

test("every answer forbids sniffing, framing and caching, errors too", async () => {
  const ask = clientOf();
  for (const path of ["/", "/v1/addr", "/nowhere", "/metrics"]) {
    const { headers } = await ask(path);
    equal(headers.get("x-content-type-options"), "nosniff");
    equal(headers.get("cache-control"), "no-store");
    equal(headers.get("referrer-policy"), "no-referrer");
    match(headers.get("content-security-policy") ?? "", /default-src 'none'.*frame-ancestors 'none'/);
  }
});

test("withDeadline() gives up on a silent engine, and the API says 504", async () => {
  const silent: EngineClient = { ask: () => new Promise(() => {}), capture: () => new Promise(() => {}) };
  let code = "";
  await withDeadline(silent, 1).ask("stack").catch((error) => code = error.code);
  equal(code, "engine-timeout");
  const inner = withDeadline(silent, 1);
  const ask = clientOf(inner as FakeEngine);
  equal((await ask("/v1/addr")).status, 504);
});
