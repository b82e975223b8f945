/**
 * Annotations → flags, under the operator's ceilings.
 *
 * Theory of operation. Every annotation is compared with what the *operator* set, never with what another annotation
 * did, and nothing is validated in between: so their order cannot matter. What is refused changes nothing and is
 * reported; validation of the whole follows once, in resolve.ts. Rules and messages are gVisor's
 * (`dev.gvisor.flag.NAME`), for external networks nerdbox's (`io.containerd.nerdbox.network.SUFFIX`).
 *
 * @module
 */

import { type Ceilings, isWithinUds, whyAbove } from "./ceilings.ts";
import { compareNetworkNames, parseExternalNetwork } from "./external_network.ts";
import { findFlag, type FlagSpec } from "./flag_table.ts";
import { parseUint } from "./go_flags.ts";
import type { Origin, Problem } from "./origin.ts";
import { findIgnoredFlag } from "./runsc_flags.ts";
import type { HostUds } from "./settings.ts";
import type { ValueTable } from "./value_table.ts";

/** One annotation. */
export interface Annotation {
  readonly key: string;
  readonly value: string;
  readonly origin: Origin;
}

/** What became of the annotations. */
export interface TenantOutcome {
  readonly problems: readonly Problem[];
  /** runsc's flags that mean nothing here. */
  readonly ignored: readonly string[];
}

const FLAG_PREFIXES = ["dev.gvisor.flag.", "dev.sluice.flag."] as const;
const NETWORK_PREFIX = "io.containerd.nerdbox.network.";
/** gVisor's sets of flags; those of the only one there is mean nothing here. */
const BUNDLE_PREFIX = "dev.gvisor.bundle.";

/** The annotation asks for something, so it is read with care and never passed over. */
export function isPolicy(key: string): boolean {
  return [...FLAG_PREFIXES, NETWORK_PREFIX, BUNDLE_PREFIX].some((prefix) => key.startsWith(prefix));
}

/** Flags that a pod may set on runsc without permission and that mean nothing here; any other is refused as runsc does. */
const HARMLESS: ReadonlySet<string> = new Set([
  "allow-connected-on-save",
  "debug-command",
  "debug-to-user-log",
  "net-disconnect-ok",
  "oci-seccomp",
  "overlay2",
  "pause-external-networking",
  "reproduce-nftables",
  "strace",
  "strace-log-size",
  "strace-syscalls",
]);

/** Where annotations come from cannot be told by an annotation: it has been read by then. */
const SOURCES: ReadonlySet<string> = new Set(["annotation", "bundle", "config", "pod", "runtime"]);

/** Applies what the annotations ask for to the operator's `table`. */
export function applyAnnotations(
  table: ValueTable,
  annotations: readonly Annotation[],
  ceilings: Ceilings,
): TenantOutcome {
  const problems: Problem[] = [];
  const ignored: string[] = [];
  for (const asked of agreed(annotations, problems)) {
    const wrong = apply(table, asked, ceilings, ignored);
    if (wrong !== undefined) problems.push({ ...wrong, origin: asked.origin });
  }
  return { problems, ignored };
}

type Wrong = Omit<Problem, "origin">;

/** Does what one annotation asks for, or says why not; what means nothing here goes to `ignored`. */
function apply(
  table: ValueTable,
  { kind, target, value, origin }: Asked,
  ceilings: Ceilings,
  ignored: string[],
): Wrong | undefined {
  const text = JSON.stringify(value);
  if (kind === "bundle") {
    ignored.push(BUNDLE_PREFIX + target);
    if (value === "true") return undefined;
    const key = JSON.stringify(BUNDLE_PREFIX + target);
    return {
      message: `invalid value ${text} for annotation ${key} (must be set to 'true' or removed entirely)`,
    };
  }
  if (kind === "network") {
    const read = parseExternalNetwork(value, target);
    if (!("network" in read)) {
      return { ...read, message: `failed to parse network annotation: ${read.message}` };
    }
    table.add("external-network", value, read, origin);
    return undefined;
  }
  const flag = findFlag(target);
  if (flag?.name === target) {
    const wrong = override(table, flag, value, origin, ceilings);
    return wrong && { ...wrong, message: `error setting flag ${target}=${text}: ${wrong.message}` };
  }
  if (findIgnoredFlag(target) === undefined) {
    return { message: `flag ${JSON.stringify(target)} not found. Cannot set it to ${text}` };
  }
  if (!ceilings.lifted && !HARMLESS.has(target)) {
    return { message: `error setting flag ${target}=${text}: ${DISABLED}` };
  }
  ignored.push(target);
  return undefined;
}

