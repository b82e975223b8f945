/**
 * What the flags of `sluice serve` come to.
 *
 * @module
 */

import {
  CHECKSUM_FEATURES,
  parseVmEndpoint,
  type StreamProtocol,
  TSO_FEATURES,
  type VmEndpoint,
  VNET_MTU_MAX,
} from "../attach/vm/endpoint.ts";
import { formatPublish, MAX_PUBLISHED, type Publish } from "../config/publish.ts";
import { parseBool } from "../config/go_flags.ts";
import { isGiven } from "../config/resolve.ts";
import {
  DEFAULT_SUBNET,
  DEFAULT_SUBNET6,
  LEASE_TIME,
  parseLease,
  parseRecord,
  SERVE_MTU,
  type ServedNetwork,
  servedNetwork,
  servedNetwork6,
  type StaticLease,
  withAddresses,
} from "../config/serve.ts";
import type { SshTunnel } from "../control/gvproxy/forwarder.ts";
import { fileExists } from "../host/files.ts";
import { findInPath } from "../host/runtime.ts";
import { IpAddress } from "../stack/wire/address.ts";
import { UNSUPPORTED } from "../config/serve_flags.ts";
import type { HttpAddress } from "../host/http_server.ts";
import {
  chosenAddresses,
  gvproxyFile,
  type GvproxySide,
  gvproxySide,
  notified,
} from "./serve_gvproxy_options.ts";
import { type CommandContext, Failure, type FlagValues, UsageFailure } from "./command.ts";

/** Everything there is to know. */
export interface ServeOptions extends GvproxySide {
  readonly listen: readonly VmEndpoint[];
  /** `listen` in words. */
  readonly urls: readonly string[];
  /** Where gvproxy's own HTTP API is served. */
  readonly api: readonly HttpAddress[];
  /** Where it is served without `/connect`. */
  readonly services: readonly HttpAddress[];
  /** What guests speak who come by its `/connect`. */
  readonly connect: StreamProtocol;
  /** Whether our standard input and output are a guest's wire. */
  readonly stdio: boolean;
  readonly network: ServedNetwork;
  readonly network6: Omit<ServedNetwork, "host">;
  readonly mtu: number;
  readonly leaseTime: number;
  /** Sockets that lead into the guest by ssh. */
  readonly forwards: readonly SshTunnel[];
  /** The socket of who wants to be told of guests. */
  readonly notified: string | undefined;
  readonly isGvproxy: boolean;
  readonly readyFd: number | undefined;
}

/** Flags that only gvproxy has. */
const GVPROXY = [
  "listen-qemu",
  "listen-vfkit",
  "listen-bess",
  "listen-vpnkit",
  "listen-stdio",
  "ssh-port",
  "forward-sock",
  "services",
  "gvproxy",
] as const;

/** What gvproxy's command line says in the place of its configuration file, and not beside it. */
const REPLACED = ["listen", "listen-qemu", "listen-vfkit", "listen-bess", "listen-vpnkit"];

/** The command's own flags over those of files; values of one that may be repeated add up. */
export function serveFlagValues({ flags, resolved }: CommandContext): FlagValues {
  const isGvproxys = resolved.serve.some(({ flag }) => flag === "gvproxy");
  const all = (name: string) => {
    const given = flags.all(name);
    if (isGvproxys && given.length > 0 && REPLACED.includes(name)) return given;
    return [...resolved.serve.filter(({ flag }) => flag === name).map(({ text }) => text), ...given];
  };
  return {
    all,
    get: (name) => all(name).at(-1),
    has: (name) => parseBool(all(name).at(-1) ?? "false") !== false,
  };
}

