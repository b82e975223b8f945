/**
 * From "launched" to "over": the engine, the control API, signals, and the exit status.
 *
 * @module
 */

import { EngineHandle } from "../engine/client.ts";
import { childOf, writeByte } from "../host/process.ts";
import { forwardSignals, killChild } from "../host/signals.ts";
import { type CommandContext, Failure } from "./command.ts";
import { type Log, type LogLevel, openLog } from "./log.ts";
import type { Launched } from "./launch.ts";

/** Runs a launched session to its end; resolves to the exit status. */
export async function superviseSession(
  context: CommandContext,
  launched: Launched,
  readyFd?: number,
): Promise<number> {
  const { settings } = context;
  const log = logOf(context, launched);
  const engine = new EngineHandle({ mode: launched.mode, child: launched.child, debug: settings.debug }, {
    onLog: (level, text) => log.write(level as LogLevel, text),
  });
  const signals = forwardSignals(launched.child, () => programOf(launched));
  let api: { close(): void } | undefined;
  try {
    const serving = settings.api.kind === "off"
      ? Promise.resolve(undefined)
      : import("./serve_api.ts").then(({ serveApi }) => serveApi(context, launched, engine));
    // Either may fail first; the other must not then be an unhandled rejection.
    serving.catch(() => {});
    await engine.ready;
    api = await serving;
    await engine.ask("go");
    if (readyFd !== undefined) writeByte(readyFd);
    const { status, message } = await engine.over;
    if (message !== undefined) throw new Failure(message, undefined, status);
    return status;
  } catch (error) {
    killChild(launched.child);
    if (error instanceof Failure) throw error;
    throw new Failure(error instanceof Error ? error.message : String(error));
  } finally {
    signals.close();
    api?.close();
    engine.dispose();
    log.close();
  }
}

function programOf({ child, isMonitored }: Launched): number {
  return (isMonitored ? childOf(child) : undefined) ?? child;
}

function logOf({ settings, stderr }: CommandContext, launched: Launched): Log {
  try {
    return openLog(settings, stderr);
  } catch (error) {
    killChild(launched.child);
    throw error;
  }
}
