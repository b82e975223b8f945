/**
 * Addresses, routes and permanent neighbours exactly as the kernel tells them, to be told back later.
 *
 * A dump of rtnetlink consists of the messages that would make the same again; that is what `ip address save` and
 * `ip route save` rely on. So an image keeps each message's bytes, and nothing that one may not know of (labels,
 * lifetimes, metrics, encapsulations, several next hops) is lost on the way.
 *
 * @module
 */

import { AF } from "./constants.ts";
import { Errno, SystemError } from "./errno.ts";
import { MessageReader, MessageWriter, NetlinkSocket, NLM } from "./netlink.ts";
import { NativeMemory } from "./memory.ts";

const RTM = {
  NEWADDR: 20,
  DELADDR: 21,
  GETADDR: 22,
  NEWROUTE: 24,
  GETROUTE: 26,
  NEWNEIGH: 28,
  GETNEIGH: 30,
} as const;
const IFADDRMSG = 8, RTMSG = 12, NDMSG = 12;
const RTA = { OIF: 4, GATEWAY: 5, MULTIPATH: 9, CACHEINFO: 12, TABLE: 15, VIA: 18, EXPIRES: 23 } as const;
const RT_TABLE_MAIN = 254, RT_TABLE_LOCAL = 255;
/** Flags of a route that a user may set; the others tell of its state. */
const RTNH_F_PERVASIVE = 2, RTNH_F_ONLINK = 4;
const RTM_F_CLONED = 0x200;
const NDA_DST = 1, NDA_LLADDR = 2, NUD_PERMANENT = 0x80;
/** Clock ticks per second in what the kernel tells (`USER_HZ`). */
const USER_HZ = 100;

/** One message, its header left off. */
export type RawMessage = Uint8Array;

/** A permanent neighbour. */
export interface RawNeighbour {
  readonly index: number;
  readonly raw: RawMessage;
  readonly address: Uint8Array;
  readonly mac: Uint8Array;
}

/** What interfaces of one namespace have. Order is the kernel's. */
export interface RouteImage {
  readonly addresses: readonly RawMessage[];
  readonly routes: readonly RawMessage[];
  readonly neighbours: readonly RawMessage[];
}

/** Something that could not be put back. */
export interface RestoreFailure {
  readonly what: "address" | "route" | "neighbour";
  readonly errno: number;
  readonly message: string;
}

/** Reads and writes images of the namespace this thread is in. Throws `NetlinkError`. */
export class RouteImager {
  readonly #socket = new NetlinkSocket();
  readonly #message = new MessageWriter();

  /** All that interfaces `indices` have. */
  save(indices: ReadonlySet<number>): RouteImage {
    return {
      addresses: this.addresses(indices),
      routes: this.#routes(indices),
      neighbours: this.#neighbours(indices),
    };
  }

