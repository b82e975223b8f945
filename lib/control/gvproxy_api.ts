/**
 * The HTTP API of gvproxy (containers/gvisor-tap-vsock), for programs that drive it: the same paths, bodies and codes.
 *
 * ```text
 *   /services/forwarder/all        [{"local":":6443","remote":"192.168.127.2:6443","protocol":"tcp"}]
 *   /services/forwarder/expose     POST the same object; 500 and a text when it cannot be
 *   /services/forwarder/unexpose   POST {"local","protocol"}
 *   /services/dns/all  …/add       [{"Name","Records":[{"Name","IP"}],"DefaultIP"}]
 *   /services/dhcp/leases  /leases {"192.168.127.2":"5a:94:ef:e4:0c:ee"}
 *   /cam                           {"5a:94:ef:e4:0c:ee":0}
 *   /stats                         {"BytesSent":…,"BytesReceived":…, counters}
 *
 *   /tunnel?ip=&port=              "OK", then the connection is one to the guest; no HTTP is spoken
 *   /connect                       the connection is a guest's wire, as of unixstream://
 * ```
 *
 * It asks for no token, as gvproxy's does not: it stands on a unix socket of mode 0600, or on loopback, where Host and
 * Origin keep browsers out. Guests reach neither. Forwards to Windows' pipes and over ssh are refused with a reason.
 *
 * @module
 */

import { type Context, Hono } from "hono";
import { bodyLimit } from "hono/body-limit";
import { parsePublish, type Publish } from "../config/publish.ts";
import type { EngineClient, ForwardFacts, PublishedPort } from "../engine/messages.ts";
import { withDeadline } from "./deadline.ts";
import { hostAllowList, LOOPBACK_HOSTS } from "./middleware/host_allow_list.ts";

/** Bytes of a request's body: a zone has many records. */
const BODY_LIMIT = 64 * 1_024;

/** What the API is made of. */
export interface GvproxyApiOptions {
  readonly engine: EngineClient;
  /** On a unix socket clients name any host that they like, as gvproxy's do. */
  readonly onUnix: boolean;
  readonly onError?: (error: Error) => void;
  /** A name for a unix socket that nobody else may reach, another one each time. */
  readonly privateSocket: () => string;
  /** Where guests connect to send frames behind their length of 32 bits; absent: nowhere. */
  readonly wire?: string;
}

/** What a request's connection becomes: one with a unix socket. The response to the request is not sent. */
export interface Takeover {
  readonly unix: string;
  /** Said to the client first. */
  readonly greeting: string;
  /** The unix socket has answered, well or not. */
  readonly onConnected?: () => void;
}

/** What a server hands in that can take a connection over. */
export interface TakeoverBindings {
  readonly takeOver?: (takeover: Takeover) => void;
}

type Bound = { Bindings: TakeoverBindings };

/** A request that cannot be carried out: the text is the body. */
class Refusal extends Error {
  constructor(readonly status: 400 | 500 | 501, message: string) {
    super(message);
  }
}

