"""Breaks the thread that runs sluice's data plane, from outside, as a defect would: python3 engine.py PID HOW.

hang   it runs no more, as long as this program does
fail   its wait for events fails, which no handler expects: an exception in the loop
crash  it jumps to address 0

All of it while the thread waits for events: elsewhere it may hold a lock that the whole process needs, and a register
that is overwritten is not what a call returned.
"""

import ctypes
import os
import platform
import sys

PTRACE_CONT, PTRACE_GETREGS, PTRACE_SETREGS, PTRACE_DETACH = 7, 12, 13, 17
PTRACE_SEIZE, PTRACE_INTERRUPT, PTRACE_EVENT_STOP = 0x4206, 0x4207, 128
WALL = 0x40000000
EBADF = 9
# struct user_regs_struct of x86-64, in words of 8 bytes.
RAX, ORIG_RAX, RIP = 10, 15, 16
# epoll_wait, epoll_pwait, epoll_pwait2.
WAITS = {"x86_64": (232, 281, 441)}.get(platform.machine(), (22, 441))

libc = ctypes.CDLL(None, use_errno=True)
libc.ptrace.argtypes = [ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p]
libc.ptrace.restype = ctypes.c_long


def ptrace(request, thread, data=None):
    if libc.ptrace(request, thread, None, data) < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


def worker(process):
    for thread in os.listdir(f"/proc/{process}/task"):
        with open(f"/proc/{process}/task/{thread}/comm") as name:
            if name.read().strip() == "Worker":
                return int(thread)
    sys.exit(f"process {process} has no worker")


def waits(process, thread):
    """Whether a thread that is stopped was waiting for events."""
    with open(f"/proc/{process}/task/{thread}/syscall") as call:
        return int(call.read().split()[0]) in WAITS


process, how = int(sys.argv[1]), sys.argv[2]
thread = worker(process)
ptrace(PTRACE_SEIZE, thread)
while True:
    ptrace(PTRACE_INTERRUPT, thread)
    _, status = os.waitpid(thread, WALL)
    if status >> 16 == PTRACE_EVENT_STOP and waits(process, thread):
        break
    # It runs; or it was stopped by a signal, as the runtime sends them to its own threads, which it shall have.
    ptrace(PTRACE_CONT, thread, 0 if status >> 16 else os.WSTOPSIG(status))
if how == "hang":
    print("done", flush=True)
    # Who traces a thread must bury it, too, or its process never ends.
    os.waitpid(thread, WALL)
else:
    words = (ctypes.c_ulonglong * 27)()
    ptrace(PTRACE_GETREGS, thread, words)
    words[ORIG_RAX] = 2**64 - 1
    if how == "fail":
        words[RAX] = 2**64 - EBADF
    else:
        words[RIP] = 0
    ptrace(PTRACE_SETREGS, thread, words)
    ptrace(PTRACE_DETACH, thread)
    print("done", flush=True)
