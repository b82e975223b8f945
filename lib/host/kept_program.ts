/**
 * A program that is to run for as long as we do: who ends is started again, ever later.
 *
 * @module
 */

import { type ChildProcess, spawn } from "node:child_process";
import process from "node:process";

/** Milliseconds until the first restart and between two; each is twice the one before. One that ran for long begins anew. */
export const RESTART_FIRST = 200, RESTART_MOST = 1_000, RAN_LONG = 10_000;
/** Characters of what it says that are kept. */
const SAID_MAX = 1_000;

/** A program that is kept. */
export interface KeptProgram {
  /** Ends it, and starts it no more. */
  stop(): void;
}

/**
 * Keeps `argv` running, without input or output.
 *
 * @param onEnd hears of every end: the last line on its standard error, or its status
 */
export function keepRunning(argv: readonly string[], onEnd: (why: string) => void): KeptProgram {
  let child: ChildProcess | undefined;
  let timer: ReturnType<typeof setTimeout> | undefined;
  let wait = RESTART_FIRST;
  let stopped = false;
  const start = () => {
    const began = performance.now();
    let said = "";
    child = spawn(argv[0]!, argv.slice(1), { stdio: ["ignore", "ignore", "pipe"] });
    child.stderr!.on("data", (chunk: Uint8Array) => {
      said = (said + new TextDecoder().decode(chunk)).slice(-SAID_MAX);
    });
    let over = false;
    const ended = (why: string) => {
      if (over || stopped) return;
      over = true;
      onEnd(said.trim().split("\n").at(-1)?.trim() || why);
      if (performance.now() - began > RAN_LONG) wait = RESTART_FIRST;
      timer = setTimeout(start, wait);
      wait = Math.min(RESTART_MOST, wait * 2);
    };
    child.once("error", (error) => ended(error.message));
    child.once("close", (status, signal) => ended(signal === null ? `status ${status}` : `signal ${signal}`));
  };
  start();
  return {
    stop() {
      stopped = true;
      clearTimeout(timer);
      if (child?.exitCode === null && child.signalCode === null && child.pid !== undefined) {
        try {
          process.kill(child.pid, "SIGTERM");
        } catch {
          // It has ended meanwhile.
        }
      }
    },
  };
}
