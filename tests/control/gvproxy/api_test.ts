import { deepStrictEqual, strictEqual } from "node:assert/strict";
import { test } from "node:test";
import { createGvproxyApi, type Takeover } from "../../../lib/control/gvproxy/api.ts";
import { EngineRefusal } from "../../../lib/engine/messages.ts";
import type { SshTunnel, SshTunnels } from "../../../lib/control/gvproxy/forwarder.ts";
import { FakeEngine } from "../fake_engine.ts";

const FORWARDS = [
  { protocol: "udp", host: "127.0.0.1:53", guest: 53, guestAddress: "192.168.127.9" },
  { protocol: "tcp", host: "*:6443", guest: 6443 },
  { protocol: "tcp", host: "127.0.0.1:2222", guest: 22, guestAddress: "fd00::9" },
  { protocol: "unix", host: "/run/docker.sock", guest: 2375, guestAddress: "192.168.127.9" },
] as const;

const EXPOSE = "/services/forwarder/expose";
const LEASES = {
  "192.168.127.1": "5a:94:ef:e4:0c:dd",
  "192.168.127.2": "5a:94:ef:e4:0c:ee",
  "192.168.127.9": "5a:94:ef:e4:0c:ff",
};

/** Tunnels that are only remembered. */
class FakeSsh implements SshTunnels {
  readonly tunnels: SshTunnel[] = [];
  add(tunnel: SshTunnel): Promise<void> {
    this.tunnels.push(tunnel);
    return Promise.resolve();
  }
  remove(socket: string): Promise<boolean> {
    const at = this.tunnels.findIndex((one) => one.socket === socket);
    if (at >= 0) this.tunnels.splice(at, 1);
    return Promise.resolve(at >= 0);
  }
  all(): readonly SshTunnel[] {
    return this.tunnels;
  }
}

function api(engine = new FakeEngine({ forwards: FORWARDS }), onUnix = true, ssh = new FakeSsh()) {
  const app = createGvproxyApi({ engine, ssh, onUnix, privateSocket: () => "/private/1" });
  return async (path: string, body?: unknown, init: RequestInit = {}) => {
    const request = body === undefined
      ? init
      : { ...init, method: "POST", body: typeof body === "string" ? body : JSON.stringify(body) };
    const headers = new Headers(init.headers);
    if (!headers.has("host")) headers.set("host", "unix");
    const response = await app.request(`http://unix${path}`, { ...request, headers });
    return { status: response.status, text: await response.text() };
  };
}

test("what is read has gvproxy's shape", async () => {
  const get = api();
  const cases: Readonly<Record<string, unknown>> = {
    "/services/forwarder/all": [
      { local: "/run/docker.sock", remote: "tcp://192.168.127.9:2375", protocol: "unix" },
      { local: "127.0.0.1:2222", remote: "[fd00::9]:22", protocol: "tcp" },
      { local: "127.0.0.1:53", remote: "192.168.127.9:53", protocol: "udp" },
      { local: ":6443", remote: "192.168.127.2:6443", protocol: "tcp" },
    ],
    "/services/dns/all": [{
      Name: "containers.internal.",
      Records: [{ Name: "host", IP: "192.168.127.254", Regexp: null }],
      DefaultIP: "",
    }],
    "/services/dhcp/leases": LEASES,
    "/leases": LEASES,
    "/cam": { "5a:94:ef:e4:0c:ee": 3 },
  };
  for (const [path, want] of Object.entries(cases)) {
    const { status, text } = await get(path);
    strictEqual(status, 200, path);
    deepStrictEqual(JSON.parse(text), want, path);
  }
  const stats = JSON.parse((await get("/stats")).text);
  deepStrictEqual([stats.BytesSent, stats.BytesReceived], [200, 100]);
});

