/**
 * IP and hardware addresses.
 *
 * An address is four 32-bit words in network order, held as *signed* integers, which both engines keep unboxed. An
 * IPv4 address is the IPv4-mapped form `::ffff:a.b.c.d` (RFC 4291 section 2.5.5.2) with `family` 4, so tables need
 * only one kind of key and comparison is four integer compares.
 *
 * @module
 */

/** 4 or 6. */
export type IpFamily = 4 | 6;

/** The words of an address; what lib/host takes in its place. */
export interface AddressWords {
  readonly family: IpFamily;
  readonly a: number;
  readonly b: number;
  readonly c: number;
  readonly d: number;
}

const MAPPED = 0xffff;

/** An IP address. Immutable, except for the scratch headers of parsers: keep a `clone()`, not the header's own. */
export class IpAddress implements AddressWords {
  constructor(
    public family: IpFamily,
    public a: number,
    public b: number,
    public c: number,
    public d: number,
  ) {}

  /** The IPv4 address with these 32 bits. */
  static v4(word: number): IpAddress {
    return new IpAddress(4, 0, 0, MAPPED, word | 0);
  }

  /** Reads four bytes at `at`. */
  static readV4(view: DataView, at: number): IpAddress {
    return new IpAddress(4, 0, 0, MAPPED, view.getInt32(at));
  }

  /** Reads sixteen bytes at `at`. */
  static readV6(view: DataView, at: number): IpAddress {
    return new IpAddress(
      6,
      view.getInt32(at),
      view.getInt32(at + 4),
      view.getInt32(at + 8),
      view.getInt32(at + 12),
    );
  }

  /** Overwrites this (scratch) address with the IPv4 address at `at`. */
  setV4(view: DataView, at: number): void {
    this.family = 4;
    this.a = 0;
    this.b = 0;
    this.c = MAPPED;
    this.d = view.getInt32(at);
  }

  /** Overwrites this (scratch) address with the IPv6 address at `at`. */
  setV6(view: DataView, at: number): void {
    this.family = 6;
    this.a = view.getInt32(at);
    this.b = view.getInt32(at + 4);
    this.c = view.getInt32(at + 8);
    this.d = view.getInt32(at + 12);
  }

  /** Writes 4 or 16 bytes at `at`; returns how many. */
  write(view: DataView, at: number): 4 | 16 {
    if (this.family === 4) {
      view.setInt32(at, this.d);
      return 4;
    }
    view.setInt32(at, this.a);
    view.setInt32(at + 4, this.b);
    view.setInt32(at + 8, this.c);
    view.setInt32(at + 12, this.d);
    return 16;
  }

  clone(): IpAddress {
    return new IpAddress(this.family, this.a, this.b, this.c, this.d);
  }

  equals(other: AddressWords): boolean {
    return this.d === other.d && this.c === other.c && this.b === other.b && this.a === other.a &&
      this.family === other.family;
  }

  /** A 32-bit mix of the words, for hash tables. */
  hash(): number {
    let h = Math.imul(this.a ^ this.b, 0x9e3779b1) ^ Math.imul(this.c, 0x85ebca6b) ^ this.d;
    h = Math.imul(h ^ (h >>> 16), 0x45d9f3b);
    return h ^ (h >>> 16);
  }

  /** `0.0.0.0` or `::`. */
  isUnspecified(): boolean {
    return this.d === 0 && this.a === 0 && this.b === 0 && (this.family === 4 || this.c === 0);
  }

  /** 127.0.0.0/8 (RFC 1122 section 3.2.1.3), `::1`, or a v4-mapped loopback. */
  isLoopback(): boolean {
    if (this.a !== 0 || this.b !== 0) return false;
    return this.c === MAPPED ? (this.d >>> 24) === 127 : this.family === 6 && this.c === 0 && this.d === 1;
  }

  /** 224.0.0.0/4 or ff00::/8. */
  isMulticast(): boolean {
    return this.family === 4 ? (this.d >>> 28) === 14 : (this.a >>> 24) === 0xff;
  }

  /** 255.255.255.255. */
  isLimitedBroadcast(): boolean {
    return this.family === 4 && this.d === -1;
  }

