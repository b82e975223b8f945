/**
 * The host's side of the latency measurements: a TCP server without an event loop.
 *
 * `bun scripts/bench/server.ts echo [ADDRESS]` answers one connection after the other, byte by byte; `hold` accepts and
 * does nothing more. Listens on 127.0.0.1 or on ADDRESS, and prints its port.
 *
 * @module
 */

import { AF, IPPROTO, SOCK, SOL, TCP } from "../../lib/host/constants.ts";
import { check } from "../../lib/host/errno.ts";
import { bindTo, localAddress, setOption } from "../../lib/host/inet.ts";
import { NativeMemory } from "../../lib/host/memory.ts";
import { SocketAddress } from "../../lib/host/structs.ts";
import { accept4, close, listen, read, socket, write } from "../../lib/host/sys.ts";
import { IpAddress } from "../../lib/stack/wire/address.ts";

const hold = process.argv[2] === "hold";
const byte = new NativeMemory(8);
const listener = check(socket(AF.INET, SOCK.STREAM | SOCK.CLOEXEC, IPPROTO.TCP), "open a socket");
check(bindTo(listener, IpAddress.parse(process.argv[3] ?? "127.0.0.1")!, 0), "bind");
check(listen(listener, 4_096), "listen");
const name = new SocketAddress();
localAddress(listener, name);
console.log(name.port);

for (;;) {
  const fd = accept4(listener, 0, 0, SOCK.CLOEXEC);
  if (fd < 0 || hold) continue;
  setOption(fd, SOL.TCP, TCP.NODELAY, 1);
  while (read(fd, byte.address, 1) === 1) {
    if (write(fd, byte.address, 1) !== 1) break;
  }
  close(fd);
}
