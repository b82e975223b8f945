/**
 * The commands there are. Each is a module of its own that is loaded when it is asked for: `sluice do -- true` must
 * not wait for the parsers and servers that other commands need.
 *
 * @module
 */

import type { Command } from "./command.ts";

/** A command before it is loaded. */
export interface CommandEntry {
  readonly name: string;
  readonly aliases?: readonly string[];
  /** Repeated from the command, so that `help` need not load them all; a test compares. */
  readonly summary: string;
  /** Runs for long and moves many bytes. */
  readonly forwards?: boolean;
  load(): Promise<Command>;
}

/** In the order of the help text. */
export const COMMANDS: readonly CommandEntry[] = [
  {
    name: "do",
    aliases: ["run"],
    summary: "run a program behind the stack",
    forwards: true,
    load: async () => (await import("./do.ts")).do_,
  },
  {
    name: "attach",
    summary: "give an existing network namespace an interface behind the stack",
    forwards: true,
    load: async () => (await import("./attach.ts")).attach,
  },
  {
    name: "restore-netns",
    summary: "give interfaces back that a killed sandbox has left without addresses",
    load: async () => (await import("./restore_netns.ts")).restoreNetns,
  },
  {
    name: "serve",
    summary: "be a network provider for virtual machines",
    forwards: true,
    load: async () => (await import("./serve.ts")).serve,
  },
  {
    name: "ip",
    summary: "addresses, links, routes and neighbours of a running stack",
    load: async () => (await import("./ip.ts")).ip,
  },
  {
    name: "tc",
    summary: "queueing disciplines of a running stack and their counters",
    load: async () => (await import("./tc.ts")).tc,
  },
  {
    name: "ss",
    summary: "sockets of a running stack",
    load: async () => (await import("./ss.ts")).ss,
  },
  {
    name: "ls",
    summary: "running instances",
    load: async () => (await import("./ls.ts")).ls,
  },
  {
    name: "capture",
    summary: "what passes the interfaces of a running stack, as pcapng",
    load: async () => (await import("./capture.ts")).capture,
  },
  {
    name: "config",
    summary: "show the configuration with its origins, or check it",
    load: async () => (await import("./config.ts")).config,
  },
  {
    name: "version",
    summary: "version of sluice and of its runtime",
    load: async () => (await import("./version.ts")).version,
  },
  {
    name: "help",
    summary: "this text, or the help of one command",
    load: async () => (await import("./help.ts")).help,
  },
];

/** The command with this name or alias. */
export function findCommand(name: string, commands = COMMANDS): CommandEntry | undefined {
  return commands.find((command) => command.name === name || command.aliases?.includes(name));
}

/** All names and aliases. */
export function commandNames(commands = COMMANDS): readonly string[] {
  return commands.flatMap((command) => [command.name, ...command.aliases ?? []]);
}
