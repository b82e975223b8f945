/**
 * RTM_GETNEIGH: the neighbours that ARP and NDP have found (`neigh_dump_info`, `neigh_get`).
 *
 * @module
 */

import { AF } from "../../../host/constants.ts";
import { Errno } from "../../../host/errno.ts";
import type { NeighbourFacts } from "../../../stack/facts.ts";
import { NDA, NTF, NUD, RTM, RTN } from "./numbers.ts";
import type { ReplyWriter } from "./reply_writer.ts";
import { type Envelope, Refusal, type Request } from "./request.ts";
import type { NetworkFacts } from "./rtnetlink.ts";

/** Bytes of `struct ndmsg`. */
export const NDMSG = 12;

/** All neighbours, or those of one interface. Proxied ones there are none. */
export function dumpNeighbours(request: Request, facts: NetworkFacts, out: ReplyWriter): Refusal | undefined {
  const { family } = request;
  if (request.asker.strict) {
    if (request.length < NDMSG) {
      return new Refusal(Errno.EINVAL, "Invalid header for neighbor dump request");
    }
    if ((request.u8(1) | request.u16(2) | request.u32(4) | request.u16(8) | request.u8(11)) !== 0) {
      return new Refusal(Errno.EINVAL, "Invalid values in header for neighbor dump request");
    }
  }
  if (request.u8(10) === NTF.PROXY) return undefined;
  const index = request.wordOf(request.attributes(NDMSG).get(NDA.IFINDEX)) ?? 0;
  request.filtered = index !== 0;
  for (const entry of facts.neighbours) {
    const of = familyOf(entry.address);
    if ((family === AF.INET || family === AF.INET6) && of !== family) continue;
    const nic = facts.nics.find(({ name }) => name === entry.device);
    if (nic === undefined || (index !== 0 && nic.index !== index)) continue;
    writeNeighbour(request, entry, nic.index, out, request.dumpFlags);
  }
  return undefined;
}

function familyOf(address: string): number {
  return address.includes(":") ? AF.INET6 : AF.INET;
}

/** One neighbour by its address and interface. */
export function getNeighbour(request: Request, facts: NetworkFacts, out: ReplyWriter): Refusal | undefined {
  if (request.length < NDMSG) return new Refusal(Errno.EINVAL, "Invalid header for neighbor get request");
  const { family } = request;
  const wanted = request.addressOf(request.attributes(NDMSG).get(NDA.DST));
  if (wanted === undefined) return new Refusal(Errno.EINVAL, "Network address not specified");
  if (wanted.family !== (family === AF.INET ? 4 : 6)) {
    return new Refusal(Errno.EINVAL, "Invalid network address");
  }
  const nic = facts.nics.find(({ index }) => index === request.u32(4));
  if (nic === undefined) return new Refusal(Errno.ENODEV, "Unknown device ifindex");
  const text = wanted.toString();
  const entry = facts.neighbours.find(({ address, device }) => address === text && device === nic.name);
  if (entry === undefined) return new Refusal(Errno.ENOENT, "Neighbour entry not found");
  writeNeighbour(request, entry, nic.index, out, 0);
  return undefined;
}

/** One neighbour (`neigh_fill_info`); `type` is RTM_NEWNEIGH or RTM_DELNEIGH. */
export function writeNeighbour(
  { sequence, port }: Envelope,
  { address, mac, state, router }: NeighbourFacts,
  index: number,
  out: ReplyWriter,
  flags: number,
  type: number = RTM.NEWNEIGH,
): void {
  const at = out.begin(type, flags, sequence, port, NDMSG);
  out.view.setUint8(at, familyOf(address));
  out.view.setInt32(at + 4, index, true);
  out.view.setUint16(at + 8, NUD[state], true);
  out.view.setUint8(at + 10, router ? NTF.ROUTER : 0);
  out.view.setUint8(at + 11, RTN.UNICAST);
  out.addressText(NDA.DST, address);
  if (mac !== undefined) out.hardware(NDA.LLADDR, mac);
  out.u32(NDA.PROBES, 0);
  // Hundredths of seconds since it was confirmed, used and updated; how many refer to it.
  out.words(NDA.CACHEINFO, [0, 0, 0, 0]);
  out.end();
}
