/**
 * Chance that can be repeated.
 *
 * @module
 */

/** Uniform u32 numbers from a seed (mulberry32). Print the seed when a test fails. */
export function seeded(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return (t ^ (t >>> 14)) >>> 0;
  };
}

/** An integer in `[low, high]`. */
export function between(random: () => number, low: number, high: number): number {
  return low + random() % (high - low + 1);
}

/** One of `items`. */
export function pick<T>(random: () => number, items: readonly T[]): T {
  return items[random() % items.length]!;
}

/** `n` random bytes. */
export function randomBytes(random: () => number, n: number): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(n);
  for (let i = 0; i < n; i++) bytes[i] = random();
  return bytes;
}
