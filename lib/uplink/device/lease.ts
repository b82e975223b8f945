/**
 * The kernel's network of a namespace, on loan: its devices fall silent below us, and get everything back at the end.
 *
 * Theory of operation. A kernel without an address on a device answers nobody: no ARP, no RST, no ICMP. IPv6 is switched
 * off there (`disable_ipv6`), as else the kernel would give itself a link-local address and join groups. What it had is
 * kept as an image (host/route_image.ts) in a file of the runtime directory, written before anything is touched. Whoever
 * finds the file puts things back: we at the end; `sluice restore-netns` or the next start in the same namespace, if we
 * had no end.
 *
 * ```text
 *   take    image → file → disable_ipv6, addresses off (routes go with them)
 *   release file → no automatic addresses → IPv6 on → addresses, routes, neighbours → automatic again → no file
 * ```
 *
 * What is there already is left alone, so putting back may be done twice, or to half of it.
 *
 * @module
 */

import { Errno } from "../../host/errno.ts";
import { writeText } from "../../host/files.ts";
import {
  isInitialNetwork,
  knobPath,
  networkIdentity,
  readInterfaceKnob,
} from "../../host/network_namespace.ts";
import {
  interfaceOf,
  type RawMessage,
  type RestoreFailure,
  type RouteImage,
  RouteImager,
} from "../../host/route_image.ts";
import { RouteNetlink } from "../../host/rtnetlink.ts";
import { ownProcessId, processStart, RuntimeFiles } from "../../host/runtime_files.ts";

/** Longest state file: a table of some hundred thousand routes. With more, nothing is taken. */
export const STATE_MAX = 64 << 20;
/** `addr_gen_mode` of a device that makes no address by itself, `accept_dad` of one that asks nobody. */
const GENERATE_NONE = "1", DETECT_NONE = "0";

/** A device on loan, as the state file has it. */
export interface LeasedDevice {
  readonly index: number;
  readonly name: string;
  readonly mac: string;
  /** `disable_ipv6`, `addr_gen_mode`, `accept_dad`; absent where there is no IPv6. */
  readonly ipv6?: { readonly disable: string; readonly generation: string; readonly detection: string };
}

/** The state file. Messages are hexadecimal. */
interface State {
  readonly version: 1;
  readonly inode: number;
  readonly boot: string;
  readonly pid: number;
  readonly processStart: string;
  readonly devices: readonly LeasedDevice[];
  readonly addresses: readonly string[];
  readonly routes: readonly string[];
  readonly neighbours: readonly string[];
}

/** What putting back came to. */
export interface Restored {
  /** Names of the devices that have their addresses again. */
  readonly devices: readonly string[];
  /** What did not work, one line each; the file stays then. */
  readonly failures: readonly string[];
}

/** Somebody has the devices of this namespace. */
export class LeaseTaken extends Error {
  override readonly name: string = "LeaseTaken";

  constructor(readonly pid: number) {
    super(`Cannot drive the interfaces of this network namespace: sluice process ${pid} does`);
  }
}

/** Devices that are ours for a while. */
export class Lease {
  readonly #files: RuntimeFiles;
  readonly #imager = new RouteImager();
  #state: State;
  #open = true;
  readonly image: RouteImage;

  private constructor(files: RuntimeFiles, state: State, image: RouteImage) {
    this.#files = files;
    this.#state = state;
    this.image = image;
  }

  /**
   * Takes the devices. Whatever an earlier process left undone must have been put back: {@linkcode restoreNamespace}.
   *
   * @param warn told of what could not be silenced
   * @throws {Error} when the state file cannot be written, or the kernel refuses; then all is as it was
   */
  static take(
    directory: string,
    devices: readonly { readonly index: number; readonly name: string; readonly mac: string }[],
    warn: (text: string) => void,
  ): Lease {
    const files = filesIn(directory);
    const imager = new RouteImager();
    let image: RouteImage;
    try {
      image = imager.save(new Set(devices.map(({ index }) => index)));
    } finally {
      imager.close();
    }
    const state: State = {
      version: 1,
      ...networkIdentity(),
      pid: ownProcessId,
      processStart: processStart(ownProcessId) ?? "",
      devices: devices.map(({ index, name, mac }) => ({ index, name, mac, ...knobs(name) })),
      ...formatImage(image),
    };
    files.prepare();
    const lease = new Lease(files, state, image);
    lease.#write();
    try {
      lease.#silence(warn);
    } catch (error) {
      lease.release();
      throw error;
    }
    return lease;
  }

