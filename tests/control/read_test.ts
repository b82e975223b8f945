import { deepEqual, equal, match } from "node:assert/strict";
import { test } from "node:test";
import { EngineRefusal } from "../../lib/engine/messages.ts";
import { clientOf } from "./client.ts";
import { ETH0, FakeEngine, FLOW, LOOPBACK, STACK } from "./fake_engine.ts";

test("GET /v1/addr answers as `ip -j addr`, key by key", async () => {
  const { status, text } = await clientOf()("/v1/addr");
  equal(status, 200);
  // Text, not objects: the order of keys is part of the likeness.
  equal(
    text,
    '[{"ifindex":1,"ifname":"lo","flags":["LOOPBACK","UP","LOWER_UP"],"mtu":65536,"qdisc":"noqueue",' +
      '"operstate":"UNKNOWN","group":"default","txqlen":1000,"link_type":"loopback",' +
      '"address":"00:00:00:00:00:00","broadcast":"00:00:00:00:00:00","addr_info":[' +
      '{"family":"inet","local":"127.0.0.1","prefixlen":8,"scope":"host","label":"lo",' +
      '"valid_life_time":4294967295,"preferred_life_time":4294967295},' +
      '{"family":"inet6","local":"::1","prefixlen":128,"scope":"host",' +
      '"valid_life_time":4294967295,"preferred_life_time":4294967295}]},' +
      '{"ifindex":2,"ifname":"eth0","flags":["BROADCAST","MULTICAST","UP","LOWER_UP"],"mtu":65520,"qdisc":"tbf",' +
      '"operstate":"UP","group":"default","txqlen":1000,"link_type":"ether",' +
      '"address":"02:11:22:33:44:55","broadcast":"ff:ff:ff:ff:ff:ff","addr_info":[' +
      '{"family":"inet","local":"10.0.2.100","prefixlen":24,"broadcast":"10.0.2.255","scope":"global",' +
      '"label":"eth0","valid_life_time":4294967295,"preferred_life_time":4294967295},' +
      '{"family":"inet6","local":"fd00::64","prefixlen":64,"scope":"global",' +
      '"valid_life_time":4294967295,"preferred_life_time":4294967295}]}]',
  );
});

test("GET /v1/addr?family leaves out what `ip -4` and `ip -6` leave out", async () => {
  const bare = { ...ETH0, index: 3, name: "eth1", addresses: [] };
  const ask = clientOf(new FakeEngine({ stack: { ...STACK, nics: [LOOPBACK, ETH0, bare] } }));
  const v4 = (await ask("/v1/addr?family=4")).json;
  deepEqual(v4.map((entry: { ifname: string }) => entry.ifname), ["lo", "eth0"]);
  deepEqual(Object.keys(v4[0]), [
    "ifindex",
    "ifname",
    "flags",
    "mtu",
    "qdisc",
    "operstate",
    "group",
    "txqlen",
    "addr_info",
  ]);
  const v6 = (await ask("/v1/addr?family=6")).json;
  deepEqual(Object.keys(v6[0]), ["ifindex", "ifname", "flags", "mtu", "operstate", "txqlen", "addr_info"]);
  equal(v6[1].addr_info.length, 1);
  equal((await ask("/v1/addr")).json.length, 3);
});

test("GET /v1/link answers as `ip -j link`, with ?stats as `ip -s -j link`", async () => {
  const ask = clientOf();
  const [, plain] = (await ask("/v1/link")).json;
  equal(plain.linkmode, "DEFAULT");
  equal(plain.stats64, undefined);
  const [, eth0] = (await ask("/v1/link?stats=true")).json;
  deepEqual(eth0.stats64, {
    rx: { bytes: 1500, packets: 1, errors: 0, dropped: 0, over_errors: 0, multicast: 0 },
    tx: { bytes: 4200, packets: 42, errors: 0, dropped: 3, carrier_errors: 0, collisions: 0 },
  });
});

test("GET /v1/link says DOWN of an interface that is down", async () => {
  const nics = [{ ...LOOPBACK, up: false }, { ...ETH0, up: false }];
  const { json } = await clientOf(new FakeEngine({ stack: { ...STACK, nics } }))("/v1/link");
  deepEqual(json.map((link: { operstate: string }) => link.operstate), ["DOWN", "DOWN"]);
  deepEqual(json.map((link: { flags: string[] }) => link.flags), [["LOOPBACK"], ["BROADCAST", "MULTICAST"]]);
});

test("GET /v1/route answers as `ip -j route`, IPv4 unless asked otherwise", async () => {
  const ask = clientOf();
  const v4 = [
    { dst: "default", gateway: "10.0.2.2", dev: "eth0", protocol: "static", flags: [] },
    { dst: "10.0.2.0/24", dev: "eth0", protocol: "kernel", scope: "link", prefsrc: "10.0.2.100", flags: [] },
  ];
  equal((await ask("/v1/route")).text, JSON.stringify(v4));
  equal((await ask("/v1/route?family=4")).text, JSON.stringify(v4));
  equal(
    (await ask("/v1/route?family=6")).text,
    JSON.stringify([
      { dst: "fd00::/64", dev: "eth0", protocol: "kernel", metric: 256, flags: [], pref: "medium" },
      {
        dst: "default",
        gateway: "fd00::2",
        dev: "eth0",
        protocol: "static",
        metric: 1024,
        flags: [],
        pref: "medium",
      },
    ]),
  );
});

