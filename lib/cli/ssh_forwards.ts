/**
 * gvproxy's `-forward-sock`: unix sockets of the host that are unix sockets of a guest, over ssh.
 *
 * ```text
 *   client ── -forward-sock ── relay ── private socket ── ssh -L ═══╗ ProxyCommand: sluice __dial
 *                                                                   ║
 *   guest's -forward-dest ── sshd :22 ── gateway ── private socket ═╝ a published port that nobody else can reach
 * ```
 *
 * The ssh is the machine's own (OpenSSH). It is started again when it ends, so a guest may boot late, and come back;
 * clients wait meanwhile. The guest's host key is not checked, as gvproxy does not: the way to the guest is ours.
 *
 * @module
 */

import type { SshTunnel } from "../control/gvproxy/forwarder.ts";
import type { EngineClient, PublishedPort } from "../engine/messages.ts";
import { keepRunning, type KeptProgram } from "../host/kept_program.ts";
import type { PrivateDirectory } from "../host/private_directory.ts";
import { ownCommand } from "../host/runtime.ts";
import { relayUnix, type UnixRelay } from "../host/unix_relay.ts";
import { DIAL_COMMAND } from "./stage.ts";

/** Forwards at a time (`ssh.forward-limit`): each is a process. */
export const SSH_FORWARDS = 32;

interface Running {
  readonly forward: SshTunnel;
  readonly published: PublishedPort;
  readonly relay: UnixRelay;
  readonly ssh: KeptProgram;
}

/** All of them. */
export class SshForwards {
  readonly #engine: EngineClient;
  readonly #place: PrivateDirectory;
  readonly #log: (text: string) => void;
  readonly #running = new Map<string, Running>();
  /** Sockets whose forwards are being made: they count already. */
  readonly #starting = new Set<string>();
  #closed = false;
  #refused = 0;

  constructor(engine: EngineClient, place: PrivateDirectory, log: (text: string) => void) {
    this.#engine = engine;
    this.#place = place;
    this.#log = log;
  }

  /** Begins to forward. Rejects when the socket cannot be had, or there are too many. */
  async add(forward: SshTunnel): Promise<void> {
    const { socket, guestAddress, guestPort } = forward;
    if (![forward.destination, forward.identity, forward.user].every(isUsable)) {
      throw new Error(`Cannot forward ${socket}: ssh would take "\${" for a variable`);
    }
    if (this.#running.has(socket) || this.#starting.has(socket)) {
      throw new Error(`Cannot listen on ${socket}: it is forwarded already`);
    }
    if (this.#running.size + this.#starting.size >= SSH_FORWARDS) {
      this.#refused++;
      throw new Error(`Cannot forward ${socket}: ${SSH_FORWARDS} sockets are forwarded over ssh already`);
    }
    this.#starting.add(socket);
    try {
      await this.#start(forward, {
        protocol: "tcp",
        hostPort: 0,
        hostPath: this.#place.newPath(),
        guestAddress,
        guestPort,
      });
    } finally {
      this.#starting.delete(socket);
    }
  }

  async #start(forward: SshTunnel, published: PublishedPort & { readonly hostPath: string }): Promise<void> {
    const { socket } = forward;
    const local = this.#place.newPath();
    const relay = await relayUnix(socket, local);
    try {
      await this.#engine.ask("publish", { forward: published });
      if (this.#closed) throw new Error(`Cannot forward ${socket}: nothing is served any more`);
    } catch (error) {
      relay.close();
      throw error;
    }
    let before = "";
    const ssh = keepRunning(sshCommand(forward, published.hostPath, local), (why) => {
      if (why !== before) this.#log(`forward ${socket}: ssh ended: ${why}`);
      before = why;
    });
    this.#running.set(socket, { forward, published, relay, ssh });
  }

  /** Stops to forward; false if it does not. */
  async remove(socket: string): Promise<boolean> {
    const running = this.#running.get(socket);
    if (running === undefined) return false;
    this.#running.delete(socket);
    running.ssh.stop();
    running.relay.close();
    await this.#engine.ask("unpublish", { forward: running.published });
    return true;
  }

  all(): readonly SshTunnel[] {
    return [...this.#running.values()].map(({ forward }) => forward);
  }

  counters(): Record<string, number> {
    let late = 0, refused = 0;
    for (const { relay } of this.#running.values()) {
      late += relay.counters().late;
      refused += relay.counters().refused;
    }
    return { "ssh.forward-limit": this.#refused, "ssh.connection-limit": refused, "ssh.not-served": late };
  }

  close(): void {
    this.#closed = true;
    for (const { ssh, relay } of this.#running.values()) {
      ssh.stop();
      relay.close();
    }
    this.#running.clear();
  }
}

/** Nothing of the user's own configuration, and nothing that could ask. */
function sshCommand(forward: SshTunnel, door: string, local: string): string[] {
  const { user, identity, destination, guestAddress } = forward;
  const settings = {
    BatchMode: "yes",
    ConnectTimeout: "10",
    ExitOnForwardFailure: "yes",
    IdentitiesOnly: "yes",
    IdentityAgent: "none",
    LogLevel: "ERROR",
    PasswordAuthentication: "no",
    ProxyCommand: plain([...ownCommand(), DIAL_COMMAND, door].map(quoted).join(" ")),
    ServerAliveCountMax: "9",
    ServerAliveInterval: "1",
    StreamLocalBindMask: "0177",
    StreamLocalBindUnlink: "yes",
    StrictHostKeyChecking: "no",
    UserKnownHostsFile: "/dev/null",
  };
  const options = Object.entries(settings).flatMap(([name, value]) => ["-o", `${name}=${value}`]);
  const way = [local, destination].map((path) => plain(path.replaceAll(/[\\:]/g, "\\$&"))).join(":");
  return [
    "ssh",
    ...["-F", "none", "-N", "-T"],
    ...options,
    ...["-i", plain(identity), "-l", user, "-L", way, guestAddress],
  ];
}

/** Where ssh would put something in the place of `%h`. */
function plain(text: string): string {
  return text.replaceAll("%", "%%");
}

/** For the shell that ssh gives its ProxyCommand to. */
function quoted(word: string): string {
  return `'${word.replaceAll("'", `'\\''`)}'`;
}

/** Whether ssh takes a text as it is. */
function isUsable(text: string): boolean {
  return !text.includes("${") && !text.includes("\n");
}