  /** An address that the kernel was given later: it goes, and comes back at the end. */
  takeAddress(raw: RawMessage): void {
    const text = toHex(raw);
    const kept = this.#state.addresses.filter((other) => !sameAddress(other, text));
    this.#state = { ...this.#state, addresses: [...kept, text] };
    this.#write();
    this.#imager.removeAddress(raw);
  }

  /** The addresses that the kernel has on our devices, though it should have none. */
  intruders(): RawMessage[] {
    return this.#imager.addresses(new Set(this.#state.devices.map(({ index }) => index)));
  }

  /** Puts everything back. */
  release(): Restored {
    if (!this.#open) return { devices: [], failures: [] };
    this.#open = false;
    this.#imager.close();
    return giveBack(this.#files, this.#state);
  }

  #silence(warn: (text: string) => void): void {
    for (const { name, ipv6 } of this.#state.devices) {
      if (ipv6 === undefined || ipv6.disable !== "0") continue;
      if (!writeText(knobPath("ipv6", name, "disable_ipv6"), "1")) {
        warn(
          `the kernel keeps IPv6 on ${name}: /proc/sys is not writable; it may make itself addresses there`,
        );
      }
    }
    // A secondary address goes with its primary one; it came first in the list.
    for (const raw of [...this.image.addresses].reverse()) this.#imager.removeAddress(raw);
  }

  #write(): void {
    writeState(this.#files, this.#state);
  }
}

/**
 * Puts back what a process without an end left undone in the namespace this thread is in.
 *
 * @param own only if that process is ourselves, and our data plane had no end
 * @returns undefined if there is nothing to do
 * @throws {LeaseTaken} if that process still runs
 */
export function restoreNamespace(directory: string, own = false): Restored | undefined {
  const files = filesIn(directory);
  const { inode, boot } = networkIdentity();
  const text = files.read(fileName(inode));
  if (text === undefined) return undefined;
  const state = parseState(text);
  if (state === undefined) {
    throw new Error(
      `Cannot restore this network namespace: ${
        files.path(fileName(inode))
      } is not a state file of ours (remove it)`,
    );
  }
  if (state.inode !== inode || state.boot !== boot) {
    // Of another boot: the namespace that it tells of is no more.
    files.remove(fileName(inode));
    return undefined;
  }
  const ours = state.pid === ownProcessId &&
    processStart(state.pid) === state.processStart;
  if (own) return ours ? giveBack(files, state) : undefined;
  if (state.pid > 0 && processStart(state.pid) === state.processStart) throw new LeaseTaken(state.pid);
  return giveBack(files, state);
}

/** Why the namespace must not be driven unless the user insists; undefined if it may. */
export function whyNotThisNamespace(): string | undefined {
  return isInitialNetwork()
    ? "this is the network namespace of the machine itself, which would lose its network"
    : undefined;
}

function giveBack(files: RuntimeFiles, state: State): Restored {
  const netlink = new RouteNetlink();
  const imager = new RouteImager();
  try {
    const links = netlink.links();
    // Numbers of interfaces and names of namespaces are used again: what is restored must be what was taken.
    const present = state.devices.flatMap((device) => {
      const link = links.find(({ index }) => index === device.index);
      return link === undefined || (link.name !== device.name && link.mac !== device.mac)
        ? []
        : [{ ...device, name: link.name }];
    });
    if (present.length === 0) {
      files.remove(fileName(state.inode));
      return { devices: [], failures: [] };
    }
    for (const { name, ipv6 } of present) {
      if (ipv6 === undefined || ipv6.disable !== "0") continue;
      // Else the kernel would make its link-local address anew, and wait for objections to all of them.
      writeText(knobPath("ipv6", name, "addr_gen_mode"), GENERATE_NONE);
      writeText(knobPath("ipv6", name, "accept_dad"), DETECT_NONE);
      writeText(knobPath("ipv6", name, "disable_ipv6"), ipv6.disable);
    }
    const indices = new Set(present.map(({ index }) => index));
    const image = parseImage(state);
    const failures = imager.restore({
      addresses: image.addresses.filter((raw) => indices.has(interfaceOf(raw))),
      routes: image.routes,
      neighbours: image.neighbours.filter((raw) => indices.has(interfaceOf(raw))),
    }).filter(isFailure);
    for (const { name, ipv6 } of present) {
      if (ipv6 === undefined || ipv6.disable !== "0") continue;
      writeText(knobPath("ipv6", name, "addr_gen_mode"), ipv6.generation);
      writeText(knobPath("ipv6", name, "accept_dad"), ipv6.detection);
    }
    if (failures.length === 0) files.remove(fileName(state.inode));
    // Nobody's any more: whoever comes next may try again.
    else writeState(files, { ...state, pid: 0, processStart: "" });
    return {
      devices: present.map(({ name }) => name),
      failures: failures.map(({ message }) => message),
    };
  } finally {
    netlink.close();
    imager.close();
  }
}

function writeState(files: RuntimeFiles, state: State): void {
  files.write(fileName(state.inode), `${JSON.stringify(state)}\n`);
}

/** A route by a device that is no more is no loss of ours. */
function isFailure({ errno }: RestoreFailure): boolean {
  return errno !== Errno.ENODEV;
}

function knobs(name: string): Pick<LeasedDevice, "ipv6"> {
  const disable = readInterfaceKnob("ipv6", name, "disable_ipv6");
  const generation = readInterfaceKnob("ipv6", name, "addr_gen_mode");
  const detection = readInterfaceKnob("ipv6", name, "accept_dad");
  if (disable === undefined || generation === undefined || detection === undefined) return {};
  return { ipv6: { disable, generation, detection } };
}

function filesIn(directory: string): RuntimeFiles {
  return new RuntimeFiles(directory, STATE_MAX);
}

/** One per namespace. Begins with a dot: it is no instance. */
function fileName(inode: number): string {
  return `.netns-${inode}`;
}

function formatImage({ addresses, routes, neighbours }: RouteImage) {
  return {
    addresses: addresses.map(toHex),
    routes: routes.map(toHex),
    neighbours: neighbours.map(toHex),
  };
}

function parseImage({ addresses, routes, neighbours }: State): RouteImage {
  return {
    addresses: addresses.map(fromHex),
    routes: routes.map(fromHex),
    neighbours: neighbours.map(fromHex),
  };
}

function parseState(text: string): State | undefined {
  try {
    const state = JSON.parse(text) as Partial<State> | null;
    const lists = [state?.addresses, state?.routes, state?.neighbours];
    const good = state?.version === 1 && Number.isInteger(state.inode) && Number.isInteger(state.pid) &&
      typeof state.boot === "string" && typeof state.processStart === "string" &&
      Array.isArray(state.devices) && state.devices.every(isDevice) &&
      lists.every((list) => Array.isArray(list) && list.every(isHex));
    return good ? state as State : undefined;
  } catch {
    return undefined;
  }
}

function isDevice(device: Partial<LeasedDevice> | null): boolean {
  return Number.isInteger(device?.index) && typeof device?.name === "string" &&
    /^[^/\s]{1,15}$/.test(device.name) && device.name !== ".." && typeof device.mac === "string";
}

/** `struct ifaddrmsg`, the shortest of the three, has 8 bytes. */
function isHex(text: unknown): boolean {
  return typeof text === "string" && /^(?:[0-9a-f]{8}){2,}$/.test(text);
}

/** Same address: same fixed part but for its flags and scope, same first attribute of the same address. */
function sameAddress(a: string, b: string): boolean {
  const key = (text: string) => `${text.slice(0, 4)}${text.slice(8, 16)}${text.slice(16, 56)}`;
  return key(a) === key(b);
}

function toHex(raw: RawMessage): string {
  return Array.from(raw, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

function fromHex(text: string): RawMessage {
  return Uint8Array.from({ length: text.length / 2 }, (_, i) => parseInt(text.slice(2 * i, 2 * i + 2), 16));
}