/** Reads the flags. Throws a {@linkcode UsageFailure} for the first that is wrong. */
export function serveOptions(context: CommandContext): ServeOptions {
  const { settings, resolved } = context;
  const flags = serveFlagValues(context);
  for (const [name, why] of Object.entries(UNSUPPORTED)) {
    if (flags.has(name) && flags.get(name) !== "false") {
      throw new Failure(`Cannot serve with -${name}: ${why}`);
    }
  }
  const api = flags.all("listen").filter(isApi).map(apiAddress);
  const services = flags.all("services").map(apiAddress);
  const urls = [...flags.all("listen").filter((url) => !isApi(url)), ...gvproxyUrls(flags)];
  // gvproxy looks whether there is a value, and not at what it is.
  const stdio = (flags.get("listen-stdio") ?? "") !== "";
  const readyFd = whole("ready-fd", flags.get("ready-fd"), 0, 0xffff);
  if (stdio && (readyFd === 0 || readyFd === 1 || settings.pcapLog === "-")) {
    throw new UsageFailure("Cannot serve a guest on standard output: something else is to be written there");
  }
  if (urls.length === 0 && api.length === 0 && !stdio) {
    throw new UsageFailure(
      "Cannot serve: no socket is named",
      "sluice serve --listen unixstream:///run/vm.sock",
    );
  }
  const common = guestFeatures(flags);
  const mtu = isGiven(resolved, "mtu") ? settings.mtu : SERVE_MTU;
  const listen = urls.map((url) => {
    const endpoint = parseVmEndpoint(url, common);
    if (typeof endpoint === "string") throw new UsageFailure(`Cannot listen on "${url}": ${endpoint}`);
    if (endpoint.offload.vnetHeader > 0 && mtu > VNET_MTU_MAX) {
      throw new UsageFailure(`Cannot listen on "${url}": with vnet_hdr the largest MTU is ${VNET_MTU_MAX}`);
    }
    return endpoint;
  });
  const taken = urls.find((url, i) => urls.indexOf(url) !== i);
  if (taken !== undefined) throw new UsageFailure(`Cannot listen on "${taken}" twice`);

  const subnet = valid("subnet", flags.get("subnet") ?? DEFAULT_SUBNET, servedNetwork);
  const network = withAddresses(subnet, chosenAddresses(flags));
  if (typeof network === "string") throw new UsageFailure(network);
  const network6 = valid("subnet6", flags.get("subnet6") ?? DEFAULT_SUBNET6, servedNetwork6);
  const isGvproxy = api.length > 0 || GVPROXY.some((name) => flags.get(name) !== undefined);
  const gateway6 = flags.get("gatewayIPv6");
  if (gateway6 !== undefined && IpAddress.parse(gateway6)?.equals(network6.gateway) !== true) {
    throw new UsageFailure(`Cannot serve with gatewayIPv6 ${gateway6}: it is the first of subnetIPv6`);
  }
  if (gvproxyFile(flags) !== undefined && flags.has("ssh-port")) {
    context.stderr(
      "sluice: ssh-port means nothing with gvproxy's configuration file: stack.forwards has what it would say\n",
    );
  }
  const side = gvproxySide(flags, network, isGvproxy);
  const leases = flags.all("lease").map((text) =>
    valid("lease", text, (value) => parseLease(value, network))
  );
  checkPublished(settings.publish, network);
  return {
    listen,
    urls,
    api,
    services,
    connect: listen.some(isQemus) ? "qemu" : "hyperkit",
    stdio,
    network,
    network6,
    mtu,
    ...side,
    leases: unique([...leases, ...side.leases]),
    leaseTime: whole("lease-time", flags.get("lease-time"), 60, 0x7fffffff) ?? LEASE_TIME,
    zones: [
      ...flags.all("dns-record").map((text) => valid("dns-record", text, parseRecord)),
      ...side.zones,
    ],
    forwards: sshForwards(flags, network),
    notified: notified(flags),
    isGvproxy,
    readyFd,
  };
}

/** What vmnet-helper's two flags say of all guests. */
function guestFeatures(flags: FlagValues): number {
  return (flags.has("enable-tso") ? TSO_FEATURES : 0) |
    (flags.has("enable-checksum-offload") ? CHECKSUM_FEATURES : 0);
}

/** gvproxy's four flags, given together. */
function sshForwards(flags: FlagValues, { device }: ServedNetwork): SshTunnel[] {
  const [sockets, destinations, users, identities] = ["sock", "dest", "user", "identity"].map((name) =>
    flags.all(`forward-${name}`)
  ) as [readonly string[], readonly string[], readonly string[], readonly string[]];
  if ([destinations, users, identities].some(({ length }) => length !== sockets.length)) {
    throw new UsageFailure(
      "-forward-sock, -forward-dest, -forward-user and -forward-identity must be given together, equally often",
    );
  }
  if (sockets.length > 0 && findInPath("ssh") === undefined) {
    throw new Failure("Cannot forward a socket: there is no ssh on PATH", "install OpenSSH's client");
  }
  return sockets.map((url, i) => {
    const [, scheme = "unix", socket = ""] = /^(?:([a-z]+):\/\/)?(.*)$/.exec(url)!;
    if (scheme !== "unix") throw new UsageFailure(`URI scheme not supported: ${scheme}`);
    const identity = identities[i]!;
    if (!fileExists(identity)) throw new Failure(`Identity file ${identity} can't be loaded`);
    const guest = { guestAddress: String(device), guestPort: 22 };
    return { socket, destination: destinations[i]!, user: users[i]!, identity, ...guest };
  });
}

