/**
 * The page's script. It builds every cell with `textContent`: names and addresses come from the guest's side of the wall,
 * and must never become markup.
 *
 * @module
 */

export const SCRIPT = String.raw`
"use strict";
const token = new URLSearchParams(location.search).get("token");
const headers = token === null ? {} : { Authorization: "Bearer " + token };
const ROWS = 500; // more would make the page slow, not the reader wiser

const TABLES = {
  interfaces: { url: "/v1/addr", columns: {
    "name": (i) => i.ifname,
    "state": (i) => i.operstate,
    "mtu": (i) => i.mtu,
    "mac": (i) => i.address,
    "addresses": (i) => i.addr_info.map((a) => a.local + "/" + a.prefixlen).join("  "),
    "received": (i) => bytes(stats(i.ifname)?.rx.bytes),
    "sent": (i) => bytes(stats(i.ifname)?.tx.bytes),
  } },
  routes: { url: ["/v1/route", "/v1/route?family=6"], columns: {
    "destination": (r) => r.dst, "via": (r) => r.gateway, "device": (r) => r.dev,
    "source": (r) => r.prefsrc, "metric": (r) => r.metric,
  } },
  neighbours: { url: "/v1/neigh", columns: {
    "address": (n) => n.dst, "mac": (n) => n.lladdr, "device": (n) => n.dev, "state": (n) => n.state.join(" "),
  } },
  qdisc: { url: "/v1/qdisc", columns: {
    "device": (q) => q.dev, "kind": (q) => q.kind,
    "options": (q) => Object.entries(q.options).map(([name, value]) => name + " " + option(name, value)).join(", "),
    "sent": (q) => bytes(q.bytes), "packets": (q) => q.packets, "dropped": (q) => q.drops,
    "overlimits": (q) => q.overlimits, "backlog": (q) => bytes(q.backlog), "waiting": (q) => q.qlen,
  } },
  sockets: { url: "/v1/sockets", columns: {
    "protocol": (s) => s.netid, "state": (s) => s.state, "recv-q": (s) => s.recv_q, "send-q": (s) => s.send_q,
    "local": (s) => end(s.local, s.local_port), "peer": (s) => end(s.peer, s.peer_port),
    "rtt": (s) => s.tcp && s.tcp.rtt + " ms", "cwnd": (s) => s.tcp?.cwnd, "retrans": (s) => s.tcp?.retrans,
  } },
  flows: { url: "/v1/flows", columns: {
    "protocol": (f) => f.protocol, "way": (f) => f.direction, "guest": (f) => f.guest,
    "destination": (f) => f.destination, "host": (f) => f.host, "state": (f) => f.state,
    "sent": (f) => bytes(f.bytes_out), "received": (f) => bytes(f.bytes_in), "age": (f) => Math.round(f.age) + " s",
  } },
  published: { url: "/v1/forwards", columns: {
    "protocol": (p) => p.protocol, "host": (p) => p.host,
    "guest": (p) => p.spec.slice(p.host.length + 1, -p.protocol.length - 1),
  } },
};

let links = [];
const stats = (name) => links.find((l) => l.ifname === name)?.stats64;
const end = (address, port) => (address.includes(":") ? "[" + address + "]" : address) + ":" + (port || "*");
/** One option of a queueing discipline, with its unit. */
function option(name, value) {
  if (name === "rate") return bytes(value) + "/s";
  if (name === "burst") return bytes(value);
  return name === "lat" ? value / 1000 + " ms" : value;
}

function bytes(n) {
  if (n === undefined) return "";
  let unit = 0;
  for (; n >= 1024 && unit < 4; unit++) n /= 1024;
  return (unit ? n.toFixed(1) : n) + " " + ["B", "KiB", "MiB", "GiB", "TiB"][unit];
}

async function ask(url) {
  const response = await fetch(url, { headers });
  const value = await response.json();
  if (!response.ok) throw new Error(value.detail);
  return value;
}

function element(name, text) {
  const made = document.createElement(name);
  if (text !== undefined) made.textContent = String(text);
  return made;
}

function draw(name, rows) {
  const { columns } = TABLES[name];
  const head = element("tr");
  for (const title of Object.keys(columns)) {
    const cell = element("th", title);
    cell.scope = "col";
    head.append(cell);
  }
  const lines = rows.slice(0, ROWS).map((row) => {
    const line = element("tr");
    for (const read of Object.values(columns)) line.append(element("td", read(row) ?? ""));
    return line;
  });
  const section = document.getElementById(name);
  section.querySelector("span").textContent = String(rows.length);
  section.querySelector("thead").replaceChildren(head);
  section.querySelector("tbody").replaceChildren(...lines);
}

async function refresh() {
  links = (await ask("/v1/stats")).links;
  await Promise.all(Object.entries(TABLES).map(async ([name, { url }]) => {
    const parts = await Promise.all([url].flat().map(ask));
    draw(name, parts.flat());
  }));
  const health = await ask("/v1/health");
  status(health.network + ", attached by " + health.attach + ", up " + Math.round(health.uptime) + " s", true);
}

function status(text, good) {
  const line = document.getElementById("status");
  line.textContent = text;
  line.className = good ? "" : "bad";
}

/** Follows /v1/events with fetch: EventSource could not send the token. A sample is the signal to look again. */
async function follow() {
  const response = await fetch("/v1/events", { headers });
  if (!response.ok) throw new Error((await response.json()).detail);
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let text = "";
  for (;;) {
    const { done, value } = await reader.read();
    if (done) throw new Error("the stream ended");
    text += value;
    const last = text.lastIndexOf("\n\n");
    if (last < 0) continue;
    const seen = text.slice(0, last);
    text = text.slice(last + 2);
    if (/^event: hello$/m.test(seen)) document.getElementById("id").textContent = /"id":"([^"]*)"/.exec(seen)?.[1] ?? "";
    if (/^event: (sample|hello)$/m.test(seen) && !document.hidden) await refresh();
  }
}

(async function run() {
  for (;;) {
    await follow().catch((error) => status("not connected: " + error.message, false));
    await new Promise((resolve) => setTimeout(resolve, 2000));
  }
})();
`;
