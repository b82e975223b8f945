/**
 * Error numbers, their names, and the error that carries one.
 *
 * @module
 */

/** Error numbers of Linux; the same on x86-64 and arm64. */
export const Errno = {
  EPERM: 1,
  ENOENT: 2,
  ESRCH: 3,
  EINTR: 4,
  EIO: 5,
  ENXIO: 6,
  E2BIG: 7,
  ENOEXEC: 8,
  EBADF: 9,
  ECHILD: 10,
  EAGAIN: 11,
  ENOMEM: 12,
  EACCES: 13,
  EFAULT: 14,
  EBUSY: 16,
  EEXIST: 17,
  EXDEV: 18,
  ENODEV: 19,
  ENOTDIR: 20,
  EISDIR: 21,
  EINVAL: 22,
  ENFILE: 23,
  EMFILE: 24,
  ENOTTY: 25,
  ETXTBSY: 26,
  EFBIG: 27,
  ENOSPC: 28,
  ESPIPE: 29,
  EROFS: 30,
  EPIPE: 32,
  ERANGE: 34,
  ENAMETOOLONG: 36,
  ENOSYS: 38,
  ENOTEMPTY: 39,
  ELOOP: 40,
  ENODATA: 61,
  EPROTO: 71,
  EBADFD: 77,
  ERESTART: 85,
  EUSERS: 87,
  ENOTSOCK: 88,
  EDESTADDRREQ: 89,
  EMSGSIZE: 90,
  EPROTOTYPE: 91,
  ENOPROTOOPT: 92,
  EPROTONOSUPPORT: 93,
  ESOCKTNOSUPPORT: 94,
  EOPNOTSUPP: 95,
  EPFNOSUPPORT: 96,
  EAFNOSUPPORT: 97,
  EADDRINUSE: 98,
  EADDRNOTAVAIL: 99,
  ENETDOWN: 100,
  ENETUNREACH: 101,
  ENETRESET: 102,
  ECONNABORTED: 103,
  ECONNRESET: 104,
  ENOBUFS: 105,
  EISCONN: 106,
  ENOTCONN: 107,
  ESHUTDOWN: 108,
  ETIMEDOUT: 110,
  ECONNREFUSED: 111,
  EHOSTDOWN: 112,
  EHOSTUNREACH: 113,
  EALREADY: 114,
  EINPROGRESS: 115,
  ESTALE: 116,
  EDQUOT: 122,
  ECANCELED: 125,
  ENOKEY: 126,
} as const;

/** The name of an error number, `"EAGAIN"`; the number itself when it has none here. */
export function errnoName(errno: number): string {
  for (const [name, value] of Object.entries(Errno)) if (value === errno) return name;
  return `errno ${errno}`;
}

const TEXT: Readonly<Record<number, string>> = {
  [Errno.EPERM]: "operation not permitted",
  [Errno.ENOENT]: "no such file or directory",
  [Errno.ESRCH]: "no such process",
  [Errno.EACCES]: "permission denied",
  [Errno.EBUSY]: "device or resource busy",
  [Errno.EEXIST]: "file exists",
  [Errno.ENODEV]: "no such device",
  [Errno.ENOTDIR]: "not a directory",
  [Errno.EINVAL]: "invalid argument",
  [Errno.EMFILE]: "too many open files",
  [Errno.ENOSPC]: "no space left on device",
  [Errno.ENOSYS]: "function not implemented",
  [Errno.EADDRINUSE]: "address already in use",
  [Errno.EADDRNOTAVAIL]: "cannot assign requested address",
  [Errno.ENETUNREACH]: "network is unreachable",
  [Errno.ECONNREFUSED]: "connection refused",
  [Errno.ECONNRESET]: "connection reset by peer",
  [Errno.ETIMEDOUT]: "connection timed out",
  [Errno.EHOSTUNREACH]: "no route to host",
  [Errno.EAFNOSUPPORT]: "address family not supported",
  [Errno.EOPNOTSUPP]: "operation not supported",
};

/** What an error number means, for people: `"permission denied (EACCES)"`. */
export function errnoText(errno: number): string {
  const text = TEXT[errno];
  return text === undefined ? errnoName(errno) : `${text} (${errnoName(errno)})`;
}

/** A system call failed. */
export class SystemError extends Error {
  override readonly name: string = "SystemError";
  /** The error's name, as in Node: `"EACCES"`. */
  readonly code: string;

  /**
   * @param what what could not be done: `open /dev/net/tun`
   * @param errno positive
   */
  constructor(readonly what: string, readonly errno: number, options?: ErrorOptions) {
    super(`Cannot ${what}: ${errnoText(errno)}`, options);
    this.code = errnoName(errno);
  }
}

/** Passes a result ≥ 0 through; throws {@linkcode SystemError} for −errno. */
export function check(result: number, what: string): number {
  if (result < 0) throw new SystemError(what, -result);
  return result;
}