test("expose publishes", async () => {
  const cases: readonly [unknown, unknown][] = [
    [{ local: ":80", remote: "192.168.127.3:8080" }, {
      protocol: "tcp",
      hostPort: 80,
      guestPort: 8080,
      guestAddress: "192.168.127.3",
    }],
    [{ local: "127.0.0.1:80", remote: ":8080", protocol: "udp" }, {
      protocol: "udp",
      hostAddress: "127.0.0.1",
      hostPort: 80,
      guestPort: 8080,
      guestAddress: "192.168.127.2",
    }],
    [{ local: "[::1]:80", remote: "[fd00::5]:81" }, {
      protocol: "tcp",
      hostAddress: "::1",
      hostPort: 80,
      guestPort: 81,
      guestAddress: "fd00::5",
    }],
    [{ local: "/tmp/x", remote: "tcp://192.168.127.3:81", protocol: "unix" }, {
      protocol: "tcp",
      hostPort: 0,
      hostPath: "/tmp/x",
      guestPort: 81,
      guestAddress: "192.168.127.3",
    }],
  ];
  for (const [body, forward] of cases) {
    const engine = new FakeEngine({ forwards: FORWARDS });
    deepStrictEqual(await api(engine)("/services/forwarder/expose", body), { status: 200, text: "" });
    deepStrictEqual(engine.changes, [{ op: "publish", arguments_: { forward } }]);
  }
});

test("unexpose unpublishes", async () => {
  const engine = new FakeEngine({ forwards: FORWARDS });
  const { status } = await api(engine)("/services/forwarder/unexpose", { local: ":6443", protocol: "tcp" });
  strictEqual(status, 200);
  deepStrictEqual(engine.changes, [{
    op: "unpublish",
    arguments_: { forward: { protocol: "tcp", hostPort: 6443, guestPort: 1 } },
  }]);
  const unix = new FakeEngine({ forwards: FORWARDS });
  await api(unix)("/services/forwarder/unexpose", { local: "/run/docker.sock", protocol: "unix" });
  const forward = { protocol: "tcp", hostPort: 0, hostPath: "/run/docker.sock", guestPort: 0 };
  deepStrictEqual(unix.changes, [{ op: "unpublish", arguments_: { forward } }]);
});

test("tunnel gives the connection to a forward that nobody else can reach, and shuts the door behind it", async () => {
  const engine = new FakeEngine();
  const app = createGvproxyApi({
    engine,
    ssh: new FakeSsh(),
    onUnix: true,
    privateSocket: () => "/private/1",
    wire: "/vm.sock",
  });
  const taken: Takeover[] = [];
  const takeOver = (one: Takeover) => void taken.push(one);
  const headers = { host: "unix" };
  await app.request("http://unix/tunnel?ip=192.168.127.9&port=22", { method: "POST", headers }, { takeOver });
  const forward = {
    protocol: "tcp",
    hostPort: 0,
    hostPath: "/private/1",
    guestPort: 22,
    guestAddress: "192.168.127.9",
  };
  deepStrictEqual(engine.changes, [{ op: "publish", arguments_: { forward } }]);
  deepStrictEqual([taken[0]?.unix, taken[0]?.greeting], ["/private/1", "OK"]);
  taken[0]!.onConnected!();
  deepStrictEqual(engine.changes[1], { op: "unpublish", arguments_: { forward } });
  await app.request("http://unix/connect", { method: "POST", headers }, { takeOver });
  deepStrictEqual(taken[1], { unix: "/vm.sock", greeting: "", endsTogether: true });
});

test("dns/add adds, keys in any case", async () => {
  const engine = new FakeEngine();
  const body = {
    Name: "crc.testing.",
    records: [{ name: "api", IP: "10.0.0.2" }, { Regexp: "^x", IP: "10.0.0.3" }],
    DefaultIP: "10.0.0.9",
  };
  strictEqual((await api(engine)("/services/dns/add", body)).status, 200);
  deepStrictEqual(engine.changes, [{
    op: "add-zone",
    arguments_: {
      zone: {
        name: "crc.testing.",
        records: [{ name: "api", ip: "10.0.0.2" }, { name: "", ip: "10.0.0.3", regexp: "^x" }],
        defaultIp: "10.0.0.9",
      },
    },
  }]);
});

