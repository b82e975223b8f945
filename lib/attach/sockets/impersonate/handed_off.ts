/**
 * TCP sockets of the host in the guest's own hands (`--tsi-handoff`): its reads and writes are the kernel's, at the kernel's
 * speed, and only the calls that could lead somewhere are answered here.
 *
 * Theory of operation
 *
 * `socket()` returns a socket of the host's network that is neither bound nor connected. What such a socket does next is
 * decided by three calls, and all three are carried out by us, on a duplicate of the guest's descriptor and with our own
 * copy of its arguments, so that nothing can be exchanged behind the look:
 *
 * ```text
 *   connect   policy, then connect(2); who blocks is held until the handshake has ended
 *   bind      to a published place; else the descriptor is replaced by a pair, and the socket lives inside
 *   listen    if what it is bound to is published; else inside
 * ```
 *
 * The socket is known by its inode and its cookie, which the kernel never gives twice; nothing of it stays open here, for
 * the guest's last close must be the last. Sockets that the guest has accepted are the kernel's alone: connected, they
 * can do nothing but be read and written, and are refused everything else as inherited ones are.
 *
 * The other doors are shut in `unix/policy.ts`: as long as this is on, no `connect` or `listen` on any foreign socket is left
 * to the kernel, and no send with MSG_FASTOPEN, since the descriptor might be another one by then.
 *
 * @module
 */

import { AF, F, IPPROTO, MSG, SO, SOCK, SOL, TCP } from "../../../host/constants.ts";
import { Errno } from "../../../host/errno.ts";
import { bindTo, connectTo, getOption, localAddress, peerAddress } from "../../../host/inet.ts";
import { tcpSockets } from "../../../host/inet_diag.ts";
import { NativeMemory } from "../../../host/memory.ts";
import { SOCKET_CALLS } from "../../../host/socket_calls.ts";
import { type AddressWords, SocketAddress } from "../../../host/structs.ts";
import { close, fcntl, getsockopt, listen, socket } from "../../../host/sys.ts";
import type { SocketFacts } from "../../../stack/facts.ts";
import type { IpAddress } from "../../../stack/wire/address.ts";
import type { Call } from "../call.ts";
import type { Opener } from "../families.ts";
import { type GuestSocket, isOfStream, type SocketsContext } from "../guest_socket.ts";
import type { OptionValues } from "../options/option.ts";
import { SO_LINGER_TIME } from "../options/socket_level.ts";
import { bindName, connectName, portOf } from "../tcp/names.ts";
import { applyAllToPair } from "../tcp/stream_options.ts";
import { streamsOf } from "../tcp/streams.ts";
import { fitting } from "./fitting.ts";
import { dial, timeoutOf } from "./handed_connect.ts";
import { InsideBridge } from "./inside_bridge.ts";
import type { HostNetwork, Place } from "./network.ts";
import { Remembered } from "./remembered.ts";
import { socketFacts } from "./socket_facts.ts";
import { ImpersonatedStream, impersonationOf } from "./stream_socket.ts";

/** Sockets that are remembered. The oldest is forgotten first, and may not be bound or connected any more. */
export const MAX_HANDED_OFF = 65_536;

const C = SOCKET_CALLS;
const O_NONBLOCK = 0o4000;
const SOMAXCONN = 4_096;
const SO_COOKIE = 57;
const IPV6_V6ONLY = 26;
/**
 * Options that are not the guest's to set, by level. Source routes (`IP_OPTIONS`, `IPV6_RTHDR`) lead elsewhere than the address
 * says. The others need a privilege, which the kernel would find in a guest that is root: `SO_SNDBUFFORCE`,
 * `SO_RCVBUFFORCE`, `SO_MARK`; `IP_TRANSPARENT`, `IPV6_TRANSPARENT`, IPsec's; `IPV6_HOPOPTS`, `IPV6_DSTOPTS`; `TCP_REPAIR` and
 * what goes with it.
 */
const REFUSED_OPTIONS: ReadonlyMap<number, ReadonlySet<number>> = new Map([
  [SOL.SOCKET, new Set([32, 33, SO.MARK])],
  [SOL.IP, new Set([4, 16, 17, 19])],
  [SOL.IPV6, new Set([34, 35, 54, 57, 59, 75])],
  [SOL.TCP, new Set([19, 20, 21, 22, 29])],
]);
/** Offset and values of `tcpi_state`. */
const TCP_CLOSE = 7, TCP_LISTEN = 10;

