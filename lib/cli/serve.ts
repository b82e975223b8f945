/**
 * `sluice serve`: the network of virtual machines. Takes the place of gvproxy, passt, slirp and socket_vmnet: it knows
 * their sockets, and gvproxy's flags.
 *
 * @module
 */

import { type Command, type CommandContext, UsageFailure } from "./command.ts";
import type { FlagName } from "../config/flag_table.ts";
import { isGiven } from "../config/resolve.ts";
import { serveFlags } from "../config/serve_flags.ts";
import { serveFlagValues, type ServeOptions, serveOptions } from "./serve_options.ts";
import { streamAt, type VmEndpoint } from "../attach/vm/endpoint.ts";
import type { EngineClient } from "../engine/messages.ts";
import { dialStdio } from "../host/dial_stdio.ts";
import { type PrivateDirectory, privateDirectory } from "../host/private_directory.ts";
import { Notifier } from "./notifier.ts";
import { oneLine } from "./one_line.ts";
import { SshForwards } from "./ssh_forwards.ts";
import type { HttpAddress } from "../host/http_server.ts";
import { serveGvproxyApi } from "./serve_gvproxy_api.ts";
import { hostResolvConf, modeConfig, publishText } from "./launch.ts";
import { superviseSession } from "./session.ts";
import { withPidFile } from "./pid_file.ts";
import { version } from "./version.ts";

/** Flags that are about the guest of `do` and `attach`, or about its interface. */
const OF_A_PROGRAM: ReadonlySet<string> = new Set<FlagName>([
  "network",
  "attach",
  "force",
  "publish-all",
  "tsi-handoff",
  "external-network",
  "address-wait",
  "address",
  "address6",
  "gateway",
  "gateway6",
  "dns",
  "mac",
  "host-uds",
  "net-raw",
]);

/** The command. */
export const serve: Command = {
  name: "serve",
  summary: "be a network provider for virtual machines",
  usage: "sluice [flags] serve --listen URL [--listen URL …] [-p HOSTPORT:[GUESTADDR:]GUESTPORT]",
  details: `
URLs of guests: unixgram://PATH (vfkit, libkrun, QEMU -netdev dgram), unixstream://PATH (passt's
clients, QEMU -netdev stream), unixpacket://PATH (bess), qemu+tcp://HOST:PORT, vpnkit+unix://PATH and
vpnkit+tcp://HOST:PORT (HyperKit). Each takes many guests.
gvproxy's flags are understood, and bring gvproxy's defaults with them.`,
  takesGlobalFlags: true,
  ignoredFlags: OF_A_PROGRAM,
  flags: serveFlags,
  run: serveMachines,
};