/** The API over `options.engine`. */
export function createGvproxyApi(options: GvproxyApiOptions): Hono<Bound> {
  const engine = withDeadline(options.engine);
  const app = new Hono<Bound>();
  app.use(hostAllowList(options.onUnix ? ["*"] : LOOPBACK_HOSTS));
  app.use(bodyLimit({ maxSize: BODY_LIMIT, onError: (c) => c.text("the body is too large", 400) }));

  app.all("/services/forwarder/all", async (c) => c.json(await forwarders(engine)));
  app.all("/services/forwarder/expose", async (c) => {
    await expose(engine, await posted(c));
    return c.body(null, 200);
  });
  app.all("/services/forwarder/unexpose", async (c) => {
    await unexpose(engine, await posted(c));
    return c.body(null, 200);
  });
  app.all("/services/dns/all", async (c) => {
    const { zones } = await engine.ask("serving");
    return c.json(zones.map(({ name, records, defaultIp }) => ({
      Name: name,
      Records: records.map((record) => ({
        Name: record.name ?? "",
        IP: record.ip ?? "",
        ...(record.regexp === undefined ? {} : { Regexp: record.regexp }),
      })),
      DefaultIP: defaultIp ?? "",
    })));
  });
  app.all("/services/dns/add", async (c) => {
    const zone = zoneOf(await posted(c));
    await carriedOut(engine.ask("add-zone", { zone }));
    return c.body(null, 200);
  });
  const leases = async (c: Context) => c.json((await engine.ask("serving")).leases);
  app.all("/services/dhcp/leases", leases);
  app.all("/leases", leases);
  app.all("/cam", async (c) => {
    const { guests } = await engine.ask("serving");
    return c.json(Object.fromEntries(guests.flatMap(({ id, macs }) => macs.map((mac) => [mac, id]))));
  });
  app.all("/stats", async (c) => {
    const [{ guests }, stack] = await Promise.all([engine.ask("serving"), engine.ask("stack")]);
    const sum = (bytes: (guest: typeof guests[number]) => number) =>
      guests.reduce((total, guest) => total + bytes(guest), 0);
    return c.json({
      BytesSent: sum((guest) => guest.txBytes),
      BytesReceived: sum((guest) => guest.rxBytes),
      ...stack.counters,
    });
  });
  app.all("/tunnel", async (c) => {
    const forward = tunnelOf(c.req.query("ip") ?? "", c.req.query("port") ?? "", options.privateSocket());
    const takeOver = takeOverOf(c);
    await carriedOut(engine.ask("publish", { forward }));
    // Once the client is through, its door is shut.
    const onConnected = () => void engine.ask("unpublish", { forward }).catch(() => {});
    takeOver({ unix: forward.hostPath, greeting: "OK", onConnected });
    return c.body(null, 200);
  });
  app.all("/connect", (c) => {
    if (options.wire === undefined) {
      throw new Refusal(501, "/connect needs a socket with -listen-qemu unix://PATH, whose frames it takes");
    }
    takeOverOf(c)({ unix: options.wire, greeting: "" });
    return c.body(null, 200);
  });
  app.notFound((c) => c.text("404 page not found", 404));
  app.onError((error, c) => {
    if (error instanceof Refusal) return c.text(error.message, error.status);
    options.onError?.(error);
    return c.text(error.message, 500);
  });
  return app;
}

function takeOverOf(c: Context<Bound>): (takeover: Takeover) => void {
  const takeOver = c.env?.takeOver;
  if (takeOver === undefined) throw new Refusal(501, "this server cannot give its connection away");
  return takeOver;
}

/** Where a tunnel leads: a forward that lives until its client is through. */
function tunnelOf(ip: string, port: string, hostPath: string): PublishedPort & { readonly hostPath: string } {
  if (ip === "") throw new Refusal(500, "ip is mandatory");
  const [to] = /^[0-9]{1,5}$/.test(port) ? publishable(`1:${bracketed(ip)}:${port}`) : [];
  if (to === undefined) throw new Refusal(500, `port "${port}" is not a port number`);
  const { guestAddress, guestPort } = plain(to);
  return { protocol: "tcp", hostPort: 0, hostPath, guestPort, ...(guestAddress && { guestAddress }) };
}

/** What a text of `--publish` names. */
function publishable(text: string): readonly Publish[] {
  const ports = parsePublish(text);
  if (typeof ports === "string") throw new Refusal(500, `invalid remote addr: ${ports}`);
  return ports;
}

type Fields = Readonly<Record<string, unknown>>;

async function posted(c: Context): Promise<Fields> {
  if (c.req.method !== "POST") throw new Refusal(400, "post only");
  try {
    const value: unknown = await c.req.json();
    if (typeof value === "object" && value !== null && !Array.isArray(value)) return value as Fields;
  } catch {
    // Said below.
  }
  throw new Refusal(400, "the body is not a JSON object");
}

async function carriedOut(asked: Promise<unknown>): Promise<void> {
  try {
    await asked;
  } catch (error) {
    throw new Refusal(500, error instanceof Error ? error.message : String(error));
  }
}

function textOf(fields: Fields, name: string): string {
  const value = fields[name] ?? "";
  if (typeof value !== "string") throw new Refusal(400, `${name} is not a string`);
  return value;
}

/** gvproxy's names for what is published, sorted as gvproxy sorts. */
async function forwarders(engine: EngineClient) {
  const [forwards, { device }] = await Promise.all([engine.ask("forwards"), engine.ask("serving")]);
  const all = forwards.map((forward) => ({
    local: localOf(forward),
    remote: `${forward.protocol === "unix" ? "tcp://" : ""}${
      bracketed(forward.guestAddress ?? device)
    }:${forward.guest}`,
    protocol: forward.protocol,
  }));
  return all.sort((a, b) => order(a.local, b.local) || order(a.protocol, b.protocol));
}

