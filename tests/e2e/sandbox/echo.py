"""What one end sends the other sends back: echo.py serve PORT SIZE | echo.py ask PORT SIZE ADDRESS..."""

import hashlib
import random
import socket
import sys
import threading

task, port, size = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
UDP_SEGMENT = 103


def serve():
    listener = socket.socket(socket.AF_INET6, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind(("::", port))
    listener.listen()
    datagrams = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
    datagrams.bind(("::", port))
    threading.Thread(target=echo_datagrams, args=(datagrams,), daemon=True).start()
    print("ready", flush=True)
    while True:
        connection, _ = listener.accept()
        threading.Thread(target=echo_stream, args=(connection,), daemon=True).start()


def echo_stream(connection):
    with connection:
        while data := connection.recv(1 << 18):
            connection.sendall(data)


def echo_datagrams(datagrams):
    while True:
        data, peer = datagrams.recvfrom(65535)
        datagrams.sendto(data, peer)


def stream(address):
    connection = socket.create_connection((address, port), timeout=20)
    data = random.Random(size).randbytes(size)
    def send():
        connection.sendall(data)
        connection.shutdown(socket.SHUT_WR)
    sender = threading.Thread(target=send)
    sender.start()
    heard = hashlib.sha256()
    count = 0
    while part := connection.recv(1 << 18):
        heard.update(part)
        count += len(part)
    sender.join()
    connection.close()
    return "tcp" if heard.digest() == hashlib.sha256(data).digest() else f"tcp: {count} of {size} bytes"


def datagram(address):
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    client = socket.socket(family, socket.SOCK_DGRAM)
    client.settimeout(5)
    for length in (0, 1, 1472, 1473, 9001, 65000):
        data = random.Random(length).randbytes(length)
        for attempt in range(3):  # nobody promises that a datagram arrives
            client.sendto(data, (address, port))
            if client.recv(65535) == data:
                break
        else:
            return f"udp: {length} bytes came back otherwise"
    return "udp"


def segments(address):
    """Several datagrams in one call, which cross a cable between kernels as one frame."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    client = socket.socket(family, socket.SOCK_DGRAM)
    client.settimeout(5)
    client.setsockopt(socket.IPPROTO_UDP, UDP_SEGMENT, 1000)
    data = random.Random(7).randbytes(10_077)
    client.sendto(data, (address, port))
    return "gso" if b"".join(client.recv(65535) for _ in range(11)) == data else "gso: not the same"


if task == "serve":
    serve()
addresses = sys.argv[4:]
results = [stream(address) for address in addresses] + [datagram(address) for address in addresses]
results += [segments(address) for address in addresses]
print(*results)
