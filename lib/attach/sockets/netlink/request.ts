/**
 * A netlink request as the guest wrote it, read with the kernel's care: nothing about it is believed.
 *
 * @module
 */

import { IpAddress } from "../../../stack/wire/address.ts";
import { ATTRIBUTE_HEADER, MESSAGE_HEADER, NLA_TYPE_MASK, NLM_F } from "./numbers.ts";

/** What the asking socket has been set to. */
export interface Asker {
  /** Its port id. */
  readonly port: number;
  /** `NETLINK_GET_STRICT_CHK`, `NETLINK_EXT_ACK`, `NETLINK_CAP_ACK`. */
  readonly strict: boolean;
  readonly extendedAck: boolean;
  readonly capAck: boolean;
  /** User who asks, for `RTA_UID`. */
  readonly uid: number;
}

/** Whom a message is for, and what it answers: a request, or the change that it tells of. */
export interface Envelope {
  readonly sequence: number;
  /** Port id of who asked; 0: nobody did. */
  readonly port: number;
}

/** Why a request fails. Values, not exceptions: a guest may send as many bad requests as it likes. */
export class Refusal {
  /**
   * @param errno positive
   * @param message what the extended acknowledgement says
   */
  constructor(readonly errno: number, readonly message: string = "") {}
}

/** One attribute: where its value is. */
export interface Attribute {
  readonly at: number;
  readonly length: number;
}

/** One request. */
export class Request implements Envelope {
  readonly bytes: Uint8Array;
  readonly view: DataView;
  readonly type: number;
  readonly flags: number;
  readonly sequence: number;
  readonly asker: Asker;
  /** The answer leaves something out because the request said so: `NLM_F_DUMP_FILTERED`. */
  filtered = false;
  /** And its end says so, too; not all dump functions of the kernel do. */
  endFiltered = false;

  /** @param bytes the whole message, its header at the start, at least as long as that */
  constructor(bytes: Uint8Array, asker: Asker) {
    this.bytes = bytes;
    this.view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    this.type = this.view.getUint16(4, true);
    this.flags = this.view.getUint16(6, true);
    this.sequence = this.view.getUint32(8, true);
    this.asker = asker;
  }

  /** Bytes behind the header. */
  get length(): number {
    return this.bytes.length - MESSAGE_HEADER;
  }

  get port(): number {
    return this.asker.port;
  }

  get isDump(): boolean {
    return (this.flags & NLM_F.DUMP) !== 0;
  }

  /** Flags of the messages of a dump. */
  get dumpFlags(): number {
    return this.filtered ? NLM_F.MULTI | NLM_F.DUMP_FILTERED : NLM_F.MULTI;
  }

  /** `struct rtgenmsg`: every rtnetlink request begins with a family. */
  get family(): number {
    return this.u8(0);
  }

  /** A byte, half word or word of the fixed part; 0 when the request is too short for it. */
  u8(at: number): number {
    return at + 1 <= this.length ? this.view.getUint8(MESSAGE_HEADER + at) : 0;
  }
  u16(at: number): number {
    return at + 2 <= this.length ? this.view.getUint16(MESSAGE_HEADER + at, true) : 0;
  }
  u32(at: number): number {
    return at + 4 <= this.length ? this.view.getUint32(MESSAGE_HEADER + at, true) : 0;
  }

  /** The attributes behind a fixed part of `fixed` bytes; the last of a kind counts. */
  attributes(fixed: number): Map<number, Attribute> {
    return this.#attributes(MESSAGE_HEADER + ((fixed + 3) & ~3), this.bytes.length);
  }

  /** The attributes inside one. */
  nested({ at, length }: Attribute): Map<number, Attribute> {
    return this.#attributes(at, at + length);
  }

  #attributes(from: number, end: number): Map<number, Attribute> {
    const found = new Map<number, Attribute>();
    const { view } = this;
    for (let at = from; at + ATTRIBUTE_HEADER <= end;) {
      const length = view.getUint16(at, true);
      if (length < ATTRIBUTE_HEADER || at + length > end) break;
      const type = view.getUint16(at + 2, true) & NLA_TYPE_MASK;
      found.set(type, { at: at + ATTRIBUTE_HEADER, length: length - ATTRIBUTE_HEADER });
      at += (length + 3) & ~3;
    }
    return found;
  }

  /** A word of an attribute; undefined when it is absent or too short. */
  wordOf(attribute: Attribute | undefined): number | undefined {
    return attribute === undefined || attribute.length < 4
      ? undefined
      : this.view.getUint32(attribute.at, true);
  }

  /** Text up to its NUL. */
  textOf(attribute: Attribute | undefined): string | undefined {
    if (attribute === undefined) return undefined;
    const { at, length } = attribute;
    const value = this.bytes.subarray(at, at + length);
    const nul = value.indexOf(0);
    return new TextDecoder().decode(nul < 0 ? value : value.subarray(0, nul));
  }

  /** An address of 4 or 16 bytes; undefined for any other length. */
  addressOf(attribute: Attribute | undefined): IpAddress | undefined {
    if (attribute?.length === 4) return IpAddress.readV4(this.view, attribute.at);
    if (attribute?.length === 16) return IpAddress.readV6(this.view, attribute.at);
    return undefined;
  }
}
