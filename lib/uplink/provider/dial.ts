/**
 * Dialling a provider: a connected socket, and the link over it.
 *
 * @module
 */

import { MSG, SOCK } from "../../host/constants.ts";
import { Errno, errnoText } from "../../host/errno.ts";
import { cString } from "../../host/memory.ts";
import { close, send } from "../../host/sys.ts";
import { dialUnix, removeSocket, setSocketBuffers } from "../../host/unix_socket.ts";
import type { Merging } from "../../link/merger.ts";
import { UnixGramLink } from "../../link/unix_gram.ts";
import { UnixStreamLink } from "../../link/unix_stream.ts";
import type { BufferPool } from "../../stack/buffer/pool.ts";
import { capabilitiesOf, type ProviderConfig, providerOffload } from "./config.ts";

/** Room in the socket, as libkrun asks for. */
const BUFFER = 7 << 20;
const MAGIC = "VFKT";

/** A wire to a provider. */
export interface Connection {
  readonly fd: number;
  readonly link: UnixGramLink | UnixStreamLink;
  /** Hangs up, and removes our name. */
  close(): void;
}

/** Why it could not be made. */
export interface DialFailure {
  readonly errno: number;
  readonly why: string;
  /** What somebody could do about it. */
  readonly remedy: string;
  /** There is nobody, yet. */
  readonly absent: boolean;
}

/**
 * Dials.
 *
 * @param name where our own socket is to be, for `unixgram`: the provider answers there
 * @param onEnd the provider is gone; completes "the provider …"
 * @param merging which of its frames may come merged
 */
export function dial(
  config: ProviderConfig,
  name: string,
  mtu: number,
  pool: BufferPool,
  onEnd: (why: string) => void,
  merging?: Merging,
): Connection | DialFailure {
  const gram = config.transport === "unixgram";
  if (gram) removeSocket(name);
  const fd = gram ? dialUnix(SOCK.DGRAM, config.socket, name) : dialUnix(SOCK.STREAM, config.socket);
  if (fd < 0) return failure(-fd, config);
  const hangUp = () => {
    close(fd);
    if (gram) removeSocket(name);
  };
  setSocketBuffers(fd, BUFFER);
  if (config.vfkit) {
    const result = send(fd, cString(MAGIC).address, MAGIC.length, MSG.DONTWAIT | MSG.NOSIGNAL);
    if (result < 0) {
      hangUp();
      return failure(-result, config);
    }
  }
  const options = {
    fd,
    mtu,
    pool,
    capabilities: capabilitiesOf(config),
    offload: providerOffload(config),
    ...(merging !== undefined && { merging }),
    onEnd,
  };
  const link = gram ? new UnixGramLink(options) : new UnixStreamLink(options);
  return {
    fd,
    link,
    close: () => {
      link.close();
      hangUp();
    },
  };
}

function failure(errno: number, { transport }: ProviderConfig): DialFailure {
  const absent = errno === Errno.ENOENT || errno === Errno.ECONNREFUSED;
  const why = absent
    ? `${errnoText(errno)}: nobody listens there`
    : errno === Errno.EPROTOTYPE
    ? `the socket is not of mode ${transport}`
    : errno === Errno.EPERM && transport === "unixgram"
    ? "the provider serves somebody else"
    : errnoText(errno);
  const remedy = errno === Errno.EPROTOTYPE
    ? `it may be of mode ${transport === "unixgram" ? "unixstream" : "unixgram"}`
    : errno === Errno.EACCES
    ? "whoever runs sluice must be let in"
    : "start the provider first";
  return { errno, why, remedy, absent };
}