/** What is carried over when a socket turns out to live inside: level and name. */
const CARRIED: readonly (readonly [level: number, name: number])[] = [
  [SOL.SOCKET, SO.REUSEADDR],
  [SOL.SOCKET, SO.REUSEPORT],
  [SOL.SOCKET, SO.KEEPALIVE],
  [SOL.TCP, TCP.NODELAY],
  [SOL.TCP, TCP.KEEPIDLE],
  [SOL.TCP, TCP.KEEPINTVL],
  [SOL.TCP, TCP.KEEPCNT],
  [SOL.TCP, TCP.USER_TIMEOUT],
];

/** A socket that was handed out. */
interface Handed {
  readonly cookie: bigint;
  readonly domain: number;
  /** Bound to a published place under this port of the guest's; 0: not. */
  guestPort: number;
  /** Whom the guest believes to be connected to, where that is not the kernel's answer. */
  named?: Place;
}

const name = new SocketAddress();
const scratch = new NativeMemory(272);

/** The sockets of one guest that it holds itself. */
export class HandedOff {
  readonly #context: SocketsContext;
  readonly #network: HostNetwork;
  readonly #byInode: Remembered<number, Handed>;

  constructor(context: SocketsContext, network: HostNetwork, most = MAX_HANDED_OFF) {
    this.#context = context;
    this.#network = network;
    this.#byInode = new Remembered(most, network.counters.slot("tsi.limit.handed-off"));
    network.handedSockets = () => this.#sockets();
  }

  /** What the kernel's table says of those that were handed out, and of those accepted on them. */
  #sockets(): SocketFacts[] {
    const cookies = new Set<bigint>();
    const ports = new Set<number>();
    for (const { cookie } of this.#byInode.values()) cookies.add(cookie);
    const all = tcpSockets(() => true);
    for (const one of all) if (one.state === TCP_LISTEN && cookies.has(one.cookie)) ports.add(one.local.port);
    return all.filter((one) =>
      cookies.has(one.cookie) || (one.state !== TCP_LISTEN && ports.has(one.local.port))
    )
      .map(({ state, local, remote, receiveQueue, sendQueue, inode, user }) => ({
        ...socketFacts("tcp", state, local, remote, receiveQueue, sendQueue),
        inode,
        user,
      }));
  }

  /** Answers `socket()`. */
  open(call: Call, domain: number, cloexec: boolean, nonblock: boolean): void {
    const fd = socket(domain, SOCK.STREAM | SOCK.CLOEXEC | (nonblock ? SOCK.NONBLOCK : 0), IPPROTO.TCP);
    if (fd < 0) return void call.fail(fd === -Errno.EMFILE ? Errno.ENFILE : -fd);
    const { supervisor } = this.#context;
    this.#byInode.set(supervisor.inodeOf(fd), { cookie: cookieOf(fd), domain, guestPort: 0 });
    this.#network.counters.bump("tsi.handed-off");
    call.replyWithDescriptor(fd, cloexec);
    close(fd);
  }

  /**
   * Answers a call on a foreign socket, if that is one of the host's network.
   *
   * @returns false: it is none
   */
  answer(call: Call, inode: number): boolean {
    const fd = call.borrow();
    if (fd < 0) return false;
    const domain = getOption(fd, SOL.SOCKET, SO.DOMAIN);
    const isStream = getOption(fd, SOL.SOCKET, SO.TYPE) === SOCK.STREAM;
    if ((domain !== AF.INET && domain !== AF.INET6) || !isStream) {
      close(fd);
      return false;
    }
    const known = this.#byInode.get(inode);
    const handed = known?.cookie === cookieOf(fd) ? known : undefined;
    if (known !== undefined && handed === undefined) this.#byInode.delete(inode);
    // Who keeps the duplicate for a held call closes it himself.
    if (!this.#dispatch(call, fd, domain, handed)) close(fd);
    return true;
  }

  /** True: `fd` is kept. */
  #dispatch(call: Call, fd: number, domain: number, handed: Handed | undefined): boolean {
    switch (call.nr) {
      case C.bind:
        if (handed === undefined) call.fail(Errno.EACCES);
        else this.#bind(call, fd, handed);
        return false;
      case C.connect:
        if (handed !== undefined) return this.#connect(call, fd, handed);
        call.fail(Errno.EACCES);
        return false;
      case C.listen:
        if (handed === undefined) call.fail(Errno.EACCES);
        else this.#listen(call, fd, handed);
        return false;
      case C.getsockname:
        this.#getsockname(call, fd, domain, handed);
        return false;
      case C.getpeername:
        this.#getpeername(call, fd, domain, handed);
        return false;
      case C.setsockopt:
        if (REFUSED_OPTIONS.get(call.int(1))?.has(call.int(2)) === true) call.fail(Errno.EPERM);
        else call.pass();
        return false;
      case C.sendto:
        // The address of a stream's sendto means nothing, but with MSG_FASTOPEN it would.
        if ((call.int(3) & MSG.FASTOPEN) !== 0) call.fail(Errno.EOPNOTSUPP);
        else call.pass();
        return false;
      case C.ioctl:
        if (isOfStream(call.int(1))) call.pass();
        else call.fail(Errno.ENOTTY);
        return false;
      default:
        call.pass();
        return false;
    }
  }

