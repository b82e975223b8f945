/**
 * The programs that are compared, each as a way to run a command behind it. All give the guest an MTU of 65520.
 *
 * @module
 */

import { type ChildProcess, execFileSync, spawn } from "node:child_process";
import { createInterface } from "node:readline";

/** A program that gives a guest its network. */
export interface Peer {
  readonly name: string;
  /** Where its guests find the host's loopback. */
  readonly host: string;
  /** The command that runs `argv` behind it. */
  command(argv: readonly string[]): string[];
  /** The process that moves packets, given the one that {@linkcode command} started. */
  mover(pid: number): number;
}

/** Ours, from the binary or from source. */
function sluice(title: string, attach: string, program: readonly string[]): () => Peer {
  return () => ({
    name: title,
    host: "10.0.2.2",
    command: (
      argv,
    ) => [...program, `--attach=${attach}`, "--host-loopback", "--mtu=65520", "do", "--", ...argv],
    mover: itself,
  });
}

/** Ours in mode `tsi`, whose guest finds the host's loopback where the host does. */
function impersonated(title: string, flags: readonly string[], program: readonly string[]): () => Peer {
  return () => ({
    name: title,
    host: "127.0.0.1",
    command: (argv) => [...program, "--network=tsi", ...flags, "do", "--", ...argv],
    mover: itself,
  });
}

const BINARY = ["dist/sluice"];
const SOURCE = ["node_modules/.bin/deno", "run", "-A", "--no-check", "cli.ts"];

/**
 * slirp4netns has no command of its own: a shell makes the namespace, waits for the interface, enters, cleans up. $1 is
 * a marker in the name of the process by which it is found.
 */
const SLIRP = `
unshare -n sleep 1000 & guest=$!
until [ "$(readlink /proc/$guest/ns/net)" != "$(readlink /proc/$$/ns/net)" ]; do :; done
exec 3<&0
mkfifo /tmp/slirp.$$; exec 4<>/tmp/slirp.$$; rm /tmp/slirp.$$
slirp4netns --configure --mtu=65520 -r 4 $guest tap0 >/dev/null 2>&1 </dev/null & mover=$!
head -c 1 <&4 >/dev/null
nsenter -t $guest -n -- "$@" <&3
status=$?
kill $mover $guest
exit $status`;

/** The default gateway of this host, which pasta maps to its loopback. */
function defaultGateway(): string {
  const routes = JSON.parse(
    execFileSync("ip", ["-j", "-4", "route", "show", "default"], { encoding: "utf8" }),
  );
  if (routes[0]?.gateway === undefined) throw new Error("Cannot run pasta: this host has no default route");
  return routes[0].gateway;
}

function childNamed(pid: number, name: string): number {
  const rows = execFileSync("ps", ["-eo", "pid=,ppid=,comm="], { encoding: "utf8" }).split("\n");
  for (const row of rows) {
    const [child, parent, command] = row.trim().split(/\s+/);
    if (Number(parent) === pid && command === name) return Number(child);
  }
  throw new Error(`Cannot find ${name} among the children of ${pid}`);
}

const itself = (pid: number) => pid;

/** Everybody, by the name that `--peers` takes. */
export const PEERS: Readonly<Record<string, () => Peer>> = {
  "sluice": sluice("sluice (Bun)", "tap", BINARY),
  "sluice-deno": sluice("sluice (Deno)", "tap", SOURCE),
  "sockets": sluice("sluice sockets (Bun)", "sockets", BINARY),
  "sockets-deno": sluice("sluice sockets (Deno)", "sockets", SOURCE),
  "tsi": impersonated("tsi relayed (Bun)", [], BINARY),
  "tsi-deno": impersonated("tsi relayed (Deno)", [], SOURCE),
  "tsi-handoff": impersonated("tsi handed off (Bun)", ["--tsi-handoff"], BINARY),
  // Nothing between the program and the host's own loopback.
  "kernel": () => ({
    name: "kernel",
    host: "127.0.0.1",
    command: (argv) => [...argv],
    mover: () => {
      throw new Error("there is no process that moves packets");
    },
  }),
  "pasta": () => ({
    name: "pasta",
    host: defaultGateway(),
    // As root it would become "nobody", and then may not map users.
    command: (argv) => ["pasta", "--quiet", "--runas", "0", "--config-net", "-m", "65520", "--", ...argv],
    mover: itself,
  }),
  "slirp4netns": () => ({
    name: "slirp4netns",
    host: "10.0.2.2",
    command: (argv) => ["sh", "-c", SLIRP, "slirp", ...argv],
    mover: (pid) => childNamed(pid, "slirp4netns"),
  }),
};

/** Output of a command that must succeed within `limit` seconds. */
export function output(argv: readonly string[], limit: number): Promise<string> {
  const child = start(argv, ["ignore", "pipe", "pipe"]);
  const out: string[] = [], errors: string[] = [];
  child.stdout!.on("data", (chunk) => out.push(String(chunk)));
  child.stderr!.on("data", (chunk) => errors.push(String(chunk)));
  const timer = setTimeout(() => end(child), limit * 1e3);
  return new Promise((resolve, reject) => {
    child.on("error", reject);
    child.on("close", (status) => {
      clearTimeout(timer);
      if (status === 0) return resolve(out.join(""));
      reject(
        new Error(
          `${argv.slice(0, 4).join(" ")}… ended with ${status}: ${errors.join("").trim().slice(-300)}`,
        ),
      );
    });
  });
}

/** Children that must not outlive us. */
const running = new Set<ChildProcess>();
process.on("exit", () => running.forEach(end));
for (const signal of ["SIGINT", "SIGTERM"]) process.on(signal, () => process.exit(1));

/** Starts a command in a process group of its own, so that {@linkcode end} ends all of it. */
export function start(
  argv: readonly string[],
  stdio: ("pipe" | "ignore" | "inherit")[] = ["pipe", "pipe", "inherit"],
): ChildProcess {
  const child = spawn(argv[0]!, argv.slice(1), { stdio, detached: true });
  running.add(child);
  child.on("close", () => running.delete(child));
  return child;
}

/** Ends a command and what it started. */
export function end(child: ChildProcess): void {
  try {
    process.kill(-child.pid!, "SIGKILL");
  } catch {
    // It has ended already.
  }
}

/** Waits for a line of output that has `text` in it, and returns the line. */
export function line(child: ChildProcess, text: string): Promise<string> {
  return new Promise((resolve, reject) => {
    const lines = createInterface({ input: child.stdout! });
    lines.on("line", (found) => found.includes(text) && (resolve(found), lines.close()));
    child.on(
      "close",
      (status) => reject(new Error(`${child.spawnargs.slice(0, 3).join(" ")}… ended with ${status}`)),
    );
  });
}
