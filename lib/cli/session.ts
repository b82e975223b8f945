/**
 * From "launched" to "over": the engine, the control API, signals, and the exit status.
 *
 * @module
 */

import { EngineHandle } from "../engine/client.ts";
import type { EngineClient } from "../engine/messages.ts";
import { endDescendants, networkNamespaceOf } from "../host/descendants.ts";
import { reap, RUNNING, waitStatus } from "../host/exit_status.ts";
import { writeStdoutBytes } from "../host/runtime.ts";
import { childOf, writeByte } from "../host/process.ts";
import { type Closable, forwardSignals, killChild, onSignal } from "../host/signals.ts";
import { type CommandContext, Failure } from "./command.ts";
import { type Log, type LogLevel, openLog } from "./log.ts";
import type { Launched } from "./launch.ts";

/** How long a data plane may take to end in good order. */
const STOP_MILLISECONDS = 5_000;

/** How long the readers of captures may take to read what is left. */
const CAPTURE_MILLISECONDS = 1_000;

/**
 * Runs a launched session to its end; resolves to the exit status.
 *
 * @param readyFd is written a byte when everything works
 * @param also something that runs beside, once the engine does
 */
export async function superviseSession(
  context: CommandContext,
  launched: Launched,
  readyFd?: number,
  also?: (engine: EngineClient) => Promise<{ close(): void }>,
): Promise<number> {
  const { settings } = context;
  const log = logOf(context, launched);
  const { pcapLog = "", debug, logPackets } = settings;
  const toStdout = pcapLog === "-";
  const start = {
    mode: launched.mode,
    child: launched.watched,
    debug,
    logPackets,
    pcapLog: toStdout ? "" : pcapLog,
  };
  const engine = new EngineHandle(start, {
    onLog: (level, text) => log.write(level as LogLevel, text),
  });
  const signals = launched.isProgram
    ? forwardSignals(launched.child, () => programOf(launched), () => engine.hurry())
    : stopOnSignals(engine);
  let started = launched.child;
  const serving = import("./serve_api.ts").then(({ serveApi }) => serveApi(context, launched, engine));
  // Either may fail first; the other must not then be an unhandled rejection.
  const served = serving.catch(() => undefined);
  let other: { close(): void } | undefined;
  let tapped: string | undefined, left = false;
  const leave = async () => {
    left = true;
    if (launched.isProgram) await endDaemons(log, launched, tapped);
    engine.ask("stop").catch(() => {});
  };
  try {
    await engine.ready;
    // The stage is there, and waits to be told to go.
    tapped = tappedNetwork(launched);
    await serving;
    if (toStdout) void pumpToStdout(await engine.capture({}));
    other = await also?.(engine);
    // Without a stage to hold it back, a short program is over before it is told to go.
    await Promise.race([engine.ask("go"), engine.over]);
    // The stage of an attachment has done its work and ends; nobody else reaps it.
    if (!launched.isProgram && started !== 0) {
      waitStatus(started);
      started = 0;
    }
    if (readyFd !== undefined) writeByte(readyFd);
    await Promise.race([engine.drained.then(leave), engine.over]);
    const { status, message, isStuck } = await engine.over;
    await Promise.race([engine.captured(), patience(CAPTURE_MILLISECONDS)]);
    const own = isStuck === true && launched.isProgram ? reap(started) : RUNNING;
    if (own >= 0) {
      // The program has ended, and nobody was there to see it.
      log.write("error", message!);
      started = 0;
      return own;
    }
    if (message !== undefined) throw new Failure(message, undefined, status);
    return status;
  } catch (error) {
    killChild(started);
    await ended(engine);
    if (error instanceof Failure) throw error;
    throw new Failure(error instanceof Error ? error.message : String(error));
  } finally {
    if (!left) await leave();
    signals.close();
    other?.close();
    (await served)?.close();
    engine.dispose();
    if (launched.mode.network === "sandbox") await lastResort(log);
    log.close();
  }
}

/** The namespace that was made for the program and its TAP. */
function tappedNetwork(launched: Launched): string | undefined {
  if (!launched.isProgram || launched.mode.attach !== "tap") return undefined;
  const network = networkNamespaceOf(programOf(launched));
  return network === networkNamespaceOf("self") ? undefined : network;
}

/**
 * What the program has left behind would have no network any more. While the data plane runs, who waits in a call ends by a
 * signal, not by an error of that call.
 */
async function endDaemons(log: Log, { mode }: Launched, tapped: string | undefined): Promise<void> {
  if (mode.attach !== "sockets" && tapped === undefined) return;
  const left = await endDescendants(tapped);
  if (left > 0) {
    log.write("warn", `${left} processes that the program left behind are still there, killed as they are`);
  }
}

/** A session that failed halfway puts back what it has taken; its loop is told to, and given some time. */
async function ended(engine: EngineHandle): Promise<void> {
  engine.ask("stop").catch(() => {});
  await Promise.race([engine.over, patience(STOP_MILLISECONDS)]);
}

/** If even that failed, the interfaces are given back from here. */
async function lastResort(log: Log): Promise<void> {
  const { restoreOwn } = await import("../modes/restore.ts");
  try {
    const restored = restoreOwn();
    if (restored !== undefined) log.write("warn", `gave ${restored.devices.join(", ")} back after a failure`);
  } catch (error) {
    log.write("error", error instanceof Error ? error.message : String(error));
  }
}

/** What ends an attachment ends it in good order: the device goes, the entry goes, and the status is 0. */
function stopOnSignals(engine: EngineHandle): Closable {
  const listeners = (["SIGTERM", "SIGINT", "SIGHUP"] as const).map((name) =>
    // One that comes before the engine listens is answered when it does.
    onSignal(name, () => {
      engine.hurry();
      engine.ready.then(() => engine.ask("stop")).catch(() => {});
    })
  );
  return { close: () => listeners.forEach((listener) => listener.close()) };
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

/** What passes the interfaces, on stdout, until it is over or nobody reads it. */
async function pumpToStdout(capture: ReadableStream<Uint8Array>): Promise<void> {
  for await (const bytes of capture) if (!await writeStdoutBytes(bytes)) return;
}

/** Holds up nothing: this program ends by saying so. */
function patience(milliseconds: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, milliseconds));
}
