/**
 * Where log lines go: standard error, or the file of `--debug-log`; as text or as one JSON object a line.
 *
 * @module
 */

import type { Settings } from "../config/settings.ts";
import { FileSink } from "../host/file_sink.ts";
import { oneLine } from "./one_line.ts";

/** How much a line matters. Packets are `info`. */
export type LogLevel = "debug" | "info" | "warn" | "error";

/** An open log. */
export interface Log {
  write(level: LogLevel, text: string): void;
  close(): void;
}

/** What of the settings matters here. */
export type LogSettings = Pick<Settings, "debug" | "debugLog" | "logFormat">;

/**
 * Opens the log. With a file, standard error still has warnings and errors, because somebody must act on them.
 *
 * @throws {SystemError} if the file cannot be written
 */
export function openLog(
  settings: LogSettings,
  stderr: (text: string) => void,
  now: () => Date = () => new Date(),
): Log {
  const { debug, debugLog, logFormat } = settings;
  const file = debugLog === undefined ? undefined : new FileSink(debugLog);
  const encoder = new TextEncoder();
  return {
    write(level, text) {
      if (level === "debug" && !debug) return;
      // Messages inside the program begin with a capital; here they stand behind a colon.
      const plain = `sluice: ${oneLine(text).replace(/^Cannot /, "cannot ")}\n`;
      const json = () => `${JSON.stringify({ time: now().toISOString(), level, msg: text })}\n`;
      if (file !== undefined) {
        const line = logFormat === "json" ? json() : `${now().toISOString()} ${level} ${oneLine(text)}\n`;
        file.write(encoder.encode(line));
      }
      if (file === undefined || level === "warn" || level === "error") {
        stderr(logFormat === "json" ? json() : plain);
      }
    },
    close: () => file?.close(),
  };
}
