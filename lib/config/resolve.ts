/**
 * Assignments → settings.
 *
 * Sources are turned into flat lists of {@linkcode Assignment}s by who knows them (files: load.ts; the command line:
 * lib/cli). Here they are applied lowest first: built-in default, configuration files in order, command line,
 * annotations. A later assignment replaces an earlier one; those of a repeatable flag add up, and an empty one empties
 * the list. Then everything is validated, once. The result is frozen and says of each value where it came from.
 *
 * Assignments are plain data and `resolve()` is pure: a worker thread gets the list and resolves it again.
 *
 * @module
 */

import { contains, type InterfaceAddress, networkAddress } from "./cidr.ts";
import { findFlag, type FlagName, FLAGS, type FlagSpec } from "./flag_table.ts";
import { type Assignment, ConfigError, DEFAULT, type Origin, type Problem } from "./origin.ts";
import { meaningless } from "./meaningless.ts";
import { parseValue, type ValueOf } from "./parse_value.ts";
import type { Settings } from "./settings.ts";
import { type Exact, validate } from "./validate.ts";
import type { IpAddress } from "../stack/wire/address.ts";

/** One flag with the values it ended up with. */
export interface ResolvedValue {
  readonly flag: FlagSpec;
  /** As set; one element for a flag that is not repeatable, none for an empty list. */
  readonly texts: readonly string[];
  /** Who set each of `texts`. For an empty list: who emptied it. */
  readonly origins: readonly Origin[];
}

/** The settings and their history. */
export interface Resolved {
  readonly settings: Settings;
  /** In the order of the flag table. */
  readonly values: readonly ResolvedValue[];
  /** All that was applied; `resolve()` of it gives the same again. */
  readonly assignments: readonly Assignment[];
  /** Lines for stderr. */
  readonly warnings: readonly string[];
}

/** Applies and validates. Throws {@linkcode ConfigError} with every problem found. */
export function resolve(assignments: readonly Assignment[] = [], warnings: readonly string[] = []): Resolved {
  const result = tryResolve(assignments, warnings);
  if (Array.isArray(result)) throw new ConfigError(result);
  return result as Resolved;
}

/** Like {@linkcode resolve}, but returns the problems; `config check` prints them all. */
export function tryResolve(
  assignments: readonly Assignment[],
  warnings: readonly string[] = [],
): Resolved | readonly Problem[] {
  const table = new ValueTable();
  const problems: Problem[] = [];
  for (const assignment of assignments) {
    const problem = table.apply(assignment);
    if (problem !== undefined) problems.push(problem);
  }
  deriveInterface(table);
  deriveAttachment(table);
  const settings = build(table);
  const exact: Exact = {
    rate: table.one("qdisc-tbf-rate"),
    burst: table.one("qdisc-tbf-burst"),
    mtu: table.one("mtu"),
  };
  problems.push(...validate(settings, exact, (flag) => table.originOf(flag)));
  if (problems.length > 0) return problems;
  const unused = Object.keys(settings.annotations).filter((key) => POLICY.test(key))
    .map((key) => `annotation ${key} is recorded, but this version does not apply it`);
  unused.push(...meaningless(settings, (flag) => table.originOf(flag)));
  return deepFreeze({
    settings,
    values: table.history(),
    assignments: [...assignments],
    warnings: [...warnings, ...table.all("external-network").flatMap((one) => one.warnings), ...unused],
  });
}

/** Annotations that ask for something. */
const POLICY = /^(dev\.gvisor\.flag|dev\.sluice\.flag|io\.containerd\.nerdbox\.network)\./;

interface Slot {
  readonly flag: FlagSpec;
  texts: string[];
  values: unknown[];
  origins: Origin[];
}

/** The flags while they are being set. */
class ValueTable {
  readonly #slots = new Map<string, Slot>();

  constructor() {
    for (const flag of FLAGS as readonly FlagSpec[]) {
      const slot: Slot = { flag, texts: [], values: [], origins: [DEFAULT] };
      this.#slots.set(flag.name, slot);
      if (!flag.repeatable) this.#set(slot, flag.default, DEFAULT);
    }
  }

  /** Returns what is wrong with the assignment; the flag then keeps the value it had. */
  apply({ flag: name, text, origin }: Assignment): Problem | undefined {
    const slot = this.#slots.get(findFlag(name)?.name ?? "");
    if (slot === undefined) {
      return { message: `flag "${name}" not found. Cannot set it to "${text}"`, origin };
    }
    if (slot.flag.repeatable && text === "") {
      Object.assign(slot, { texts: [], values: [], origins: [origin] });
      return undefined;
    }
    return this.#set(slot, text, origin);
  }