async function expose(engine: EngineClient, fields: Fields): Promise<void> {
  const protocol = protocolOf(fields);
  const local = textOf(fields, "local");
  const text = textOf(fields, "remote");
  if (protocol === "unix") {
    const [scheme] = /^[a-z+-]*(?=:\/\/)/.exec(text) ?? [""];
    if (scheme !== "tcp") {
      throw new Refusal(500, `remote protocol for unix forwarder is not implemented: ${scheme}`);
    }
    if (!local.startsWith("/")) throw new Refusal(500, `"${local}" is not the full path of a socket`);
  }
  const remote = /^(?:(?:tcp|udp):\/\/)?(.*):([0-9]{1,5})$/.exec(text);
  if (remote === null) throw new Refusal(500, "invalid remote addr");
  const host = remote[1] === "" ? (await engine.ask("serving")).device : remote[1]!;
  const guest = `${bracketed(host.replace(/^\[|\]$/g, ""))}:${remote[2]}`;
  const ports = protocol === "unix"
    ? publishable(`1:${guest}`).map((port) => ({ ...plain(port), hostPort: 0, hostPath: local }))
    : publishable(`${anyHost(local)}:${guest}/${protocol}`).map(plain);
  const taken = (await engine.ask("forwards")).some((one) => isAt(one, local, protocol));
  if (taken) throw new Refusal(500, `proxy already running for ${protocol} on ${local}`);
  for (const forward of ports) await carriedOut(engine.ask("publish", { forward }));
}

async function unexpose(engine: EngineClient, fields: Fields): Promise<void> {
  const protocol = protocolOf(fields);
  const local = textOf(fields, "local");
  const found = (await engine.ask("forwards")).some((one) => isAt(one, local, protocol));
  if (!found) throw new Refusal(500, "proxy not found");
  if (protocol === "unix") {
    const forward = { protocol: "tcp", hostPort: 0, hostPath: local, guestPort: 0 } as const;
    return await carriedOut(engine.ask("unpublish", { forward }));
  }
  const ports = parsePublish(`${anyHost(local)}:1/${protocol}`);
  if (typeof ports === "string") throw new Refusal(500, "proxy not found");
  for (const port of ports) await carriedOut(engine.ask("unpublish", { forward: plain(port) }));
}

function protocolOf(fields: Fields): "tcp" | "udp" | "unix" {
  const protocol = textOf(fields, "protocol") || "tcp";
  if (protocol === "tcp" || protocol === "udp" || protocol === "unix") return protocol;
  if (protocol === "npipe") throw new Refusal(500, "protocol npipe is not supported: only Windows has pipes");
  throw new Refusal(500, `unknown protocol ${protocol}`);
}

/** `:6443` as `--publish` has it, without a host. */
function anyHost(local: string): string {
  return local.startsWith(":") ? local.slice(1) : local;
}

function localOf({ host }: ForwardFacts): string {
  return host.startsWith("*:") ? host.slice(1) : host;
}

function isAt(forward: ForwardFacts, local: string, protocol: string): boolean {
  return forward.protocol === protocol && localOf(forward) === local;
}

function bracketed(host: string): string {
  return host.includes(":") ? `[${host}]` : host;
}

function order(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}

function plain({ hostAddress, guestAddress, ...ports }: Publish): PublishedPort {
  return {
    ...ports,
    ...(hostAddress === undefined ? {} : { hostAddress: String(hostAddress) }),
    ...(guestAddress === undefined ? {} : { guestAddress: String(guestAddress) }),
  };
}

/** A zone as gvproxy writes it; Go reads keys in any case. */
function zoneOf(fields: Fields) {
  const get = (from: Fields, name: string) =>
    Object.entries(from).find(([key]) => key.toLowerCase() === name)?.[1];
  const text = (value: unknown, what: string) => {
    if (value === undefined || value === null) return "";
    if (typeof value !== "string") throw new Refusal(400, `${what} is not a string`);
    return value;
  };
  const records = get(fields, "records") ?? [];
  if (!Array.isArray(records)) throw new Refusal(400, "Records is not a list");
  const defaultIp = text(get(fields, "defaultip"), "DefaultIP");
  return {
    name: text(get(fields, "name"), "Name"),
    records: records.map((record: unknown) => {
      if (typeof record !== "object" || record === null) throw new Refusal(400, "a record is not an object");
      const regexp = text(get(record as Fields, "regexp"), "Regexp");
      return {
        name: text(get(record as Fields, "name"), "Name"),
        ip: text(get(record as Fields, "ip"), "IP"),
        ...(regexp === "" ? {} : { regexp }),
      };
    }),
    ...(defaultIp === "" ? {} : { defaultIp }),
  };
}
