/**
 * The data plane: one thread, one synchronous loop.
 *
 * Theory of operation. The engine owns a reactor (epoll), a stack, and whatever the mode composed around them. A turn
 * of the loop is: wait until a descriptor is ready or the next deadline of the stack or the mode; run the handlers (frames go in, host
 * sockets are read); then *settle*: run the stack's timers and deliver its events, and send what the interfaces have.
 * Events make work for interfaces and the loopback makes work for the stack, so settling repeats, at most
 * `SETTLE_ROUNDS` times; what is left keeps the next wait from sleeping. It never awaits: an asynchronous hop per
 * packet would cost more than the packet.
 *
 * Requests from the main thread are datagrams on a socketpair, in the same epoll set as everything else; answers leave
 * by `post`. The end of the child is a pidfd in the set, too.
 *
 * @module
 */

import { type ChildExit, childExit } from "../host/child_exit.ts";
import { wallClock } from "../host/clock.ts";
import { FileSink } from "../host/file_sink.ts";
import { randomWord } from "../host/random.ts";
import { Reactor } from "../host/reactor.ts";
import { addressOf } from "../host/sys.ts";
import { startMode } from "../modes/registry.ts";
import type { Log, ModeSession } from "../modes/mode.ts";
import { BufferPool } from "../stack/buffer/pool.ts";
import { Stack } from "../stack/stack.ts";
import { earlier, type Instant, NEVER } from "../stack/time.ts";
import { newRing, RingWriter } from "./capture_ring.ts";
import { Captures, MAX_CAPTURES } from "./captures.ts";
import type { EngineConfig } from "./config.ts";
import { Drain } from "./drain.ts";
import { LogCredit } from "./log_credit.ts";
import {
  type EngineAnswers,
  type EngineArguments,
  type EngineMessage,
  EngineRefusal,
  type EngineRequest,
} from "./messages.ts";
import { PacketLog } from "./packet_log.ts";
import { RequestPort } from "./requests.ts";

/** Rounds of timers, events and egress in one turn; each is bounded in itself. */
const SETTLE_ROUNDS = 8;

/** A data plane that is set up. {@linkcode run} does not return before it is over. */
export class Engine {
  readonly #config: EngineConfig;
  readonly #post: (message: EngineMessage) => void;
  readonly reactor = new Reactor();
  readonly stack: Stack;
  readonly #session: ModeSession;
  readonly #captures: Captures;
  readonly #child: ChildExit | undefined;
  #failure: { readonly message: string; readonly status: number } | undefined;
  /** Once the child has ended. */
  #drain: Drain | undefined;
  #drained = false;
  readonly #began: number;

