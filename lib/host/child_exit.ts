/**
 * The end of a process as an event of a reactor.
 *
 * @module
 */

import { EpollEvents } from "./constants.ts";
import { check, Errno } from "./errno.ts";
import { reapPidfd, RUNNING } from "./exit_status.ts";
import type { Reactor } from "./reactor.ts";
import { close, pidfd_open } from "./sys.ts";

/** A watch over a process. */
export interface ChildExit {
  /** Stops watching. */
  close(): void;
}

/**
 * Calls `over` once, when process `pid` has ended, with its status as a shell tells it (128 + n for signal
 * n). A process that is not our child tells nobody its status: 0.
 *
 * @throws {SystemError} when there is no such process
 */
export function childExit(reactor: Reactor, pid: number, over: (status: number) => void): ChildExit {
  const fd = check(pidfd_open(pid), `watch process ${pid}`);
  let open = true;
  const watch: ChildExit = {
    close() {
      if (!open) return;
      open = false;
      reactor.remove(fd);
      close(fd);
    },
  };
  reactor.add(fd, EpollEvents.in, {
    onReady() {
      const status = reapPidfd(fd);
      // A traced child may be ready and yet not ours to reap: the next turn asks again.
      if (status === RUNNING) return;
      watch.close();
      over(status === -Errno.ECHILD ? 0 : status < 0 ? 125 : status);
    },
  });
  return watch;
}
