/**
 * From settings to a process that waits in its namespaces for the engine's word.
 *
 * @module
 */

import { enterExisting, enterNew, type NamespaceCommand, type Tools } from "../attach/stage/namespaces.ts";
import {
  formatStageDescriptors,
  type StageAddress,
  type StageConfig,
  type StageDescriptors,
  stageDescriptors,
  type StageDevice,
  type StageTap,
} from "../attach/stage/protocol.ts";
import {
  guestNameservers,
  guestResolvConf,
  parseResolvConf,
  type ResolvConf,
} from "../config/resolv_conf.ts";
import type { ExternalNetwork } from "../config/external_network.ts";
import { formatPublish, type Publish } from "../config/publish.ts";
import { isGiven, type Resolved } from "../config/resolve.ts";
import type { Settings } from "../config/settings.ts";
import { findInPath, ownCommand, readTextFileSync } from "../host/runtime.ts";
import {
  becomeSubreaper,
  effectiveUser,
  inheritedNoFile,
  namespaceAt,
  namespaceOf,
  setDumpable,
} from "../host/process.ts";
import { isInitialUserNamespace } from "../host/network_namespace.ts";
import { inheritedDescriptors } from "../host/inherited.ts";
import { socketPair } from "../host/socket_pair.ts";
import { directoryExists, runtimeDirectory } from "../host/files.ts";
import { spawn } from "../host/spawn.ts";
import { close } from "../host/sys.ts";
import type { ModeConfig } from "../modes/mode.ts";
import type { PublishedPort } from "../engine/messages.ts";
import { type CommandContext, ExitStatus, Failure } from "./command.ts";
import { enterIfPossible } from "./socket_namespaces.ts";
import { STAGE_COMMAND } from "./stage.ts";

/** What is to be behind the stack. */
export type Guest =
  | { readonly kind: "program"; readonly argv: readonly string[] }
  | { readonly kind: "attach"; readonly target: { readonly pid: number } | { readonly path: string } };

/** A guest that waits, and what the engine must know of it. */
export interface Launched {
  /** Process id of what we have started: the program, or the stage of an attachment. */
  readonly child: number;
  /** Process whose end ends the session, or 0. */
  readonly watched: number;
  /** Whether `child` is a program whose signals and exit status are ours, and not just a stage. */
  readonly isProgram: boolean;
  /** Whether `child` only waits for the program, which is its own child. */
  readonly isMonitored: boolean;
  readonly mode: ModeConfig;
  /** For `sluice ls`. */
  readonly command: readonly string[];
}

