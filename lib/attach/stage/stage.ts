/**
 * The stage: our own binary inside the guest's fresh namespaces, for as long as it takes to furnish them.
 *
 * It makes the TAP and hands it out, sets addresses and routes, shows the guest a resolv.conf that leads to the
 * gateway, hides the control sockets, waits for the engine's word, and becomes the program. What the script runtime
 * changed of signals and limits is put back first, and capabilities that came with our user namespace go.
 *
 * @module
 */

import { furnishInterface, furnishTaps, raiseTaps } from "./interface.ts";
import { furnishShadows, makeShadows } from "./shadows.ts";
import { SystemError } from "../../host/errno.ts";
import { receiveMessage, sendDescriptor, sendMessage } from "../../host/fdpass.ts";
import { dropCapabilities } from "../../host/capabilities.ts";
import { moveDescriptor, setCloseOnExec } from "../../host/close_on_exec.ts";
import { bindMount, mountEmpty, showOwnInterfaces } from "../../host/mount.ts";
import { enterOwnedNetwork } from "../../host/owned_network.ts";
import { becomeProgram, dieWithParent, effectiveGroup, setNoFileLimit } from "../../host/process.ts";
import { exitNow } from "../../host/sys.ts";
import { openRouteNetlink } from "../../host/netlink.ts";
import { openResolverFile } from "../../host/resolver_file.ts";
import { openSockDiag } from "../../host/sock_diag.ts";
import { openTap } from "../../host/tun.ts";
import { directoryExists, linkTarget, withTemporaryFile, writeText } from "../../host/files.ts";
import { findInPath } from "../../host/runtime.ts";
import {
  parseStageDescriptors,
  STAGE_MESSAGE_MAX,
  type StageConfig,
  type StageGo,
  type StageProgram,
  type StageReply,
  type StageSockets,
} from "./protocol.ts";

const encoder = new TextEncoder();

/** Our end of the socketpair with the engine. */
let socket = -1;
/** Whether the kernel shows the interfaces of the guest's stack. */
let shadowed = false;

/** Runs the stage to its end; does not return. `words` are what follows the subcommand's name. */
export async function runStage(words: readonly string[]): Promise<never> {
  const descriptors = parseStageDescriptors(words);
  socket = descriptors.socket;
  let status = 125;
  try {
    setCloseOnExec(socket, true);
    moveDescriptor(descriptors.stderr, 2);
    const config = hear() as StageConfig | undefined;
    if (config === undefined) exitNow(status);
    dieWithParent();
    const { sockets } = config as StageConfig;
    const trap = sockets === undefined ? undefined : (await import("../sockets/stage_filter.ts")).trapSockets;
    furnish(config as StageConfig);
    const { program } = config as StageConfig;
    // No word: the engine ended, and so does everything it started.
    const word = hear() as StageGo | undefined;
    if (word === undefined) exitNow(status);
    furnishLate(config as StageConfig, word as StageGo);
    showShadows(word as StageGo);
    if (program === undefined) exitNow(0);
    for (const fd of descriptors.inherited) setCloseOnExec(fd, false);
    status = become(program as StageProgram, () => trap?.(socket, sockets!.ownNamespaces));
  } catch (error) {
    say({ failed: error instanceof Error ? error.message : String(error), status });
  }
  exitNow(status);
  throw new Error("unreachable");
}

function hear(): unknown {
  const { bytes } = receiveMessage(socket, STAGE_MESSAGE_MAX);
  return bytes.length === 0 ? undefined : JSON.parse(new TextDecoder().decode(bytes));
}

function say(reply: StageReply, descriptor?: number): void {
  const bytes = encoder.encode(JSON.stringify(reply));
  if (descriptor === undefined) sendMessage(socket, bytes);
  else sendDescriptor(socket, descriptor, bytes);
}

function furnish(config: StageConfig): void {
  const { device, sockets, taps } = config;
  if (sockets !== undefined) {
    // Nobody will ever use the kernel's network in there.
    if (!sockets.ownNamespaces) return say({ ready: true });
    shadows(sockets);
    if (config.late !== true) mounts(config);
    // The engine asks with it which unix sockets are the guest's: those of this namespace.
    return say({ ready: true }, unixDiag());
  }
  allowPing();
  if (taps !== undefined) {
    const descriptors = taps.map(({ name }) => openTap(name).fd);
    raiseTaps(taps);
    for (const fd of descriptors) say({ tap: true }, fd);
    // For what the network has to say later, when we are a program without any power over it.
    return say({ ready: true }, openRouteNetlink());
  }
  const tap = device === undefined ? undefined : openTap(device.name);
  furnishInterface(device);
  mounts(config);
  if (tap === undefined) say({ ready: true });
  else say({ tap: true }, tap.fd);
}

