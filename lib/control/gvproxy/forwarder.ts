/**
 * gvproxy's forwarder: ports and unix sockets of the host that lead to guests, `{"local","remote","protocol"}`.
 *
 * @module
 */

import { parsePublish, type Publish } from "../../config/publish.ts";
import type { EngineClient, ForwardFacts, PublishedPort } from "../../engine/messages.ts";
import { decimal, splitHostPort, whyNoPort } from "./host_port.ts";
import { carriedOut, type Fields, Refusal, textOf } from "./reply.ts";

/** A unix socket that leads into a guest by ssh. */
export interface SshTunnel {
  /** On the host, and in the guest. */
  readonly socket: string;
  readonly destination: string;
  readonly user: string;
  /** The file of a private key. */
  readonly identity: string;
  readonly guestAddress: string;
  readonly guestPort: number;
  /** As it was asked for; absent: not by this API. */
  readonly remote?: string;
}

/** Who keeps such tunnels. */
export interface SshTunnels {
  /** Rejects when it cannot be. */
  add(tunnel: SshTunnel): Promise<void>;
  /** False: there is none. */
  remove(socket: string): Promise<boolean>;
  all(): readonly SshTunnel[];
}

/** What is forwarded, sorted as gvproxy sorts; of tunnels those that were asked for here. */
export async function forwarders(engine: EngineClient, ssh: SshTunnels) {
  const [forwards, { device }] = await Promise.all([engine.ask("forwards"), engine.ask("serving")]);
  const all = forwards.map((forward) => ({
    local: localOf(forward),
    remote: `${forward.protocol === "unix" ? "tcp://" : ""}${
      bracketed(forward.guestAddress ?? device)
    }:${forward.guest}`,
    protocol: forward.protocol,
  }));
  for (const { socket: local, remote } of ssh.all()) {
    if (remote !== undefined) all.push({ local, remote, protocol: "unix" });
  }
  return all.sort((a, b) => order(a.local, b.local) || order(a.protocol, b.protocol));
}

/** Begins to forward. Rejects with a {@linkcode Refusal}. */
export async function expose(engine: EngineClient, ssh: SshTunnels, fields: Fields): Promise<void> {
  const protocol = textOf(fields, "protocol") || "tcp";
  const local = textOf(fields, "local");
  const remote = textOf(fields, "remote");
  if (protocol === "unix") return await exposeUnix(engine, ssh, local, remote);
  if (protocol === "npipe") throw new Refusal(500, "named pipes are not supported by this platform");
  const split = splitHostPort(remote);
  if (typeof split === "string") throw new Refusal(400, split);
  if (protocol !== "tcp" && protocol !== "udp") throw new Refusal(500, `unknown protocol ${protocol}`);
  const host = split.host === "" ? (await engine.ask("serving")).device : split.host;
  const to = guestOf(host, split.port);
  const from = listenerOf(protocol, local);
  for (const forward of publishable(`${from}:${to}/${protocol}`)) {
    await carriedOut(engine.ask("publish", { forward }), (message) => listenError(message, protocol, local));
  }
}

/** Stops to forward. Rejects with a {@linkcode Refusal}. */
export async function unexpose(engine: EngineClient, ssh: SshTunnels, fields: Fields): Promise<void> {
  const protocol = textOf(fields, "protocol") || "tcp";
  const local = textOf(fields, "local");
  if (protocol === "unix") {
    if (ssh.all().some(({ socket, remote }) => socket === local && remote !== undefined)) {
      return await carriedOut(ssh.remove(local));
    }
    const found = (await engine.ask("forwards")).some((one) => one.protocol === "unix" && one.host === local);
    if (!found) throw new Refusal(500, "proxy not found");
    const forward = { protocol: "tcp", hostPort: 0, hostPath: local, guestPort: 0 } as const;
    return await carriedOut(engine.ask("unpublish", { forward }));
  }
  const split = splitHostPort(local);
  const host = typeof split === "string" ? "" : numeric(split.host);
  const name = typeof split === "string" ? "" : `${host === "" ? "" : bracketed(host)}:${split.port}`;
  const found = (await engine.ask("forwards")).some((one) =>
    one.protocol === protocol && localOf(one) === name
  );
  if (!found) throw new Refusal(500, "proxy not found");
  for (const forward of publishable(`${name.replace(/^:/, "")}:1/${protocol}`)) {
    await carriedOut(engine.ask("unpublish", { forward }));
  }
}

/** Where a tunnel leads: a forward that lives until its client is through. */
export function tunnelOf(
  ip: string,
  port: string,
  hostPath: string,
): PublishedPort & { readonly hostPath: string } {
  if (ip === "") throw new Refusal(500, "ip is mandatory");
  const [to] = publishable(`1:${guestOf(ip, port)}`);
  return { ...to!, hostPort: 0, hostPath };
}