test("GET /v1/neigh answers as `ip -j neigh`", async () => {
  const ask = clientOf();
  equal(
    (await ask("/v1/neigh")).text,
    '[{"dst":"10.0.2.2","dev":"eth0","lladdr":"02:aa:bb:cc:dd:ee","state":["REACHABLE"]},' +
      '{"dst":"10.0.2.9","dev":"eth0","state":["INCOMPLETE"]},' +
      '{"dst":"fd00::2","dev":"eth0","lladdr":"02:aa:bb:cc:dd:ee","router":null,"state":["STALE"]}]',
  );
  equal((await ask("/v1/neigh?family=4")).json.length, 2);
  equal((await ask("/v1/neigh?family=6")).json.length, 1);
});

test("GET /v1/qdisc answers as `tc -s -j qdisc`", async () => {
  const ask = clientOf();
  equal(
    (await ask("/v1/qdisc")).text,
    '[{"kind":"noqueue","handle":"0:","dev":"lo","root":true,"refcnt":2,"options":{},"bytes":0,"packets":0,' +
      '"drops":0,"overlimits":0,"requeues":0,"backlog":0,"qlen":0},' +
      '{"kind":"tbf","handle":"8001:","dev":"eth0","root":true,"refcnt":2,' +
      '"options":{"rate":125000,"burst":100000,"lat":1000000},"bytes":4200,"packets":42,' +
      '"drops":3,"overlimits":7,"requeues":0,"backlog":2048,"qlen":2}]',
  );
  equal((await ask("/v1/qdisc?dev=eth0")).json.length, 1);
  equal((await ask("/v1/qdisc?dev=eth9")).json.length, 0);
});

test("GET /v1/sockets tells what `ss -i` tells", async () => {
  const { json: [listener, connection, datagrams] } = await clientOf()("/v1/sockets");
  equal(listener.state, "LISTEN");
  equal(listener.tcp, undefined);
  equal(connection.tcp.cwnd, 10); // segments
  equal(connection.tcp.rtt, 1.234); // milliseconds
  equal(connection.tcp.rto, 201.234);
  equal(connection.recv_q, 5);
  deepEqual([datagrams.netid, datagrams.family, datagrams.local_port], ["udp", "inet6", 53]);
});

test("GET /v1/flows, /v1/stats, /v1/config and /v1/health answer", async () => {
  const ask = clientOf();
  deepEqual((await ask("/v1/flows")).json, [{
    protocol: "tcp",
    direction: "out",
    guest: FLOW.guest,
    destination: FLOW.destination,
    host: FLOW.host,
    state: "established",
    bytes_out: 1000,
    bytes_in: 5000,
    age: 1.5,
  }]);
  const stats = (await ask("/v1/stats")).json;
  equal(stats.counters["tcp.retransmits"], 4);
  equal(stats.links[1].stats64.rx.bytes, 1500);
  deepEqual((await ask("/v1/config")).json, { network: "none" });
  deepEqual((await ask("/v1/health")).json, {
    status: "ok",
    id: "test",
    network: "sandbox-passthrough",
    attach: "tap",
    uptime: 12.5,
    flows: 1,
    longest_turn_us: 2500,
  });
});

for (const path of ["/v1/addr?family=5", "/v1/route?family=", "/v1/neigh?family=x", "/v1/link?stats=maybe"]) {
  test(`GET ${path} is refused as a mistake of the caller`, async () => {
    const { status, json } = await clientOf()(path);
    equal(status, 400);
    equal(json.code, "invalid-request");
    match(json.detail, /^Cannot read /);
  });
}

test("an engine that is gone is answered with 503, other refusals by their code, surprises with 500", async () => {
  const answerTo = async (error: Error) => {
    const { status, json } = await clientOf(new FakeEngine({ stack: error }))("/v1/addr");
    return [status, json.code];
  };
  deepEqual(await answerTo(new EngineRefusal("gone", "Cannot ask: gone")), [503, "gone"]);
  deepEqual(await answerTo(new EngineRefusal("whatever", "Cannot")), [409, "whatever"]);
  deepEqual(await answerTo(new Error("secret of the inside")), [500, "internal"]);
});

test("createApi() tells an unexpected error to onError, not to the client", async () => {
  const errors: Error[] = [];
  const ask = clientOf(new FakeEngine({ stack: new Error("secret of the inside") }), {
    onError: (error) => errors.push(error),
  });
  const { text } = await ask("/v1/addr");
  equal(text.includes("secret"), false);
  equal(errors[0]?.message, "secret of the inside");
});