/** Spawns the guest's first process. Throws a {@linkcode Failure} that says what to do if it cannot. */
export function launch(context: CommandContext, guest: Guest): Launched {
  const { settings, resolved } = context;
  const { networks } = settings;
  // External networks are the guest's network, whatever the mode.
  const network = networks.length > 0 ? undefined : settings.network;
  const elsewhere = settings.publish.find(({ guestAddress }) =>
    guestAddress !== undefined && !guestAddress.equals(settings.address.address) &&
    !guestAddress.equals(settings.address6.address)
  );
  if (elsewhere !== undefined) {
    throw new Failure(
      `Cannot publish ${formatPublish(elsewhere)}: the guest is ${settings.address.address}`,
      "only serve has several guests",
    );
  }
  const resolv = hostResolvConf();
  const descriptors = stageDescriptors(guest.kind === "program" ? inheritedDescriptors() : []);
  const command = guest.kind === "program"
    ? guest.argv
    : ["attach", ...Object.values(guest.target).map(String)];
  if (network === "host" && guest.kind === "program") {
    const child = spawnGuest({ argv: guest.argv, cwd: settings.cwd, descriptors });
    return {
      child,
      watched: child,
      isProgram: true,
      isMonitored: false,
      command,
      mode: modeConfig(resolved, resolv, undefined, undefined),
    };
  }
  if (network === "tsi" && guest.kind === "attach") {
    throw new Failure(
      "Cannot attach with --network=tsi: its sockets are impersonated by answering system calls, which only a program " +
        "that we start lets us do",
      "sluice --network=tsi do -- PROGRAM",
    );
  }
  const tools = findTools();
  const root = effectiveUser() === 0;
  if (settings.rootless === false && !root) {
    throw new Failure("Cannot run with --rootless=false: this is an ordinary user", "leave the flag away");
  }
  if (network === "sandbox" && settings.rootless === true && isInitialUserNamespace()) {
    throw new Failure(
      "Cannot use --network=sandbox with --rootless: it needs CAP_NET_ADMIN and CAP_NET_RAW in this network namespace",
      "be root in a user namespace, as in: pasta -- sluice --network=sandbox do -- PROGRAM",
    );
  }
  const stage = [...ownCommand(), STAGE_COMMAND, ...formatStageDescriptors(descriptors)];
  const traps = settings.attach === "sockets" && guest.kind === "program";
  let namespaces: NamespaceCommand & { readonly ownNamespaces?: boolean };
  try {
    namespaces = traps
      ? enterIfPossible(stage, root && settings.rootless !== true, tools)
      : guest.kind === "program"
      ? enterNew(stage, root && settings.rootless !== true, tools)
      : enterExisting(stage, targetOf(guest.target, root), tools);
  } catch (error) {
    if (error instanceof Failure) throw error;
    throw new Failure(error instanceof Error ? error.message : String(error));
  }
  const ownNetwork = namespaces.ownNamespaces ?? true;
  if (traps) becomeSubreaper();
  const stageConfig: StageConfig = guest.kind === "program"
    ? {
      ...(traps
        ? { sockets: { ownNamespaces: ownNetwork, ownUserNamespace: namespaces.ownsUserNamespace } }
        : devices(settings)),
      ...(networks.length > 0 ? { late: true } : {}),
      // The device's network has the name servers that it has.
      ...(network === undefined || network === "none" || network === "sandbox" || network === "tsi"
        ? {}
        : { resolvConf: guestResolvConf(guestNameservers(settings), resolv) }),
      scratch: runtimeDirectory(),
      hide: runtimeDirectory(),
      program: {
        argv: guest.argv,
        noFile: inheritedNoFile(),
        // In the same namespace as an interface that we drive, the guest must have no power over it.
        dropCapabilities: namespaces.ownsUserNamespace || (network === "sandbox" && !ownNetwork),
      },
    }
    : devices(settings);
  const [ours, theirs] = socketPair();
  const child = spawnGuest({ argv: namespaces.argv, cwd: settings.cwd, descriptors, stage: theirs });
  close(theirs);
  // The guest is of our user, and perhaps in our own user namespace: it must not trace us, nor take our descriptors.
  if (traps) setDumpable(false);
  return {
    child,
    watched: guest.kind === "program" ? child : "pid" in guest.target ? guest.target.pid : 0,
    isProgram: guest.kind === "program",
    isMonitored: namespaces.isMonitored,
    command,
    mode: modeConfig(
      resolved,
      resolv,
      ours,
      JSON.stringify(stageConfig),
      traps ? "sockets" : "tap",
      ownNetwork,
    ),
  };
}

function spawnGuest(
  what: {
    argv: readonly string[];
    cwd: string | undefined;
    descriptors: StageDescriptors;
    /** The stage's end of its socketpair. */
    stage?: number;
  },
): number {
  const [file] = what.argv;
  const { socket, stderr, inherited } = what.descriptors;
  if (what.cwd !== undefined && !directoryExists(what.cwd)) {
    throw new Failure(`Cannot start in ${what.cwd}: no such file or directory`, "--cwd names a directory");
  }
  try {
    return spawn({
      file: file!,
      argv: what.argv,
      descriptors: [
        ...inherited.map((fd) => ({ from: fd, to: fd })),
        ...(what.stage === undefined ? [] : [
          { from: what.stage, to: socket },
          { from: what.stage, to: 2 },
          { from: 2, to: stderr },
        ]),
      ],
      ...(what.cwd === undefined ? {} : { cwd: what.cwd }),
    });
  } catch (error) {
    const code = (error as { code?: string }).code;
    const why = error instanceof Error ? error.message : String(error);
    throw new Failure(why, undefined, code === "ENOENT" ? ExitStatus.notFound : ExitStatus.cannotExecute);
  }
}

function findTools(): Tools {
  const tools: { -readonly [K in keyof Tools]: Tools[K] } = {};
  for (const name of ["unshare", "bwrap", "nsenter"] as const) {
    const path = findInPath(name);
    if (path !== undefined) tools[name] = path;
  }
  return tools;
}

function targetOf(target: { readonly pid: number } | { readonly path: string }, root: boolean) {
  const isPath = "path" in target;
  const network = isPath ? namespaceAt(target.path) : namespaceOf(target.pid, "net");
  if (network !== undefined && network === namespaceOf("self", "net")) {
    const which = isPath ? target.path : `process ${target.pid}`;
    throw new Failure(
      `Cannot attach to ${which}: its network namespace is the one that sluice is in`,
      "name one that has no network of its own, as from unshare -n or ip netns add",
    );
  }
  if (isPath) return target;
  const theirs = namespaceOf(target.pid, "user");
  if (theirs === undefined) {
    throw new Failure(`Cannot attach to process ${target.pid}: it does not exist, or it is not yours`);
  }
  return { pid: target.pid, ownUserNamespace: !root && theirs !== namespaceOf("self", "user") };
}

