/**
 * Signals to us, for the main thread; signals to others.
 *
 * @module
 */

import { O } from "./arch.ts";
import { SIG } from "./constants.ts";
import { cString, NativeMemory } from "./memory.ts";
import { statusOf } from "./process_status.ts";
import { close, getpgid, kill, open, pthread_sigmask, tcgetpgrp } from "./sys.ts";

/** Names of the signals we listen to. */
export type SignalName =
  | "SIGHUP"
  | "SIGINT"
  | "SIGQUIT"
  | "SIGTERM"
  | "SIGUSR1"
  | "SIGUSR2"
  | "SIGCONT"
  | "SIGWINCH"
  | "SIGCHLD";

/** Something that can be ended. */
export interface Closable {
  close(): void;
}

interface NodeProcess {
  on(signal: string, listener: () => void): void;
  off(signal: string, listener: () => void): void;
}

/** Calls `listener` for each such signal until closed. Main thread only. */
export function onSignal(signal: SignalName, listener: () => void): Closable {
  if (typeof Deno !== "undefined") {
    Deno.addSignalListener(signal, listener);
    return { close: () => Deno.removeSignalListener(signal, listener) };
  }
  const { process } = globalThis as unknown as { process: NodeProcess };
  process.on(signal, listener);
  return { close: () => process.off(signal, listener) };
}

const FORWARDED: readonly (readonly [SignalName, number])[] = [
  ["SIGHUP", SIG.HUP],
  ["SIGINT", SIG.INT],
  ["SIGQUIT", SIG.QUIT],
  ["SIGTERM", SIG.TERM],
  ["SIGUSR1", SIG.USR1],
  ["SIGUSR2", SIG.USR2],
  ["SIGCONT", SIG.CONT],
];

/** `how` of pthread_sigmask(3). */
const SIG_BLOCK = 0;

/**
 * Keeps what people, terminals and children send away from the calling thread, so that its system calls are not
 * interrupted; the main thread has the handlers. What runtimes send to their own threads (SIGUSR1, SIGPROF) gets through.
 */
export function leaveSignalsToMainThread(): void {
  const set = new NativeMemory(128);
  const words = new BigUint64Array(set.bytes.buffer, set.bytes.byteOffset, 16);
  for (const signal of [SIG.HUP, SIG.INT, SIG.QUIT, SIG.TERM, SIG.USR2, SIG.CHLD, SIG.CONT, SIG.WINCH]) {
    words[0]! |= 1n << BigInt(signal - 1);
  }
  pthread_sigmask(SIG_BLOCK, set.address, 0);
}

/**
 * Passes the signals that people send to a program on to process `pid`, which is in our process group. What
 * the terminal's keys send goes to the whole group, so it is there already: SIGINT and SIGQUIT are passed on
 * only while we are not the terminal's foreground. For pid 0 nothing changes: signals do to us what they do.
 *
 * @param target asked at each signal for whom it is, when that is not `pid` itself but what it has started
 * @param onFatal a signal has come, by whatever way, that ends a program which does not expect it
 */
export function forwardSignals(
  pid: number,
  target: () => number = () => pid,
  onFatal: () => void = () => {},
): Closable {
  if (pid <= 0) return { close() {} };
  const ignored = ignoredSignals();
  // What nohup(1) made us ignore stays ignored, by us and by the program: a handler would undo that for both.
  const forwarded = FORWARDED.filter(([, number]) => !ignored(number));
  const listeners = forwarded.map(([name, number]) =>
    onSignal(name, () => {
      const fromKeys = (number === SIG.INT || number === SIG.QUIT) && inForeground();
      if (!fromKeys) kill(target(), number);
      if (number !== SIG.CONT) onFatal();
    })
  );
  return { close: () => listeners.forEach((listener) => listener.close()) };
}

/** Whether a signal is ignored by this process now. */
function ignoredSignals(): (signal: number) => boolean {
  const low = parseInt(statusOf("self")("SigIgn")?.slice(-8) ?? "0", 16);
  return (signal) => (low & (1 << (signal - 1))) !== 0;
}

/** Ends process `pid` at once. 0 is nobody. */
export function killChild(pid: number): void {
  if (pid > 0) kill(pid, SIG.KILL);
}

/** Whether our process group is the foreground of its terminal; false without one. */
export function inForeground(): boolean {
  const fd = open(cString("/dev/tty").address, O.RDONLY | O.NOCTTY | O.CLOEXEC, 0);
  if (fd < 0) return false;
  const group = tcgetpgrp(fd);
  close(fd);
  return group === getpgid(0);
}
