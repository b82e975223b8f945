/**
 * Sockets of the host that have no room: over a loopback none ever fills.
 *
 * @module
 */

import { O } from "../../lib/host/arch.ts";
import { MSG, SOCK } from "../../lib/host/constants.ts";
import { NativeMemory } from "../../lib/host/memory.ts";
import { socketPair } from "../../lib/host/socket_pair.ts";
import { close, dup3, send } from "../../lib/host/sys.ts";
import { setSocketBuffers } from "../../lib/host/unix_socket.ts";

/**
 * Replaces the datagram socket behind `fd` by one that takes no more.
 *
 * @param bytes of each datagram that it is filled with; more than its buffer: none goes in, and none so long ever will
 * @returns closes what is behind it
 */
export function fillInPlace(fd: number, bytes = 1): { end(): void } {
  const [near, far] = socketPair(SOCK.DGRAM | SOCK.NONBLOCK);
  setSocketBuffers(near, 4_096);
  const memory = new NativeMemory(bytes);
  while (send(near, memory.address, bytes, MSG.DONTWAIT) === bytes);
  dup3(near, fd, O.CLOEXEC);
  close(near);
  return { end: () => void close(far) };
}
