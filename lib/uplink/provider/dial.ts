/**
 * Dialling a provider: a connected socket, and the link over it.
 *
 * @module
 */

import { MSG, SOCK } from "../../host/constants.ts";
import { Errno, errnoText } from "../../host/errno.ts";
import { cString } from "../../host/memory.ts";
import { close, send } from "../../host/sys.ts";
import { dialUnix, isNoSocket, removeSocket, setSocketBuffers } from "../../host/unix_socket.ts";
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

function failure(errno: number, { transport, socket }: ProviderConfig): DialFailure {
  const refused = errno === Errno.ENOENT || errno === Errno.ECONNREFUSED;
  const noSocket = errno === Errno.ECONNREFUSED && isNoSocket(socket);
  const [why, remedy] = noSocket
    ? ["it is no socket", "socket= is to name the provider's"]
    : refused
    ? [`${errnoText(errno)}: nobody listens there`, "start the provider first"]
    : reasonOf(errno, transport);
  return { errno, why, remedy, absent: refused && !noSocket };
}

function reasonOf(errno: number, transport: ProviderConfig["transport"]): [why: string, remedy: string] {
  switch (errno) {
    case Errno.EPROTOTYPE: {
      const other = transport === "unixgram" ? "unixstream" : "unixgram";
      return [`the socket is not of mode ${transport}`, `it may be of mode ${other}`];
    }
    case Errno.EPERM:
      if (transport === "unixgram") return ["the provider serves somebody else", "start one for this guest"];
      break;
    case Errno.EACCES:
      return [errnoText(errno), "whoever runs sluice must be let in"];
    case Errno.EAGAIN:
      return ["its queue is full: the provider does not look at it", "it may be stuck, or have stopped"];
  }
  return [errnoText(errno), "start the provider first"];
}
