/**
 * What a user may want to see of a link: one line per packet on the log, a pcapng file.
 *
 * @module
 */

import { FileSink } from "../host/file_sink.ts";
import { wallClock } from "../host/clock.ts";
import type { Link } from "../stack/link/link.ts";
import { withLog } from "../stack/link/log.ts";
import { PcapngWriter, withPcapng } from "../stack/link/pcapng.ts";
import type { Instant } from "../stack/time.ts";
import { formatFrame } from "../stack/wire/format.ts";

/** What to show. */
export interface TraceOptions {
  /** One line per packet. */
  readonly logPackets: boolean;
  /** Path of a pcapng file, or empty. */
  readonly pcapLog: string;
}

/**
 * `inner` with what `options` ask for around it.
 *
 * @throws {SystemError} if the file cannot be written
 */
export function tracedLink(
  inner: Link,
  name: string,
  options: TraceOptions,
  clock: () => Instant,
  log: (level: "info" | "warn", text: string) => void,
): Link {
  let link = inner;
  if (options.logPackets) {
    link = withLog(link, { name, sink: (line) => log("info", line), format: formatFrame });
  }
  if (options.pcapLog !== "") {
    const file = new FileSink(options.pcapLog, (why) => {
      log("warn", `Cannot write all packets to ${options.pcapLog}: ${why}`);
    });
    const writer = new PcapngWriter((bytes) => file.write(bytes), { epoch: wallClock() - clock() });
    link = withPcapng(link, writer, name, clock);
  }
  return link;
}