  /** Sets everything up. Throws an `Error` with a clear message if the mode cannot start. */
  constructor(config: EngineConfig, post: (message: EngineMessage) => void) {
    this.#config = config;
    this.#post = post;
    this.#began = this.reactor.now();
    const pool = new BufferPool(addressOf);
    const credit = new LogCredit(config.logged);
    this.stack = new Stack({ random: randomWord, pool });
    this.#captures = new Captures(this.stack, wallClock() - this.reactor.now());
    const log: Log = (level, text) => {
      if (level === "debug" && !config.debug || !credit.take()) return;
      const lost = credit.takeLost();
      if (lost > 0) {
        post({ type: "log", level: "warn", text: `${lost} log lines were lost: they are not read` });
      }
      post({ type: "log", level, text });
    };
    // Opened first: one that cannot be written is better known before anything has been changed.
    const pcapLog = openPcapLog(config.pcapLog, log);
    this.#session = startMode({
      config: config.mode,
      reactor: this.reactor,
      pool,
      stack: this.stack,
      child: config.child,
      log,
      // What was taken is given back first: who hears of the failure ends the process.
      fail: (message, status) => {
        this.#failure ??= { message, status };
        this.reactor.stop();
      },
    });
    if (config.logPackets) this.stack.observeFrames(new PacketLog((line) => log("info", line)));
    if (pcapLog !== undefined) this.#captures.open((bytes) => pcapLog.write(bytes));
    new RequestPort(this.reactor, config.requests, (request) => this.answer(request), post);
    if (config.child !== 0) {
      this.#child = childExit(this.reactor, config.child, (status) => {
        this.#drain = new Drain(status, this.reactor.now() as Instant);
      });
    }
  }

  /** The loop. Goes on until `stop` is asked for, or something fails. */
  run(): void {
    try {
      if (this.#failure === undefined) this.#turn();
    } finally {
      this.#session.stop();
      this.#child?.close();
    }
    // Only now: who hears it ends the process, and what has not been closed then would end like something whole.
    if (this.#failure !== undefined) this.#post({ type: "failed", ...this.#failure });
    else if (this.#drain !== undefined) this.#post({ type: "exited", status: this.#drain.status });
  }

  #turn(): void {
    this.reactor.run({
      beforeWait: () => {
        const at = earlier(this.stack.pollAt(), this.#session.pollAt());
        return this.#drain === undefined || this.#drained ? at : earlier(at, this.#drain.pollAt());
      },
      afterTurn: () => {
        const now = this.reactor.now() as Instant;
        this.settle(now);
        if (this.#drained || this.#drain?.over(this.#session.unfinished(), now) !== true) return;
        this.#drained = true;
        // Who else is in the guest has a network until somebody has ended it.
        this.#post({ type: "drained" });
      },
    });
  }

  /** Timers, events, egress, until nothing is due or the rounds are used up. */
  settle(now: Instant): void {
    this.#session.poll(now);
    for (let round = 0; round < SETTLE_ROUNDS; round++) {
      this.stack.poll(now);
      this.#session.flush(now);
      const next = this.stack.pollAt();
      if (next === NEVER || next > now) break;
    }
  }

  /** Answers one request; throws for one that cannot be carried out. */
  answer(request: EngineRequest): EngineAnswers[EngineRequest["op"]] {
    switch (request.op) {
      case "go":
        this.#session.go();
        return null;
      case "ping":
        return null;
      case "stack": {
        const facts = this.stack.snapshot();
        return {
          ...facts,
          sockets: [...facts.sockets, ...(this.#session.sockets?.() ?? [])],
          counters: { ...facts.counters, ...this.#session.counters(), ...this.#captures.counters() },
        };
      }
      case "flows":
        return this.#session.flows();
      case "forwards":
        return this.#session.forwards();
      case "publish":
        this.#session.publish(request.forward);
        return null;
      case "unpublish":
        this.#session.unpublish(request.forward);
        return null;
      case "health":
        return {
          uptime: (this.reactor.now() - this.#began) / 1e6,
          mode: this.#config.mode.network,
          attachment: this.#config.mode.network === "host" ? "none" : this.#config.mode.attach,
          flows: this.#session.flows().length,
          longestTurn: Math.round(this.reactor.counters.longestTurn),
        };
      case "qdisc":
        this.stack.setQdiscRate(request.device, request.rate, request.burst, this.reactor.now() as Instant);
        return null;
      case "serving": {
        const facts = this.#session.serving?.();
        if (facts === undefined) throw new RangeError("Cannot tell of guests: this instance serves none");
        return facts;
      }
      case "add-zone":
        if (this.#session.addZone === undefined) {
          throw new RangeError("Cannot add a zone: this instance serves nobody");
        }
        this.#session.addZone(request.zone);
        return null;
      case "capture":
        return this.#capture(request);
      case "uncapture":
        this.#captures.close(request.capture);
        return null;
      case "stop":
        this.reactor.stop();
        return null;
      default:
        throw new RangeError(
          `Cannot answer request "${String((request as EngineRequest).op)}": there is no such request`,
        );
    }
  }

  #capture({ device, snapLength }: EngineArguments<"capture">[0]): EngineAnswers["capture"] {
    if (this.#captures.full) {
      throw new EngineRefusal("too-many-captures", `Cannot open one more capture: ${MAX_CAPTURES} are open`);
    }
    const ring = newRing();
    const writer = new RingWriter(ring, () => this.#post({ type: "captured", capture }));
    const capture = this.#captures.open((block) => writer.write(block), {
      ...(device === undefined ? {} : { device }),
      ...(snapLength === undefined ? {} : { snapLength }),
    });
    return { capture, ring };
  }
}

/** The file of `--pcap-log`. */
function openPcapLog(path: string, log: Log): FileSink | undefined {
  if (path === "") return undefined;
  return new FileSink(path, (why) => log("warn", `Cannot write all packets to ${path}: ${why}`));
}
