/**
 * Options that the pair itself carries out: how much may wait in it, and how long a call on it waits.
 *
 * @module
 */

import { SO, SOL } from "../../../host/constants.ts";
import { NativeMemory } from "../../../host/memory.ts";
import { setsockopt } from "../../../host/sys.ts";
import type { OptionValues } from "../options/option.ts";

const option = new NativeMemory(16);

/** @param value as the option's table has it: the kernel doubles what it is given, and so did the table */
export function setSendBuffer(fd: number, value: number): void {
  option.view.setInt32(0, value >>> 1, true);
  setsockopt(fd, SOL.SOCKET, SO.SNDBUF, option.address, 4);
}

/** `SO_RCVTIMEO` and `SO_SNDTIMEO`. */
export function setTimeLimit(fd: number, name: number, micros: number): void {
  const seconds = Math.floor(Math.max(micros, 0) / 1_000_000);
  option.setPointer(0, seconds);
  option.setPointer(8, Math.max(micros, 0) - seconds * 1_000_000);
  setsockopt(fd, SOL.SOCKET, name, option.address, 16);
}

/** What options have set on a pair, for a fresh one. */
export function configurePair(values: OptionValues, near: number, far: number): void {
  const toGuest = values.get(SOL.SOCKET, SO.RCVBUF), fromGuest = values.get(SOL.SOCKET, SO.SNDBUF);
  if (toGuest !== undefined) setSendBuffer(near, toGuest);
  if (fromGuest !== undefined) setSendBuffer(far, fromGuest);
  for (const name of [SO.RCVTIMEO, SO.SNDTIMEO]) {
    const micros = values.get(SOL.SOCKET, name);
    if (micros !== undefined) setTimeLimit(far, name, micros);
  }
}
