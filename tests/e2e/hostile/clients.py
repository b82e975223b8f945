"""Clients of the host at published ports: they send until nobody takes it any more, and go. `clients.py HOST PORT COUNT`."""

import socket
import sys
import time

host, port, count = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
clients, sent = [], 0
for _ in range(count):
    s = socket.socket()
    s.setblocking(False)
    s.connect_ex((host, port))
    clients.append(s)
until = time.monotonic() + 2
while time.monotonic() < until:
    for s in clients:
        try:
            sent += s.send(b"c" * 65536)
        except OSError:
            pass
    time.sleep(0.01)
print(sent)
