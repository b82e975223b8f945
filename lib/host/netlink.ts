/**
 * A socket to the kernel's routing tables: requests, acknowledgements, dumps (RFC 3549, rtnetlink(7)).
 *
 * Synchronous: the kernel answers a request before `sendto` returns, so nothing here waits.
 *
 * @module
 */

import { AF, SOCK, SOL } from "./constants.ts";
import { check, Errno, SystemError } from "./errno.ts";
import { setOption } from "./inet.ts";
import { NativeMemory, textAt } from "./memory.ts";
import type { AddressWords } from "./structs.ts";
import { close, connect, recv, send, socket } from "./sys.ts";

/** Flags of a request. */
export const NLM = { REQUEST: 1, ACK: 4, REPLACE: 0x100, EXCL: 0x200, CREATE: 0x400, DUMP: 0x300 } as const;

const NLMSG_HEADER = 16;
const NLMSG_ERROR = 2, NLMSG_DONE = 3;
const NLM_F_DUMP_INTR = 0x10, NLM_F_CAPPED = 0x100, NLM_F_ACK_TLVS = 0x200;
const NETLINK_CAP_ACK = 10, NETLINK_EXT_ACK = 11;
const ATTRIBUTE_HEADER = 4;
const NLMSGERR_ATTR_MSG = 1;
/** The kernel fills dumps up to 32 KiB when it is offered as much. */
const BUFFER = 65_536;
/** A dump during which the tables changed is asked for again, this often. */
const DUMP_ATTEMPTS = 8;

/** Writes one netlink message. */
export class MessageWriter {
  readonly memory: NativeMemory = new NativeMemory(4_096);
  #length = 0;

  /** Bytes written so far. */
  get length(): number {
    return this.#length;
  }

  /** Begins a message whose fixed part has `fixed` bytes, all zero; returns the fixed part's offset. */
  begin(type: number, flags: number, fixed: number): number {
    const { view, bytes } = this.memory;
    bytes.fill(0);
    view.setUint16(4, type, true);
    view.setUint16(6, flags | NLM.REQUEST, true);
    this.#length = NLMSG_HEADER + fixed;
    return NLMSG_HEADER;
  }

