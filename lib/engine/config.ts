/**
 * What the main thread hands to the engine when it starts: plain data, descriptors by number.
 *
 * Both are threads of one process, so a descriptor means the same in each.
 *
 * @module
 */

import type { ModeConfig } from "../modes/mode.ts";

/** Everything the engine needs to begin. */
export interface EngineConfig {
  readonly mode: ModeConfig;
  /** The engine's end of the socketpair that requests arrive on (`SOCK_SEQPACKET`). */
  readonly requests: number;
  /** Process whose end the engine reports, or 0. */
  readonly child: number;
  readonly debug: boolean;
  /** One line per packet on the log. */
  readonly logPackets: boolean;
  /** Where to write a capture of everything, or empty. */
  readonly pcapLog: string;
  /** Log lines that the main thread has written; see log_credit.ts. */
  readonly logged: Int32Array;
}
