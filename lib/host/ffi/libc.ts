/**
 * The C functions we call, with names for their parameters and the signatures the backends need.
 *
 * Every function answers as a system call does: ≥ 0, or −errno. Addresses and lengths are plain numbers. A
 * path is the address of a NUL-terminated string.
 *
 * @module
 */

import type { Signature } from "./backend.ts";

type N = number;

/** The face of libc. */
export interface Libc {
  read(fd: N, address: N, length: N): N;
  write(fd: N, address: N, length: N): N;
  readv(fd: N, iovec: N, count: N): N;
  writev(fd: N, iovec: N, count: N): N;
  pread(fd: N, address: N, length: N, offset: N): N;
  pwrite(fd: N, address: N, length: N, offset: N): N;
  close(fd: N): N;
  dup(fd: N): N;
  dup3(fd: N, onto: N, flags: N): N;
  pipe2(pair: N, flags: N): N;
  open(path: N, flags: N, mode: N): N;
  openat(directory: N, path: N, flags: N, mode: N): N;
  readlink(path: N, into: N, size: N): N;
  readlinkat(directory: N, path: N, into: N, size: N): N;
  unlink(path: N): N;
  mkdir(path: N, mode: N): N;
  chdir(path: N): N;
  fchdir(fd: N): N;
  fchmod(fd: N, mode: N): N;
  flock(fd: N, operation: N): N;
  ftruncate(fd: N, length: N): N;
  umask(mask: N): N;
  fcntl(fd: N, command: N, argument: N): N;
  ioctl(fd: N, request: N, argument: N): N;
  splice(fdIn: N, offsetIn: N, fdOut: N, offsetOut: N, length: N, flags: N): N;

  socket(domain: N, type: N, protocol: N): N;
  socketpair(domain: N, type: N, protocol: N, pair: N): N;
  bind(fd: N, sockaddr: N, length: N): N;
  connect(fd: N, sockaddr: N, length: N): N;
  listen(fd: N, backlog: N): N;
  accept4(fd: N, sockaddr: N, lengthAddress: N, flags: N): N;
  shutdown(fd: N, how: N): N;
  getsockopt(fd: N, level: N, name: N, value: N, lengthAddress: N): N;
  setsockopt(fd: N, level: N, name: N, value: N, length: N): N;
  getsockname(fd: N, sockaddr: N, lengthAddress: N): N;
  getpeername(fd: N, sockaddr: N, lengthAddress: N): N;
  send(fd: N, address: N, length: N, flags: N): N;
  recv(fd: N, address: N, length: N, flags: N): N;
  sendto(fd: N, address: N, length: N, flags: N, sockaddr: N, sockaddrLength: N): N;
  recvfrom(fd: N, address: N, length: N, flags: N, sockaddr: N, lengthAddress: N): N;
  sendmsg(fd: N, msghdr: N, flags: N): N;
  recvmsg(fd: N, msghdr: N, flags: N): N;
  sendmmsg(fd: N, mmsghdrs: N, count: N, flags: N): N;
  recvmmsg(fd: N, mmsghdrs: N, count: N, flags: N, timeout: N): N;

  epoll_create1(flags: N): N;
  epoll_ctl(epfd: N, operation: N, fd: N, event: N): N;
  epoll_wait(epfd: N, events: N, maxEvents: N, timeoutMs: N): N;
  /** glibc ≥ 2.35 and Linux ≥ 5.11; −ENOSYS otherwise. */
  epoll_pwait2(epfd: N, events: N, maxEvents: N, timespec: N, sigmask: N): N;
  poll(pollfds: N, count: N, timeoutMs: N): N;
  eventfd(initial: N, flags: N): N;
  clock_gettime(clock: N, timespec: N): N;

  getpid(): N;
  getppid(): N;
  getuid(): N;
  geteuid(): N;
  getgid(): N;
  getegid(): N;
  setresuid(real: N, effective: N, saved: N): N;
  setresgid(real: N, effective: N, saved: N): N;
  setgroups(count: N, list: N): N;
  kill(pid: N, signal: N): N;
  waitid(idType: N, id: N, siginfo: N, options: N): N;
  execve(path: N, argv: N, envp: N): N;
  _exit(status: N): N;
  setsid(): N;
  setpgid(pid: N, group: N): N;
  getpgid(pid: N): N;
  tcgetpgrp(fd: N): N;
  tcsetpgrp(fd: N, group: N): N;
  isatty(fd: N): N;
  sigaction(signal: N, action: N, previous: N): N;
  pthread_sigmask(how: N, set: N, previous: N): N;
  prctl(option: N, a: N, b: N, c: N, d: N): N;
  prlimit(pid: N, resource: N, limit: N, previous: N): N;
  setns(fd: N, kind: N): N;
  unshare(flags: N): N;
  mount(source: N, target: N, type: N, flags: N, data: N): N;
  umount2(target: N, flags: N): N;
  sethostname(name: N, length: N): N;
  memfd_create(name: N, flags: N): N;
  mmap(address: N, length: N, protection: N, flags: N, fd: N, offset: N): N;
  munmap(address: N, length: N): N;
  process_vm_readv(pid: N, local: N, localCount: N, remote: N, remoteCount: N, flags: N): N;
  process_vm_writev(pid: N, local: N, localCount: N, remote: N, remoteCount: N, flags: N): N;