  /** Sets a flag on behalf of another one. */
  derive(name: FlagName, value: IpAddress | string, from: FlagName): void {
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

  history(): readonly ResolvedValue[] {
    return [...this.#slots.values()].map(({ flag, texts, origins }) => ({ flag, texts, origins }));
  }

  #slot(name: FlagName): Slot {
    return this.#slots.get(name)!;
  }

  #set(slot: Slot, text: string, origin: Origin): Problem | undefined {
    const parsed = parseValue(slot.flag, text);
    if (!("value" in parsed)) return { ...parsed, origin };
    const first = !slot.flag.repeatable || slot.texts.length === 0;
    slot.texts = first ? [text] : [...slot.texts, text];
    slot.values = first ? [parsed.value] : [...slot.values, parsed.value];
    slot.origins = first ? [origin] : [...slot.origins, origin];
    return undefined;
  }
}

/** A mode that knows only one attachment has it. */
function deriveAttachment(table: ValueTable): void {
  if (table.one("network") === "sandbox" && table.originOf("attach").kind === "default") {
    table.derive("attach", "sockets", "network");
  }
}

/** Router and name server follow the guest's network where nobody named them. */
function deriveInterface(table: ValueTable): void {
  const follow = (
    name: "gateway" | "gateway6" | "dns",
    from: "address" | "address6",
    hosts: readonly number[],
  ) => {
    if (table.originOf(name).kind !== "default") return;
    const network: InterfaceAddress = table.one(from);
    const taken = name === "dns" ? [network.address, table.one("gateway")] : [network.address];
    const isFree = (address: IpAddress) =>
      contains(network, address) && !taken.some((other) => other.equals(address));
    if (isFree(table.one(name))) return;
    const free = hosts.map((host) => networkAddress(network, host)).find(isFree);
    if (free !== undefined) table.derive(name, free, from);
  };
  // Small networks have no + 2 or + 3; the guest may sit on either.
  follow("gateway", "address", [2, 1, 3]);
  follow("gateway6", "address6", [2, 1, 3]);
  follow("dns", "address", [3, 4, 1, 2]);
}

function build(table: ValueTable): Settings {
  return {
    network: table.one("network"),
    attach: table.one("attach"),
    rootless: table.one("rootless"),
    force: table.one("force"),
    qdisc: table.one("qdisc"),
    qdiscTbfRate: Number(table.one("qdisc-tbf-rate")),
    qdiscTbfBurst: Number(table.one("qdisc-tbf-burst")),
    gso: table.one("gso"),
    softwareGso: table.one("software-gso"),
    txChecksumOffload: table.one("tx-checksum-offload"),
    rxChecksumOffload: table.one("rx-checksum-offload"),
    address: table.one("address"),
    address6: table.one("address6"),
    gateway: table.one("gateway"),
    gateway6: table.one("gateway6"),
    dns: table.one("dns"),
    mtu: Number(table.one("mtu")),
    mac: table.one("mac"),
    publish: table.all("publish").flat(),
    networks: table.all("external-network").map(({ network }, i) =>
      network.name === "" ? { ...network, name: `external${i}` } : network
    ),
    hostLoopback: table.one("host-loopback"),
    hostUds: table.one("host-uds"),
    netRaw: table.one("net-raw"),
    logPackets: table.one("log-packets"),
    pcapLog: table.one("pcap-log"),
    debug: table.one("debug"),
    debugLog: table.one("debug-log"),
    logFormat: table.one("log-format"),
    config: table.all("config").filter((path) => path !== undefined),
    runtime: table.one("runtime"),
    annotations: Object.fromEntries(table.all("annotation")),
    bundle: table.one("bundle"),
    pod: table.one("pod"),
    allowFlagOverride: table.one("allow-flag-override"),
    strict: table.one("strict"),
    api: table.one("api"),
    apiAllowRemote: table.one("api-allow-remote"),
    apiTokenFile: table.one("api-token-file"),
    id: table.one("id"),
    cwd: table.one("cwd"),
  };
}

function deepFreeze<T>(value: T): T {
  if (typeof value !== "object" || value === null || Object.isFrozen(value)) return value;
  Object.freeze(value);
  for (const key of Reflect.ownKeys(value)) deepFreeze((value as Record<PropertyKey, unknown>)[key]);
  return value;
}
