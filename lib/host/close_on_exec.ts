/**
 * Which descriptors another program gets when it is executed in our place, and under which numbers.
 *
 * @module
 */

import { F } from "./constants.ts";
import { check } from "./errno.ts";
import { close, dup3, fcntl } from "./sys.ts";

export const FD_CLOEXEC = 1;

/** Sets whether `fd` is closed when another program is executed. */
export function setCloseOnExec(fd: number, yes: boolean): void {
  check(fcntl(fd, F.SETFD, yes ? FD_CLOEXEC : 0), `keep descriptor ${fd}`);
}

/** Gives descriptor `from` the number `to`, across execution of another program, too; `from` is closed. */
export function moveDescriptor(from: number, to: number): void {
  check(dup3(from, to, 0), `move descriptor ${from}`);
  close(from);
}
