/**
 * The flags while they are being set: assignment by assignment, each remembered with who made it.
 *
 * @module
 */

import type { IpAddress } from "../stack/wire/address.ts";
import { findFlag, type FlagName, FLAGS, type FlagSpec } from "./flag_table.ts";
import { type Assignment, DEFAULT, type Origin, type Problem } from "./origin.ts";
import { type BadValue, parseValue, type ValueOf } from "./parse_value.ts";

/** One flag with the values it ended up with. */
export interface ResolvedValue {
  readonly flag: FlagSpec;
  /** As set; one element for a flag that is not repeatable, none for an empty list. */
  readonly texts: readonly string[];
  /** Who set each of `texts`. For an empty list: who emptied it. */
  readonly origins: readonly Origin[];
}

interface Slot {
  readonly flag: FlagSpec;
  texts: string[];
  values: unknown[];
  origins: Origin[];
}

/** Every flag with its value; begins with the defaults. */
export class ValueTable {
  readonly #slots = new Map<string, Slot>();

  constructor() {
    for (const flag of FLAGS as readonly FlagSpec[]) {
      const slot: Slot = { flag, texts: [], values: [], origins: [DEFAULT] };
      this.#slots.set(flag.name, slot);
      if (!flag.repeatable) this.set(flag.name, flag.default, DEFAULT);
    }
  }

  /** Returns what is wrong with the assignment; the flag then keeps the value it had. */
  apply({ flag: name, text, origin }: Assignment): Problem | undefined {
    const flag = findFlag(name);
    if (flag === undefined) {
      return { message: `flag "${name}" not found. Cannot set it to "${text}"`, origin };
    }
    const bad = this.set(flag.name, text, origin);
    if (bad === undefined) return undefined;
    const { message, hint } = bad;
    return hint === undefined ? { message, origin } : { message, hint, origin };
  }

  /** Sets a flag of the table by its long name, adds to a repeatable one, empties that with an empty text. */
  set(name: string, text: string, origin: Origin): BadValue | undefined {
    const slot = this.#slots.get(name)!;
    if (slot.flag.repeatable && text === "") {
      Object.assign(slot, { texts: [], values: [], origins: [origin] });
      return undefined;
    }
    const parsed = parseValue(slot.flag, text);
    if (!("value" in parsed)) return parsed;
    this.#put(slot, text, parsed.value, origin);
    return undefined;
  }

  /** Adds a value that has been read elsewhere to a repeatable flag. */
  add<Name extends FlagName>(name: Name, text: string, value: ValueOf<Name>, origin: Origin): void {
    this.#put(this.#slot(name), text, value, origin);
  }

  /** Sets a flag on behalf of another one. */
  derive(name: FlagName, value: IpAddress | string | boolean, from: FlagName): void {
    const origins: Origin[] = [{ kind: "derived", from }];
    Object.assign(this.#slot(name), { texts: [value.toString()], values: [value], origins });
  }

  /** The value of a flag that is not repeatable. */
  one<Name extends FlagName>(name: Name): ValueOf<Name> {
    return this.#slot(name).values[0] as ValueOf<Name>;
  }

  /** All values of a repeatable flag. */
  all<Name extends FlagName>(name: Name): readonly ValueOf<Name>[] {
    return this.#slot(name).values as ValueOf<Name>[];
  }

  /** Who set it last. */
  originOf(name: FlagName): Origin {
    return this.#slot(name).origins.at(-1) ?? DEFAULT;
  }

  /** Who set each value of a repeatable flag. */
  originsOf(name: FlagName): readonly Origin[] {
    return this.#slot(name).origins;
  }

  /** In the order of the flag table. */
  history(): readonly ResolvedValue[] {
    return [...this.#slots.values()].map(({ flag, texts, origins }) => ({ flag, texts, origins }));
  }

  #slot(name: FlagName): Slot {
    return this.#slots.get(name)!;
  }

  #put(slot: Slot, text: string, value: unknown, origin: Origin): void {
    if (!slot.flag.repeatable || slot.texts.length === 0) {
      Object.assign(slot, { texts: [text], values: [value], origins: [origin] });
      return;
    }
    // In place: a tenant may have fifty thousand annotations.
    slot.texts.push(text);
    slot.values.push(value);
    slot.origins.push(origin);
  }
}
