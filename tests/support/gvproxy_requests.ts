/**
 * Requests to gvproxy's HTTP API in the order in which they are made, and where `sluice serve` answers otherwise than
 * gvproxy 0.8.1 does, with the reason.
 *
 * `DIR` stands for the server's directory, `P1`, `P2`, … for ports of the host that are free, `TAKEN` for one that is not.
 *
 * @module
 */

/** A status and the text of an answer. */
export type Answer = readonly [status: number, body: RegExp];

/** One request. Without `differs` both answers are the same, byte for byte. */
export interface GvproxyRequest {
  readonly method: string;
  readonly path: string;
  readonly body?: string;
  readonly differs?: { readonly theirs: Answer; readonly ours: Answer; readonly because: string };
}

const EXPOSE = "/services/forwarder/expose", UNEXPOSE = "/services/forwarder/unexpose";
const ALL = "/services/forwarder/all", ADD = "/services/dns/add", ZONES = "/services/dns/all";

const get = (path: string, differs?: GvproxyRequest["differs"]): GvproxyRequest => ({
  method: "GET",
  path,
  ...(differs && { differs }),
});
const post = (path: string, body: unknown, differs?: GvproxyRequest["differs"]): GvproxyRequest => ({
  method: "POST",
  path,
  body: typeof body === "string" ? body : JSON.stringify(body),
  ...(differs && { differs }),
});
const expose = (local: string, remote: string, protocol?: string, differs?: GvproxyRequest["differs"]) =>
  post(EXPOSE, { local, remote, ...(protocol === undefined ? {} : { protocol }) }, differs);
const unexpose = (local: string, protocol?: string, differs?: GvproxyRequest["differs"]) =>
  post(UNEXPOSE, { local, ...(protocol === undefined ? {} : { protocol }) }, differs);
const differs = (theirs: Answer, ours: Answer, because: string) => ({ theirs, ours, because });
const worded = (theirs: RegExp, ours: RegExp) =>
  differs([400, theirs], [400, ours], "Go's words for JSON that cannot be read are Go's");

const GUEST = "192.168.127.2:80";
const NO_SLASH = "Go's mux redirects to a folder that has no page";
const MARSHAL = /^json: cannot unmarshal \w+ into Go/;

const GONE = differs([500, /^proxy not found\n$/], [200, /^$/], "it was not there, see above");

