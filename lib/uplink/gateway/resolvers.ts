/**
 * The host's resolvers, the one that answered last first.
 *
 * @module
 */

import type { Resolver } from "./config.ts";

/** An order over resolvers that learns. */
export class Resolvers {
  #order: Resolver[];

  constructor(resolvers: readonly Resolver[]) {
    this.#order = [...resolvers];
  }

  get length(): number {
    return this.#order.length;
  }

  /** All of them, the best first. Does not change under who holds it. */
  inOrder(): readonly Resolver[] {
    return this.#order;
  }

  /** `resolver` has answered where those before it had not: it comes first from now on. */
  prefer(resolver: Resolver): void {
    if (this.#order[0] === resolver) return;
    this.#order = [resolver, ...this.#order.filter((other) => other !== resolver)];
  }

  /** Replaces all, after the host's configuration has changed. */
  replace(resolvers: readonly Resolver[]): void {
    this.#order = [...resolvers];
  }
}
