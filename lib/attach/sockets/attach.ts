/**
 * Attachment `sockets`: the guest has no interface; its socket calls are answered by our stack.
 *
 * @module
 */

import { check, Errno, errnoText } from "../../host/errno.ts";
import type { Reactor } from "../../host/reactor.ts";
import { close, pidfd_getfd, pidfd_open } from "../../host/sys.ts";
import { openSockDiag } from "../../host/sock_diag.ts";
import type { BufferPool } from "../../stack/buffer/pool.ts";
import type { Stack } from "../../stack/stack.ts";
import { earlier, type Instant } from "../../stack/time.ts";
import type { StageLate } from "../stage/protocol.ts";
import { Stage } from "../stage/stage_peer.ts";
import type { HostNetwork } from "./impersonate/network.ts";
import { PacketSockets } from "./packet/packet_sockets.ts";
import { shadowDevices, shadowsOf, withShadows } from "./packet/shadow_plan.ts";
import { Supervisor } from "./supervisor.ts";

/** What the attachment needs of the one who composes it. */
export interface SocketsAttachContext {
  readonly config: {
    readonly stage?: number;
    readonly stageConfig?: string;
    readonly hostUds: "none" | "open" | "create" | "all";
    /** Whether the guest has a network namespace of its own beside. */
    readonly ownNetwork: boolean;
    /** Whether the guest may have raw sockets. */
    readonly netRaw: boolean;
  };
  readonly reactor: Reactor;
  readonly pool: BufferPool;
  /** The guest's stack, furnished with what it shall see. */
  readonly stack: Stack;
  readonly child: number;
  /** The interfaces of `stack` lead into a network of others: the guest may not change them. */
  readonly fixedInterfaces?: boolean;
  /** The host's network, if its sockets are to stand for the guest's. */
  readonly host?: HostNetwork;
  log(level: "debug" | "info" | "warn" | "error", text: string): void;
  fail(message: string, status: number): void;
}

/** A supervised guest. */
export interface SocketsAttachment {
  pollAt(): Instant;
  poll(now: Instant): void;
  /** Lets the program start. */
  go(late?: StageLate): void;
  /** What the guest reads in its resolv.conf from now on. */
  showResolvConf(text: string): void;
  /** Ends supervision: calls of who is left fail with ENOSYS. */
  close(): void;
}

/**
 * Has the stage made ready; its filter is taken over when it starts.
 *
 * @throws {Error} with the stage's own words if it cannot
 */
export function attachSockets(context: SocketsAttachContext): SocketsAttachment {
  const { config, reactor, pool, stack, log, child } = context;
  if (config.stage === undefined) {
    throw new RangeError("Cannot trap socket calls: there is no stage to do it");
  }
  let supervisor: Supervisor | undefined;
  const stage = new Stage(
    reactor,
    config.stage,
    log,
    (message, status) => context.fail(message, status),
    (listener, pid) => supervisor?.listen(fetchListener(listener, pid), pid),
  );
  // Sockets of the host that stand for the guest's have nothing to do with the frames of a stack.
  const wanted = config.ownNetwork
    ? shadowsOf(stack, config.netRaw && context.host === undefined)
    : undefined;
  const diag = stage.prepare(withShadows(config.stageConfig ?? "{}", wanted)) ??
    (config.ownNetwork ? undefined : ownDiag(log));
  const packets = new PacketSockets({ stack, reactor, pool, handed: stage.handed });
  const answers = supervisor = new Supervisor({
    stack,
    reactor,
    pool,
    counters: stack.counters,
    log,
    child,
    netRaw: config.netRaw,
    host: context.host,
    fixedInterfaces: context.fixedInterfaces ?? false,
    packets,
    unix: {
      hostUds: config.hostUds,
      ownNetwork: config.ownNetwork,
      ...(diag === undefined ? {} : { diag }),
    },
    onGone: () => log("debug", "the last process whose socket calls are trapped is gone"),
  });
  return {
    pollAt: () => earlier(answers.pollAt(), packets.pollAt()),
    poll: (now) => {
      answers.poll(now);
      packets.poll(now);
    },
    go: (late) => stage.go(late, wanted && shadowDevices(stack, wanted.packets)),
    showResolvConf: (text) => stage.showResolvConf(text),
    close: () => {
      stage.end();
      answers.close();
      packets.close();
    },
  };
}

/** The table of our own namespace, for a guest that shares it. Without it, unix sockets of the guest are not reached. */
function ownDiag(log: SocketsAttachContext["log"]): number | undefined {
  try {
    return openSockDiag();
  } catch (error) {
    log(
      "warn",
      `the guest cannot connect unix sockets of its own: ${error instanceof Error ? error.message : error}`,
    );
    return undefined;
  }
}

/** Descriptor `fd` of process `pid`, which cannot send it: its `sendmsg` is trapped already. */
function fetchListener(fd: number, pid: number): number {
  const pidfd = check(pidfd_open(pid), "watch the guest");
  const listener = pidfd_getfd(pidfd, fd);
  close(pidfd);
  if (listener >= 0) return listener;
  // Containers whose seccomp profile keeps the call for those who may trace: docker's does.
  const profile = listener === -Errno.EPERM || listener === -Errno.ENOSYS;
  const hint = profile
    ? "start the container with --cap-add=SYS_PTRACE, or use --attach=tap"
    : "use --attach=tap";
  throw new Error(
    `Cannot take over the guest's system calls: pidfd_getfd: ${errnoText(-listener)} (${hint})`,
  );
}
