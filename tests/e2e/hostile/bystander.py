"""The guest that has done nothing: downloads compared by hash, and a ping-pong, for as long as the attack lasts.

Prints a line when the first ping has been answered, and what it saw at the end of its input."""

import hashlib
import json
import socket
import sys
import threading
import time

host, ports = sys.argv[1], json.loads(sys.argv[2])
stop, there = threading.Event(), threading.Event()
result = {"downloads": 0, "pings": 0, "worst": 0.0, "errors": []}


def download():
    """One megabyte a connection; the last line of each is its own hash."""
    while not stop.is_set():
        try:
            began = time.monotonic()
            with socket.create_connection((host, ports["blob"]), 20) as c:
                c.settimeout(20)
                data = b"".join(iter(lambda: c.recv(1 << 18), b""))
            if hashlib.sha256(data[:-32]).digest() != data[-32:] or len(data) < 1 << 20:
                raise ValueError(f"{len(data)} wrong bytes")
            result["downloads"] += 1
            result["worst"] = max(result["worst"], time.monotonic() - began)
        except Exception as error:
            result["errors"].append(f"download: {error!r}")
        stop.wait(0.01)


def ping():
    try:
        c = socket.create_connection((host, ports["echo"]), 20)
        c.settimeout(20)
        c.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        while not stop.is_set():
            began = time.monotonic()
            word = b"%08d" % result["pings"]
            c.sendall(word)
            got = b""
            while len(got) < 8:
                more = c.recv(8 - len(got))
                if not more:
                    raise ValueError("the end")
                got += more
            if got != word:
                raise ValueError(f"{got} for {word}")
            result["pings"] += 1
            there.set()
            result["worst"] = max(result["worst"], time.monotonic() - began)
            stop.wait(0.002)
    except Exception as error:
        result["errors"].append(f"ping: {error!r}")
    finally:
        there.set()


threads = [threading.Thread(target=one) for one in (download, ping)]
for thread in threads:
    thread.start()
there.wait()
print("there", flush=True)
sys.stdin.read()
stop.set()
for thread in threads:
    thread.join()
result["errors"] = result["errors"][:5]
print(json.dumps(result))
