/**
 * The engine's thread: waits for its configuration, then runs the loop and never comes back to the event loop.
 *
 * @module
 */

import { leaveSignalsToMainThread } from "../host/signals.ts";
import { onFirstMessage, postToParent } from "../host/worker.ts";
import type { EngineConfig } from "./config.ts";
import { Engine } from "./engine.ts";
import type { EngineMessage } from "./messages.ts";

const post = (message: EngineMessage) => postToParent(message);

/** What failed: to set up, which has a message made for users, or one of our own handlers, which must not end in silence. */
function failure(error: unknown, runs: boolean, debug: boolean): string {
  if (!(error instanceof Error)) return String(error);
  const what = debug ? `${error.stack}` : error.message;
  return runs ? `the data plane failed: ${what}${debug ? "" : " (a defect; --debug shows where)"}` : what;
}

onFirstMessage((config: EngineConfig) => {
  // An ADDFD_SEND that is interrupted half way leaves the guest with 0 for a descriptor (seccomp_unotify(2)).
  leaveSignalsToMainThread();
  let runs = false;
  try {
    const engine = new Engine(config, post);
    post({ type: "ready" });
    runs = true;
    engine.run();
    post({ type: "stopped" });
  } catch (error) {
    post({ type: "failed", message: failure(error, runs, config.debug), status: 125 });
  }
});
