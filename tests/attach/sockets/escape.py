"""Tries every way from inside a sandbox to a socket of the host's network.

Prints one line per attempt, "name: outcome", where the outcome is an error name, or OPEN for a way that was found.
Arguments: a directory of our own, the path of a host's stream socket, that of a host's datagram socket, and the name of
a host's abstract socket.
"""

import ctypes
import errno
import fcntl
import mmap
import os
import platform
import socket
import struct
import sys
import termios
import threading

directory, host_stream, host_datagram, host_abstract = sys.argv[1:5]
libc = ctypes.CDLL(None, use_errno=True)
X86 = platform.machine() == "x86_64"
SOCKET, SOCKETPAIR, PTRACE, CONNECT = (41, 53, 101, 42) if X86 else (198, 199, 117, 203)
VM_READV = 310 if X86 else 270
SECCOMP = 317 if X86 else 277
REQUEST_KEY = 249 if X86 else 218


def name_of(number):
    return "EOPNOTSUPP" if number == errno.EOPNOTSUPP else errno.errorcode.get(number, str(number))


def say(name, outcome):
    print(f"{name}: {outcome}", flush=True)


def call(name, number, *arguments):
    ctypes.set_errno(0)
    result = libc.syscall(ctypes.c_long(number), *[ctypes.c_long(a) for a in arguments])
    say(name, "OPEN" if result >= 0 else name_of(ctypes.get_errno()))


def attempt(name, what):
    try:
        what()
        say(name, "OPEN")
    except OSError as error:
        say(name, name_of(error.errno))


# Families. The kernel takes an int: the upper half of the register must hide nothing.
for family in range(46):
    if family not in (1, 2, 10, 16, 17):
        call(f"family {family}", SOCKET, family, 1, 0)
call("vsock with high bits", SOCKET, 1 << 32 | 40, 1, 0)
for family in (2, 10, 16, 17, 40):
    call(f"socketpair {family}", SOCKETPAIR, family, 1, 0, 0)

# Other doors to the same kernel functions.
for number, name in ((425, "io_uring_setup"), (426, "io_uring_enter"), (427, "io_uring_register")):
    call(name, number, 8, 0, 0, 0, 0, 0)
if X86:
    call("x32 socket", 0x40000000 | SOCKET, 2, 1, 0)
    # push rbx; mov eax, 359; mov ebx, 2; mov ecx, 1; xor edx, edx; int 0x80; pop rbx; ret
    code = bytes.fromhex("53b867010000bb02000000b90100000031d2cd805bc3")
    page = mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
    page.write(code)
    entry = ctypes.CFUNCTYPE(ctypes.c_int)(ctypes.addressof(ctypes.c_char.from_buffer(page)))
    result = entry()
    say("int 0x80 socket", "OPEN" if result >= 0 else name_of(-result))

# Protocols and types of IP that a kernel may have, or not.
for name, domain, kind, protocol in (
    ("mptcp", 2, 1, 262),
    ("sctp", 2, 1, 132),
    ("sctp by packets", 10, 5, 132),
    ("dccp", 2, 6, 33),
    ("udplite", 2, 2, 136),
    ("l2tp", 10, 2, 115),
    ("smc over tcp", 2, 1, 256),
    ("packets of old", 2, 10, 768),
):
    call(name, SOCKET, domain, kind, protocol)

# Somebody else's network: names that the kernel has looked up for us, and the terminal's shell.
texts = [ctypes.create_string_buffer(text) for text in (b"dns_resolver", b"escape.invalid", b"")]
kind, key, callout = map(ctypes.addressof, texts)
call("request_key", REQUEST_KEY, kind, key, callout, -3)
main, terminal = os.openpty()
if os.fork() == 0:
    os.setsid()
    fcntl.ioctl(terminal, termios.TIOCSCTTY, 0)
    attempt("typing", lambda: fcntl.ioctl(terminal, termios.TIOCSTI, b"x"))
    attempt("pasting", lambda: fcntl.ioctl(terminal, 0x541C, b"\3"))
    os._exit(0)