/** What was not known when the interfaces were made. What hides our directory hides the file for resolv.conf, so it comes last. */
function furnishLate(config: StageConfig, { late }: StageGo): void {
  if (late === undefined) return;
  for (const warning of furnishTaps(late.devices)) say({ warning });
  if (config.sockets?.ownNamespaces === false || config.program === undefined) return;
  mounts({ ...config, resolvConf: late.resolvConf }, (fd) => say({ resolvConf: true }, fd));
}

/** The guest works without; what it asked for is said. */
function shadows({ shadows, ownUserNamespace }: StageSockets): void {
  if (shadows === undefined) return;
  let { packets } = shadows;
  const complain = (what: string, error: unknown) => {
    const text = `${what}: ${error instanceof Error ? error.message : error}`;
    say(shadows.packets ? { warning: text } : { note: text });
  };
  try {
    if (packets && ownUserNamespace) enterOwnedNetwork(program("unshare"), program("cat"));
  } catch (error) {
    packets = false;
    complain("the program has no packet sockets", error);
  }
  try {
    makeShadows({ ...shadows, packets }, say);
    shadowed = true;
  } catch (error) {
    complain(
      packets
        ? "the program has no packet sockets"
        : "/proc/net and /sys/class/net do not show the program's interfaces",
      error,
    );
  }
}

function program(name: string): string {
  const path = findInPath(name);
  if (path === undefined) throw new Error(`${name} is not in PATH`);
  return path;
}

function showShadows({ shadows }: StageGo): void {
  if (shadows === undefined || !shadowed) return;
  try {
    furnishShadows(shadows);
  } catch (error) {
    say({
      note: `/proc/net does not show the program's routes: ${error instanceof Error ? error.message : error}`,
    });
  }
}

function unixDiag(): number | undefined {
  try {
    return openSockDiag();
  } catch (error) {
    if (!(error instanceof SystemError)) throw error;
    say({ warning: `unix sockets of the program cannot be told from the host's: ${error.message}` });
    return undefined;
  }
}

/** Unprivileged echo sockets (icmp(7)): a fresh network namespace allows them to nobody. */
function allowPing(): void {
  const group = effectiveGroup();
  writeText("/proc/sys/net/ipv4/ping_group_range", `${group} ${group}`);
}

/** @param shown gets a descriptor of what the guest sees as its resolv.conf */
function mounts(config: StageConfig, shown?: (fd: number) => void): void {
  const { resolvConf, scratch, hide } = config;
  if (scratch !== undefined) showInterfaces(scratch);
  try {
    if (resolvConf !== undefined && scratch !== undefined) showResolvConf(resolvConf, scratch, shown);
    if (hide !== undefined && directoryExists(hide)) mountEmpty(hide);
  } catch (error) {
    // A guest without these works; it must only be said.
    if (!(error instanceof SystemError)) throw error;
    say({ warning: error.message });
  }
}

/** Where the kernel does not allow it, /sys shows what it shows. */
function showInterfaces(scratch: string): void {
  try {
    showOwnInterfaces(scratch);
  } catch (error) {
    if (!(error instanceof SystemError)) throw error;
    say({ note: `/sys/class/net is the host's: ${error.message}` });
  }
}

/** A bind mount holds the file by itself, so its name can go at once. */
function showResolvConf(text: string, scratch: string, shown?: (fd: number) => void): void {
  // /etc/resolv.conf is a symbolic link on many machines; what is mounted on is what it leads to.
  const target = linkTarget("/etc/resolv.conf");
  if (target === undefined) return;
  withTemporaryFile(scratch, text, (path) => {
    bindMount(path, target);
    shown?.(openResolverFile(path));
  });
}

/**
 * Becomes the program; returns the status to exit with if that fails.
 *
 * @param trap the last thing to do: from then on our own socket calls are trapped, too
 */
function become(program: StageProgram, trap: () => void): number {
  setNoFileLimit(program.noFile);
  if (program.dropCapabilities) dropCapabilities();
  const name = program.argv[0]!;
  const file = name.includes("/") ? name : findInPath(name);
  if (file === undefined) {
    say({ failed: `Cannot run ${name}: it is not in PATH`, status: 127 });
    return 127;
  }
  trap();
  try {
    becomeProgram(file, program.argv);
  } catch (error) {
    const notFound = error instanceof SystemError && error.code === "ENOENT";
    const status = notFound ? 127 : 126;
    say({ failed: error instanceof Error ? error.message : String(error), status });
    return status;
  }
}