  /** 169.254.0.0/16 or fe80::/10. */
  isLinkLocal(): boolean {
    return this.family === 4 ? (this.d >>> 16) === 0xa9fe : (this.a >>> 22) === 0x3fa;
  }

  /** An IPv6 address of the form ::ffff:a.b.c.d, which must not appear on a wire. */
  isV4Mapped(): boolean {
    return this.family === 6 && this.a === 0 && this.b === 0 && this.c === MAPPED;
  }

  /** The same 4 bytes as an address of family 4, for an IPv4-mapped one. */
  unmapped(): IpAddress {
    return this.isV4Mapped() ? IpAddress.v4(this.d) : this;
  }

  /** RFC 5952 text for IPv6, dotted decimal for IPv4. */
  toString(): string {
    return this.family === 4 ? formatV4(this.d) : formatV6(this);
  }

  /** Reads either family's text; undefined if it is not an address. No zone, no mask. */
  static parse(text: string): IpAddress | undefined {
    return text.includes(":") ? parseV6(text) : parseV4(text);
  }
}

/** `0.0.0.0`, and `::`. */
export const ANY4: IpAddress = IpAddress.v4(0);
export const ANY6: IpAddress = new IpAddress(6, 0, 0, 0, 0);

function formatV4(word: number): string {
  return `${word >>> 24}.${(word >>> 16) & 255}.${(word >>> 8) & 255}.${word & 255}`;
}

function formatV6(address: IpAddress): string {
  if (address.isV4Mapped()) return `::ffff:${formatV4(address.d)}`;
  const groups: number[] = [];
  for (const word of [address.a, address.b, address.c, address.d]) groups.push(word >>> 16, word & 0xffff);
  // RFC 5952 section 4.2: shorten the longest run of two or more zero groups, the first one if there is a tie.
  let best = -1;
  let bestLength = 1;
  for (let i = 0; i < 8;) {
    let j = i;
    while (j < 8 && groups[j] === 0) j++;
    if (j - i > bestLength) {
      best = i;
      bestLength = j - i;
    }
    i = j + 1;
  }
  const text = (part: number[]) => part.map((group) => group.toString(16)).join(":");
  if (best < 0) return text(groups);
  return `${text(groups.slice(0, best))}::${text(groups.slice(best + bestLength))}`;
}

function parseV4(text: string): IpAddress | undefined {
  const parts = text.split(".");
  if (parts.length !== 4) return undefined;
  let word = 0;
  for (const part of parts) {
    // No leading zeros: inet_aton would read them as octal, and two readings of one address are a hole.
    if (!/^(0|[1-9][0-9]{0,2})$/.test(part)) return undefined;
    const byte = Number(part);
    if (byte > 255) return undefined;
    word = (word << 8) | byte;
  }
  return IpAddress.v4(word);
}

function parseV6(text: string): IpAddress | undefined {
  const halves = text.split("::");
  if (halves.length > 2) return undefined;
  const head = groupsOf(halves[0]!, halves.length === 1);
  const tail = halves.length === 2 ? groupsOf(halves[1]!, true) : [];
  if (head === undefined || tail === undefined) return undefined;
  const missing = 8 - head.length - tail.length;
  if (halves.length === 2 ? missing < 1 : missing !== 0) return undefined;
  const groups = [...head, ...new Array<number>(missing).fill(0), ...tail];
  const word = (i: number) => (groups[i]! << 16) | groups[i + 1]!;
  return new IpAddress(6, word(0), word(2), word(4), word(6));
}

/** The 16-bit groups of one side of a `::`; dotted decimal may end the last side. */
function groupsOf(text: string, last: boolean): number[] | undefined {
  if (text === "") return [];
  const groups: number[] = [];
  const parts = text.split(":");
  for (const [i, part] of parts.entries()) {
    if (/^[0-9a-fA-F]{1,4}$/.test(part)) {
      groups.push(parseInt(part, 16));
      continue;
    }
    const v4 = last && i === parts.length - 1 ? parseV4(part) : undefined;
    if (v4 === undefined) return undefined;
    groups.push(v4.d >>> 16, v4.d & 0xffff);
  }
  return groups.length <= 8 ? groups : undefined;
}
