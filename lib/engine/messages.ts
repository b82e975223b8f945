/**
 * What the main thread and the engine say to each other. Plain data only.
 *
 * Requests travel to the engine over a socketpair that it has in its epoll set; answers and events come back by
 * `postMessage`, which a synchronous loop may call and never waits for.
 *
 * @module
 */

import type { FlowFacts, ForwardFacts, StackFacts } from "../stack/facts.ts";

export type {
  AddressFacts,
  FlowFacts,
  ForwardFacts,
  NeighbourFacts,
  NicFacts,
  QdiscFacts,
  RouteFacts,
  SocketFacts,
  StackFacts,
  TcpFacts,
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

/** A port to publish, or to publish no longer. */
export interface PublishRequest {
  readonly protocol: "tcp" | "udp";
  readonly hostAddress?: string;
  readonly hostPort: number;
  readonly guestPort: number;
}

/** A question to the engine. `id` comes back in the answer. */
export type EngineRequest =
  /** Everything is in place: let the program start. */
  | { readonly id: number; readonly op: "go" }
  | { readonly id: number; readonly op: "stack" }
  | { readonly id: number; readonly op: "flows" }
  | { readonly id: number; readonly op: "health" }
  | { readonly id: number; readonly op: "forwards" }
  | { readonly id: number; readonly op: "publish"; readonly forward: PublishRequest }
  | { readonly id: number; readonly op: "unpublish"; readonly forward: PublishRequest }
  | {
    readonly id: number;
    readonly op: "qdisc";
    readonly device: string;
    readonly rate: number;
    readonly burst: number;
  }
  | { readonly id: number; readonly op: "stop" };

/** What each question is answered with. */
export interface EngineAnswers {
  go: null;
  stack: StackFacts;
  flows: readonly FlowFacts[];
  health: HealthFacts;
  forwards: readonly ForwardFacts[];
  publish: null;
  unpublish: null;
  qdisc: null;
  stop: null;
}

/** What the engine posts to the main thread. */
export type EngineMessage =
  | { readonly type: "ready" }
  | { readonly type: "failed"; readonly message: string; readonly status: number }
  /** The guest ended: its status, or 128 + the signal that ended it. */
  | { readonly type: "exited"; readonly status: number }
  | { readonly type: "stopped" }
  | { readonly type: "answer"; readonly id: number; readonly value: unknown }
  | { readonly type: "refused"; readonly id: number; readonly code: string; readonly message: string }
  | { readonly type: "log"; readonly level: "debug" | "info" | "warn" | "error"; readonly text: string };

/** The engine as the control API sees it: one question, one answer. Rejects with {@linkcode EngineRefusal}. */
export interface EngineClient {
  ask<Op extends keyof EngineAnswers>(
    op: Op,
    arguments_?: Readonly<Record<string, unknown>>,
  ): Promise<EngineAnswers[Op]>;
}

/** The engine will not do what it was asked. */
export class EngineRefusal extends Error {
  override readonly name: string = "EngineRefusal";
  constructor(readonly code: string, message: string) {
    super(message);
  }
}
