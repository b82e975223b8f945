/**
 * Less work for the runtime's compilers.
 *
 * JavaScriptCore compiles a function again and again while it is used: by its second but last compiler after some
 * hundred calls, by the last one (FTL) after four thousand. A data plane has some hundred and fifty functions that run
 * once for each frame or super-packet, so that all of them come to the last compiler within the first few hundred
 * megabytes of a stream. What it takes there, half a second of CPU, is more than its code gives back over gigabytes:
 * only what runs for each packet of a super-packet is worth it so early. So the last compiler waits for
 * {@linkcode PATIENCE} times as many calls.
 *
 * Such options are read from the environment when a process starts, and a program made by `bun build --compile` has no
 * other way to set them. So it executes itself once more, with the option in its environment, before it has done
 * anything; that takes some 5 ms of CPU. Nobody inherits the option: it is taken off the environment first thing.
 *
 * Little is loaded for it, for all of it is loaded twice. `process.execve` would not pass on descriptors beyond the
 * standard three.
 *
 * @module
 */
import { Buffer } from "node:buffer";
import { readFileSync } from "node:fs";
import process from "node:process";
import { F } from "./constants.ts";
import { openBun } from "./ffi/bun.ts";
import { inheritedDescriptors } from "./inherited.ts";
import { ownCommand, runtimeName } from "./runtime.ts";

const OPTION = "BUN_JSC_thresholdForFTLOptimizeAfterWarmUp";
/** JavaScriptCore's own threshold; a call counts 15. */
const USUAL = 64_000;
const PATIENCE = 10;
/** Tells a process that the option is its own: with another process id it was inherited from somebody else. */
const MARK = "SLUICE_COMPILER";

/**
 * Makes the last compiler wait. Call it before anything is read or opened: the program begins again. Where that cannot
 * be, or somebody has set the option already, nothing happens.
 */
export function compileLater(): void {
  const { env, pid } = process;
  if (env[MARK] === String(pid)) {
    delete env[MARK];
    delete env[OPTION];
    return;
  }
  const [executable, ...more] = ownCommand();
  // Of a script the runtime itself would have to be started again, with flags that only it knows.
  const compiled = runtimeName.startsWith("bun") && more.length === 0;
  if (!compiled || env[OPTION] !== undefined) return;
  try {
    beginAgain(executable!, `${OPTION}=${USUAL * PATIENCE}\0${MARK}=${pid}\0`);
  } catch {
    // Without /proc nothing is known about ourselves: as fast as it is.
  }
}

/** Returns if it cannot be done: the executable is gone, or may not be executed any longer. */
function beginAgain(executable: string, more: string): void {
  const bun = openBun();
  const { execve, fcntl } = bun.load({ execve: "aaa:i", fcntl: "iii:i" });
  /** The addresses of strings that end in NUL each, and NULL. */
  const vector = (strings: Uint8Array) => {
    const start = bun.addressOf(strings), addresses: number[] = [];
    for (let at = 0, end: number; (end = strings.indexOf(0, at)) >= 0; at = end + 1) {
      addresses.push(start + at);
    }
    return BigUint64Array.from([...addresses, 0], BigInt);
  };
  // As they are in memory: a script sees them decoded, and not every name of a file is UTF-8.
  const file = Buffer.from(`${executable}\0`);
  const words = readFileSync("/proc/self/cmdline");
  const environment = Buffer.concat([readFileSync("/proc/self/environ"), Buffer.from(more)]);
  const argv = vector(words), envp = vector(environment);
  for (const fd of inheritedDescriptors()) fcntl!(fd, F.SETFD, 0);
  execve!(
    bun.addressOf(file),
    bun.addressOf(new Uint8Array(argv.buffer)),
    bun.addressOf(new Uint8Array(envp.buffer)),
  );
}
