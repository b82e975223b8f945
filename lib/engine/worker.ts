/**
 * The engine's thread: waits for its configuration, then runs the loop and never comes back to the event loop.
 *
 * @module
 */

import { onFirstMessage, postToParent } from "../host/worker.ts";
import type { EngineConfig } from "./config.ts";
import { Engine } from "./engine.ts";
import type { EngineMessage } from "./messages.ts";

const post = (message: EngineMessage) => postToParent(message);

onFirstMessage((config: EngineConfig) => {
  try {
    const engine = new Engine(config, post);
    post({ type: "ready" });
    engine.run();
    post({ type: "stopped" });
  } catch (error) {
    const message = error instanceof Error ? error.message : String(error);
    post({
      type: "failed",
      message: config.debug && error instanceof Error ? `${error.stack}` : message,
      status: 125,
    });
  }
});
