/**
 * What a user may want to see of a link: one line per packet on the log. Captures are the engine's.
 *
 * @module
 */

import type { Link } from "../stack/link/link.ts";
import { withLog } from "../stack/link/log.ts";
import { formatFrame } from "../stack/wire/format.ts";

/** What to show. */
export interface TraceOptions {
  /** One line per packet. */
  readonly logPackets: boolean;
}

/** `inner` with what `options` ask for around it. */
export function tracedLink(
  inner: Link,
  name: string,
  options: TraceOptions,
  log: (level: "info" | "warn", text: string) => void,
): Link {
  if (!options.logPackets) return inner;
  return withLog(inner, { name, sink: (line) => log("info", line), format: formatFrame });
}
