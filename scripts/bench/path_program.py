"""The program at an end of scripts/bench/paths.ts: `send HOST PORT` without end, or `take PORT`."""
import socket
import sys

PERIOD = 65521
pattern, state = bytearray(), 1
for _ in range(PERIOD):
    state = (state * 1664525 + 1013904223) & 0xFFFFFFFF
    pattern.append(state >> 24)

if sys.argv[1] == "send":
    print("ready", flush=True)
    connection = socket.create_connection((sys.argv[2], int(sys.argv[3])))
    while True:
        connection.sendall(pattern)
else:
    listener = socket.create_server(("0.0.0.0", int(sys.argv[2])))
    print("ready", flush=True)
    connection, _ = listener.accept()
    at = 0
    while data := connection.recv(65536):
        here = at % PERIOD
        if data != (pattern[here:] + pattern + pattern)[: len(data)]:
            sys.exit(f"the bytes from {at} on are wrong")
        at += len(data)
