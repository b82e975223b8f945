/**
 * The foreign function interface of Deno.
 *
 * A number given for a `usize` parameter takes V8's slow path (100 ns per call), a `pointer` takes the fast
 * one (4 ns) but wants an External object instead of a number. Addresses on the packet path come from pools,
 * so the same few thousand return again and again: a direct-mapped cache of Externals gives the fast call for
 * a number at 2 ns. An External is only a word with a type; it owns nothing, so an entry can never be stale.
 *
 * @module
 */

import { type Backend, LIBC_NAMES, type NativeFunction, type Signature } from "./backend.ts";

const CACHE = 8_192;

const PARAMETER: Readonly<Record<string, Deno.NativeType>> = { i: "i32", a: "pointer", l: "i64" };
const RESULT: Readonly<Record<string, Deno.NativeResultType>> = {
  i: "i32",
  e: "i32",
  v: "void",
  a: "pointer",
};

/** Opens libc. Throws when the process lacks `--allow-ffi`. */
export function openDeno(): Backend {
  const { UnsafePointer, UnsafePointerView } = Deno;
  const library = LIBC_NAMES.find((name) => opens(name)) ?? LIBC_NAMES[0]!;

  const keys = new Float64Array(CACHE);
  const externals: Deno.PointerValue[] = new Array(CACHE).fill(null);

  function remember(index: number, address: number): Deno.PointerValue {
    // The declared type wants a bigint; the op takes any number below 2^53, which user-space addresses are.
    const external = UnsafePointer.create(address as unknown as bigint);
    keys[index] = address;
    externals[index] = external;
    return external;
  }

  return {
    load(signatures: Readonly<Record<string, Signature>>): Record<string, NativeFunction> {
      const wanted: Record<string, Deno.ForeignFunction & { optional: true }> = {};
      for (const [name, signature] of Object.entries(signatures)) {
        const [parameters = "", result = "v"] = signature.split(":");
        wanted[name] = {
          parameters: [...parameters].map((letter) => PARAMETER[letter]!),
          result: RESULT[result]!,
          optional: true,
        };
      }
      const { symbols } = Deno.dlopen(library, wanted);
      const found: Record<string, NativeFunction> = {};
      for (const [name, native] of Object.entries(symbols) as [string, NativeFunction | null][]) {
        if (native === null) continue;
        found[name] = signatures[name]!.endsWith(":a")
          ? (...given) => Number(BigInt.asIntN(64, UnsafePointer.value(native(...given))))
          : native;
      }
      return found;
    },
    toPointer(address: number): Deno.PointerValue {
      const low = address | 0;
      const index = (low ^ (low >>> 13)) & (CACHE - 1);
      return keys[index] === address ? externals[index]! : remember(index, address);
    },
    addressOf(bytes: Uint8Array): number {
      // Small arrays live in V8's moving heap until somebody asks for their buffer.
      void bytes.buffer;
      return Number(UnsafePointer.value(UnsafePointer.of(bytes as Uint8Array<ArrayBuffer>)));
    },
    memoryAt(address: number, length: number): ArrayBuffer {
      return UnsafePointerView.getArrayBuffer(UnsafePointer.create(BigInt(address))!, length);
    },
  };
}

function opens(name: string): boolean {
  try {
    Deno.dlopen(name, {});
    return true;
  } catch (error) {
    if (error instanceof Deno.errors.NotCapable) throw error;
    return false;
  }
}