/** `ssh-tunnel://USER@ADDRESS[:PORT]/PATH?key=FILE`. */
async function exposeSsh(ssh: SshTunnels, socket: string, remote: string): Promise<void> {
  let url: URL;
  try {
    url = new URL(remote);
  } catch {
    throw new Refusal(500, `failed to parse remote uri :${remote} : it is not a URL`);
  }
  const key = url.searchParams.get("key") ?? "";
  if (key === "") throw new Refusal(500, "key not provided for unix-ssh connection");
  if (url.searchParams.has("passphrase")) throw new Refusal(501, "keys with a passphrase are not supported");
  if (url.username === "") throw new Refusal(500, "user not provided for unix-ssh connection");
  const [to] = publishable(`1:${guestOf(url.hostname.replace(/^\[(.*)\]$/, "$1"), url.port || "22")}`);
  const { guestAddress, guestPort } = to!;
  await carriedOut(
    ssh.add({
      socket,
      destination: decodeURIComponent(url.pathname),
      user: decodeURIComponent(url.username),
      identity: key,
      guestAddress: guestAddress!,
      guestPort,
      remote,
    }),
    (message) => listenError(message, "unix", socket),
  );
}

async function exposeUnix(
  engine: EngineClient,
  ssh: SshTunnels,
  local: string,
  remote: string,
): Promise<void> {
  const [, scheme, rest] = /^([A-Za-z][A-Za-z0-9+.-]*):\/\/(.*)$/.exec(remote) ?? [];
  if (scheme === undefined && /^[^/]*:/.test(remote)) {
    const why = "first path segment in URL cannot contain colon";
    throw new Refusal(500, `failed to parse remote uri :${remote} : parse ${JSON.stringify(remote)}: ${why}`);
  }
  if (scheme === "ssh-tunnel") {
    return await exposeSsh(ssh, local, remote);
  }
  if (scheme !== "tcp") {
    throw new Refusal(500, `remote protocol for unix forwarder is not implemented: ${scheme ?? ""}`);
  }
  if (local === "") throw new Refusal(500, "listen unix: a socket needs a name");
  const [, host, port = ""] = /^(.*?)(?::([^:\]]*))?(?:\/.*)?$/.exec(rest!)!;
  const [to] = publishable(`1:${guestOf(host!.replace(/^\[(.*)\]$/, "$1"), port)}`);
  const forward = { ...to!, hostPort: 0, hostPath: local };
  const taken = (await engine.ask("forwards")).some((one) => one.protocol === "unix" && one.host === local);
  if (taken) throw new Refusal(500, `listen unix ${local}: bind: address already in use`);
  await carriedOut(engine.ask("publish", { forward }), (message) => listenError(message, "unix", local));
}

/** `ADDRESS:PORT` of a guest, as `--publish` has it. */
function guestOf(host: string, port: string): string {
  const number = decimal(port);
  if (typeof number === "string") throw new Refusal(500, number);
  return `${bracketed(host)}:${number}`;
}

/** What of the host listens, as `--publish` has it: `:6443` is every address. */
function listenerOf(protocol: "tcp" | "udp", local: string): string {
  const split = splitHostPort(local);
  if (typeof split === "string") throw new Refusal(500, `listen ${protocol}: ${split}`);
  const wrong = whyNoPort(protocol, split.port);
  if (wrong !== undefined) throw new Refusal(500, wrong);
  const host = numeric(split.host);
  if (host === "") return split.port;
  // A name: what it stands for may be another thing tomorrow.
  if (!/^[0-9.]+$|:/.test(host)) {
    throw new Refusal(500, `listen ${protocol}: lookup ${host}: no such host`);
  }
  return `${bracketed(host)}:${split.port}`;
}

/** The one name that everybody knows. */
function numeric(host: string): string {
  return host === "localhost" ? "127.0.0.1" : host;
}

/** What a text of `--publish` names. */
function publishable(text: string): PublishedPort[] {
  const ports = parsePublish(text);
  if (typeof ports === "string") throw new Refusal(500, `invalid remote addr: ${ports}`);
  return ports.map(plain);
}

/** Our reasons, and the system's words for them, which are Go's. */
const REASONS: readonly (readonly [RegExp, string])[] = [
  [/: address already in use$|: another process listens there$/, "address already in use"],
  [/: the host has no such address$/, "cannot assign requested address"],
  [/: permission denied/, "permission denied"],
  [/: no such directory$/, "no such file or directory"],
];

function listenError(message: string, protocol: "tcp" | "udp" | "unix", local: string): string {
  const reason = REASONS.find(([pattern]) => pattern.test(message))?.[1];
  return reason === undefined ? message : `listen ${protocol} ${local}: bind: ${reason}`;
}

function localOf({ host }: ForwardFacts): string {
  return host.startsWith("*:") ? host.slice(1) : host;
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
