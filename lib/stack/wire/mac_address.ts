/**
 * Ethernet hardware addresses.
 *
 * @module
 */

/** An EUI-48, as its upper 16 and lower 32 bits (a signed integer). Immutable, except for the scratch ones in headers. */
export class MacAddress {
  constructor(public high: number, public low: number) {}

  /** Reads six bytes at `at`. */
  static read(view: DataView, at: number): MacAddress {
    return new MacAddress(view.getUint16(at), view.getInt32(at + 2));
  }

  /** Reads `02:00:5e:10:00:01` (or with dashes); undefined if it is not an address. */
  static parse(text: string): MacAddress | undefined {
    if (!/^[0-9a-fA-F]{2}(?:([:-])[0-9a-fA-F]{2})(?:\1[0-9a-fA-F]{2}){4}$/.test(text)) return undefined;
    const hex = text.replaceAll(/[:-]/g, "");
    return new MacAddress(parseInt(hex.slice(0, 4), 16), parseInt(hex.slice(4), 16) | 0);
  }

  /** A locally administered unicast address made of 46 of the 64 random bits. */
  static local(random1: number, random2: number): MacAddress {
    return new MacAddress((random1 & 0xfcff) | 0x0200, random2 | 0);
  }

  /** 01:00:5e + 23 bits of an IPv4 group (RFC 1112 section 6.4). */
  static multicast4(group: { readonly d: number }): MacAddress {
    return new MacAddress(0x0100, 0x5e000000 | (group.d & 0x7fffff));
  }

  /** 33:33 + 32 bits of an IPv6 group (RFC 2464 section 7). */
  static multicast6(group: { readonly d: number }): MacAddress {
    return new MacAddress(0x3333, group.d);
  }

  /** Overwrites this (scratch) address with the one at `at`. */
  set(view: DataView, at: number): void {
    this.high = view.getUint16(at);
    this.low = view.getInt32(at + 2);
  }

  /** Writes six bytes at `at`. */
  write(view: DataView, at: number): void {
    view.setUint16(at, this.high);
    view.setInt32(at + 2, this.low);
  }

  clone(): MacAddress {
    return new MacAddress(this.high, this.low);
  }

  equals(other: MacAddress): boolean {
    return this.low === other.low && this.high === other.high;
  }

  /** The group bit; broadcast is multicast too. */
  isMulticast(): boolean {
    return (this.high & 0x0100) !== 0;
  }

  isBroadcast(): boolean {
    return this.high === 0xffff && this.low === -1;
  }

  isZero(): boolean {
    return this.high === 0 && this.low === 0;
  }

  toString(): string {
    const hex = this.high.toString(16).padStart(4, "0") + (this.low >>> 0).toString(16).padStart(8, "0");
    return hex.replaceAll(/..(?!$)/g, "$&:");
  }
}

/** ff:ff:ff:ff:ff:ff. */
export const MAC_BROADCAST: MacAddress = new MacAddress(0xffff, -1);

/** 00:00:00:00:00:00: "not known". */
export const MAC_ZERO: MacAddress = new MacAddress(0, 0);
