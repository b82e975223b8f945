/**
 * The guest's side of the measurements of single calls; prints microseconds per call, the median of batches.
 *
 * `bun scripts/bench/calls.ts trapped`: `getsockopt` on a UDP socket, which behind the attachment `sockets` is answered by
 * sluice; `… foreign`: `sendmsg` and `recvmsg` on a pair of unix sockets, which sluice only looks at, per call.
 *
 * @module
 */

import { AF, IPPROTO, MSG, SO, SOCK, SOL } from "../../lib/host/constants.ts";
import { check } from "../../lib/host/errno.ts";
import { getOption } from "../../lib/host/inet.ts";
import { NativeMemory } from "../../lib/host/memory.ts";
import { socketPair } from "../../lib/host/socket_pair.ts";
import { Msghdr, MSGHDR_SIZE, writeIovec } from "../../lib/host/structs.ts";
import { recvmsg, sendmsg, socket } from "../../lib/host/sys.ts";
import { median } from "./report.ts";

const BATCHES = 1_000, CALLS = 20;

/** Prints the median over batches of the microseconds that one of `calls` takes. */
function measure(calls: number, body: () => void): void {
  const times: number[] = [];
  for (let batch = 0; batch < BATCHES; batch++) {
    const began = performance.now();
    for (let i = 0; i < CALLS; i++) body();
    times.push((performance.now() - began) * 1e3 / (CALLS * calls));
  }
  console.log(median(times.slice(BATCHES / 10)).toFixed(2));
}

switch (process.argv[2]) {
  case "trapped": {
    const fd = check(socket(AF.INET, SOCK.DGRAM | SOCK.CLOEXEC, IPPROTO.UDP), "open a socket");
    measure(1, () => check(getOption(fd, SOL.SOCKET, SO.ERROR), "ask"));
    break;
  }
  case "foreign": {
    const [near, far] = socketPair(SOCK.DGRAM);
    const message = new NativeMemory(MSGHDR_SIZE + 16 + 8);
    writeIovec(message, MSGHDR_SIZE, 0, message.address + MSGHDR_SIZE + 16, 8);
    message.setPointer(Msghdr.iov, message.address + MSGHDR_SIZE);
    message.setPointer(Msghdr.iovLength, 1);
    measure(2, () => {
      check(sendmsg(near, message.address, MSG.DONTWAIT), "send");
      check(recvmsg(far, message.address, MSG.DONTWAIT), "receive");
    });
    break;
  }
  default:
    throw new RangeError(`Cannot measure "${process.argv[2]}": it is not trapped or foreign`);
}
