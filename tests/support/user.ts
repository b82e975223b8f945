/**
 * Somebody who runs the compiled binary, and looks at it from beside.
 *
 * @module
 */

import type { ChildProcess } from "node:child_process";
import { chownSync } from "node:fs";
import { type Finished, printed, run, type RunOptions, type Scope, start, userId } from "./e2e.ts";

/** A user with a runtime directory of the test's own. */
export class User {
  readonly #scope: Scope;
  readonly options: RunOptions;
  readonly sluice: string;

  constructor(scope: Scope, name: string) {
    this.#scope = scope;
    this.sluice = scope.binary();
    const directory = scope.directory();
    const id = name === "root" ? 0 : userId(name);
    chownSync(directory, id, id);
    this.options = { ...(name === "root" ? {} : { user: name }), env: { XDG_RUNTIME_DIR: directory } };
  }

  /** Starts a guest that runs `script`, and waits until it prints `ready`. */
  async guest(flags: readonly string[], script = "echo ready; exec sleep 1000"): Promise<ChildProcess> {
    const child = start(this.#scope, [this.sluice, ...flags, "do", "--", "sh", "-c", script], this.options);
    await printed(child, /ready/);
    return child;
  }

  /** Runs `sluice WORDS`. */
  run(...words: string[]): Promise<Finished> {
    return run([this.sluice, ...words], this.options);
  }

  /** The path of the only instance's socket, found as the manual says. */
  async socket(): Promise<string> {
    const script = `"$0" ls -j | jq -r '.[0].api'`;
    return (await run(["sh", "-c", script, this.sluice], this.options)).stdout.trim();
  }

  /** `curl` to the socket: status and body. */
  async curl(path: string, ...words: string[]): Promise<{ status: number; body: string }> {
    const socket = await this.socket();
    const argv = [
      "curl",
      "-sS",
      "--max-time",
      "20",
      "-w",
      "\n%{http_code}",
      "--unix-socket",
      socket,
      ...words,
    ];
    const { stdout, stderr } = await run([...argv, `http://sluice${path}`], this.options);
    const at = stdout.lastIndexOf("\n");
    if (at < 0) throw new Error(stderr);
    return { status: Number(stdout.slice(at + 1)), body: stdout.slice(0, at) };
  }
}