  /** Appends bytes that are a fixed part and attributes already. */
  append(bytes: Uint8Array): void {
    const next = this.#length + ((bytes.length + 3) & ~3);
    if (next > this.memory.bytes.length) {
      throw new RangeError("Cannot write a netlink message: it is too long");
    }
    this.memory.bytes.set(bytes, this.#length);
    this.#length = next;
  }

  /** Appends an attribute of 32 bits. */
  word(type: number, value: number): void {
    this.memory.view.setUint32(this.#attribute(type, 4), value, true);
  }

  /** Appends an attribute of bytes. */
  bytes(type: number, value: Uint8Array): void {
    this.memory.bytes.set(value, this.#attribute(type, value.length));
  }

  /** Appends an attribute of text with its NUL. */
  text(type: number, value: string): void {
    const encoded = new TextEncoder().encode(value);
    this.memory.bytes.set(encoded, this.#attribute(type, encoded.length + 1));
  }

  /** Appends an address of 4 or 16 bytes. */
  address(type: number, value: AddressWords): void {
    const { view } = this.memory;
    if (value.family === 4) {
      view.setInt32(this.#attribute(type, 4), value.d);
      return;
    }
    const at = this.#attribute(type, 16);
    view.setInt32(at, value.a);
    view.setInt32(at + 4, value.b);
    view.setInt32(at + 8, value.c);
    view.setInt32(at + 12, value.d);
  }

  /** Begins an attribute that holds attributes; returns what {@linkcode end} wants. */
  nest(type: number): number {
    return this.#attribute(type, 0) - ATTRIBUTE_HEADER;
  }

  /** Ends a nested attribute. */
  end(nest: number): void {
    this.memory.view.setUint16(nest, this.#length - nest, true);
  }

  #attribute(type: number, length: number): number {
    const at = this.#length;
    const next = at + ((ATTRIBUTE_HEADER + length + 3) & ~3);
    if (next > this.memory.bytes.length) {
      throw new RangeError("Cannot write a netlink message: it is too long");
    }
    this.memory.view.setUint16(at, ATTRIBUTE_HEADER + length, true);
    this.memory.view.setUint16(at + 2, type, true);
    this.#length = next;
    return at + ATTRIBUTE_HEADER;
  }
}

/** One message of a dump: its type, and its fixed part and attributes in `view`. */
export class MessageReader {
  type = 0;
  /** Where the fixed part begins. */
  start = 0;
  end = 0;

  constructor(readonly memory: NativeMemory) {}

  /**
   * Calls `take` for each attribute behind a fixed part of `fixed` bytes; stops at the first malformed one.
   */
  attributes(fixed: number, take: (type: number, at: number, length: number) => void): void {
    const { view } = this.memory;
    for (let at = this.start + fixed; at + ATTRIBUTE_HEADER <= this.end;) {
      const length = view.getUint16(at, true);
      if (length < ATTRIBUTE_HEADER || at + length > this.end) return;
      // The two upper bits say "nested" and "network byte order".
      take(view.getUint16(at + 2, true) & 0x3fff, at + ATTRIBUTE_HEADER, length - ATTRIBUTE_HEADER);
      at += (length + 3) & ~3;
    }
  }

  /** An address attribute. */
  address(at: number, length: number): AddressWords | undefined {
    const { view } = this.memory;
    if (length === 4) return { family: 4, a: 0, b: 0, c: 0xffff, d: view.getInt32(at) };
    if (length !== 16) return undefined;
    const [a, b, c, d] = [
      view.getInt32(at),
      view.getInt32(at + 4),
      view.getInt32(at + 8),
      view.getInt32(at + 12),
    ];
    return { family: 6, a, b, c, d };
  }

  /** A text attribute. */
  text(at: number, length: number): string {
    return textAt(this.memory.bytes, at, length);
  }
}

/** The kernel refused a request; `message` has its own words where it gave any. */
export class NetlinkError extends SystemError {
  override readonly name: string = "NetlinkError";

  constructor(what: string, errno: number, reason: string) {
    super(what, errno);
    if (reason !== "") this.message += `, ${reason}`;
  }
}

const SOCKADDR_NL = 12;
const kernel = new NativeMemory(SOCKADDR_NL);
kernel.view.setUint16(0, AF.NETLINK, true);

/**
 * Opens a netlink socket of the network namespace that this thread is in now, close-on-exec.
 *
 * It is connected to the kernel, so that it hears nobody else: whoever has CAP_NET_ADMIN over the namespace, as a guest may,
 * could otherwise send it answers, or fill its buffer, and the kernel's answer would be lost.
 *
 * @throws {SystemError}
 */
export function openNetlink(protocol: number, type: number, what: string): number {
  const fd = check(socket(AF.NETLINK, type | SOCK.CLOEXEC, protocol), what);
  const connected = connect(fd, kernel.address, SOCKADDR_NL);
  if (connected < 0) close(fd);
  check(connected, what);
  return fd;
}

/** A descriptor of the network namespace that this thread is in now. Throws {@linkcode SystemError}. */
export function openRouteNetlink(): number {
  return openNetlink(0, SOCK.RAW, "open a netlink socket");
}

/** A netlink socket of the network namespace in which its descriptor was made. */
export class NetlinkSocket {
  readonly #fd: number;
  readonly #buffer = new NativeMemory(BUFFER);
  readonly #reader = new MessageReader(this.#buffer);
  #sequence = 0;

  /** @param fd from {@linkcode openRouteNetlink}; ours from now on */
  constructor(fd: number = openRouteNetlink()) {
    this.#fd = fd;
    // Both are luxuries: shorter errors, with a sentence in them.
    setOption(this.#fd, SOL.NETLINK, NETLINK_CAP_ACK, 1);
    setOption(this.#fd, SOL.NETLINK, NETLINK_EXT_ACK, 1);
  }

  /** Carries out a request. Throws {@linkcode NetlinkError}. */
  request(what: string, message: MessageWriter): void {
    this.#send(what, message, NLM.ACK);
    for (;;) {
      const end = this.#receive(what);
      for (let at = 0; (at = this.#next(at, end)) >= 0; at = this.#after()) {
        if (this.#reader.type === NLMSG_ERROR) return this.#acknowledge(what);
      }
    }
  }

  /** Calls `take` for each message of a dump. Throws {@linkcode NetlinkError}. */
  dump(
    what: string,
    message: MessageWriter,
    restart: () => void,
    take: (reader: MessageReader) => void,
  ): void {
    for (let attempt = 0; attempt < DUMP_ATTEMPTS; attempt++) {
      restart();
      this.#send(what, message, NLM.DUMP);
      if (this.#collect(what, take)) return;
    }
    throw new SystemError(what, Errno.EAGAIN);
  }

  close(): void {
    close(this.#fd);
  }

  /** False when the tables changed in the middle of it. */
  #collect(what: string, take: (reader: MessageReader) => void): boolean {
    let whole = true;
    for (;;) {
      const end = this.#receive(what);
      for (let at = 0; (at = this.#next(at, end)) >= 0; at = this.#after()) {
        if ((this.#buffer.view.getUint16(at + 6, true) & NLM_F_DUMP_INTR) !== 0) whole = false;
        if (this.#reader.type === NLMSG_DONE) return whole;
        if (this.#reader.type === NLMSG_ERROR) this.#acknowledge(what);
        else take(this.#reader);
      }
    }
  }

  #send(what: string, message: MessageWriter, flags: number): void {
    const { view, address } = message.memory;
    view.setUint32(0, message.length, true);
    view.setUint16(6, view.getUint16(6, true) | flags, true);
    view.setUint32(8, ++this.#sequence, true);
    check(send(this.#fd, address, message.length, 0), what);
  }

  #receive(what: string): number {
    for (;;) {
      const length = recv(this.#fd, this.#buffer.address, BUFFER, 0);
      if (length !== -Errno.EINTR) return check(length, what);
    }
  }

  /**
   * Points the reader at the next message that answers our request, at or behind `at`; −1 when there is none.
   */
  #next(at: number, end: number): number {
    const { view } = this.#buffer;
    for (; at + NLMSG_HEADER <= end; at += (view.getUint32(at, true) + 3) & ~3) {
      const length = view.getUint32(at, true);
      if (length < NLMSG_HEADER || at + length > end) return -1;
      if (view.getUint32(at + 8, true) !== this.#sequence) continue;
      this.#reader.type = view.getUint16(at + 4, true);
      this.#reader.start = at + NLMSG_HEADER;
      this.#reader.end = at + length;
      return at;
    }
    return -1;
  }

  #after(): number {
    return (this.#reader.end + 3) & ~3;
  }

  #acknowledge(what: string): void {
    const { view } = this.#buffer;
    const { start } = this.#reader;
    const errno = -view.getInt32(start, true);
    if (errno === 0) return;
    const flags = view.getUint16(start - NLMSG_HEADER + 6, true);
    // struct nlmsgerr: the error, the header of the request, and, unless capped, the request itself.
    const echoed = (flags & NLM_F_CAPPED) !== 0 ? NLMSG_HEADER : view.getUint32(start + 4, true);
    let reason = "";
    if ((flags & NLM_F_ACK_TLVS) !== 0) {
      this.#reader.attributes(4 + echoed, (type, at, length) => {
        if (type === NLMSGERR_ATTR_MSG) reason = this.#reader.text(at, length);
      });
    }
    throw new NetlinkError(what, errno, reason);
  }
}