/** Whether frames come behind 32 bits of length there. */
function isQemus(endpoint: VmEndpoint): boolean {
  return (endpoint.kind === "unixstream" || endpoint.kind === "tcp") && endpoint.protocol === undefined;
}

function gvproxyUrls(flags: FlagValues): string[] {
  const stream = (name: string, unix: string, tcp: string) =>
    flags.all(`listen-${name}`).map((url) => {
      if (url.startsWith("unix://")) return `${unix}://${url.slice("unix://".length)}`;
      if (url.startsWith("tcp://")) return `${tcp}://${url.slice("tcp://".length)}`;
      throw new UsageFailure(`${name} listen address must be unix:// or tcp:// address`);
    });
  const scheme = (name: string, wanted: string) =>
    flags.all(`listen-${name}`).map((url) => {
      if (url.startsWith(`${wanted}:`)) return url;
      throw new UsageFailure(`${name} listen address must be ${wanted}:// address`);
    });
  const streams = [
    ...stream("qemu", "unixstream", "qemu+tcp"),
    ...stream("vpnkit", "vpnkit+unix", "vpnkit+tcp"),
  ];
  return [...streams, ...scheme("vfkit", "unixgram"), ...scheme("bess", "unixpacket")];
}

/** Whether gvproxy would serve its HTTP API there, and not guests. */
function isApi(url: string): boolean {
  return /^(unix|tcp|vsock):/.test(url);
}

/** On TCP only where nobody but this machine comes: the API asks for no token, as gvproxy's does not. */
function apiAddress(url: string): HttpAddress {
  if (url.startsWith("vsock:")) {
    throw new Failure(
      `Cannot serve gvproxy's API on "${url}": sockets of virtual machines (AF_VSOCK) are not spoken`,
      `socat VSOCK-LISTEN:1024,fork UNIX-CONNECT:/run/api.sock leads from one to -listen unix:///run/api.sock`,
    );
  }
  const unix = /^unix:\/\/(.+)$/.exec(url);
  if (unix !== null) return { unix: unix[1]! };
  const tcp = /^tcp:\/\/(127\.0\.0\.1|localhost|\[::1\]):([0-9]{1,5})$/.exec(url);
  const port = Number(tcp?.[2] ?? 0);
  if (tcp !== null && port > 0 && port < 65_536) return { host: tcp[1]!.replace(/^\[|\]$/g, ""), port };
  throw new UsageFailure(
    `Cannot serve gvproxy's API on "${url}": want unix://PATH or tcp://127.0.0.1:PORT`,
    "it asks for no password, so it is for this machine only",
  );
}

/** The value, or a failure that names the flag. */
function valid<T extends object>(flag: string, text: string, parse: (text: string) => T | string): T {
  const value = parse(text);
  if (typeof value !== "string") return value;
  throw new UsageFailure(`wrong usage: --${flag}=${text}: ${value}`);
}

function whole(flag: string, text: string | undefined, least: number, most: number): number | undefined {
  if (text === undefined) return undefined;
  const value = /^[0-9]{1,10}$/.test(text) ? Number(text) : -1;
  if (value >= least && value <= most) return value;
  throw new UsageFailure(`wrong usage: --${flag}=${text}: want a number from ${least} to ${most}`);
}

/** The first lease of each address and of each guest: what a user says comes before what is usual. */
function unique(leases: readonly StaticLease[]): StaticLease[] {
  return leases.filter(({ mac, address }, i) =>
    leases.findIndex((other) => other.mac === mac || other.address === address) === i
  );
}

function checkPublished(published: readonly Publish[], { gateway }: ServedNetwork): void {
  if (published.length > MAX_PUBLISHED) {
    throw new UsageFailure(`Cannot publish more than ${MAX_PUBLISHED} ports`);
  }
  const own = published.find(({ guestAddress }) => guestAddress?.equals(gateway) === true);
  if (own !== undefined) {
    throw new UsageFailure(`Cannot publish ${formatPublish(own)}: ${gateway} is the gateway, not a guest`);
  }
}