  #bind(call: Call, fd: number, handed: Handed): void {
    const given = call.readSockaddr(call.arg(1), call.int(2));
    if (given === undefined) return;
    const { domain } = handed;
    const v6Only = domain === AF.INET6 && getOption(fd, SOL.IPV6, IPV6_V6ONLY) === 1;
    const address = bindName(given, call, domain, v6Only);
    if (typeof address === "number") return void call.fail(address);
    const port = portOf(given, call);
    const place = this.#network.publishedAs("tcp", address, port, domain === AF.INET);
    const own = address.isUnspecified() || address.isLoopback();
    if (place === undefined && own) {
      // Where nobody outside can see it.
      const inside = this.#moveInside(call, fd, handed);
      if (inside !== undefined) inside.bind(call);
      return;
    }
    const where = place ?? { address, port: 0 };
    const result = bindTo(fd, fitting(where.address, domain), where.port, given.scope);
    if (result >= 0 && place !== undefined) {
      localAddress(fd, name);
      handed.guestPort = port === 0 ? name.port : port;
      this.#network.handed({
        protocol: "tcp",
        guestPort: handed.guestPort,
        place: { address: place.address, port: name.port },
        settle: () => {},
      });
    }
    call.reply(result);
  }

  #connect(call: Call, fd: number, handed: Handed): boolean {
    const length = call.int(2);
    const given = call.readSockaddr(call.arg(1), length);
    if (given === undefined) return false;
    const { domain } = handed;
    if (given.rawFamily === AF.UNSPEC) {
      // Back to the beginning, where every other call finds it.
      return dial(this.#context, call, fd, undefined, 0);
    }
    const v6Only = domain === AF.INET6 && getOption(fd, SOL.IPV6, IPV6_V6ONLY) === 1;
    const remote = connectName(given, length, domain, v6Only);
    if (typeof remote === "number") return call.fail(remote), false;
    const { port } = given;
    const { tcp } = this.#context.stack;
    const isInside = (address: IpAddress, at: number) => tcp.isListening(address, at);
    const destination = this.#network.destination("tcp", remote, port, isInside);
    if (destination.to === "host") {
      const { place } = destination;
      if (place.port === port) delete handed.named;
      else handed.named = { address: remote, port };
      return dial(this.#context, call, fd, fitting(place.address, domain), place.port);
    }
    if (stateOf(fd) !== TCP_CLOSE) {
      // Under way or done: the kernel says so whatever the address.
      return dial(this.#context, call, fd, fitting(remote, domain), port);
    }
    if (destination.to === "nowhere") call.fail(destination.errno);
    // Who blocks does not watch, and may get another socket.
    else if (call.blocking || !tcp.isListening(remote, port)) {
      this.#moveInside(call, fd, handed)?.connect(call);
    } else this.#bridge(call, fd, handed, remote, port);
    return false;
  }

  /** Connects to a port inside without a change of sockets. */
  #bridge(call: Call, fd: number, handed: Handed, remote: IpAddress, port: number): void {
    const dial = (address: AddressWords, at: number) => connectTo(fd, fitting(address, handed.domain), at);
    const errno = InsideBridge.open(streamsOf(this.#context), this.#network, fd, remote, port, dial);
    if (errno === 0) handed.named = { address: remote, port };
    call.fail(errno === 0 ? Errno.EINPROGRESS : errno);
  }

  #listen(call: Call, fd: number, handed: Handed): void {
    const backlog = Math.min(call.int(1) >>> 0, SOMAXCONN);
    const state = stateOf(fd);
    if (state !== TCP_CLOSE && state !== TCP_LISTEN) return void call.fail(Errno.EINVAL);
    localAddress(fd, name);
    const unbound = name.port === 0;
    const may = handed.guestPort !== 0 || state === TCP_LISTEN ||
      (unbound && this.#network.config.publishAll);
    if (may) return void call.reply(listen(fd, backlog));
    if (unbound) return void this.#moveInside(call, fd, handed)?.listen(call);
    this.#network.counters.bump("tsi.policy.not-published");
    call.fail(Errno.EACCES);
  }

  #getsockname(call: Call, fd: number, domain: number, handed: Handed | undefined): void {
    if (!localAddress(fd, name)) return void call.fail(Errno.EINVAL);
    if (handed === undefined) name.port = this.#network.publishedGuestPort("tcp", name.port);
    else if (handed.guestPort !== 0) name.port = handed.guestPort;
    if (call.writeSockaddr(call.arg(1), call.arg(2), name, domain === AF.INET6)) call.reply(0);
  }

  #getpeername(call: Call, fd: number, domain: number, handed: Handed | undefined): void {
    if (!peerAddress(fd, name)) return void call.fail(Errno.ENOTCONN);
    if (handed?.named !== undefined) name.set(handed.named.address, handed.named.port);
    if (call.writeSockaddr(call.arg(1), call.arg(2), name, domain === AF.INET6)) call.reply(0);
  }

  /** Replaces the guest's descriptor by a pair, with a socket that has nothing on the host. Undefined: answered. */
  #moveInside(call: Call, fd: number, handed: Handed): GuestSocket | undefined {
    const streams = streamsOf(this.#context);
    const { domain } = handed;
    const make = (near: number, inode: number, far: number) => {
      const one = new ImpersonatedStream(impersonationOf(this.#network), streams, domain, near, inode);
      for (const [level, option] of CARRIED) {
        const value = getOption(fd, level, option);
        if (value > 0) one.values.set(level, option, value);
      }
      if (domain === AF.INET6) one.values.set(SOL.IPV6, IPV6_V6ONLY, getOption(fd, SOL.IPV6, IPV6_V6ONLY));
      carryLinger(fd, one.values);
      for (const option of [SO.SNDTIMEO, SO.RCVTIMEO]) {
        const time = timeoutOf(fd, option);
        if (time > 0) one.values.set(SOL.SOCKET, option, time);
      }
      one.prepare(near, far);
      applyAllToPair(far, one.values);
      return one;
    };
    const blocking = (fcntl(fd, F.GETFL, 0) & O_NONBLOCK) === 0;
    const moved = this.#context.supervisor.openPairInPlace(SOCK.STREAM, make, call, blocking);
    if (typeof moved !== "number") return moved;
    call.fail(moved);
    return undefined;
  }
}

const tables = new WeakMap<SocketsContext, HandedOff>();

/** The handed-off sockets of a guest; undefined where none are handed off. */
export function handedOffOf(context: SocketsContext): HandedOff | undefined {
  const { host } = context;
  if (host === undefined || !host.config.handoff) return undefined;
  let table = tables.get(context);
  if (table === undefined) tables.set(context, table = new HandedOff(context, host));
  return table;
}

/** Opens TCP sockets that are handed off. */
export const openHandedOff: Opener = (context, call, { domain, type, protocol, cloexec, nonblock }) => {
  const table = handedOffOf(context);
  if (table === undefined || (domain !== AF.INET && domain !== AF.INET6) || type !== SOCK.STREAM) {
    return false;
  }
  if (protocol !== IPPROTO.IP && protocol !== IPPROTO.TCP) return false;
  table.open(call, domain, cloexec, nonblock);
  return true;
};

/** `SO_COOKIE`: a number that no other socket has had or will have. */
function cookieOf(fd: number): bigint {
  scratch.view.setInt32(264, 8, true);
  const result = getsockopt(fd, SOL.SOCKET, SO_COOKIE, scratch.address, scratch.address + 264);
  return result < 0 ? -1n : scratch.view.getBigUint64(0, true);
}

function carryLinger(fd: number, values: OptionValues): void {
  scratch.view.setInt32(264, 8, true);
  if (getsockopt(fd, SOL.SOCKET, SO.LINGER, scratch.address, scratch.address + 264) < 0) return;
  values.set(SOL.SOCKET, SO.LINGER, scratch.words[0]!);
  values.set(SOL.SOCKET, SO_LINGER_TIME, scratch.words[1]!);
}

/** `tcpi_state`. */
function stateOf(fd: number): number {
  scratch.view.setInt32(264, 8, true);
  const result = getsockopt(fd, SOL.TCP, TCP.INFO, scratch.address, scratch.address + 264);
  return result < 0 ? 0 : scratch.view.getUint8(0);
}