async function serveMachines(context: CommandContext): Promise<number> {
  if (context.args.length > 0) {
    throw new UsageFailure(`wrong usage: serve takes no arguments, and got "${context.args[0]}"`);
  }
  const flags = serveFlagValues(context);
  if (flags.has("version")) return await version.run(context);
  const options = serveOptions(context);
  const { settings, resolved } = context;
  for (const { flag } of resolved.values) {
    if (isGiven(resolved, flag.name) && OF_A_PROGRAM.has(flag.name)) {
      context.stderr(`sluice: ${flag.name} means nothing with serve: guests bring their interfaces along\n`);
    }
  }
  const { network, network6, publish } = options;
  const resolv = hostResolvConf();
  const logFile = flags.get("log-file");
  const place = privateDirectory("sluice-serve-");
  const wires: Wires = {
    ...(options.api.length > 0 ? { connect: place.newPath() } : {}),
    ...(options.stdio ? { stdio: place.newPath() } : {}),
  };
  const mode = {
    ...modeConfig(resolved, resolv, undefined, undefined),
    network: "serve" as const,
    attach: "vm" as const,
    networks: [],
    address: { address: String(network.device), prefixLength: network.prefixLength },
    address6: { address: String(network6.device), prefixLength: network6.prefixLength },
    gateway: String(network.gateway),
    gateway6: String(network6.gateway),
    dns: [String(network.gateway), String(network6.gateway)],
    mtu: options.mtu,
    publish: [...settings.publish, ...publish].map(publishText),
    serve: {
      listen: [...options.listen, ...endpointsOf(wires, options)],
      leases: options.leases,
      leaseTime: options.leaseTime,
      searchDomains: options.searchDomains ?? searchDomains(resolv.kept),
      zones: options.zones,
      vpnkitMacs: options.vpnkitMacs,
      ...(options.gatewayMac === undefined ? {} : { gatewayMac: options.gatewayMac }),
      closedPorts: closedPorts([...options.api, ...options.services], settings.api),
      ...(options.isGvproxy ? { hostAddress: String(network.host) } : {}),
    },
  };
  const launched = {
    child: 0,
    watched: 0,
    isProgram: false,
    isMonitored: false,
    mode,
    command: ["serve", ...options.urls],
  };
  const pcap = flags.get("pcap");
  const withLog = {
    ...context,
    settings: {
      ...settings,
      ...(logFile === undefined ? {} : { debugLog: logFile }),
      ...(pcap === undefined ? {} : { pcapLog: pcap }),
    },
  };
  try {
    return await withPidFile(
      flags.get("pid-file"),
      () =>
        superviseSession(
          withLog,
          launched,
          options.readyFd,
          (engine) => serveBeside(context, options, { engine, place, wires }),
        ),
    );
  } finally {
    place.remove();
  }
}

/** Sockets of guests with names that nobody else may reach: for `/connect` of the API, for standard input and output. */
interface Wires {
  readonly connect?: string;
  readonly stdio?: string;
}

function endpointsOf({ connect, stdio }: Wires, options: ServeOptions): VmEndpoint[] {
  return [
    ...(connect === undefined ? [] : [streamAt(connect, options.connect)]),
    ...(stdio === undefined ? [] : [streamAt(stdio, "hyperkit")]),
  ];
}

/** What runs beside the engine: forwards over ssh, gvproxy's API, the guest on standard input and output. */
async function serveBeside(
  context: CommandContext,
  options: ServeOptions,
  { engine, place, wires }: {
    readonly engine: EngineClient;
    readonly place: PrivateDirectory;
    readonly wires: Wires;
  },
): Promise<{ close(): void }> {
  const problem = (text: string) => context.stderr(`sluice: ${oneLine(text)}\n`);
  const ssh = new SshForwards(engine, place, problem);
  const notifier = options.notified === undefined
    ? undefined
    : new Notifier(engine, options.notified, problem);
  try {
    for (const forward of options.forwards) await ssh.add(forward);
    const api = await serveGvproxyApi(context, options, {
      engine,
      place,
      ssh,
      wire: wires.connect,
      notifier,
    });
    // As with gvproxy: the session is over when this guest is.
    if (wires.stdio !== undefined) {
      void dialStdio(wires.stdio, false).then(() => engine.ask("stop")).catch(() => {});
    }
    notifier?.start();
    return {
      close() {
        notifier?.close();
        api.close();
        ssh.close();
      },
    };
  } catch (error) {
    ssh.close();
    throw error;
  }
}

/** Ports of our own control, which guests must not reach though they reach the host's loopback. */
function closedPorts(api: readonly HttpAddress[], own: CommandContext["settings"]["api"]): number[] {
  const ports = api.flatMap((address) => "port" in address ? [address.port] : []);
  return own.kind === "tcp" ? [...ports, own.port] : ports;
}

/** The domains of `search` lines. */
function searchDomains(lines: readonly string[]): string[] {
  const search = lines.map((line) => line.trim().split(/\s+/)).filter(([word]) => word === "search").at(-1);
  return search?.slice(1, 7).filter((domain) => domain !== ".") ?? [];
}
