/**
 * The worker of worker_test.ts: runs a loop of its own, woken by the other thread through a descriptor.
 *
 * @module
 */

import { EpollEvents, Reactor } from "../../lib/host/reactor.ts";
import { read } from "../../lib/host/sys.ts";
import { NativeMemory } from "../../lib/host/memory.ts";
import { onFirstMessage, postToParent } from "../../lib/host/worker.ts";

onFirstMessage(({ fd }: { fd: number }) => {
  const reactor = new Reactor();
  const memory = new NativeMemory(64);
  reactor.add(fd, EpollEvents.in, {
    onReady() {
      const length = read(fd, memory.address, 64);
      if (length <= 0) return reactor.stop();
      // A failing call in between: this thread's errno is its own.
      postToParent({
        heard: new TextDecoder().decode(memory.bytes.subarray(0, length)),
        errno: read(-1, 0, 0),
      });
    },
  });
  postToParent({ heard: "ready", errno: 0 });
  reactor.run({ beforeWait: () => Infinity, afterTurn() {} });
  reactor.close();
  postToParent({ heard: "over", errno: 0 });
});
