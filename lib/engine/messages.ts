/**
 * What the main thread and the engine say to each other. Plain data only.
 *
 * Requests travel to the engine over a socketpair that it has in its epoll set; answers and events come back by
 * `postMessage`, which a synchronous loop may call and never waits for.
 *
 * @module
 */

import type {
  FlowFacts,
  ForwardFacts,
  PublishedPort,
  ServeFacts,
  StackFacts,
  ZoneFacts,
} from "../stack/facts.ts";

export type {
  AddressFacts,
  FlowFacts,
  ForwardFacts,
  NeighbourFacts,
  NicFacts,
  PublishedPort,
  QdiscFacts,
  RouteFacts,
  ServeFacts,
  SocketFacts,
  StackFacts,
  TcpFacts,
  ZoneFacts,
} from "../stack/facts.ts";

/** Health of the data plane. */
export interface HealthFacts {
  /** Seconds since the engine began. */
  readonly uptime: number;
  readonly mode: string;
  readonly attachment: string;
  readonly flows: number;
  /** Longest turn of the loop so far, microseconds. */
  readonly longestTurn: number;
}

/** A question to the engine. `id` comes back in the answer. */
export type EngineRequest =
  /** Everything is in place: let the program start. */
  | { readonly id: number; readonly op: "go" }
  /** Do you turn? */
  | { readonly id: number; readonly op: "ping" }
  | { readonly id: number; readonly op: "stack" }
  | { readonly id: number; readonly op: "flows" }
  | { readonly id: number; readonly op: "health" }
  | { readonly id: number; readonly op: "forwards" }
  | { readonly id: number; readonly op: "publish"; readonly forward: PublishedPort }
  | { readonly id: number; readonly op: "unpublish"; readonly forward: PublishedPort }
  | {
    readonly id: number;
    readonly op: "qdisc";
    readonly device: string;
    readonly rate: number;
    readonly burst: number;
  }
  | { readonly id: number; readonly op: "serving" }
  | { readonly id: number; readonly op: "add-zone"; readonly zone: ZoneFacts }
  /** Begin to capture; every interface without `device`. */
  | { readonly id: number; readonly op: "capture"; readonly device?: string; readonly snapLength?: number }
  | { readonly id: number; readonly op: "uncapture"; readonly capture: number }
  | { readonly id: number; readonly op: "stop" };

/** What each question is answered with. */
export interface EngineAnswers {
  go: null;
  ping: null;
  stack: StackFacts;
  flows: readonly FlowFacts[];
  health: HealthFacts;
  forwards: readonly ForwardFacts[];
  publish: null;
  unpublish: null;
  qdisc: null;
  serving: ServeFacts;
  "add-zone": null;
  /** The capture's number, and the memory that its bytes come by; see capture_ring.ts. */
  capture: { readonly capture: number; readonly ring: SharedArrayBuffer };
  uncapture: null;
  stop: null;
}

/** What the engine posts to the main thread. */
export type EngineMessage =
  | { readonly type: "ready" }
  | { readonly type: "failed"; readonly message: string; readonly status: number }
  /** The guest ended, and what it sent is delivered: `stop` is waited for. */
  | { readonly type: "drained" }
  /** The guest ended: its status, or 128 + the signal that ended it. */
  | { readonly type: "exited"; readonly status: number }
  | { readonly type: "stopped" }
  /** There is something in the ring of a capture whose reader waits. */
  | { readonly type: "captured"; readonly capture: number }
  | { readonly type: "answer"; readonly id: number; readonly value: unknown }
  | { readonly type: "refused"; readonly id: number; readonly code: string; readonly message: string }
  | { readonly type: "log"; readonly level: "debug" | "info" | "warn" | "error"; readonly text: string };

type Details<Op extends EngineRequest["op"]> = Omit<Extract<EngineRequest, { readonly op: Op }>, "id" | "op">;

/** What follows a question's name in a call: its details, or nothing if it has none. */
export type EngineArguments<Op extends EngineRequest["op"]> = keyof Details<Op> extends never ? []
  : [details: Details<Op>];

/** The engine as the control API sees it: one question, one answer. Rejects with {@linkcode EngineRefusal}. */
export interface EngineClient {
  ask<Op extends keyof EngineAnswers>(
    op: Op,
    ...details: EngineArguments<Op>
  ): Promise<EngineAnswers[Op]>;
  /** What passes the interfaces from now on, in pcapng; it ends with the engine, or when it is cancelled. */
  capture(options: EngineArguments<"capture">[0]): Promise<ReadableStream<Uint8Array<ArrayBuffer>>>;
}

/** The engine will not do what it was asked. */
export class EngineRefusal extends Error {
  override readonly name: string = "EngineRefusal";
  constructor(readonly code: string, message: string) {
    super(message);
  }
}
