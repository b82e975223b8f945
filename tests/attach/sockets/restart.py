"""Calls that wait, and a signal meanwhile: with SA_RESTART they go on, unless they have a time-out; without it they say EINTR."""

import ctypes
import errno
import signal
import socket
import struct
import threading

libc = ctypes.CDLL(None, use_errno=True)
address = ctypes.create_string_buffer(128)
length = ctypes.c_uint(128)
buffer = ctypes.create_string_buffer(64)


def attempt(name, restart, call, wake):
    """Calls; signals come until it returns, and what it waits for, if it goes on, after some of them."""
    signal.signal(signal.SIGALRM, lambda *_: None)
    signal.siginterrupt(signal.SIGALRM, not restart)
    # The signals are for this thread. A first one may come before the call waits.
    waker = threading.Timer(0.3, wake) if wake and restart else threading.Timer(0, lambda: None)
    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGALRM])
    waker.start()
    signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGALRM])
    signal.setitimer(signal.ITIMER_REAL, 0.1, 0.1)
    result = call()
    number = ctypes.get_errno()
    signal.setitimer(signal.ITIMER_REAL, 0)
    waker.join()
    print(name, "SA_RESTART" if restart else "no SA_RESTART", "works" if result >= 0 else errno.errorcode[number])


def again(server):
    """Another call, not the same: nobody is interrupted any more."""
    server.setblocking(False)
    result = libc.accept4(server.fileno(), None, None, 0)
    return ctypes.get_errno() if result < 0 else 0


limit = struct.pack("ll", 5, 0)
for restart in (True, False):
    server = socket.create_server(("127.0.0.1", 0))
    here = server.getsockname()
    clients = []
    attempt("accept", restart, lambda: libc.accept(server.fileno(), None, None),
            lambda: clients.append(socket.create_connection(here)))

    receiver = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    receiver.bind(("127.0.0.1", 0))
    there = receiver.getsockname()
    sender = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    attempt("recvfrom", restart,
            lambda: libc.recvfrom(receiver.fileno(), buffer, 64, 0, address, ctypes.byref(length)),
            lambda: sender.sendto(b"x", there))

    server = socket.create_server(("127.0.0.1", 0))
    server.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, limit)
    attempt("accept with a time-out", restart, lambda: libc.accept(server.fileno(), None, None), None)
    print("and then", errno.errorcode[again(server)])
    receiver = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    receiver.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, limit)
    attempt("recvfrom with a time-out", restart,
            lambda: libc.recvfrom(receiver.fileno(), buffer, 64, 0, address, ctypes.byref(length)), None)
