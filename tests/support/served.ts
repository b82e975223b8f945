/**
 * `sluice serve` from the compiled binary, and guests on its sockets that are programs behind `sluice do`.
 *
 * @module
 */

import type { ChildProcess } from "node:child_process";
import { strictEqual } from "node:assert/strict";
import { chmodSync } from "node:fs";
import { join } from "node:path";
import { printed, run, type RunOptions, type Scope, start } from "./e2e.ts";
import { succeeded } from "./guest.ts";

/** A served network in a directory of its own, which is its user's runtime directory, too. */
export class Served {
  readonly directory: string;
  readonly binary: string;
  readonly as: RunOptions;
  readonly #scope: Scope;

  constructor(scope: Scope, as: RunOptions) {
    this.#scope = scope;
    this.directory = scope.directory();
    chmodSync(this.directory, 0o777);
    this.binary = scope.binary();
    this.as = { ...as, env: { XDG_RUNTIME_DIR: this.directory, TMPDIR: this.directory } };
  }

  /** Of a file in the directory. */
  path(name: string): string {
    return join(this.directory, name);
  }

  /** Starts `sluice serve`, and waits until it works. */
  async serve(...flags: string[]): Promise<ChildProcess> {
    const child = start(this.#scope, [this.binary, "serve", ...flags, "--ready-fd=1"], this.as);
    await printed(child, /[^]/);
    return child;
  }

  /** The command line of a guest. */
  guest(mac: string, command: readonly string[], attach = "mode=unixstream", socket = "qemu.sock"): string[] {
    const network = `socket=${this.path(socket)},${attach},mac=${mac},dhcp=true`;
    const flags = ["--attach", "sockets", "--api", "off"];
    const annotation = `io.containerd.nerdbox.network.0=${network}`;
    return [this.binary, ...flags, "--annotation", annotation, "do", "--", ...command];
  }

  /** Asks gvproxy's API, `-listen unix://…/api.sock`: the status and the body. */
  async ask(path: string, body?: unknown): Promise<[number, string]> {
    const argv = [
      "curl",
      "-sS",
      "--max-time",
      "10",
      "-w",
      "\n%{http_code}",
      "--unix-socket",
      this.path("api.sock"),
    ];
    if (body !== undefined) argv.push("-d", JSON.stringify(body));
    const { stdout } = succeeded(await run([...argv, `http://unix${path}`], this.as));
    const at = stdout.lastIndexOf("\n");
    return [Number(stdout.slice(at)), stdout.slice(0, at)];
  }

  /** Asks for something that must be there, in JSON. */
  async json<T>(path: string): Promise<T> {
    const [status, text] = await this.ask(path);
    strictEqual(status, 200, text);
    return JSON.parse(text) as T;
  }
}
