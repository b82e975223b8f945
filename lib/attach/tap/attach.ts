/**
 * Attachment `tap`: the guest has a kernel interface in a network namespace of its own, whose frames come to us.
 *
 * @module
 */

import type { Reactor } from "../../host/reactor.ts";
import { close } from "../../host/sys.ts";
import { Pump } from "../../link/pump.ts";
import { TapLink } from "../../link/tap.ts";
import type { BufferPool } from "../../stack/buffer/pool.ts";
import type { Link } from "../../stack/link/link.ts";
import type { Nic } from "../../stack/nic.ts";
import type { Stack } from "../../stack/stack.ts";
import { type Instant, NEVER } from "../../stack/time.ts";
import { Stage } from "../stage/stage_peer.ts";

/** What the attachment needs of the one who composes it. */
export interface TapContext {
  readonly config: {
    readonly stage?: number;
    readonly stageConfig?: string;
    readonly mtu: number;
    readonly gso: boolean;
  };
  readonly reactor: Reactor;
  readonly pool: BufferPool;
  readonly stack: Stack;
  log(level: "debug" | "info" | "warn" | "error", text: string): void;
  fail(message: string, status: number): void;
}

/** A TAP device in the guest's namespace, and the program that waits beside it. */
export interface TapAttachment {
  readonly link: Link;
  /** What went wrong on the wire, by name. */
  counters(): Readonly<Record<string, number>>;
  /** Begins to move frames. */
  pumpTo(nic: Nic): void;
  flush(now: Instant): void;
  /** When a frame of the guest that is shaped may pass. */
  pollAt(): Instant;
  /** Lets the program start. */
  go(): void;
  close(): void;
}

/**
 * Has the stage make the device, and takes it over.
 *
 * @throws {Error} with the stage's own words if it cannot: no /dev/net/tun, no permission
 */
export function attachTap(context: TapContext): TapAttachment {
  const { config, reactor, pool } = context;
  if (config.stage === undefined) throw new RangeError("Cannot attach a TAP: there is no stage to make it");
  const stage = new Stage(
    reactor,
    config.stage,
    context.log,
    (message, status) => context.fail(message, status),
  );
  const fd = stage.prepare(config.stageConfig ?? "{}");
  if (fd === undefined) throw new RangeError("Cannot attach a TAP: the stage sent no descriptor");
  const link = new TapLink({ fd, mtu: config.mtu, pool, gso: config.gso });
  let pump: Pump | undefined;
  return {
    link,
    counters: () => link.problems(),
    pumpTo: (nic) => {
      pump = new Pump(reactor, fd, link, nic, () => context.fail("the guest's device is gone", 125));
    },
    flush: (now) => pump?.flush(now),
    pollAt: () => pump?.pollAt() ?? NEVER,
    go: () => stage.go(),
    close: () => {
      pump?.close();
      link.close();
      stage.close();
      close(fd);
    },
  };
}