test("what cannot be done has gvproxy's codes and words", async () => {
  const unix = (local: string, remote: string) => ({ local, remote, protocol: "unix" });
  const cases: readonly [string, unknown, number, string][] = [
    [EXPOSE, undefined, 400, "post only"],
    ["/services/forwarder/unexpose", undefined, 400, "post only"],
    ["/services/dns/add", undefined, 400, "post only"],
    [EXPOSE, "{", 400, "the body is not a JSON object"],
    [EXPOSE, "[]", 400, "the body is not a JSON object"],
    [EXPOSE, { local: 5, remote: ":1" }, 400, "local is not a string"],
    [EXPOSE, {}, 400, "missing port in address"],
    [EXPOSE, { local: ":1", remote: "nonsense" }, 400, "address nonsense: missing port in address"],
    [
      EXPOSE,
      { local: ":1", remote: "tcp://1.2.3.4:5" },
      400,
      "address tcp://1.2.3.4:5: too many colons in address",
    ],
    [EXPOSE, { local: ":1", remote: "1.2.3.4:x" }, 500, 'strconv.Atoi: parsing "x": invalid syntax'],
    [EXPOSE, { local: ":1", remote: "name:1" }, 500, 'invalid remote addr: "name" is not an IP address'],
    [EXPOSE, { local: ":1", remote: ":1", protocol: "sctp" }, 500, "unknown protocol sctp"],
    [EXPOSE, { local: "x", remote: ":1" }, 500, "listen tcp: address x: missing port in address"],
    [EXPOSE, { local: "::1:5", remote: ":1" }, 500, "listen tcp: address ::1:5: too many colons in address"],
    [EXPOSE, { local: "x:5", remote: ":1" }, 500, "listen tcp: lookup x: no such host"],
    [
      EXPOSE,
      { local: ":70000", remote: ":1", protocol: "udp" },
      500,
      "listen udp: address 70000: invalid port",
    ],
    [
      EXPOSE,
      unix("/tmp/x", "ssh-tunnel://root@1.2.3.4:5/x"),
      500,
      "key not provided for unix-ssh connection",
    ],
    [
      EXPOSE,
      unix("/tmp/x", "udp://1.2.3.4:5"),
      500,
      "remote protocol for unix forwarder is not implemented: udp",
    ],
    [EXPOSE, unix("/tmp/x", ""), 500, "remote protocol for unix forwarder is not implemented: "],
    [EXPOSE, unix("/tmp/x", "tcp://1.2.3.4"), 500, 'strconv.Atoi: parsing "": invalid syntax'],
    [
      EXPOSE,
      unix("/tmp/x", "1.2.3.4:5"),
      500,
      "failed to parse remote uri :1.2.3.4:5 : " +
      'parse "1.2.3.4:5": first path segment in URL cannot contain colon',
    ],
    [
      EXPOSE,
      unix("/run/docker.sock", "tcp://1.2.3.4:5"),
      500,
      "listen unix /run/docker.sock: bind: address already in use",
    ],
    [
      EXPOSE,
      { local: "x", remote: "tcp://1.2.3.4:5", protocol: "npipe" },
      500,
      "named pipes are not supported by this platform",
    ],
    ["/tunnel", {}, 500, "ip is mandatory"],
    ["/tunnel?ip=192.168.127.2&port=x", {}, 500, 'strconv.Atoi: parsing "x": invalid syntax'],
    ["/services/forwarder/unexpose", { local: ":1", protocol: "tcp" }, 500, "proxy not found"],
    ["/services/forwarder/unexpose", { local: "127.0.0.1:53", protocol: "tcp" }, 500, "proxy not found"],
    ["/services/forwarder/unexpose", { local: "x", protocol: "xyz" }, 500, "proxy not found"],
    ["/nowhere", undefined, 404, "404 page not found"],
    // As of `-services`: there is no wire.
    ["/connect", {}, 404, "404 page not found"],
  ];
  for (const [path, body, status, text] of cases) {
    deepStrictEqual(
      await api()(path, body),
      { status, text: `${text}\n` },
      `${path} ${JSON.stringify(body)}`,
    );
  }
  strictEqual((await api()("/tunnel?ip=192.168.127.2&port=22", {})).status, 501);
});

