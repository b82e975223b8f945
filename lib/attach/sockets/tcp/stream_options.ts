/**
 * Options of a TCP socket → the connection, the stack's options for a new one, and the pair.
 *
 * @module
 */

import { SO, SOL, TCP } from "../../../host/constants.ts";
import { setOption } from "../../../host/inet.ts";
import { NativeMemory } from "../../../host/memory.ts";
import { setsockopt } from "../../../host/sys.ts";
import type { TcpConnection } from "../../../stack/tcp/connection.ts";
import type { TcpOptions } from "../../../stack/tcp/options.ts";
import { type Instant, MILLISECOND, SECOND } from "../../../stack/time.ts";
import { congestionOf } from "../options/tcp_level.ts";
import type { OptionOwner, OptionValues } from "../options/option.ts";
import { widen } from "./pair.ts";

const { SOCKET } = SOL;
const LINGER2 = 8;

/** What a connection of this socket should begin with. */
export function connectionOptions(owner: OptionOwner): Partial<TcpOptions> {
  const { values } = owner;
  const options: { -readonly [K in keyof TcpOptions]?: TcpOptions[K] } = {};
  const tcp = (name: number) => values.get(SOL.TCP, name);
  if (tcp(TCP.NODELAY) === 1) options.noDelay = true;
  if (tcp(TCP.CORK) === 1) options.cork = true;
  if (values.get(SOCKET, SO.KEEPALIVE) === 1) options.keepAlive = true;
  const idle = tcp(TCP.KEEPIDLE), interval = tcp(TCP.KEEPINTVL), count = tcp(TCP.KEEPCNT);
  if (idle !== undefined) options.keepAliveIdle = idle * SECOND;
  if (interval !== undefined) options.keepAliveInterval = interval * SECOND;
  if (count !== undefined) options.keepAliveCount = count;
  const synCount = tcp(TCP.SYNCNT), userTimeout = tcp(TCP.USER_TIMEOUT), segment = tcp(TCP.MAXSEG);
  if (synCount !== undefined) options.synRetries = synCount;
  if (userTimeout !== undefined) options.userTimeout = userTimeout * MILLISECOND;
  if (segment !== undefined && segment > 0) options.maximumSegment = segment;
  const linger2 = tcp(LINGER2);
  if (linger2 !== undefined && linger2 !== 0) options.finTimeout = Math.max(linger2, 0) * SECOND;
  const congestion = congestionOf(owner);
  if (congestion !== undefined) options.congestion = congestion;
  const receive = values.get(SOCKET, SO.RCVBUF);
  // Linux keeps half of SO_RCVBUF for bookkeeping; who sets it fixes the window.
  if (receive !== undefined) options.receiveBuffer = options.receiveBufferMax = Math.max(receive >> 1, 2_048);
  const send = values.get(SOCKET, SO.SNDBUF);
  if (send !== undefined) options.sendBuffer = options.sendBufferMax = Math.max(send >> 1, 4_096);
  return options;
}

/** Acts on an option of a connected socket. */
export function applyToConnection(
  connection: TcpConnection,
  values: OptionValues,
  level: number,
  name: number,
  now: Instant,
): void {
  if (level === SOCKET && name !== SO.KEEPALIVE) return;
  const tcp = (option: number) => values.get(SOL.TCP, option);
  if (level === SOCKET || (name >= TCP.KEEPIDLE && name <= TCP.KEEPCNT)) {
    const idle = tcp(TCP.KEEPIDLE), interval = tcp(TCP.KEEPINTVL);
    connection.setKeepAlive(
      values.get(SOCKET, SO.KEEPALIVE) === 1,
      now,
      idle === undefined ? undefined : idle * SECOND,
      interval === undefined ? undefined : interval * SECOND,
      tcp(TCP.KEEPCNT),
    );
  } else if (name === TCP.NODELAY) connection.setNoDelay(tcp(name) === 1, now);
  else if (name === TCP.CORK) connection.setCork(tcp(name) === 1, now);
  else if (name === TCP.USER_TIMEOUT) connection.setUserTimeout((tcp(name) ?? 0) * MILLISECOND, now);
}

/** Options that the pair itself must know, because reads and writes are native. */
export function isNative(level: number, name: number): boolean {
  return level === SOCKET &&
    (name === SO.RCVTIMEO || name === SO.SNDTIMEO || name === SO.OOBINLINE || name === 18 || name === 42 ||
      name === 66 || name === 67);
}

const timeval = new NativeMemory(16);

/** Puts one of those on the guest's end. */
export function applyToPair(far: number, values: OptionValues, name: number): void {
  if (name === 66) name = SO.RCVTIMEO;
  if (name === 67) name = SO.SNDTIMEO;
  const value = values.get(SOCKET, name);
  if (value === undefined) return;
  if (name !== SO.RCVTIMEO && name !== SO.SNDTIMEO) return void setOption(far, SOCKET, name, value);
  const seconds = Math.trunc(value / 1_000_000);
  timeval.view.setBigInt64(0, BigInt(value < 0 ? -1 : seconds), true);
  timeval.view.setBigInt64(8, BigInt(value < 0 ? 0 : value - seconds * 1_000_000), true);
  setsockopt(far, SOCKET, name, timeval.address, 16);
}

/** All that a fresh pair of this socket needs. */
export function applyAllToPair(far: number, values: OptionValues): void {
  for (const name of [SO.RCVTIMEO, SO.SNDTIMEO, SO.OOBINLINE, 18, 42]) applyToPair(far, values, name);
}

/** `SO_SNDBUF` for the guest's end of a connected pair. */
export function widenFor(far: number, values: OptionValues): void {
  widen(far, (values.get(SOCKET, SO.SNDBUF) ?? 0) >> 1);
}
