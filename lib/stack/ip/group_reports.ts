/**
 * Telling switches and routers which groups are heard here (RFC 3376, RFC 3810): without it, a switch that looks into
 * such reports would not bring us the questions of neighbour discovery, which go to groups.
 *
 * Only on interfaces that are to report (`reportGroups`): on a wire to a gateway of ours there is nobody to tell. A change
 * is told once and again with the next query; a query is answered at once, not more often than
 * {@linkcode QUERIES_PER_SECOND}. Sources are not filtered.
 *
 * @module
 */

import type { BufferPool } from "../buffer/pool.ts";
import type { Counters } from "../counters.ts";
import type { Nic } from "../nic.ts";
import type { Instant } from "../time.ts";
import { IpAddress, type IpFamily } from "../wire/address.ts";
import { MacAddress } from "../wire/ethernet.ts";
import {
  emitGroupReport,
  GroupRecord,
  groupReportLength,
  MAX_RECORDS,
  REPORTS4,
  REPORTS6,
} from "../wire/group_report.ts";
import { solicitedNode } from "../wire/ndp.ts";
import { TokenBucket } from "./token_bucket.ts";

/** Queries answered (`groups.queries-rate-limited`): routers ask every two minutes. */
const QUERIES_PER_SECOND = 1, QUERY_BURST = 4;

const ALL_SYSTEMS = IpAddress.v4(0xe0000001 | 0), ALL_NODES = IpAddress.parse("ff02::1")!;

/** What it needs. */
export interface GroupReportsContext {
  readonly pool: BufferPool;
  readonly counters: Counters;
  readonly nics: () => readonly Nic[];
  readonly clock: { readonly now: Instant };
}

/** The groups that sockets have joined, and the reports about all that are heard. */
export class GroupReports {
  readonly #context: GroupReportsContext;
  readonly #joined = new Map<string, { readonly group: IpAddress; members: number }>();
  readonly #queries = new TokenBucket(QUERIES_PER_SECOND, QUERY_BURST);

  constructor(context: GroupReportsContext) {
    this.#context = context;
  }

  /** One more socket hears `group`. */
  join(group: IpAddress): void {
    const key = group.toString();
    const known = this.#joined.get(key);
    if (known !== undefined) {
      known.members++;
      return;
    }
    this.#joined.set(key, { group: group.clone(), members: 1 });
    for (const nic of this.#context.nics()) this.#report(nic, [group], GroupRecord.toExclude);
  }

  /** One socket less does. */
  leave(group: IpAddress): void {
    const key = group.toString();
    const known = this.#joined.get(key);
    if (known === undefined || --known.members > 0) return;
    this.#joined.delete(key);
    for (const nic of this.#context.nics()) this.#report(nic, [group], GroupRecord.toInclude);
  }

  /** Tells of all groups that an interface hears: it is new here. */
  announce(nic: Nic): void {
    for (const family of [4, 6] as const) this.#report(nic, this.#heard(nic, family), GroupRecord.toExclude);
  }

  /** A router asks. */
  queried(nic: Nic, family: IpFamily, now: Instant): void {
    const { counters } = this.#context;
    if (!this.#queries.take(now)) {
      counters.bump("groups.queries-rate-limited");
      return;
    }
    this.#report(nic, this.#heard(nic, family), GroupRecord.isExclude);
  }

  /** Groups of one family on `nic`: those of sockets, and those of neighbour discovery. */
  #heard(nic: Nic, family: IpFamily): IpAddress[] {
    const groups = new Map<string, IpAddress>();
    for (const [key, { group }] of this.#joined) if (group.family === family) groups.set(key, group);
    if (family === 6) {
      for (const { address } of nic.addresses) {
        if (address.family !== 6) continue;
        const group = solicitedNode(address);
        groups.set(group.toString(), group);
      }
    }
    return [...groups.values()];
  }

  #report(nic: Nic, heard: readonly IpAddress[], record: GroupRecord): void {
    if (!nic.reportGroups) return;
    const groups = heard.filter(isReported);
    if (groups.length === 0) return;
    const { pool, counters, clock } = this.#context;
    const { family } = groups[0]!;
    const source = family === 6
      ? nic.linkLocal
      : nic.addresses.find(({ address }) => address.family === 4)?.address;
    if (source === undefined) return;
    const to = family === 4 ? MacAddress.multicast4(REPORTS4) : MacAddress.multicast6(REPORTS6);
    for (let at = 0; at < groups.length; at += MAX_RECORDS) {
      const some = groups.slice(at, at + MAX_RECORDS);
      const packet = pool.take(groupReportLength(family, some.length));
      emitGroupReport(packet, source, some, record);
      counters.bump("groups.reports-sent");
      nic.transmit(packet, to, family, clock.now);
    }
  }
}

/**
 * Whether anybody is told of a group: never of all systems (RFC 2236 section 6, RFC 3376 section 5), of all nodes, or of a
 * scope that no wire has (RFC 3810 section 6).
 */
function isReported(group: IpAddress): boolean {
  if (group.family === 4) return !group.equals(ALL_SYSTEMS);
  return (group.a >>> 16 & 15) > 1 && !group.equals(ALL_NODES);
}
