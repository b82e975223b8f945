/**
 * Memory of another process, by the id of one of its threads (process_vm_readv(2)).
 *
 * The kernel checks each access as it would check `ptrace`: the process must be ours and dumpable. A thread may die and
 * its number be given to another while we look; who reads on behalf of a trapped call therefore asks afterwards whether
 * that call still waits, and believes the bytes only then.
 *
 * @module
 */

import { Errno } from "./errno.ts";
import { NativeMemory } from "./memory.ts";
import { IOVEC_SIZE, writeIovec } from "./structs.ts";
import { process_vm_readv, process_vm_writev } from "./sys.ts";

/** Bytes that one {@linkcode GuestMemory.read} may ask for. */
export const SCRATCH_SIZE = 128 * 1_024;

/** Highest user-space address, exclusive; what lies above is nobody's (and no exact number any more). */
const ADDRESS_LIMIT = 2 ** 52;

/** Most pieces of one {@linkcode GuestVector} (`UIO_MAXIOV`). */
export const MAX_PIECES = 1_024;

/** Many pieces of another process's memory, read or written by one system call. */
export class GuestVector {
  readonly #local = new NativeMemory(MAX_PIECES * IOVEC_SIZE);
  readonly #remote = new NativeMemory(MAX_PIECES * IOVEC_SIZE);
  #count = 0;
  #length = 0;

  /** Bytes of all pieces. */
  get length(): number {
    return this.#length;
  }

  clear(): this {
    this.#count = this.#length = 0;
    return this;
  }

  /** Adds `length` bytes at `remote`, which are at `local` here. False: no room, or nobody's memory. */
  add(remote: number, length: number, local: number): boolean {
    if (length === 0) return true;
    if (this.#count === MAX_PIECES || !(remote < ADDRESS_LIMIT)) return false;
    writeIovec(this.#local, 0, this.#count, local, length);
    writeIovec(this.#remote, 0, this.#count, remote, length);
    this.#count++;
    this.#length += length;
    return true;
  }

  /** Bytes read, in the order of the pieces, or −errno; fewer than {@linkcode length} when some are not mapped. */
  read(thread: number): number {
    if (this.#count === 0) return 0;
    return process_vm_readv(thread, this.#local.address, this.#count, this.#remote.address, this.#count, 0);
  }

  /** Bytes written, or −errno. */
  write(thread: number): number {
    if (this.#count === 0) return 0;
    return process_vm_writev(thread, this.#local.address, this.#count, this.#remote.address, this.#count, 0);
  }
}

/** Reads and writes another process's memory through one scratch area. */
export class GuestMemory {
  /** Where {@linkcode read} puts what it reads. */
  readonly scratch = new NativeMemory(SCRATCH_SIZE);
  readonly #local = new NativeMemory(16);
  readonly #remote = new NativeMemory(16);

  /**
   * Reads into {@linkcode scratch}, at `at`.
   *
   * @returns 0, or −errno: EFAULT for bytes that are not mapped, EPERM for a process that may not be read
   */
  read(thread: number, address: number, length: number, at = 0): number {
    if (at + length > SCRATCH_SIZE) return -Errno.EINVAL;
    return this.readInto(thread, address, length, this.scratch.address + at);
  }

  /** Reads to a native address of ours: the way into a packet buffer without a copy in between. */
  readInto(thread: number, address: number, length: number, to: number): number {
    if (length === 0) return 0;
    if (!(address < ADDRESS_LIMIT)) return -Errno.EFAULT;
    this.#describe(to, address, length);
    const done = process_vm_readv(thread, this.#local.address, 1, this.#remote.address, 1, 0);
    return done === length ? 0 : done < 0 ? done : -Errno.EFAULT;
  }

  /** Writes from a native address of ours. Answers as {@linkcode read}; some bytes may have been written. */
  writeFrom(thread: number, address: number, length: number, from: number): number {
    if (length === 0) return 0;
    if (!(address < ADDRESS_LIMIT)) return -Errno.EFAULT;
    this.#describe(from, address, length);
    const done = process_vm_writev(thread, this.#local.address, 1, this.#remote.address, 1, 0);
    return done === length ? 0 : done < 0 ? done : -Errno.EFAULT;
  }

  #describe(local: number, remote: number, length: number): void {
    this.#local.setPointer(0, local);
    this.#local.setPointer(8, length);
    this.#remote.setPointer(0, remote);
    this.#remote.setPointer(8, length);
  }
}
