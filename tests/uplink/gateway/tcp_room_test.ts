import { ok, strictEqual } from "node:assert/strict";
import { test } from "node:test";
import { SO, SOL } from "../../../lib/host/constants.ts";
import { getOption } from "../../../lib/host/inet.ts";
import { close } from "../../../lib/host/sys.ts";
import { openStream } from "../../../lib/uplink/gateway/host_socket.ts";
import {
  beginSmall,
  keepSmall,
  letGrow,
  limitBuffer,
  roomAmong,
} from "../../../lib/uplink/gateway/tcp_room.ts";

test("roomAmong() gives the many less than the few, in our queues and in the kernel's", () => {
  let promised = 0;
  let before = roomAmong(0);
  for (let flows = 0; flows < 16_384; flows++) {
    const room = roomAmong(flows);
    ok(room.options.sendBufferMax! <= before.options.sendBufferMax!);
    ok(room.options.receiveBuffer! <= before.options.receiveBuffer!);
    ok(room.hostMost <= before.hostMost);
    promised += room.options.receiveBuffer!;
    before = room;
  }
  ok(promised < 512 * 1_048_576, `${promised} bytes of window before anything has been read`);
});

test("a socket begins small and may grow; one that has been limited does not", () => {
  const fd = openStream(4);
  try {
    beginSmall(fd, 16_384);
    strictEqual(getOption(fd, SOL.SOCKET, SO.RCVBUF), 16_384);
    strictEqual(getOption(fd, SOL.SOCKET, SO.BUF_LOCK), 0, "the kernel may change it");
    keepSmall(fd);
    strictEqual(getOption(fd, SOL.SOCKET, SO.BUF_LOCK), 2, "not the receive buffer, for now");
    letGrow(fd);
    strictEqual(getOption(fd, SOL.SOCKET, SO.BUF_LOCK), 0);
    strictEqual(getOption(fd, SOL.SOCKET, SO.RCVBUF), 16_384);
    limitBuffer(fd, SO.RCVBUF, 65_536);
    strictEqual(getOption(fd, SOL.SOCKET, SO.RCVBUF), 65_536);
    ok(getOption(fd, SOL.SOCKET, SO.BUF_LOCK) > 0, "it stays as it is");
  } finally {
    close(fd);
  }
});
