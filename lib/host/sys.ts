/**
 * System calls as plain functions of plain numbers: ≥ 0, or −errno.
 *
 * They are constants of this module, not properties of an object, so that a call site always sees the same
 * function. What each takes is written at {@linkcode Libc}.
 *
 * @module
 */

import { type Libc, libc } from "./ffi/mod.ts";
import { SYS } from "./arch.ts";

export { addressOf, memoryAt } from "./ffi/mod.ts";

export const read: Libc["read"] = libc.read;
export const write: Libc["write"] = libc.write;
export const readv: Libc["readv"] = libc.readv;
export const writev: Libc["writev"] = libc.writev;
export const pread: Libc["pread"] = libc.pread;
export const pwrite: Libc["pwrite"] = libc.pwrite;
export const close: Libc["close"] = libc.close;
export const dup: Libc["dup"] = libc.dup;
export const dup3: Libc["dup3"] = libc.dup3;
export const pipe2: Libc["pipe2"] = libc.pipe2;
export const open: Libc["open"] = libc.open;
export const openat: Libc["openat"] = libc.openat;
export const readlink: Libc["readlink"] = libc.readlink;
export const readlinkat: Libc["readlinkat"] = libc.readlinkat;
export const unlink: Libc["unlink"] = libc.unlink;
export const mkdir: Libc["mkdir"] = libc.mkdir;
export const chdir: Libc["chdir"] = libc.chdir;
export const fchdir: Libc["fchdir"] = libc.fchdir;
export const fchmod: Libc["fchmod"] = libc.fchmod;
export const flock: Libc["flock"] = libc.flock;
export const ftruncate: Libc["ftruncate"] = libc.ftruncate;
export const umask: Libc["umask"] = libc.umask;
export const fcntl: Libc["fcntl"] = libc.fcntl;
export const ioctl: Libc["ioctl"] = libc.ioctl;
export const splice: Libc["splice"] = libc.splice;
export const socket: Libc["socket"] = libc.socket;
export const socketpair: Libc["socketpair"] = libc.socketpair;
export const bind: Libc["bind"] = libc.bind;
export const connect: Libc["connect"] = libc.connect;
export const listen: Libc["listen"] = libc.listen;
export const accept4: Libc["accept4"] = libc.accept4;
export const shutdown: Libc["shutdown"] = libc.shutdown;
export const getsockopt: Libc["getsockopt"] = libc.getsockopt;
export const setsockopt: Libc["setsockopt"] = libc.setsockopt;
export const getsockname: Libc["getsockname"] = libc.getsockname;
export const getpeername: Libc["getpeername"] = libc.getpeername;
export const send: Libc["send"] = libc.send;
export const recv: Libc["recv"] = libc.recv;
export const sendto: Libc["sendto"] = libc.sendto;
export const recvfrom: Libc["recvfrom"] = libc.recvfrom;
export const sendmsg: Libc["sendmsg"] = libc.sendmsg;
export const recvmsg: Libc["recvmsg"] = libc.recvmsg;
export const sendmmsg: Libc["sendmmsg"] = libc.sendmmsg;
export const recvmmsg: Libc["recvmmsg"] = libc.recvmmsg;
export const epoll_create1: Libc["epoll_create1"] = libc.epoll_create1;
export const epoll_ctl: Libc["epoll_ctl"] = libc.epoll_ctl;
export const epoll_wait: Libc["epoll_wait"] = libc.epoll_wait;
export const epoll_pwait2: Libc["epoll_pwait2"] = libc.epoll_pwait2;
export const poll: Libc["poll"] = libc.poll;
export const eventfd: Libc["eventfd"] = libc.eventfd;
export const clock_gettime: Libc["clock_gettime"] = libc.clock_gettime;
export const getpid: Libc["getpid"] = libc.getpid;
export const getppid: Libc["getppid"] = libc.getppid;
export const getuid: Libc["getuid"] = libc.getuid;
export const geteuid: Libc["geteuid"] = libc.geteuid;
export const getgid: Libc["getgid"] = libc.getgid;
export const getegid: Libc["getegid"] = libc.getegid;
export const setresuid: Libc["setresuid"] = libc.setresuid;
export const setresgid: Libc["setresgid"] = libc.setresgid;
export const setgroups: Libc["setgroups"] = libc.setgroups;
export const kill: Libc["kill"] = libc.kill;
export const waitid: Libc["waitid"] = libc.waitid;
export const execve: Libc["execve"] = libc.execve;
/** Ends the process at once, without a word to the runtime. */
export const exitNow: Libc["_exit"] = libc._exit;
export const setsid: Libc["setsid"] = libc.setsid;
export const setpgid: Libc["setpgid"] = libc.setpgid;
export const getpgid: Libc["getpgid"] = libc.getpgid;
export const tcgetpgrp: Libc["tcgetpgrp"] = libc.tcgetpgrp;
export const tcsetpgrp: Libc["tcsetpgrp"] = libc.tcsetpgrp;
export const isatty: Libc["isatty"] = libc.isatty;
export const sigaction: Libc["sigaction"] = libc.sigaction;
export const pthread_sigmask: Libc["pthread_sigmask"] = libc.pthread_sigmask;
export const prctl: Libc["prctl"] = libc.prctl;
export const prlimit: Libc["prlimit"] = libc.prlimit;
export const setns: Libc["setns"] = libc.setns;
export const unshare: Libc["unshare"] = libc.unshare;
export const mount: Libc["mount"] = libc.mount;
export const umount2: Libc["umount2"] = libc.umount2;
export const sethostname: Libc["sethostname"] = libc.sethostname;
export const memfd_create: Libc["memfd_create"] = libc.memfd_create;
export const mmap: Libc["mmap"] = libc.mmap;
export const munmap: Libc["munmap"] = libc.munmap;
export const process_vm_readv: Libc["process_vm_readv"] = libc.process_vm_readv;
export const process_vm_writev: Libc["process_vm_writev"] = libc.process_vm_writev;
export const posix_spawnp: Libc["posix_spawnp"] = libc.posix_spawnp;
export const posix_spawn_file_actions_init: Libc["posix_spawn_file_actions_init"] =
  libc.posix_spawn_file_actions_init;
