/**
 * Control messages (cmsg(3)): written for receives, taken apart for sends.
 *
 * @module
 */

import { NativeMemory } from "../../../host/memory.ts";
import { CMSGHDR_SIZE, cmsgSpace, writeCmsg } from "../../../host/structs.ts";
import { MessageFlag } from "./flags.ts";

/** Most bytes of control messages that we ever write at once. */
const ROOM = 1_024;

/** Collects the control messages of one receive. */
export class ControlWriter {
  readonly memory = new NativeMemory(ROOM);
  /** Bytes written: what `msg_controllen` becomes. */
  length = 0;
  /** `MSG_CTRUNC` when something did not fit, else 0. */
  flags = 0;
  #room = 0;

  /** @param room what the guest has */
  begin(room: number): this {
    this.length = this.flags = 0;
    this.#room = Math.min(room, ROOM);
    return this;
  }

  /**
   * Adds a message with `length` bytes of data, which the caller writes at the offset that is returned. What does not fit
   * is cut, as `put_cmsg` does, or left out when not even its header fits; −1 then.
   */
  add(level: number, type: number, length: number): number {
    const rest = this.#room - this.length;
    if (rest < CMSGHDR_SIZE) {
      this.flags = MessageFlag.CTRUNC;
      return -1;
    }
    const size = CMSGHDR_SIZE + length;
    if (this.length + cmsgSpace(length) > ROOM) return -1;
    const at = this.length;
    const data = writeCmsg(this.memory.view, at, level, type, Math.min(length, rest - CMSGHDR_SIZE));
    if (size > rest) {
      this.flags = MessageFlag.CTRUNC;
      this.length = this.#room;
    } else {
      this.length += Math.min(cmsgSpace(length), rest);
    }
    return data;
  }

  /** Adds a message that is one C `int`. */
  addInt(level: number, type: number, value: number): void {
    const at = this.add(level, type, 4);
    if (at >= 0) this.memory.view.setInt32(at, value, true);
  }
}

/** Walks the control messages of a send. */
export class ControlReader {
  level = 0;
  type = 0;
  /** Offset of the data, and its length. */
  data = 0;
  length = 0;
  view: DataView = new DataView(new ArrayBuffer(0));
  #next = 0;
  #end = 0;

  /** Begins at offset `at` of `view`. */
  begin(view: DataView, at: number, length: number): this {
    this.view = view;
    this.#next = at;
    this.#end = at + length;
    return this;
  }

  /** Moves to the next message. 0: there is none; −1: it is malformed (EINVAL). */
  next(): 1 | 0 | -1 {
    const at = this.#next;
    if (at + CMSGHDR_SIZE > this.#end) return 0;
    const size = this.view.getUint32(at, true);
    if (this.view.getUint32(at + 4, true) !== 0 || size < CMSGHDR_SIZE || at + size > this.#end) return -1;
    this.level = this.view.getInt32(at + 8, true);
    this.type = this.view.getInt32(at + 12, true);
    this.data = at + CMSGHDR_SIZE;
    this.length = size - CMSGHDR_SIZE;
    this.#next = at + ((size + 7) & ~7);
    return 1;
  }
}