  posix_spawnp(pid: N, file: N, actions: N, attributes: N, argv: N, envp: N): N;
  posix_spawn_file_actions_init(actions: N): N;
  posix_spawn_file_actions_destroy(actions: N): N;
  posix_spawn_file_actions_adddup2(actions: N, fd: N, onto: N): N;
  posix_spawn_file_actions_addchdir_np(actions: N, path: N): N;
  /** glibc ≥ 2.34; −ENOSYS otherwise. */
  posix_spawn_file_actions_addclosefrom_np(actions: N, from: N): N;
  posix_spawnattr_init(attributes: N): N;
  posix_spawnattr_destroy(attributes: N): N;
  posix_spawnattr_setflags(attributes: N, flags: N): N;
  posix_spawnattr_setpgroup(attributes: N, group: N): N;
  posix_spawnattr_setsigdefault(attributes: N, set: N): N;
  posix_spawnattr_setsigmask(attributes: N, set: N): N;

  /** Any system call by number; its result must fit 32 bits. */
  syscall(number: N, a: N, b: N, c: N, d: N, e: N, f: N): N;
}

/** The signature of every function of {@linkcode Libc}. */
export const SIGNATURES: Readonly<Record<keyof Libc, Signature>> = {
  read: "iai:i",
  write: "iai:i",
  readv: "iai:i",
  writev: "iai:i",
  pread: "iail:i",
  pwrite: "iail:i",
  close: "i:i",
  dup: "i:i",
  dup3: "iii:i",
  pipe2: "ai:i",
  open: "aii:i",
  openat: "iaii:i",
  readlink: "aai:i",
  readlinkat: "iaai:i",
  unlink: "a:i",
  mkdir: "ai:i",
  chdir: "a:i",
  fchdir: "i:i",
  fchmod: "ii:i",
  flock: "ii:i",
  ftruncate: "il:i",
  umask: "i:i",
  fcntl: "iii:i",
  ioctl: "iia:i",
  splice: "iaiaii:i",
  socket: "iii:i",
  socketpair: "iiia:i",
  bind: "iai:i",
  connect: "iai:i",
  listen: "ii:i",
  accept4: "iaai:i",
  shutdown: "ii:i",
  getsockopt: "iiiaa:i",
  setsockopt: "iiiai:i",
  getsockname: "iaa:i",
  getpeername: "iaa:i",
  send: "iaii:i",
  recv: "iaii:i",
  sendto: "iaiiai:i",
  recvfrom: "iaiiaa:i",
  sendmsg: "iai:i",
  recvmsg: "iai:i",
  sendmmsg: "iaii:i",
  recvmmsg: "iaiia:i",
  epoll_create1: "i:i",
  epoll_ctl: "iiia:i",
  epoll_wait: "iaii:i",
  epoll_pwait2: "iaiaa:i",
  poll: "aii:i",
  eventfd: "ii:i",
  clock_gettime: "ia:i",
  getpid: ":i",
  getppid: ":i",
  getuid: ":i",
  geteuid: ":i",
  getgid: ":i",
  getegid: ":i",
  setresuid: "iii:i",
  setresgid: "iii:i",
  setgroups: "ia:i",
  kill: "ii:i",
  waitid: "iiai:i",
  execve: "aaa:i",
  _exit: "i:v",
  setsid: ":i",
  setpgid: "ii:i",
  getpgid: "i:i",
  tcgetpgrp: "i:i",
  tcsetpgrp: "ii:i",
  isatty: "i:i",
  sigaction: "iaa:i",
  pthread_sigmask: "iaa:e",
  prctl: "illll:i",
  prlimit: "iiaa:i",
  setns: "ii:i",
  unshare: "i:i",
  mount: "aaala:i",
  umount2: "ai:i",
  sethostname: "ai:i",
  memfd_create: "ai:i",
  mmap: "aliiil:a",
  munmap: "al:i",
  process_vm_readv: "iaiaii:i",
  process_vm_writev: "iaiaii:i",
  posix_spawnp: "aaaaaa:e",
  posix_spawn_file_actions_init: "a:e",
  posix_spawn_file_actions_destroy: "a:e",
  posix_spawn_file_actions_adddup2: "aii:e",
  posix_spawn_file_actions_addchdir_np: "aa:e",
  posix_spawn_file_actions_addclosefrom_np: "ai:e",
  posix_spawnattr_init: "a:e",
  posix_spawnattr_destroy: "a:e",
  posix_spawnattr_setflags: "ai:e",
  posix_spawnattr_setpgroup: "ai:e",
  posix_spawnattr_setsigdefault: "aa:e",
  posix_spawnattr_setsigmask: "aa:e",
  syscall: "lllllll:i",
};
