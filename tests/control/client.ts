/**
 * Asks an application as a client on the unix socket would.
 *
 * @module
 */

import { type ApiOptions, createApi } from "../../lib/control/api.ts";
import { UNIX_HOSTS } from "../../lib/control/middleware/host_allow_list.ts";
import { FakeEngine } from "./fake_engine.ts";

/** What a test looks at. */
export interface Answer {
  readonly status: number;
  readonly headers: Headers;
  readonly text: string;
  // deno-lint-ignore no-explicit-any -- tests look into the answers of many routes
  readonly json: any;
}

/** One request; the Host header is `sluice` unless said otherwise. */
export type Client = (path: string, init?: RequestInit) => Promise<Answer>;

/** An application over `engine` and a client of it. */
export function clientOf(engine: FakeEngine = new FakeEngine(), options: Partial<ApiOptions> = {}): Client {
  const app = createApi({
    engine,
    settings: { network: "none" },
    id: "test",
    allowedHosts: UNIX_HOSTS,
    ...options,
  });
  return async (path, init = {}) => {
    const headers = new Headers(init.headers);
    if (!headers.has("host")) headers.set("host", "sluice");
    const response = await app.request(`http://sluice${path}`, { ...init, headers });
    const text = await response.text();
    const isJson = response.headers.get("content-type")?.startsWith("application/json") ?? false;
    return {
      status: response.status,
      headers: response.headers,
      text,
      json: isJson ? JSON.parse(text) : undefined,
    };
  };
}

/** A write with a JSON body. */
export function write(method: string, body: unknown): RequestInit {
  return { method, headers: { "content-type": "application/json" }, body: JSON.stringify(body) };
}
