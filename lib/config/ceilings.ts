/**
 * What the operator lets a tenant have. The operator speaks by files and by the command line, the tenant by
 * annotations; without `--allow-flag-override` a tenant may only make things stricter. Words are gVisor's.
 *
 * @module
 */

import type { HostUds, QdiscKind } from "./settings.ts";

/** The operator's word, as it stood before any annotation. */
export interface Ceilings {
  /** `--allow-flag-override`: none of the rest holds. */
  readonly lifted: boolean;
  /** There are annotations, so somebody else than the operator has a say. */
  readonly tenant: boolean;
  /** Of a tenant's changes only `tbf` is stricter, whatever this is. */
  readonly qdisc: QdiscKind;
  /** Bytes per second; 0 is no ceiling. Holds whatever the operator's qdisc is. */
  readonly rate: bigint;
  /** Bytes; 0 is no ceiling. */
  readonly burst: bigint;
  readonly hostUds: HostUds;
}

/** `open` and `create` are two permissions, not two degrees of one. */
const UDS_PERMISSIONS: Readonly<Record<HostUds, number>> = { none: 0, open: 1, create: 2, all: 3 };

/** Every permission of `wanted` is one of `ceiling`. */
export function isWithinUds(wanted: HostUds, ceiling: HostUds): boolean {
  return (UDS_PERMISSIONS[wanted] & ~UDS_PERMISSIONS[ceiling]) === 0;
}

/** Why a rate or a burst may not be raised to `value`; undefined if it is within the ceiling. */
export function whyAbove(what: "rate" | "burst", value: bigint, ceilings: Ceilings): string | undefined {
  const ceiling = ceilings[what];
  if (ceilings.lifted || ceiling === 0n || value <= ceiling) return undefined;
  return `qdisc-tbf-${what}=${value} exceeds runtime-configured ${what} ${ceiling}; ` +
    'raising the limit requires flag "allow-flag-override" to be enabled';
}
