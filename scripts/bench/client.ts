/**
 * The guest's side of the latency measurements: a client without an event loop, so that what is measured is the
 * network and not a runtime.
 *
 * `bun scripts/bench/client.ts rr|crr HOST PORT SECONDS` prints microseconds per transaction;
 * `… idle HOST PORT COUNT` opens connections, says `ready`, and holds them until its standard input ends.
 *
 * @module
 */

import { AF, IPPROTO, SOCK, SOL, TCP } from "../../lib/host/constants.ts";
import { check } from "../../lib/host/errno.ts";
import { connectTo, setOption } from "../../lib/host/inet.ts";
import { NativeMemory } from "../../lib/host/memory.ts";
import { close, read, socket, write } from "../../lib/host/sys.ts";
import { IpAddress } from "../../lib/stack/wire/address.ts";

/** Both ends run untimed for so long first: compilers warm up, windows open. */
const WARM_UP = 0.5;

const [mode, host = "", port = "0", amount = "1"] = process.argv.slice(2);
const address = IpAddress.parse(host)!;
const byte = new NativeMemory(8);

function dial(): number {
  const fd = check(socket(AF.INET, SOCK.STREAM | SOCK.CLOEXEC, IPPROTO.TCP), "open a socket");
  setOption(fd, SOL.TCP, TCP.NODELAY, 1);
  check(connectTo(fd, address, Number(port)), `connect to ${host}:${port}`);
  return fd;
}

function exchange(fd: number): void {
  check(write(fd, byte.address, 1), "send");
  if (check(read(fd, byte.address, 1), "receive") !== 1) throw new Error("Cannot receive: end of file");
}

/** Microseconds that `transaction` takes on average over `seconds`. */
function measure(seconds: number, transaction: () => void): number {
  let count = 0;
  const begin = performance.now();
  let now = begin;
  do {
    for (let i = 0; i < 10; i++) transaction();
    count += 10;
    now = performance.now();
  } while (now - begin < seconds * 1e3);
  return (now - begin) * 1e3 / count;
}

function timed(transaction: () => void): void {
  measure(WARM_UP, transaction);
  console.log(measure(Number(amount), transaction).toFixed(2));
}

switch (mode) {
  case "rr": {
    const fd = dial();
    timed(() => exchange(fd));
    break;
  }
  case "crr":
    timed(() => {
      const fd = dial();
      exchange(fd);
      close(fd);
    });
    break;
  case "idle": {
    for (let i = 0; i < Number(amount); i++) dial();
    console.log("ready");
    while (read(0, byte.address, 1) > 0);
    break;
  }
  default:
    throw new RangeError(`Cannot measure "${mode}": it is not rr, crr or idle`);
}
