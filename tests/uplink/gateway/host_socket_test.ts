import { test } from "node:test";
import { ok, strictEqual } from "node:assert/strict";
import { bindTo, connectTo, localAddress, tcpListen } from "../../../lib/host/inet.ts";
import { SocketAddress } from "../../../lib/host/structs.ts";
import { close } from "../../../lib/host/sys.ts";
import { IpAddress } from "../../../lib/stack/wire/address.ts";
import { isOwnPeer, openStream } from "../../../lib/uplink/gateway/host_socket.ts";

const LOOPBACK = IpAddress.parse("127.0.0.1")!;

test("isOwnPeer() tells a socket that dialled itself", () => {
  const fd = openStream(4);
  const at = new SocketAddress();
  strictEqual(bindTo(fd, LOOPBACK, 0), 0);
  ok(localAddress(fd, at));
  connectTo(fd, LOOPBACK, at.port);
  strictEqual(connectTo(fd, LOOPBACK, at.port), 0);
  strictEqual(isOwnPeer(fd, LOOPBACK, at.port), true);
  close(fd);
});

test("isOwnPeer() knows others", () => {
  const listener = tcpListen(LOOPBACK, 0);
  const at = new SocketAddress();
  ok(localAddress(listener, at));
  const fd = openStream(4);
  connectTo(fd, LOOPBACK, at.port);
  strictEqual(connectTo(fd, LOOPBACK, at.port), 0);
  strictEqual(isOwnPeer(fd, LOOPBACK, at.port), false);
  close(fd);
  close(listener);
});