os.wait()
attempt("interface of a file", lambda: fcntl.ioctl(0, 0x8913, bytes(40)))

# The supervisor: somewhere among our ancestors.
ancestor, ancestors = os.getppid(), []
while ancestor > 1:
    with open(f"/proc/{ancestor}/status") as status:
        fields = dict(line.split(":\t", 1) for line in status.read().splitlines() if ":\t" in line)
    if "sluice" in fields["Name"] or "bun" in fields["Name"] or "deno" in fields["Name"]:
        ancestors.append(ancestor)
    ancestor = int(fields["PPid"])
for pid in ancestors[:1]:
    pidfd = os.pidfd_open(pid)
    call("pidfd_getfd", 438, pidfd, 0, 0)
    call("ptrace", PTRACE, 16, pid, 0, 0)
    local = ctypes.create_string_buffer(8)
    vector = ctypes.create_string_buffer(struct.pack("QQ", ctypes.addressof(local), 8))
    remote = ctypes.create_string_buffer(struct.pack("QQ", 0x400000, 8))
    call("process_vm_readv", VM_READV, pid, ctypes.addressof(vector), 1, ctypes.addressof(remote), 1, 0)
    attempt("its memory", lambda: open(f"/proc/{pid}/mem", "rb"))
    attempt("its descriptors", lambda: os.listdir(f"/proc/{pid}/fd"))

# A filter of our own with a listener, to answer ourselves what the other would refuse.
program = ctypes.create_string_buffer(struct.pack("HBBI", 6, 0, 0, 0x7FFF0000))
filter_ = ctypes.create_string_buffer(struct.pack("HxxxxxxQ", 1, ctypes.addressof(program)))
call("listener", SECCOMP, 1, 8, ctypes.addressof(filter_))
with open("/proc/self/status") as status:
    say("no_new_privs", "set" if "NoNewPrivs:\t1" in status.read() else "OPEN")


# Unix sockets of the host.
def connect(path, kind=socket.SOCK_STREAM):
    with socket.socket(socket.AF_UNIX, kind) as s:
        s.connect(path)


def send(path, how):
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as s:
        how(s, path)


attempt("host stream", lambda: connect(host_stream))
attempt("host datagram", lambda: connect(host_datagram, socket.SOCK_DGRAM))
attempt("host abstract", lambda: connect("\0" + host_abstract))
attempt("host sendto", lambda: send(host_datagram, lambda s, path: s.sendto(b"x", path)))
attempt("host sendmsg", lambda: send(host_datagram, lambda s, path: s.sendmsg([b"x"], [], 0, path)))
os.symlink(host_stream, f"{directory}/symlink")
attempt("host through a link", lambda: connect(f"{directory}/symlink"))
attempt("host through /proc", lambda: connect(f"/proc/self/root{host_stream}"))

# And a race: the name changes while the supervisor looks at it.
ours = socket.socket(socket.AF_UNIX)
ours.bind(f"{directory}/ours")
ours.listen(128)
ours.setblocking(False)
size = 110
mine = struct.pack("H108s", 1, f"{directory}/ours".encode())
theirs = struct.pack("H108s", 1, host_stream.encode())
shared = ctypes.create_string_buffer(mine, size)
racing = True


def flip():
    while racing:
        ctypes.memmove(shared, theirs, size)
        ctypes.memmove(shared, mine, size)


thread = threading.Thread(target=flip)
thread.start()
reached = 0
for _ in range(300):
    s = socket.socket(socket.AF_UNIX)
    s.setblocking(False)
    if libc.connect(s.fileno(), shared, size) == 0 and s.getpeername() == host_stream:
        reached += 1
    s.close()
    try:
        while True:
            ours.accept()[0].close()
    except BlockingIOError:
        pass
racing = False
thread.join()
say("race", "lost" if reached == 0 else f"OPEN {reached}")
