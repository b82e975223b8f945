/**
 * The foreign function interface of Bun: `ptr` parameters take plain numbers at 2 ns a call.
 *
 * `bun:ffi` is asked for by name at run time, because an import of it would stop Deno from loading this file.
 *
 * @module
 */

import { type Backend, LIBC_NAMES, type NativeFunction, type Signature } from "./backend.ts";

interface BunFfi {
  dlopen(
    library: string,
    symbols: Record<string, { args: string[]; returns: string }>,
  ): { symbols: Record<string, NativeFunction> };
  ptr(bytes: Uint8Array): number;
  toArrayBuffer(address: number, offset: number, length: number): ArrayBuffer;
}

const PARAMETER: Readonly<Record<string, string>> = { i: "i32", a: "ptr", l: "i64" };
const RESULT: Readonly<Record<string, string>> = { i: "i32", e: "i32", v: "void", a: "i64" };

/** Opens libc. */
export function openBun(): Backend {
  const { process } = globalThis as unknown as { process: { getBuiltinModule(name: string): BunFfi } };
  const ffi = process.getBuiltinModule("bun:ffi");

  return {
    load(signatures: Readonly<Record<string, Signature>>): Record<string, NativeFunction> {
      const found: Record<string, NativeFunction> = {};
      let libraries = LIBC_NAMES;
      for (const [name, signature] of Object.entries(signatures)) {
        const [parameters = "", result = "v"] = signature.split(":");
        const declaration = {
          args: [...parameters].map((letter) => PARAMETER[letter]!),
          returns: RESULT[result]!,
        };
        // One by one: a single missing symbol fails the whole call.
        for (const library of libraries) {
          try {
            const native = ffi.dlopen(library, { [name]: declaration }).symbols[name]!;
            found[name] = result === "a" ? (...given) => Number(native(...given)) : native;
            libraries = [library];
            break;
          } catch {
            // Not this library, or a symbol that it does not have.
          }
        }
      }
      return found;
    },
    toPointer: undefined,
    addressOf(bytes: Uint8Array): number {
      // Small arrays live in the collector's own cells until somebody asks for their buffer.
      void bytes.buffer;
      return ffi.ptr(bytes);
    },
    memoryAt(address: number, length: number): ArrayBuffer {
      return ffi.toArrayBuffer(address, 0, length);
    },
  };
}
