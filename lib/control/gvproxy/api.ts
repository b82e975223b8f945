/**
 * The HTTP API of gvproxy (containers/gvisor-tap-vsock), for programs that drive it: the same paths, bodies and codes.
 *
 * ```text
 *   /services/forwarder/all        [{"local":":6443","remote":"192.168.127.2:6443","protocol":"tcp"}]
 *   /services/forwarder/expose     POST the same object; 500 and a text when it cannot be
 *   /services/forwarder/unexpose   POST {"local","protocol"}
 *   /services/dns/all  …/add       [{"Name","Records":[{"Name","IP","Regexp"}],"DefaultIP"}]
 *   /services/dhcp/leases  /leases {"192.168.127.2":"5a:94:ef:e4:0c:ee"}
 *   /cam                           {"5a:94:ef:e4:0c:ee":0}
 *   /stats                         {"BytesSent":…,"BytesReceived":…, counters}
 *
 *   /tunnel?ip=&port=              "OK", then the connection is one to the guest; no HTTP is spoken
 *   /connect                       the connection is a guest's wire: frames behind their length
 * ```
 *
 * It asks for no token, as gvproxy's does not: it stands on a unix socket of mode 0600, or on loopback, where Host,
 * Origin and Sec-Fetch-Site keep browsers out. Guests reach neither. Where it answers otherwise than gvproxy 0.8.1,
 * tests/support/gvproxy_requests.ts says so and why.
 *
 * @module
 */

import { type Context, Hono } from "hono";
import { bodyLimit } from "hono/body-limit";
import type { EngineClient, ServeFacts } from "../../engine/messages.ts";
import { withDeadline } from "../deadline.ts";
import { hostAllowList, LOOPBACK_HOSTS } from "../middleware/host_allow_list.ts";
import { noForeignPages } from "../middleware/no_foreign_pages.ts";
import { expose, forwarders, type SshTunnels, tunnelOf, unexpose } from "./forwarder.ts";
import { answer, carriedOut, posted, Refusal, refuse } from "./reply.ts";
import { zoneJson, zoneOf, zoneRefusal } from "./zones.ts";

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
  /** Where guests connect to send frames behind their length; absent: there is no `/connect`. */
  readonly wire?: string;
  /** Unix sockets over ssh. */
  readonly ssh: SshTunnels;
  /** What is counted beside the engine's counters. */
  readonly counters?: () => Readonly<Record<string, number>>;
}

/** What a request's connection becomes: one with a unix socket. The response to the request is not sent. */
export interface Takeover {
  readonly unix: string;
  /** Said to the client first. */
  readonly greeting: string;
  /** The end of the unix socket is the end of both; without it each direction ends by itself. */
  readonly endsTogether?: boolean;
  /** The unix socket has answered, well or not, or the client has gone before. */
  readonly onConnected?: () => void;
}

/** What a server hands in that can take a connection over. */
export interface TakeoverBindings {
  readonly takeOver?: (takeover: Takeover) => void;
}

type Bound = { Bindings: TakeoverBindings };

/** The API over `options.engine`. */
export function createGvproxyApi(options: GvproxyApiOptions): Hono<Bound> {
  const engine = withDeadline(options.engine);
  const app = new Hono<Bound>();
  // gvforwarder names no host, as no browser can.
  app.use(hostAllowList(options.onUnix ? ["*"] : ["", ...LOOPBACK_HOSTS]));
  app.use(noForeignPages());
  app.use(bodyLimit({ maxSize: BODY_LIMIT, onError: (c) => refuse(c, 400, "the body is too large") }));

  app.all("/services/forwarder/all", async (c) => answer(c, await forwarders(engine, options.ssh)));
  app.all("/services/forwarder/expose", async (c) => {
    await expose(engine, options.ssh, await posted(c));
    return c.body(null, 200);
  });
  app.all("/services/forwarder/unexpose", async (c) => {
    await unexpose(engine, options.ssh, await posted(c));
    return c.body(null, 200);
  });
  app.all("/services/dns/all", async (c) => answer(c, (await engine.ask("serving")).zones.map(zoneJson)));
  app.all("/services/dns/add", async (c) => {
    const zone = zoneOf(await posted(c));
    try {
      await engine.ask("add-zone", { zone });
    } catch (error) {
      throw zoneRefusal(error instanceof Error ? error.message : String(error));
    }
    return c.body(null, 200);
  });
  const leases = async (c: Context) => answer(c, leasesOf(await engine.ask("serving")));
  app.all("/services/dhcp/leases", leases);
  app.all("/leases", leases);
  app.all("/cam", async (c) => {
    const { guests } = await engine.ask("serving");
    return answer(c, Object.fromEntries(guests.flatMap(({ id, macs }) => macs.map((mac) => [mac, id]))));
  });
  app.all("/stats", async (c) => {
    const [{ guests }, stack] = await Promise.all([engine.ask("serving"), engine.ask("stack")]);
    const sum = (bytes: (guest: typeof guests[number]) => number) =>
      guests.reduce((total, guest) => total + bytes(guest), 0);
    return answer(c, {
      BytesSent: sum((guest) => guest.txBytes),
      BytesReceived: sum((guest) => guest.rxBytes),
      ...stack.counters,
      ...options.counters?.(),
    });
  });
  app.all("/tunnel", async (c) => {
    const forward = tunnelOf(c.req.query("ip") ?? "", c.req.query("port") ?? "", options.privateSocket());
    const takeOver = takeOverOf(c);
    // Once the client is through, its door is shut.
    const onConnected = () => void engine.ask("unpublish", { forward }).catch(() => {});
    try {
      await carriedOut(engine.ask("publish", { forward }));
    } catch (error) {
      // An engine that was too slow for us opens it all the same.
      onConnected();
      throw error;
    }
    takeOver({ unix: forward.hostPath, greeting: "OK", onConnected });
    return c.body(null, 200);
  });
  const { wire } = options;
  if (wire !== undefined) {
    app.all("/connect", (c) => {
      takeOverOf(c)({ unix: wire, greeting: "", endsTogether: true });
      return c.body(null, 200);
    });
  }
  app.notFound((c) => refuse(c, 404, "404 page not found"));
  app.onError((error, c) => {
    if (error instanceof Refusal) return refuse(c, error.status, error.message);
    options.onError?.(error);
    return refuse(c, 500, error.message);
  });
  return app;
}

function takeOverOf(c: Context<Bound>): (takeover: Takeover) => void {
  const takeOver = c.env?.takeOver;
  if (takeOver === undefined) throw new Refusal(501, "this server cannot give its connection away");
  return takeOver;
}

/** Whose addresses are: the gateway's own, those that are promised, and those that are leased. */
function leasesOf({ gateway, fixed, leases }: ServeFacts): Record<string, string> {
  const all = { [gateway.address]: gateway.mac, ...fixed, ...leases };
  return Object.fromEntries(Object.entries(all).sort(([a], [b]) => a < b ? -1 : 1));
}
