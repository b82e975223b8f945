import { deepStrictEqual, ok, strictEqual } from "node:assert/strict";
import { test } from "node:test";
import { RequestQueue, REQUESTS_WAITING } from "../../lib/engine/request_queue.ts";
import { SOCK } from "../../lib/host/constants.ts";
import { NativeMemory } from "../../lib/host/memory.ts";
import { socketPair } from "../../lib/host/socket_pair.ts";
import { close, read } from "../../lib/host/sys.ts";

test("what the socket has no room for waits, in order; too many are refused, and none is forgotten", async () => {
  const [ours, theirs] = socketPair(SOCK.SEQPACKET | SOCK.NONBLOCK);
  const queue = new RequestQueue(ours);
  const lost: string[] = [];
  const send = (number: number) =>
    queue.send({
      text: new TextEncoder().encode(String(number)),
      onLost: (code) => lost.push(`${number} ${code}`),
    });
  try {
    let sent = 0;
    while (lost.length === 0) send(sent++);
    ok(sent > REQUESTS_WAITING);
    deepStrictEqual(lost, [`${sent - 1} timed-out`]);
    const memory = new NativeMemory(64);
    const got: number[] = [];
    while (got.length < sent - 1) {
      const n = read(theirs, memory.address, 64);
      if (n > 0) got.push(Number(new TextDecoder().decode(memory.bytes.subarray(0, n))));
      else await new Promise((resolve) => setTimeout(resolve, 1));
    }
    deepStrictEqual(got, got.map((_, i) => i));
    close(theirs);
    send(-1);
    strictEqual(lost.at(-1), "-1 gone");
  } finally {
    queue.close();
    close(ours);
  }
});
