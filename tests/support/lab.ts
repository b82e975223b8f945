/**
 * A host of the test's own: a network namespace with a loopback, a resolv.conf, and a cable to another namespace that
 * plays the rest of the world. Nothing outside notices, and both are gone with their last process.
 *
 * ```text
 *   guest ── sluice ─┤ lab: lo, up0 198.51.100.1/24 2001:db8:1::1/64 ├── up1 .2 ::2 ┤ the world ├ no default route
 * ```
 *
 * {@linkcode Lab.extend} makes the world a router, with somebody behind it.
 *
 * @module
 */

import { type ChildProcess } from "node:child_process";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import process from "node:process";
import { type Finished, printed, PROJECT, run, type RunOptions, type Scope, start } from "./e2e.ts";

/** Addresses of the lab and of the world, from the blocks of RFC 5737 and RFC 3849. */
export const LAB4 = "198.51.100.1";
export const LAB6 = "2001:db8:1::1";
export const WORLD4 = "198.51.100.2";
export const WORLD6 = "2001:db8:1::2";
/** Who is behind the world. */
export const FAR4 = "203.0.113.2";
export const FAR6 = "2001:db8:2::2";

/** Namespaces, and how to run something in them. */
export class Lab {
  readonly #lab: number;
  readonly #world: number;
  readonly #scope: Scope;

  private constructor(scope: Scope, lab: number, world: number) {
    this.#scope = scope;
    this.#lab = lab;
    this.#world = world;
  }

  /**
   * Makes both namespaces.
   *
   * @param resolvConf what `/etc/resolv.conf` says in the lab
   */
  static async make(scope: Scope, resolvConf = "nameserver 127.0.0.1\n"): Promise<Lab> {
    const file = join(scope.directory(), "resolv.conf");
    writeFileSync(file, resolvConf);
    const [lab, world] = await Promise.all([
      hold(scope, ["--net", "--mount"], `mount --bind ${file} "$(readlink -f /etc/resolv.conf)"`),
      hold(scope, ["--net"], "true"),
    ]);
    const made = new Lab(scope, lab, world);
    await made.#script(
      lab,
      `ip link add up0 type veth peer name up1 netns ${world}
      ip addr add ${LAB4}/24 dev up0; ip addr add ${LAB6}/64 dev up0 nodad; ip link set up0 up
      echo "0 2147483647" >/proc/sys/net/ipv4/ping_group_range`,
    );
    await made.#script(
      world,
      `ip addr add ${WORLD4}/24 dev up1; ip addr add ${WORLD6}/64 dev up1 nodad; ip link set up1 up`,
    );
    return made;
  }

  /**
   * Somebody two hops away: a third namespace, to which the world routes.
   *
   * @param mtu of the cable behind the world
   */
  async extend(mtu = 1_500): Promise<void> {
    const far = await hold(this.#scope, ["--net"], "true");
    await this.#script(
      this.#world,
      `ip link add far0 mtu ${mtu} type veth peer name far1 netns ${far}
      ip addr add 203.0.113.1/24 dev far0; ip addr add 2001:db8:2::1/64 dev far0 nodad; ip link set far0 up
      echo 1 >/proc/sys/net/ipv4/ip_forward; echo 1 >/proc/sys/net/ipv6/conf/all/forwarding
      # One error per destination and second is too few for a traceroute.
      echo 0 >/proc/sys/net/ipv4/icmp_ratemask; echo 0 >/proc/sys/net/ipv6/icmp/ratelimit`,
    );
    await this.#script(
      far,
      `ip link set far1 mtu ${mtu} up; ip addr add ${FAR4}/24 dev far1; ip addr add ${FAR6}/64 dev far1 nodad
      ip route add default via 203.0.113.1; ip route add default via 2001:db8:2::1
      echo 0 >/proc/sys/net/ipv4/icmp_ratemask; echo 0 >/proc/sys/net/ipv6/icmp/ratelimit`,
    );
    await this.#script(
      this.#lab,
      `ip route add 203.0.113.0/24 via ${WORLD4}; ip route add 2001:db8:2::/64 via ${WORLD6}`,
    );
  }

  /** `argv` as it has to be written outside to run in the lab. Only root may. */
  command(argv: readonly string[], options: RunOptions = {}): string[] {
    return enter(this.#lab, argv, options.user);
  }

  /** Runs a program in the lab, as `options.user`. */
  run(argv: readonly string[], options: RunOptions = {}): Promise<Finished> {
    const { user: _, ...rest } = options;
    return run(this.command(argv, options), rest);
  }

  /** Starts one that stays. */
  start(argv: readonly string[], options: RunOptions = {}): ChildProcess {
    const { user: _, ...rest } = options;
    return start(this.#scope, this.command(argv, options), rest);
  }

  /** Runs a script of the shell as root: in the lab, or in the world. */
  async script(where: "lab" | "world", script: string): Promise<string> {
    return await this.#script(where === "lab" ? this.#lab : this.#world, script);
  }

  /** Runs a program in the world. */
  runOutside(argv: readonly string[], options: RunOptions = {}): Promise<Finished> {
    return run(enter(this.#world, argv, undefined), options);
  }

  /** Starts one in the world. */
  startOutside(argv: readonly string[]): ChildProcess {
    return start(this.#scope, enter(this.#world, argv, undefined));
  }

  /** Starts a script of this project in the lab, and waits until it prints `ready`. */
  async serve(script: string, args: readonly string[] = []): Promise<ChildProcess> {
    const child = this.start(scriptCommand(script, args));
    await printed(child, /^ready$/m);
    return child;
  }

  /** Starts one in the world. */
  async serveOutside(script: string, args: readonly string[] = []): Promise<ChildProcess> {
    const child = this.startOutside(scriptCommand(script, args));
    await printed(child, /^ready$/m);
    return child;
  }

  async #script(pid: number, script: string): Promise<string> {
    const result = await run(enter(pid, ["sh", "-ec", script], undefined));
    if (result.status !== 0) throw new Error(`Cannot prepare a lab: ${result.stderr}`);
    return result.stdout;
  }
}

/** The command line of a script of this project. */
export function scriptCommand(script: string, args: readonly string[]): string[] {
  const run = process.versions["deno"] === undefined ? ["run"] : ["run", "-A", "--no-check"];
  return [process.execPath, ...run, join(PROJECT, script), ...args];
}

function enter(pid: number, argv: readonly string[], user: string | undefined): string[] {
  const as = user === undefined
    ? []
    : ["setpriv", `--reuid=${user}`, `--regid=${user}`, "--init-groups", "env", "-u", "XDG_RUNTIME_DIR"];
  return ["nsenter", `--target=${pid}`, "--net", "--mount", "--", ...as, ...argv];
}

/** A process in new namespaces that lasts as long as the scope. */
async function hold(scope: Scope, namespaces: readonly string[], script: string): Promise<number> {
  // A link-local address that waits for objections would keep neighbours waiting for an answer.
  const quick = "echo 0 >/proc/sys/net/ipv6/conf/default/dad_transmits";
  const whole = `set -e; ${quick}; ip link set lo up; ${script}; echo ready; exec cat`;
  const child = start(scope, ["unshare", ...namespaces, "--", "sh", "-c", whole]);
  await printed(child, /^ready$/m);
  return child.pid!;
}