/** With a guest of address 192.168.127.2 there. */
export const REQUESTS: readonly GvproxyRequest[] = [
  // What is there at first.
  get(ALL),
  post(ALL, ""),
  get(ZONES),
  get("/services/dhcp/leases"),
  get("/leases"),
  { method: "HEAD", path: "/leases" },
  get("/cam"),
  get("/nothing"),
  get("/"),
  get("/services/forwarder/"),
  get("/services", differs([301, /./], [404, /^404 page not found\n$/], NO_SLASH)),

  // Ports.
  get(EXPOSE),
  { method: "PUT", path: EXPOSE, body: "{}" },
  post(EXPOSE, "{bad", worded(/^invalid character 'b'/, /^the body is not a JSON object\n$/)),
  post(EXPOSE, "[]", worded(MARSHAL, /^the body is not a JSON object\n$/)),
  post(EXPOSE, "", worded(/^EOF\n$/, /^the body is not a JSON object\n$/)),
  post(EXPOSE, { local: 5 }, worded(MARSHAL, /^local is not a string\n$/)),
  post(EXPOSE, "null"),
  post(EXPOSE, {}),
  expose(":P1", GUEST),
  expose(":P1", GUEST, "tcp"),
  expose(":P1", GUEST, "udp"),
  expose(":P1", GUEST, "udp"),
  post(EXPOSE, { LOCAL: "127.0.0.1:P2", Remote: GUEST, extra: 1 }),
  expose("127.0.0.1:TAKEN", GUEST),
  expose("[::1]:P3", GUEST, "tcp"),
  expose("192.0.2.1:P4", GUEST, "tcp"),
  expose("nonsense", GUEST, "tcp"),
  expose("::1:P4", GUEST, "tcp"),
  expose("127.0.0.1:99999", GUEST, "tcp"),
  expose("127.0.0.1:P4", "nonsense"),
  expose("127.0.0.1:P4", "tcp://192.168.127.2:80"),
  expose("127.0.0.1:P4", "192.168.127.2:"),
  expose("127.0.0.1:P4", "192.168.127.2:x"),
  expose("127.0.0.1:P4", GUEST, "xyz"),
  expose("127.0.0.1:P4", GUEST, "TCP"),
  expose(
    "127.0.0.1:P4",
    ":80",
    "tcp",
    differs(
      [400, /^address @: missing port/],
      [200, /^$/],
      "whoever asks has no address; we take the first guest's",
    ),
  ),
  expose(
    "127.0.0.1:P5",
    "name:80",
    "tcp",
    differs([0, /^$/], [500, /^invalid remote addr: "name"/], "it panics"),
  ),
  expose(
    "127.0.0.1:P5",
    "[fd00::2]:80",
    "tcp",
    differs([500, /^invalid remote addr\n$/], [200, /^$/], "it has no IPv6"),
  ),
  unexpose("127.0.0.1:P4", "tcp", GONE),
  unexpose("127.0.0.1:P5", "tcp", GONE),

  // Unix sockets.
  expose("DIR/u.sock", "tcp://192.168.127.2:80", "unix"),
  expose(
    "DIR/u.sock",
    "tcp://192.168.127.2:80",
    "unix",
    differs(
      [200, /^$/],
      [500, /^listen unix DIR\/u.sock: bind: address already in use\n$/],
      "it removes what is there, and forgets the first",
    ),
  ),
  expose(
    "DIR/plain",
    "tcp://192.168.127.2:80",
    "unix",
    differs([200, /^$/], [500, /the file exists, and is no socket\n$/], "it removes what is there"),
  ),
  expose("DIR/no/x", "tcp://192.168.127.2:80", "unix"),
  expose("DIR/y", "tcp://192.168.127.2", "unix"),
  expose("DIR/y", "192.168.127.2:80", "unix"),
  expose("DIR/y", "udp://192.168.127.2:80", "unix"),
  expose("DIR/y", "", "unix"),
  expose("DIR/y", "ssh-tunnel://core@192.168.127.2:22/run/x.sock", "unix"),
  expose("rel.sock", "tcp://192.168.127.2:80", "unix"),
  expose("/x", "tcp://192.168.127.2:80", "npipe"),
  unexpose("DIR/u.sock"),
  unexpose("DIR/u.sock", "unix"),
  unexpose("DIR/u.sock", "unix"),
  unexpose("rel.sock", "unix"),

  // And away.
  get(UNEXPOSE),
  post(UNEXPOSE, "{bad", worded(/^invalid character 'b'/, /^the body is not a JSON object\n$/)),
  unexpose(":P1"),
  unexpose(":P1", "tcp"),
  unexpose(":P1", "udp"),
  unexpose("127.0.0.1:P2", "tcp"),
  unexpose("x", "xyz"),

  // Names.
  get(ADD),
  post(ADD, "{bad", worded(/^invalid character 'b'/, /^the body is not a JSON object\n$/)),
  post(ADD, { Name: 5 }, worded(MARSHAL, /^name is not a string\n$/)),
  post(ADD, { Name: "x.", Records: [5] }, worded(MARSHAL, /^a record is not an object\n$/)),
  post(ADD, { Name: "bad.", Records: [{ Name: "a", IP: "nonsense" }] }),
  post(
    ADD,
    { Name: "re.", Records: [{ Regexp: "([", IP: "1.2.3.4" }] },
    differs(
      [400, /^error parsing regexp: missing closing \]: `\[`\n$/],
      [400, /^error parsing regexp: ends too early: "\(\["\n$/],
      "our own engine for regular expressions",
    ),
  ),
  post(ADD, {
    Name: "test.internal.",
    Records: [{ Name: "a", IP: "192.168.127.9" }, { Name: "b", Regexp: "^x.*", IP: "192.168.127.10" }],
  }),
  post(ADD, {
    name: "test.internal.",
    records: [{ Name: "a", IP: "192.168.127.11" }],
    DefaultIP: "192.168.127.8",
  }),
  post(ADD, { Name: "nodot", Records: [{ Name: "six", IP: "fd00::7" }] }),
  get(ZONES),

  // Tunnels that cannot be.
  post("/tunnel", ""),
  get("/tunnel?ip=192.168.127.2"),
  get("/tunnel?ip=192.168.127.2&port=x"),
  post(
    "/tunnel?ip=nonsense&port=1",
    "",
    differs([0, /^OK$/], [500, /^invalid remote addr: "nonsense"/], "it says OK, and panics"),
  ),
];
