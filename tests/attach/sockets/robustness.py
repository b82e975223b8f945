"""Interrupts, kills and exhausts, and says after each whether the network is as it was."""

import errno
import os
import resource
import signal
import socket
import threading


class Stop(Exception):
    pass


def stop(*_):
    raise Stop


listener = socket.create_server(("127.0.0.1", 0))
address = listener.getsockname()


def works():
    client = socket.create_connection(address)
    server, _ = listener.accept()
    client.sendall(b"x")
    return "works" if server.recv(1) == b"x" else "broken"


# A held call whose thread is interrupted is forgotten: the connection goes to the next accept.
signal.signal(signal.SIGALRM, stop)
for _ in range(20):
    signal.setitimer(signal.ITIMER_REAL, 0.005)
    try:
        listener.accept()
    except Stop:
        pass
print("interrupted accept:", works(), flush=True)

# Calls that are answered at once are interrupted, too, and begin again.
signal.signal(signal.SIGALRM, lambda *_: None)
signal.siginterrupt(signal.SIGALRM, False)
signal.setitimer(signal.ITIMER_REAL, 0.0005, 0.0005)
before = len(os.listdir("/proc/self/fd"))
for _ in range(1000):
    s = socket.socket()
    s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    s.close()
signal.setitimer(signal.ITIMER_REAL, 0)
print("storm of signals:", works(), len(os.listdir("/proc/self/fd")) - before, flush=True)

# Processes killed while their calls are held.
children = []
for _ in range(20):
    ready, wrote = os.pipe()
    child = os.fork()
    if child == 0:
        own = socket.create_server(("127.0.0.1", 0))
        os.write(wrote, b"x")
        own.accept()
        os._exit(0)
    os.read(ready, 1)
    children.append(child)
for child in children:
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
print("killed in accept:", works(), flush=True)


# Threads, each with its own calls.
def connect_often():
    for _ in range(50):
        with socket.create_connection(address) as client:
            client.sendall(b"x")


threads = [threading.Thread(target=connect_often) for _ in range(8)]
for thread in threads:
    thread.start()
served = 0
while served < 400:
    connection, _ = listener.accept()
    served += connection.recv(1) == b"x"
    connection.close()
for thread in threads:
    thread.join()
print("threads:", works(), flush=True)

# Descriptors that are passed, duplicated and inherited are the same socket.
left, right = socket.socketpair()
client = socket.create_connection(address)
server, _ = listener.accept()
socket.send_fds(left, [b"x"], [client.fileno()])
_, (passed,), _, _ = socket.recv_fds(right, 1, 1)
name = client.getsockname()
client.close()
received = socket.socket(fileno=os.dup(passed))
os.close(passed)
same = received.getsockname() == name
received.sendall(b"y")
print("passed descriptor:", same and server.recv(1) == b"y", flush=True)
child = os.fork()
if child == 0:
    received.sendall(b"z")
    os._exit(0 if received.getpeername() == address else 1)
print("inherited descriptor:", os.waitpid(child, 0)[1] == 0 and server.recv(1) == b"z", flush=True)
received.close()
print("end of the last one:", server.recv(1) == b"", flush=True)

# The guest's own limit, and bad pointers and numbers.
soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
resource.setrlimit(resource.RLIMIT_NOFILE, (64, hard))
sockets = []
try:
    while True:
        sockets.append(socket.socket())
except OSError as error:
    print("too many:", errno.errorcode[error.errno], flush=True)
sockets.clear()
print("after that:", works(), flush=True)

import ctypes  # noqa: E402

libc = ctypes.CDLL(None, use_errno=True)
for what, result in (
    ("bad pointer", lambda: libc.connect(listener.fileno(), ctypes.c_void_p(8), 16)),
    ("bad length", lambda: libc.getsockname(listener.fileno(), ctypes.c_void_p(8), ctypes.c_void_p(8))),
    ("no descriptor", lambda: libc.listen(12345, 1)),
    ("no socket", lambda: libc.listen(os.open("/dev/null", os.O_RDONLY), 1)),
    ("bad type", lambda: libc.socket(2, 0x70000001, 0)),
):
    ctypes.set_errno(0)
    print(f"{what}:", result(), errno.errorcode[ctypes.get_errno()], flush=True)
