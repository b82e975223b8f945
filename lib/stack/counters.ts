/**
 * Named counters. Who counts per packet takes a {@linkcode Counter} once and does `counter.value++`: one load, one
 * store, no look-up by name.
 *
 * @module
 */

/** One counter. */
export class Counter {
  readonly name: string;
  value = 0;

  constructor(name: string) {
    this.name = name;
  }
}

/** A family of counters, each made when it is first named. Names are dotted paths in kebab case: `ip.malformed.truncated`. */
export class Counters {
  readonly #slots = new Map<string, Counter>();
  /** While somebody wants to know what is counted for one frame: the names, as they come. */
  trace: string[] | undefined;

  /** The counter of that name, for who wants to keep it. */
  slot(name: string): Counter {
    let slot = this.#slots.get(name);
    if (slot === undefined) this.#slots.set(name, slot = new Counter(name));
    return slot;
  }

  /** The counters `prefix.name` for each of `names`: `slots("ip.malformed", MALFORMED)["truncated"].value++`. */
  slots<Name extends string>(prefix: string, names: readonly Name[]): Readonly<Record<Name, Counter>> {
    const table: Partial<Record<Name, Counter>> = {};
    for (const name of names) table[name] = this.slot(`${prefix}.${name}`);
    return table as Record<Name, Counter>;
  }

  /** Counts one. A look-up by name: for events, not for packets. */
  bump(name: string): void {
    this.count(this.slot(name));
  }

  /** Counts one of `counter`: for what is rare, such as drops. */
  count(counter: Counter): void {
    counter.value++;
    this.trace?.push(counter.name);
  }

  /** Counts `n`. */
  add(name: string, n: number): void {
    this.slot(name).value += n;
  }

  /** What was counted under that name; 0 if nothing was. */
  get(name: string): number {
    return this.#slots.get(name)?.value ?? 0;
  }

  /** Every counter, sorted by name. */
  all(): Record<string, number> {
    const names = [...this.#slots.keys()].sort();
    return Object.fromEntries(names.map((name) => [name, this.get(name)]));
  }
}