  /** Their addresses. */
  addresses(indices: ReadonlySet<number>): RawMessage[] {
    return this.#dump("list addresses", RTM.GETADDR, IFADDRMSG, (reader) => {
      const index = reader.memory.view.getInt32(reader.start + 4, true);
      return indices.has(index) ? copy(reader) : undefined;
    });
  }

  /** Takes an address away; false if it was not there. */
  removeAddress(raw: RawMessage): boolean {
    return this.#tell("remove an address", RTM.DELADDR, 0, raw, [Errno.EADDRNOTAVAIL, Errno.ENODEV]);
  }

  /** Puts everything back that is not there already; returns what did not work. */
  restore(image: RouteImage): RestoreFailure[] {
    const failures: RestoreFailure[] = [];
    const attempt = (what: RestoreFailure["what"], type: number, raw: RawMessage) => {
      try {
        this.#tell(`put back ${what === "address" ? "an" : "a"} ${what}`, type, NLM.CREATE, raw, [
          Errno.EEXIST,
        ]);
      } catch (error) {
        if (!(error instanceof SystemError || error instanceof RangeError)) throw error;
        const errno = error instanceof SystemError ? error.errno : 0;
        failures.push({ what, errno, message: error.message });
      }
    };
    for (const raw of image.addresses) attempt("address", RTM.NEWADDR, raw);
    // A router must be reachable before there can be a route by it.
    const direct = image.routes.filter((raw) => !hasGateway(raw));
    const indirect = image.routes.filter(hasGateway);
    for (const raw of [...direct, ...indirect]) attempt("route", RTM.NEWROUTE, raw);
    for (const raw of image.neighbours) attempt("neighbour", RTM.NEWNEIGH, raw);
    return failures;
  }

  close(): void {
    this.#socket.close();
  }

  #routes(indices: ReadonlySet<number>): RawMessage[] {
    return this.#dump("list routes", RTM.GETROUTE, RTMSG, (reader) => {
      const { view } = reader.memory;
      const family = view.getUint8(reader.start);
      const flags = view.getUint32(reader.start + 8, true);
      if ((family !== AF.INET && family !== AF.INET6) || (flags & RTM_F_CLONED) !== 0) return undefined;
      let ours = false, expires = 0;
      reader.attributes(RTMSG, (type, at, length) => {
        if (type === RTA.OIF) ours = indices.has(view.getInt32(at, true));
        else if (type === RTA.MULTIPATH) ours = indices.has(view.getInt32(at + 4, true));
        else if (type === RTA.CACHEINFO && length >= 12) expires = view.getInt32(at + 8, true);
      });
      if (!ours) return undefined;
      const raw = copy(reader, expires > 0 ? 8 : 0);
      const out = new DataView(raw.buffer);
      out.setUint32(8, flags & (RTNH_F_PERVASIVE | RTNH_F_ONLINK), true);
      if (expires > 0) {
        out.setUint16(raw.length - 8, 8, true);
        out.setUint16(raw.length - 6, RTA.EXPIRES, true);
        out.setUint32(raw.length - 4, Math.ceil(expires / USER_HZ), true);
      }
      return tableOf(raw) === RT_TABLE_LOCAL ? undefined : raw;
    });
  }

  #neighbours(indices: ReadonlySet<number>): RawMessage[] {
    return this.#dump("list neighbours", RTM.GETNEIGH, NDMSG, (reader) => {
      const { view } = reader.memory;
      const permanent = (view.getUint16(reader.start + 8, true) & NUD_PERMANENT) !== 0;
      return permanent && indices.has(view.getInt32(reader.start + 4, true)) ? copy(reader) : undefined;
    });
  }

  #dump(
    what: string,
    type: number,
    fixed: number,
    pick: (reader: MessageReader) => RawMessage | undefined,
  ): RawMessage[] {
    let messages: RawMessage[] = [];
    this.#message.begin(type, 0, fixed);
    this.#socket.dump(what, this.#message, () => messages = [], (reader) => {
      const raw = pick(reader);
      if (raw !== undefined) messages.push(raw);
    });
    return messages;
  }

  #tell(what: string, type: number, flags: number, raw: RawMessage, forgiven: readonly number[]): boolean {
    this.#message.begin(type, flags, 0);
    this.#message.append(raw);
    try {
      this.#socket.request(what, this.#message);
      return true;
    } catch (error) {
      if (error instanceof SystemError && forgiven.includes(error.errno)) return false;
      throw error;
    }
  }
}

/** How many routes of an image are in tables other than `main`: only rules lead there. */
export function routesElsewhere(image: RouteImage): number {
  return image.routes.filter((raw) => tableOf(raw) !== RT_TABLE_MAIN).length;
}

/** The address and hardware address of a permanent neighbour; undefined if it lacks either. */
export function readNeighbour(raw: RawMessage): RawNeighbour | undefined {
  let address: Uint8Array | undefined, mac: Uint8Array | undefined;
  attributes(raw, NDMSG, (type, at, length) => {
    if (type === NDA_DST) address = raw.subarray(at, at + length);
    else if (type === NDA_LLADDR && length === 6) mac = raw.subarray(at, at + length);
  });
  if (address === undefined || mac === undefined) return undefined;
  return { index: viewOf(raw).getInt32(4, true), raw, address, mac };
}

/** The interface that an address is on. */
export function interfaceOf(raw: RawMessage): number {
  return viewOf(raw).getInt32(4, true);
}

function viewOf(raw: RawMessage): DataView {
  return new DataView(raw.buffer, raw.byteOffset, raw.length);
}

function copy(reader: MessageReader, room = 0): RawMessage {
  const length = (reader.end - reader.start + 3) & ~3;
  const raw = new Uint8Array(length + room);
  raw.set(reader.memory.bytes.subarray(reader.start, reader.end));
  return raw;
}

function hasGateway(raw: RawMessage): boolean {
  let found = false;
  attributes(raw, RTMSG, (type) => {
    if (type === RTA.GATEWAY || type === RTA.VIA || type === RTA.MULTIPATH) found = true;
  });
  return found;
}

function tableOf(raw: RawMessage): number {
  let table = raw[4]!;
  attributes(raw, RTMSG, (type, at) => {
    if (type === RTA.TABLE) table = viewOf(raw).getUint32(at, true);
  });
  return table;
}

/** Calls `take` for each attribute of a message that is no longer in the socket's buffer. */
function attributes(
  raw: RawMessage,
  fixed: number,
  take: (type: number, at: number, length: number) => void,
): void {
  const memory = new NativeMemory(raw.length);
  memory.bytes.set(raw);
  const reader = new MessageReader(memory);
  reader.end = raw.length;
  reader.attributes(fixed, take);
}
