/**
 * A provider that is nothing but a cable: `tap_relay.ts SOCKET DEVICE` makes a TAP device and carries frames between it and
 * whoever connects to the socket (u32 length + frame). One client at a time; prints `ready`.
 *
 * @module
 */

import { AF, SOCK } from "../../lib/host/constants.ts";
import { check } from "../../lib/host/errno.ts";
import { addressOf } from "../../lib/host/memory.ts";
import { EpollEvents, Reactor } from "../../lib/host/reactor.ts";
import { accept4, close, listen, socket } from "../../lib/host/sys.ts";
import { openTap } from "../../lib/host/tun.ts";
import { bindUnix } from "../../lib/host/unix_socket.ts";
import { TapLink } from "../../lib/link/tap.ts";
import { NO_WIRE_OFFLOAD } from "../../lib/link/offload.ts";
import { UnixStreamLink } from "../../lib/link/unix_stream.ts";
import { BufferPool } from "../../lib/stack/buffer/pool.ts";
import type { Link } from "../../lib/stack/link/link.ts";
import { NO_OFFLOAD } from "../../lib/stack/link/link.ts";
import { completeChecksum } from "../../lib/stack/wire/checksum.ts";
import process from "node:process";

const [path = "", device = ""] = process.argv.slice(2);
const MTU = 1_500;
const reactor = new Reactor();
const pool = new BufferPool(addressOf);
const { fd: tapFd } = openTap(device);
// Without segmentation: whoever is at the other end takes frames as the wire has them.
const tap = new TapLink({ fd: tapFd, mtu: MTU, pool, gso: false });
const listener = check(socket(AF.UNIX, SOCK.STREAM | SOCK.NONBLOCK | SOCK.CLOEXEC, 0), "make a socket");
check(bindUnix(listener, path), `bind ${path}`);
check(listen(listener, 4), "listen");

let client: UnixStreamLink | undefined;

function carry(from: Link, to: Link | undefined): void {
  for (let frame = from.receive(); frame !== undefined; frame = from.receive()) {
    completeChecksum(frame);
    if (to === undefined || !to.transmit(frame)) frame.release();
  }
  to?.flush?.();
}

reactor.add(listener, EpollEvents.in, {
  onReady: () => {
    const fd = accept4(listener, 0, 0, SOCK.NONBLOCK | SOCK.CLOEXEC);
    if (fd < 0) return;
    const onEnd = () => {
      reactor.remove(fd);
      close(fd);
      client = undefined;
    };
    const link = new UnixStreamLink({
      fd,
      mtu: MTU,
      pool,
      capabilities: NO_OFFLOAD,
      offload: NO_WIRE_OFFLOAD,
      onEnd,
    });
    client = link;
    reactor.add(fd, EpollEvents.in, { onReady: () => carry(link, tap) });
  },
});
reactor.add(tapFd, EpollEvents.in, { onReady: () => carry(tap, client) });
console.log("ready");
reactor.run({ beforeWait: () => Infinity, afterTurn: () => {} });
