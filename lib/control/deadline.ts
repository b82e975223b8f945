/**
 * An engine that answers in time or not at all.
 *
 * @module
 */

import type { EngineAnswers, EngineArguments, EngineClient } from "../engine/messages.ts";
import { ApiError } from "./errors.ts";

/** Milliseconds a request waits for the data plane, which answers between two turns of its loop. */
export const ENGINE_DEADLINE = 5000;

/** `engine`, but a question that it does not answer in `milliseconds` fails with `engine-timeout`. */
export function withDeadline(engine: EngineClient, milliseconds: number = ENGINE_DEADLINE): EngineClient {
  return {
    capture: (options) => engine.capture(options),
    ask<Op extends keyof EngineAnswers>(op: Op, ...details: EngineArguments<Op>) {
      return new Promise<EngineAnswers[Op]>((resolve, reject) => {
        const timer = setTimeout(() => {
          reject(
            new ApiError("engine-timeout", `Cannot answer: the data plane is silent for ${milliseconds} ms`),
          );
        }, milliseconds);
        engine.ask(op, ...details).then(resolve, reject).finally(() => clearTimeout(timer));
      });
    },
  };
}