test("sockets over ssh are exposed, listed, and gone", async () => {
  const ssh = new FakeSsh();
  const ask = api(new FakeEngine({ forwards: [] }), true, ssh);
  const remote = "ssh-tunnel://core@192.168.127.2:2022/run/a%20b.sock?key=/keys/id";
  const tunnel = { local: "/tmp/x", remote, protocol: "unix" };
  strictEqual((await ask(EXPOSE, tunnel)).status, 200);
  deepStrictEqual(ssh.tunnels, [{
    socket: "/tmp/x",
    destination: "/run/a b.sock",
    user: "core",
    identity: "/keys/id",
    guestAddress: "192.168.127.2",
    guestPort: 2022,
    remote,
  }]);
  await ssh.add({ ...ssh.tunnels[0]!, socket: "/by/flag", remote: undefined } as unknown as SshTunnel);
  deepStrictEqual(JSON.parse((await ask("/services/forwarder/all")).text), [tunnel]);
  strictEqual(
    (await ask("/services/forwarder/unexpose", { local: "/by/flag", protocol: "unix" })).status,
    500,
  );
  strictEqual((await ask("/services/forwarder/unexpose", tunnel)).status, 200);
  strictEqual((await ask("/services/forwarder/unexpose", tunnel)).status, 500);
});

test("what the engine refuses is said in gvproxy's words", async () => {
  const says = async (op: "publish" | "add-zone", message: string, path: string, body: unknown) => {
    const engine = new FakeEngine({ forwards: [], [op]: new EngineRefusal("failed", message) });
    const { status, text } = await api(engine)(path, body);
    return [status, text.trimEnd()];
  };
  const listening: readonly [string, string][] = [
    ["Cannot publish *:1: address already in use", "listen udp :1: bind: address already in use"],
    [
      "Cannot publish *:1: the host has no such address",
      "listen udp :1: bind: cannot assign requested address",
    ],
    ["Cannot publish *:1: permission denied (use …)", "listen udp :1: bind: permission denied"],
    ["Cannot publish *:1: no more room", "Cannot publish *:1: no more room"],
  ];
  for (const [message, want] of listening) {
    const body = { local: ":1", remote: ":1", protocol: "udp" };
    deepStrictEqual(await says("publish", message, EXPOSE, body), [500, want]);
  }
  const zones: readonly [string, number, string][] = [
    ['Cannot use zone bad.: "nonsense" is not an IP address', 400, "invalid IP address: nonsense"],
    [
      'Cannot use zone re.: "([" is not a regular expression: ends too early',
      400,
      'error parsing regexp: ends too early: "(["',
    ],
    ["Cannot add zone x.: there are 256", 500, "Cannot add zone x.: there are 256"],
  ];
  for (const [message, status, want] of zones) {
    deepStrictEqual(await says("add-zone", message, "/services/dns/add", {}), [status, want]);
  }
});

test("on TCP a browser that was lured here gets nothing", async () => {
  const ask = api(new FakeEngine(), false);
  strictEqual((await ask("/leases", undefined, { headers: { host: "evil.example" } })).status, 403);
  const origin = { host: "127.0.0.1:80", origin: "http://evil.example" };
  strictEqual((await ask("/services/forwarder/expose", {}, { headers: origin })).status, 403);
  strictEqual((await ask("/leases", undefined, { headers: { host: "127.0.0.1:80" } })).status, 200);
  // No browser, but gvforwarder.
  strictEqual((await ask("/leases", undefined, { headers: { host: "" } })).status, 200);
  strictEqual(
    (await ask("/leases", undefined, { headers: { host: "", origin: "http://evil.example" } })).status,
    403,
  );
});

test("pages of other sites get nothing, not even by an image's address", async () => {
  const engine = new FakeEngine();
  const ask = api(engine, false);
  for (const site of ["cross-site", "same-site", "no-such-word"]) {
    const headers = { "host": "127.0.0.1:7777", "sec-fetch-site": site };
    strictEqual((await ask("/tunnel?ip=192.168.127.2&port=22", undefined, { headers })).status, 403, site);
  }
  strictEqual(engine.changes.length, 0);
  const typed = { "host": "127.0.0.1:7777", "sec-fetch-site": "none" };
  strictEqual((await ask("/leases", undefined, { headers: typed })).status, 200);
});
