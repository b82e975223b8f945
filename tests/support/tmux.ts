/**
 * A terminal that a test types into and reads from: tmux(1) with a server of the test's own.
 *
 * @module
 */

import { execFileSync, spawnSync } from "node:child_process";
import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import type { Scope } from "./e2e.ts";

/** Milliseconds that anything may take before it counts as never; never a synchronisation. */
const LIMIT = 30_000;
/** Milliseconds between two looks. */
const LOOK = 20;

/** Looks until `condition` holds; rejects with what `describe` says when it never does. */
export async function until(
  condition: () => boolean,
  describe: () => string,
  limit = LIMIT,
): Promise<void> {
  const end = performance.now() + limit;
  while (!condition()) {
    if (performance.now() > end) throw new Error(`Cannot wait any longer: ${describe()}`);
    await pause(LOOK);
  }
}

/** A terminal with an interactive bash in it, whose prompt is `host$`. */
export class Terminal {
  readonly #socket: string;
  #typed = 0;

  private constructor(socket: string) {
    this.#socket = socket;
  }

  /** Opens one of 100 × 30 characters. */
  static async open(scope: Scope, user?: string): Promise<Terminal> {
    const terminal = new Terminal(join(scope.directory(), "tmux"));
    const become = user === undefined ? "" : `setpriv --reuid=${user} --regid=${user} --init-groups `;
    const shell = `exec env -u TMUX -u XDG_RUNTIME_DIR PS1='host$ ' PS2= ${become}bash --norc --noprofile -i`;
    terminal.#tmux("-f", "/dev/null", "new-session", "-d", "-x", "100", "-y", "30", shell);
    scope.defer(() => void spawnSync("tmux", ["-S", terminal.#socket, "kill-server"]));
    await terminal.shows(/^host\$ *$/m);
    return terminal;
  }

  #tmux(...words: string[]): string {
    return execFileSync("tmux", ["-S", this.#socket, ...words], { encoding: "utf8" });
  }

  /** Presses keys by tmux's names: `C-c`, `C-z`, `Enter`. */
  press(...keys: string[]): void {
    this.#tmux("send-keys", ...keys);
  }

  /** Types a line and presses Enter. */
  type(line: string): void {
    this.#tmux("send-keys", "-l", line);
    this.press("Enter");
  }

  /** What is on the screen, and what was before. */
  screen(): string {
    return this.#tmux("capture-pane", "-p", "-S", "-1000");
  }

  /** Waits until the screen shows `pattern`. */
  async shows(pattern: RegExp): Promise<void> {
    await until(() => pattern.test(this.screen()), () => `no ${pattern} on this screen:\n${this.screen()}`);
  }

  /**
   * Waits until a shell of ours reads the next line. What is typed sooner may still be read by a program that is ending: one
   * that waits for the terminal is woken by Ctrl-C, and if there is a line by then takes it along.
   */
  async idle(): Promise<void> {
    await this.shows(/(?:host|guest)\$\s*$/);
  }

  /** Types a line and returns what it prints, in whatever shell it is; `$?` there is the last program's. */
  async ask(line: string): Promise<string> {
    const mark = ++this.#typed;
    this.type(`s=$?; echo "<${mark}"; (exit $s); ${line}; echo "${mark}>"`);
    const answer = new RegExp(`^<${mark}\\n([^]*?)^${mark}>$`, "m");
    await this.shows(answer);
    return answer.exec(this.screen())![1]!.trim();
  }

  resize(columns: number, rows: number): void {
    this.#tmux("resize-window", "-x", String(columns), "-y", String(rows));
  }
}
