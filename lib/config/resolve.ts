/**
 * Assignments → settings.
 *
 * Sources are turned into flat lists of {@linkcode Assignment}s by who knows them (files: load.ts; the command line:
 * lib/cli). Here they are applied lowest first: built-in default, configuration files in order, command line. A later
 * assignment replaces an earlier one; those of a repeatable flag add up, and an empty one empties the list. Annotations
 * are values of the flag `annotation`; what they ask for comes last, under ceilings (tenant.ts). Then everything is
 * validated, once. The result is frozen and says of each value where it came from.
 *
 * Assignments are plain data and `resolve()` is pure: a worker thread gets the list and resolves it again.
 *
 * @module
 */

import type { Ceilings } from "./ceilings.ts";
import { contains, type InterfaceAddress, networkAddress } from "./cidr.ts";
import { type Assignment, ConfigError, DEFAULT, type Origin, type Problem } from "./origin.ts";
import { meaningless } from "./meaningless.ts";
import type { Settings } from "./settings.ts";
import { SERVE_SCOPE, whyNotServed } from "./serve_flags.ts";
import { type Annotation, applyAnnotations } from "./tenant.ts";
import { type Exact, validate } from "./validate.ts";
import { type ResolvedValue, ValueTable } from "./value_table.ts";
import type { IpAddress } from "../stack/wire/address.ts";

/** The settings and their history. */
export interface Resolved {
  readonly settings: Settings;
  /** In the order of the flag table. */
  readonly values: readonly ResolvedValue[];
  /** All that was applied; `resolve()` of it gives the same again. */
  readonly assignments: readonly Assignment[];
  /** What the operator lets a tenant have. */
  readonly ceilings: Ceilings;
  /** Who set each of {@linkcode CEILING_FLAGS}, before any annotation. */
  readonly operatorOrigins: Readonly<Record<(typeof CEILING_FLAGS)[number], Origin>>;
  /** What files say about flags of `serve`, by their names, lowest first. */
  readonly serve: readonly Assignment[];
  /** runsc's flags in annotations that mean nothing here. */
  readonly ignored: readonly string[];
  /** Lines for stderr. */
  readonly warnings: readonly string[];
}

/** Flags whose operator's value binds annotations. */
export const CEILING_FLAGS = ["host-uds", "qdisc-tbf-rate", "qdisc-tbf-burst"] as const;

/** What was found, wrong or not: `resolved` is only to be looked at while there are `problems`. */
export interface Outcome {
  readonly resolved: Resolved;
  readonly problems: readonly Problem[];
}

/** Whether somebody set a flag, in whatever way. */
export function isGiven({ values }: Resolved, name: string): boolean {
  const origin = values.find(({ flag }) => flag.name === name)?.origins.at(-1) ?? DEFAULT;
  return origin.kind !== "default" && origin.kind !== "derived";
}

/** Applies and validates. Throws {@linkcode ConfigError} with every problem found. */
export function resolve(assignments: readonly Assignment[] = []): Resolved {
  const { resolved, problems } = tryResolve(assignments);
  if (problems.length > 0) throw new ConfigError(problems);
  return resolved;
}

/** Like {@linkcode resolve}, but returns the problems; `config check` prints them all. */
export function tryResolve(assignments: readonly Assignment[]): Outcome {
  const table = new ValueTable();
  const problems: Problem[] = [];
  const serve: Assignment[] = [];
  for (const assignment of assignments) {
    if (assignment.flag.startsWith(SERVE_SCOPE)) {
      const name = assignment.flag.slice(SERVE_SCOPE.length);
      serve.push({ ...assignment, flag: name });
      const message = whyNotServed(name, assignment.text);
      if (message !== undefined) problems.push({ message, origin: assignment.origin });
      continue;
    }
    const problem = table.apply(assignment);
    if (problem !== undefined) problems.push(problem);
  }
  const annotations = annotationsOf(table);
  const ceilings: Ceilings = {
    lifted: table.one("allow-flag-override"),
    tenant: annotations.length > 0,
    qdisc: table.one("qdisc"),
    rate: table.one("qdisc-tbf-rate"),
    burst: table.one("qdisc-tbf-burst"),
    hostUds: table.one("host-uds"),
  };
  const operatorOrigins = Object.fromEntries(
    CEILING_FLAGS.map((flag) => [flag, table.originOf(flag)]),
  ) as Resolved["operatorOrigins"];
  const tenant = applyAnnotations(table, annotations, ceilings);
  deriveInterface(table);
  deriveAttachment(table);
  const settings = build(table);
  const exact: Exact = {
    rate: table.one("qdisc-tbf-rate"),
    burst: table.one("qdisc-tbf-burst"),
    mtu: table.one("mtu"),
    addressWait: table.one("address-wait"),
  };
  problems.push(...tenant.problems, ...validate(settings, exact, (flag) => table.originOf(flag)));
  const resolved: Resolved = deepFreeze({
    settings,
    values: table.history(),
    assignments: [...assignments],
    ceilings,
    operatorOrigins,
    serve,
    ignored: tenant.ignored,
    warnings: warningsOf(table, settings),
  });
  return { resolved, problems };
}

function annotationsOf(table: ValueTable): readonly Annotation[] {
  const origins = table.originsOf("annotation");
  return table.all("annotation").map(([key, value], i) => {
    const origin = origins[i] ?? DEFAULT;
    // Whoever passes it on, it is the tenant's; the line of a file still helps to find it.
    const place = origin.kind === "file"
      ? { path: origin.path, line: origin.line, column: origin.column }
      : {};
    return {
      key,
      value,
      origin: origin.kind === "annotation" ? origin : { kind: "annotation", key, ...place },
    };
  });
}

function warningsOf(table: ValueTable, settings: Settings): readonly string[] {
  const warnings = table.all("external-network").flatMap((one, i) =>
    one.warnings.map((warning) =>
      `external network ${JSON.stringify(settings.networks[i]!.name)}: ${warning}`
    )
  );
  return [...warnings, ...meaningless(settings, (flag) => table.originOf(flag))];
}

/** A mode that knows only one attachment has it. */
function deriveAttachment(table: ValueTable): void {
  const network = table.one("network");
  const knowsOne = network === "sandbox" || network === "tsi";
  if (knowsOne && table.originOf("attach").kind === "default") table.derive("attach", "sockets", "network");
  // Of impersonated sockets the loopback is the host's, unless somebody has said otherwise.
  if (network === "tsi" && table.originOf("host-loopback").kind === "default") {
    table.derive("host-loopback", true, "network");
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
    addressWait: Number(table.one("address-wait")),
    networks: table.all("external-network").map(({ network }, i) =>
      network.name === "" ? { ...network, name: `external${i}` } : network
    ),
    publishAll: table.one("publish-all"),
    tsiHandoff: table.one("tsi-handoff"),
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
