/**
 * Names of our own datagram sockets, and those that instances which were killed have left behind.
 *
 * @module
 */

import { ownProcessId, processStart, RuntimeFiles } from "../../host/runtime_files.ts";
import { answersDatagrams } from "../../host/unix_socket.ts";

const NAME = /^uplink-([0-9]+)-[0-9]+$/;

/** Where our socket for the network of this index is, within `directory`. */
export function socketPath(directory: string, index: number): string {
  return `${directory}/uplink-${ownProcessId}-${index}`;
}

/**
 * Removes sockets that nobody has. Two signs are wanted of that, for either alone may deceive: a process of another PID
 * namespace is not to be seen here, and a socket that is being bound does not answer yet.
 */
export function removeStaleSockets(directory: string): void {
  const files = new RuntimeFiles(directory);
  for (const name of files.list()) {
    const pid = NAME.exec(name)?.[1];
    if (pid === undefined || processStart(Number(pid)) !== undefined) continue;
    if (!answersDatagrams(files.path(name))) files.remove(name);
  }
}
