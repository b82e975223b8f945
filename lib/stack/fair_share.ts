/**
 * A limit that several guests share, so that none of them can take it all: dynamic thresholds (Choudhury and Hahne 1998).
 *
 * Who wants one more may have it as long as he holds fewer than are free. So one greedy guest gets half, two get a third
 * each, and there is always something left for whoever comes next; nobody needs to know how many guests there are.
 *
 * @module
 */

/** Counts by tenant. */
export class FairShare {
  readonly limit: number;
  readonly #held = new Map<number, number>();
  #total = 0;

  constructor(limit: number) {
    this.limit = limit;
  }

  /** How many `tenant` holds. */
  held(tenant: number): number {
    return this.#held.get(tenant) ?? 0;
  }

  /** Whether `tenant` may have one more. */
  admits(tenant: number): boolean {
    return this.held(tenant) < this.limit - this.#total;
  }

  add(tenant: number): void {
    this.#total++;
    this.#held.set(tenant, this.held(tenant) + 1);
  }

  remove(tenant: number): void {
    this.#total--;
    const left = this.held(tenant) - 1;
    if (left > 0) this.#held.set(tenant, left);
    else this.#held.delete(tenant);
  }

  /** Nobody holds anything any more. */
  clear(): void {
    this.#total = 0;
    this.#held.clear();
  }
}

/** How far a search for the oldest of one tenant goes: who floods owns the oldest ones. */
const SEARCH = 64;

/** The oldest of a list that belongs to `tenant`, if it is among the oldest. */
export function oldestOf<T extends { readonly tenant: number; readonly newer: T | undefined }>(
  oldest: T | undefined,
  tenant: number,
): T | undefined {
  let item = oldest;
  for (let i = 0; i < SEARCH && item !== undefined; i++, item = item.newer) {
    if (item.tenant === tenant) return item;
  }
  return undefined;
}
