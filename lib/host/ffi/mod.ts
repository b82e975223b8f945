/**
 * Calling C: one small face over the two runtimes' foreign function interfaces.
 *
 * What the rest of the program sees are plain functions of plain numbers ({@linkcode Libc}). Both runtimes
 * load this in every thread that needs it; errno and the caches belong to the thread.
 *
 * @module
 */

import type { Backend } from "./backend.ts";
import { bindAll } from "./bind.ts";
import { openBun } from "./bun.ts";
import { openDeno } from "./deno.ts";
import { type Libc, SIGNATURES } from "./libc.ts";

export type { Libc } from "./libc.ts";

const backend: Backend = typeof Deno === "undefined" ? openBun() : openDeno();

/** libc, answering as system calls do. */
export const libc: Libc = bindAll<Libc>(backend, SIGNATURES);

/**
 * Native address of the first byte of `bytes`. Valid as long as `bytes` is reachable: neither runtime moves
 * the storage of an array once its buffer has been asked for. Costs 0.1 µs: call it once per buffer.
 */
export const addressOf: (bytes: Uint8Array) => number = backend.addressOf;

/** The memory at `address` as an ArrayBuffer that does not own it. */
export const memoryAt: (address: number, length: number) => ArrayBuffer = backend.memoryAt;
