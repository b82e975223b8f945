/**
 * What a runtime must offer so that C can be called from it.
 *
 * @module
 */

/**
 * How a C function is called: one letter per parameter, a colon, one letter for the result.
 *
 * | letter | parameter | result |
 * |---|---|---|
 * | `i` | 32-bit integer, or a length below 2 GiB | −1 means "look at errno": the caller gets −errno |
 * | `a` | address, a plain number; 0 is NULL | the address as a number, −errno for −1 (`MAP_FAILED`) |
 * | `l` | 64-bit integer, a plain number | |
 * | `e` | | an error number instead of errno (the `posix_spawn` family): the caller gets it negated |
 * | `v` | | nothing |
 */
export type Signature = string;

/** The native function behind a symbol, addresses in the runtime's own representation. */
// deno-lint-ignore no-explicit-any
export type NativeFunction = (...parameters: any[]) => any;

/** One of the two runtimes' foreign function interfaces. */
export interface Backend {
  /** Looks symbols up in libc; those that this libc does not have are left out. */
  load(signatures: Readonly<Record<string, Signature>>): Record<string, NativeFunction>;
  /**
   * Turns an address into what the runtime wants for an `a` parameter; undefined when it wants the number.
   */
  readonly toPointer: ((address: number) => unknown) | undefined;
  /** Native address of the first byte. The caller keeps `bytes` alive for as long as C may use it. */
  addressOf(bytes: Uint8Array): number;
  /** The memory at `address`, not owned: it must outlive the view. */
  memoryAt(address: number, length: number): ArrayBuffer;
}

/** Names under which libc is known: glibc, then musl on both architectures. */
export const LIBC_NAMES: readonly string[] = ["libc.so.6", "libc.musl-x86_64.so.1", "libc.musl-aarch64.so.1"];
