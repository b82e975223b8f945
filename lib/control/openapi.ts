/**
 * What `/openapi.json` answers. Kept by hand; a test compares it with the application's routes.
 *
 * @module
 */

const error = { $ref: "#/components/responses/Error" };
const family = { name: "family", in: "query", schema: { enum: ["4", "6"] } };
const spec = {
  required: true,
  content: {
    "application/json": {
      schema: {
        type: "object",
        additionalProperties: false,
        required: ["spec"],
        properties: { spec: { type: "string", description: "[addr:]hostport:guestport[/tcp|udp]" } },
      },
    },
  },
};

/** One operation; `more` holds what only this one has. */
function operation(summary: string, type = "application/json", more: Readonly<Record<string, unknown>> = {}) {
  return {
    summary,
    ...more,
    responses: { 200: { description: "OK", content: { [type]: {} } }, default: error },
  };
}

/** The description of the API (OpenAPI 3.1). */
export const OPENAPI = {
  openapi: "3.1.0",
  info: {
    title: "sluice control API",
    version: "1",
    license: { name: "Apache-2.0", identifier: "Apache-2.0" },
  },
  paths: {
    "/": { get: operation("A page that shows the stack at work", "text/html") },
    "/metrics": { get: operation("Prometheus metrics", "text/plain") },
    "/openapi.json": { get: operation("This description") },
    "/v1/addr": { get: operation("Addresses, as `ip -j addr`", undefined, { parameters: [family] }) },
    "/v1/config": { get: operation("The configuration in force, every value with its origin") },
    "/v1/events": {
      get: operation(
        "Server-sent events: hello, sample, flow, forward, qdisc, log, lost",
        "text/event-stream",
      ),
    },
    "/v1/capture": {
      get: operation(
        "What passes the interfaces, as a pcapng stream that `tshark -r -` reads; frames that the reader has no " +
          "room for are lost and counted",
        "application/x-pcapng",
        {
          parameters: [
            { name: "dev", in: "query", schema: { type: "string" }, description: "absent: every interface" },
            { name: "snaplen", in: "query", schema: { type: "integer", minimum: 14, maximum: 262144 } },
          ],
        },
      ),
    },
    "/v1/flows": { get: operation("Flows that the gateway relays") },
    "/v1/forwards": {
      get: operation("Published ports"),
      post: {
        ...operation("Publish a port", undefined, { requestBody: spec }),
        responses: {
          201: { description: "Published; the body lists all", content: { "application/json": {} } },
          default: error,
        },
      },
      delete: operation("Withdraw a published port, named by `?spec=` or by the body", undefined, {
        parameters: [{ name: "spec", in: "query", schema: { type: "string" } }],
        requestBody: { ...spec, required: false },
      }),
    },
    "/v1/health": { get: operation("Whether the data plane answers, and how it does") },
    "/v1/link": {
      get: operation("Interfaces, as `ip -j link`; with `stats` as `ip -s -j link`", undefined, {
        parameters: [{ name: "stats", in: "query", schema: { type: "boolean" } }],
      }),
    },
    "/v1/neigh": { get: operation("Neighbours, as `ip -j neigh`", undefined, { parameters: [family] }) },
    "/v1/qdisc": {
      get: operation("Queueing disciplines, as `tc -s -j qdisc`", undefined, {
        parameters: [{ name: "dev", in: "query", schema: { type: "string" } }],
      }),
    },
    "/v1/qdisc/{dev}": {
      patch: operation("Change the rate or the burst of a tbf while it runs", undefined, {
        parameters: [{ name: "dev", in: "path", required: true, schema: { type: "string" } }],
        requestBody: {
          required: true,
          content: {
            "application/json": {
              schema: {
                type: "object",
                additionalProperties: false,
                properties: {
                  rate: { type: "integer", minimum: 1, description: "bytes per second" },
                  burst: { type: "integer", minimum: 1, maximum: 4294967295, description: "bytes" },
                },
              },
            },
          },
        },
      }),
    },
    "/v1/route": {
      get: operation("Routes, as `ip -j route`; IPv4 unless family is 6", undefined, {
        parameters: [family],
      }),
    },
    "/v1/sockets": { get: operation("Endpoints of the stack, as `ss -i` shows them") },
    "/v1/stats": { get: operation("Every counter of the stack and its interfaces") },
  },
  components: {
    responses: {
      Error: {
        description: "Refused or failed",
        content: {
          "application/json": {
            schema: {
              type: "object",
              required: ["code", "detail"],
              properties: { code: { type: "string" }, detail: { type: "string" } },
            },
          },
        },
      },
    },
    securitySchemes: { token: { type: "http", scheme: "bearer", description: "TCP listeners only" } },
  },
} as const;
