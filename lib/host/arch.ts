/**
 * Which machine this is: the few numbers of the kernel's interface that differ between x86-64 and arm64.
 *
 * @module
 */

/** The architectures whose layouts we know. */
export type Arch = "x86_64" | "aarch64";

function detect(): Arch {
  const { process } = globalThis as unknown as { process?: { arch: string } };
  const name = typeof Deno === "undefined" ? process?.arch : Deno.build.arch;
  if (name === "x64" || name === "x86_64") return "x86_64";
  if (name === "arm64" || name === "aarch64") return "aarch64";
  throw new Error(`Cannot run on ${name}: only x86-64 and arm64 are known`);
}

/** The architecture we run on. */
export const ARCH: Arch = detect();

/** System calls for which libc may have no function. */
export interface SyscallNumbers {
  readonly capget: number;
  readonly capset: number;
  readonly fstat: number;
  readonly pivot_root: number;
  readonly seccomp: number;
  readonly statx: number;
  readonly pidfd_send_signal: number;
  readonly pidfd_open: number;
  readonly close_range: number;
  readonly openat2: number;
  readonly pidfd_getfd: number;
}

// From 424 on the numbers are the same everywhere.
const COMMON = {
  pidfd_send_signal: 424,
  pidfd_open: 434,
  close_range: 436,
  openat2: 437,
  pidfd_getfd: 438,
} as const;

/** Both tables. */
export const SYS_OF: Readonly<Record<Arch, SyscallNumbers>> = {
  x86_64: { capget: 125, capset: 126, fstat: 5, pivot_root: 155, seccomp: 317, statx: 332, ...COMMON },
  aarch64: { capget: 90, capset: 91, fstat: 80, pivot_root: 41, seccomp: 277, statx: 291, ...COMMON },
};

/** System call numbers of this architecture. */
export const SYS: SyscallNumbers = SYS_OF[ARCH];

/** `struct epoll_event`: its size and the offset of its data. Packed on x86-64 only (`EPOLL_PACKED`). */
export const EPOLL_EVENT_OF: Readonly<Record<Arch, { readonly size: number; readonly data: number }>> = {
  x86_64: { size: 12, data: 4 },
  aarch64: { size: 16, data: 8 },
};
/** Bytes of one `struct epoll_event`. */
export const EPOLL_EVENT_SIZE: number = EPOLL_EVENT_OF[ARCH].size;
/** Offset of `epoll_event.data`. */
export const EPOLL_EVENT_DATA: number = EPOLL_EVENT_OF[ARCH].data;

/** `AUDIT_ARCH_X86_64`, `AUDIT_ARCH_AARCH64`: how a seccomp filter tells our calls from those of other ABIs. */
export const AUDIT_ARCH_OF: Readonly<Record<Arch, number>> = { x86_64: 0xc000003e, aarch64: 0xc00000b7 };

/** The `open(2)` flags that differ: arm64 kept those of 32-bit ARM. */
export const OPEN_FLAGS_OF: Readonly<
  Record<Arch, { readonly DIRECTORY: number; readonly NOFOLLOW: number }>
> = {
  x86_64: { DIRECTORY: 0o200000, NOFOLLOW: 0o400000 },
  aarch64: { DIRECTORY: 0o40000, NOFOLLOW: 0o100000 },
};

/** `open(2)` flags. */
export const O = {
  RDONLY: 0,
  WRONLY: 1,
  RDWR: 2,
  CREAT: 0o100,
  EXCL: 0o200,
  NOCTTY: 0o400,
  TRUNC: 0o1000,
  APPEND: 0o2000,
  NONBLOCK: 0o4000,
  ...OPEN_FLAGS_OF[ARCH],
  CLOEXEC: 0o2000000,
  PATH: 0o10000000,
} as const;