export const posix_spawn_file_actions_destroy: Libc["posix_spawn_file_actions_destroy"] =
  libc.posix_spawn_file_actions_destroy;
export const posix_spawn_file_actions_adddup2: Libc["posix_spawn_file_actions_adddup2"] =
  libc.posix_spawn_file_actions_adddup2;
export const posix_spawn_file_actions_addchdir_np: Libc["posix_spawn_file_actions_addchdir_np"] =
  libc.posix_spawn_file_actions_addchdir_np;
export const posix_spawn_file_actions_addclosefrom_np: Libc["posix_spawn_file_actions_addclosefrom_np"] =
  libc.posix_spawn_file_actions_addclosefrom_np;
export const posix_spawnattr_init: Libc["posix_spawnattr_init"] = libc.posix_spawnattr_init;
export const posix_spawnattr_destroy: Libc["posix_spawnattr_destroy"] = libc.posix_spawnattr_destroy;
export const posix_spawnattr_setflags: Libc["posix_spawnattr_setflags"] = libc.posix_spawnattr_setflags;
export const posix_spawnattr_setpgroup: Libc["posix_spawnattr_setpgroup"] = libc.posix_spawnattr_setpgroup;
export const posix_spawnattr_setsigdefault: Libc["posix_spawnattr_setsigdefault"] =
  libc.posix_spawnattr_setsigdefault;
export const posix_spawnattr_setsigmask: Libc["posix_spawnattr_setsigmask"] = libc.posix_spawnattr_setsigmask;
export const syscall: Libc["syscall"] = libc.syscall;

/** `fstat(2)`, for which old C libraries have no function. */
export function fstat(fd: number, address: number): number {
  return syscall(SYS.fstat, fd, address, 0, 0, 0, 0);
}

/** A descriptor for process `pid`, close-on-exec, readable when it ends. */
export function pidfd_open(pid: number, flags = 0): number {
  return syscall(SYS.pidfd_open, pid, flags, 0, 0, 0, 0);
}

/** Our duplicate of descriptor `fd` of the process behind `pidfd`, close-on-exec. */
export function pidfd_getfd(pidfd: number, fd: number): number {
  return syscall(SYS.pidfd_getfd, pidfd, fd, 0, 0, 0, 0);
}

/** Sends a signal to the process behind `pidfd`. */
export function pidfd_send_signal(pidfd: number, signal: number): number {
  return syscall(SYS.pidfd_send_signal, pidfd, signal, 0, 0, 0, 0);
}

/** Closes (or, with flag 4, marks close-on-exec) descriptors `first` to `last`. */
export function close_range(first: number, last: number, flags: number): number {
  return syscall(SYS.close_range, first, last, flags, 0, 0, 0);
}

/** `seccomp(2)`. */
export function seccomp(operation: number, flags: number, address: number): number {
  return syscall(SYS.seccomp, operation, flags, address, 0, 0, 0);
}