/** The host's resolvers; none if it names none. */
export function hostResolvConf(): ResolvConf {
  try {
    return parseResolvConf(readTextFileSync("/etc/resolv.conf"));
  } catch {
    return { nameservers: [], kept: [] };
  }
}

/** An address with its prefix as text, which crosses threads and processes. */
function cidr({ address, prefixLength }: Settings["address"]): StageAddress {
  return { address: String(address), prefixLength };
}

/** The interfaces of a guest that has a kernel. */
function devices(settings: Settings): { device?: StageDevice; taps?: readonly StageTap[] } {
  if (settings.networks.length > 0) return { taps: settings.networks.map(tap) };
  if (settings.network === "none") return {};
  return {
    device: {
      name: "eth0",
      mtu: settings.mtu,
      ...(settings.qdisc === "tbf" ? { txQueueLength: shapedQueue(settings) } : {}),
      ...(settings.mac === undefined ? {} : { mac: settings.mac }),
      addresses: [cidr(settings.address), cidr(settings.address6)],
      gateways: [String(settings.gateway), String(settings.gateway6)],
    },
  };
}

/** As much as tbf's own queue would hold at most (burst + 1 s), in packets of the largest size; see lib/stack/qdisc/tbf.ts. */
function shapedQueue({ qdiscTbfRate, qdiscTbfBurst, gso, mtu }: Settings): number {
  const packets = (qdiscTbfBurst + qdiscTbfRate) / (gso ? 65_536 : mtu);
  return Math.min(1_000, Math.max(8, Math.floor(packets)));
}

/** IPv6 addresses come from routers unless they are configured; the default route is the first network's. */
function tap({ mac, addresses, dhcp }: ExternalNetwork, index: number): StageTap {
  const follows = dhcp || (addresses.length > 0 && !addresses.some(({ address }) => address.family === 6));
  return { name: `eth${index}`, mac, routerAdvertisements: !follows ? "no" : index === 0 ? "yes" : "routes" };
}

/** A published port as text, which crosses threads. */
export function publishText({ hostAddress, guestAddress, ...rest }: Publish): PublishedPort {
  return {
    ...rest,
    ...(hostAddress === undefined ? {} : { hostAddress: String(hostAddress) }),
    ...(guestAddress === undefined ? {} : { guestAddress: String(guestAddress) }),
  };
}

/** What the engine is told of the settings. */
export function modeConfig(
  resolved: Resolved,
  resolv: ResolvConf,
  stage: number | undefined,
  stageConfig: string | undefined,
  attach: ModeConfig["attach"] = "tap",
  ownNetwork = true,
): ModeConfig {
  const { settings } = resolved;
  const mtu = isGiven(resolved, "mtu") ? { mtu: settings.mtu } : {};
  return {
    network: settings.networks.length > 0 ? "external" : settings.network,
    attach,
    networks: settings.networks.map((network) => ({
      ...network,
      ...mtu,
      addresses: network.addresses.map(cidr),
    })),
    addressWait: settings.addressWait,
    ...(settings.mac === undefined ? {} : { mac: settings.mac }),
    hostUds: settings.hostUds,
    ownNetwork,
    netRaw: settings.netRaw,
    ...(stage === undefined ? {} : { stage }),
    ...(stageConfig === undefined ? {} : { stageConfig }),
    address: cidr(settings.address),
    address6: cidr(settings.address6),
    gateway: String(settings.gateway),
    gateway6: String(settings.gateway6),
    dns: guestNameservers(settings).map(String),
    mtu: settings.mtu,
    resolvers: resolv.nameservers.map((address) => ({ address: String(address), port: 53 })),
    hostLoopback: settings.hostLoopback,
    publishAll: settings.publishAll,
    tsiHandoff: settings.tsiHandoff,
    controlPort: settings.api.kind === "tcp" ? settings.api.port : 0,
    publish: settings.publish.map(publishText),
    qdisc: { kind: settings.qdisc, rate: settings.qdiscTbfRate, burst: settings.qdiscTbfBurst },
    gso: settings.gso,
    softwareGso: settings.softwareGso,
    txChecksumOffload: settings.txChecksumOffload ?? true,
    // A provider may only pass on what a real wire brought: that is verified unless the user vouches for it.
    rxChecksumOffload: settings.rxChecksumOffload ?? settings.networks.length === 0,
    force: settings.force,
  };
}