interface Asked {
  readonly kind: "flag" | "network" | "bundle";
  /** The flag's name, the network's suffix, the bundle's name. */
  readonly target: string;
  readonly value: string;
  readonly origin: Origin;
}

/** What is asked for, each once, in an order of its own; what two annotations say differently is a problem. */
function* agreed(annotations: readonly Annotation[], problems: Problem[]): Iterable<Asked> {
  const byTarget = new Map<string, Annotation[]>();
  for (const annotation of annotations) {
    const { key } = annotation;
    if (!isPolicy(key)) continue;
    // The two prefixes of flags are one namespace.
    const target = key.startsWith(FLAG_PREFIXES[1])
      ? FLAG_PREFIXES[0] + key.slice(FLAG_PREFIXES[1].length)
      : key;
    const others = byTarget.get(target);
    if (others === undefined) byTarget.set(target, [annotation]);
    else others.push(annotation);
  }
  for (const [target, all] of [...byTarget].sort(([a], [b]) => compareTargets(a, b))) {
    const said = ({ key, value }: Annotation) => `${key}=${JSON.stringify(value)}`;
    all.sort((a, b) => compareTexts(said(a), said(b)));
    const { value, origin } = all[0]!;
    const other = all.find((one) => one.value !== value);
    if (other === undefined) yield { ...kindOf(target), value, origin };
    else {
      const message = `annotations contradict each other: ${said(all[0]!)} and ${said(other)}`;
      problems.push({ message, hint: "give one of them", origin });
    }
  }
}

function kindOf(target: string): Pick<Asked, "kind" | "target"> {
  const [prefix, kind] = target.startsWith(NETWORK_PREFIX)
    ? [NETWORK_PREFIX, "network"] as const
    : target.startsWith(BUNDLE_PREFIX)
    ? [BUNDLE_PREFIX, "bundle"] as const
    : [FLAG_PREFIXES[0], "flag"] as const;
  return { kind, target: target.slice(prefix.length) };
}

function compareTargets(a: string, b: string): number {
  if (a.startsWith(NETWORK_PREFIX) && b.startsWith(NETWORK_PREFIX)) {
    return compareNetworkNames(a.slice(NETWORK_PREFIX.length), b.slice(NETWORK_PREFIX.length));
  }
  return compareTexts(a, b);
}

function compareTexts(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}

const DISABLED = "flag override disabled, use --allow-flag-override to enable it";

/** Sets a flag on behalf of the tenant, or says why not. */
function override(
  table: ValueTable,
  flag: FlagSpec,
  text: string,
  origin: Origin,
  ceilings: Ceilings,
): Wrong | undefined {
  const refused = ceilings.lifted ? undefined : whyForbidden(flag, text, ceilings);
  if (refused !== undefined) return { message: refused };
  if (SOURCES.has(flag.name)) return { message: "an annotation cannot name a source of configuration" };
  const bad = table.set(flag.name, text, origin);
  return bad && { message: bad.why, ...(bad.hint === undefined ? {} : { hint: bad.hint }) };
}

/** The allow-list and its conditions; a text that is no value at all passes here and fails when it is set. */
function whyForbidden(flag: FlagSpec, text: string, ceilings: Ceilings): string | undefined {
  const permission = `setting ${flag.name}=${
    JSON.stringify(text)
  } requires flag "allow-flag-override" to be enabled`;
  switch (flag.name) {
    case "debug":
      return undefined;
    case "host-uds": {
      const wanted = text === "" ? "none" : text;
      if (flag.choices?.includes(wanted) !== true) return undefined;
      return isWithinUds(wanted as HostUds, ceilings.hostUds) ? undefined : permission;
    }
    case "qdisc":
      return text === "tbf" || flag.choices?.includes(text) !== true ? undefined : permission;
    case "qdisc-tbf-rate":
    case "qdisc-tbf-burst": {
      const value = parseUint(text);
      if (typeof value === "bigint") {
        return whyAbove(flag.name === "qdisc-tbf-rate" ? "rate" : "burst", value, ceilings);
      }
      // Go's strconv says what its flag package calls a parse error.
      const why = value === "parse error" ? "invalid syntax" : value;
      const quoted = JSON.stringify(text);
      return `invalid ${flag.name} annotation ${quoted}: strconv.ParseUint: parsing ${quoted}: ${why}`;
    }
    default:
      return DISABLED;
  }
}
