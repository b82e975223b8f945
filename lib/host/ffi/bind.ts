/**
 * Wraps native functions so that they answer as system calls do: ≥ 0, or −errno.
 *
 * The wrappers are written as source text, one function per symbol. A shared closure would be one call site
 * for all symbols, and V8 makes a fast API call only where a site has always called the same function:
 * measured, 5 ns against 100 ns.
 *
 * errno is not asked for by a second call: `__errno_location()` is constant for a thread, so its memory is
 * mapped once, and reading it is an array access. Nothing between the return of a native function and that
 * access allocates or calls into libc.
 *
 * @module
 */

import type { Backend, NativeFunction, Signature } from "./backend.ts";

const ENOSYS = 38;

/** This thread's errno. */
export function mapErrno(backend: Backend): Int32Array {
  const location = backend.load({ __errno_location: ":a" })["__errno_location"];
  if (location === undefined) throw new Error("Cannot load libc: it has no __errno_location");
  return new Int32Array(backend.memoryAt(location(), 4));
}

/**
 * Every function of `signatures`; those that this libc does not have answer −ENOSYS. A symbol is looked up
 * when its function is first called: that costs up to 0.2 ms each, and most programs need few of them.
 */
export function bindAll<Face>(
  backend: Backend,
  signatures: Readonly<Record<keyof Face & string, Signature>>,
): Face {
  const errno = mapErrno(backend);
  const face: Record<string, NativeFunction> = {};
  for (const [name, signature] of Object.entries<Signature>(signatures)) {
    const find = () => backend.load({ [name]: signature })[name] ?? missing(signature, errno);
    face[name] = wrap(name, signature, find, backend.toPointer, errno);
  }
  return face as Face;
}

function missing(signature: Signature, errno: Int32Array): NativeFunction {
  return () => {
    errno[0] = ENOSYS;
    return signature.endsWith(":e") ? ENOSYS : -1;
  };
}

function wrap(
  name: string,
  signature: Signature,
  find: () => NativeFunction,
  toPointer: Backend["toPointer"],
  errno: Int32Array,
): NativeFunction {
  const [letters = "", result = "v"] = signature.split(":");
  const parameters = [...letters].map((_, i) => `p${i}`);
  const given = [...letters].map((letter, i) =>
    letter === "a" && toPointer !== undefined ? `at(p${i})` : `p${i}`
  );
  const call = `native(${given.join(", ")})`;
  const body = result === "v"
    ? `${call};`
    : result === "e"
    ? `return -${call};`
    : `const r = ${call}; return r < 0 ? -errno[0] : r;`;
  const source = `"use strict"; let native; return function ${name}(${parameters.join(", ")}) {` +
    ` if (native === undefined) native = find(); ${body} };`;
  return new Function("find", "at", "errno", source)(find, toPointer, errno) as NativeFunction;
}
