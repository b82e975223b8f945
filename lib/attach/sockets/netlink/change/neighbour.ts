/**
 * RTM_NEWNEIGH and RTM_DELNEIGH: what `ip neigh add|change|replace|del|flush` asks for (`neigh_add`, `neigh_delete`).
 *
 * Proxies, and neighbours that are used without ARP (`nud noarp`), are refused.
 *
 * @module
 */

import { AF } from "../../../../host/constants.ts";
import { Errno } from "../../../../host/errno.ts";
import type { Neighbour } from "../../../../stack/ip/neighbours.ts";
import type { Nic } from "../../../../stack/nic.ts";
import type { IpAddress } from "../../../../stack/wire/address.ts";
import { MacAddress } from "../../../../stack/wire/ethernet.ts";
import { NDMSG } from "../neighbour.ts";
import { NDA, NLM_F, NTF, NUD } from "../numbers.ts";
import { Refusal, type Request } from "../request.ts";
import {
  type ChangeableNetwork,
  fixed,
  full,
  MAX_PERMANENT_NEIGHBOURS,
  nicAt,
  unsupported,
} from "./network.ts";

const MAC_LENGTH = 6;
/** States in which the hardware address is known. */
const VALID = NUD.PERMANENT | NUD.NOARP | NUD.REACHABLE | NUD.PROBE | NUD.STALE | NUD.DELAY;

/** The neighbour that a request is about. */
function subject(
  request: Request,
  network: ChangeableNetwork,
): { nic: Nic; address: IpAddress; mac: MacAddress | undefined } | Refusal {
  const { family } = request;
  if (request.length < NDMSG) return new Refusal(Errno.EINVAL);
  const attributes = request.attributes(NDMSG);
  const destination = attributes.get(NDA.DST), hardware = attributes.get(NDA.LLADDR);
  if (destination === undefined) return new Refusal(Errno.EINVAL, "Network address not specified");
  const index = request.u32(4);
  const nic = nicAt(network, index);
  if (index !== 0 && nic === undefined) return new Refusal(Errno.ENODEV);
  if (hardware !== undefined && nic !== undefined && hardware.length < MAC_LENGTH) {
    return new Refusal(Errno.EINVAL, "Invalid link address");
  }
  if (family !== AF.INET && family !== AF.INET6) return new Refusal(Errno.EAFNOSUPPORT);
  const address = request.addressOf(destination);
  if (address === undefined || address.family !== (family === AF.INET ? 4 : 6)) {
    return new Refusal(Errno.EINVAL, "Invalid network address");
  }
  if ((request.u8(10) & NTF.PROXY) !== 0) return unsupported("no proxies for neighbours");
  if (nic === undefined) return new Refusal(Errno.EINVAL, "Device not specified");
  const mac = hardware === undefined
    ? undefined
    : new MacAddress(request.view.getUint16(hardware.at), request.view.getInt32(hardware.at + 2));
  return fixed(network, nic) ?? { nic, address, mac };
}

/** Carries out RTM_NEWNEIGH. */
export function newNeighbour(request: Request, network: ChangeableNetwork): Refusal | undefined {
  const about = subject(request, network);
  if (about instanceof Refusal) return about;
  const { nic, address } = about;
  const { flags } = request;
  const there = nic.neighbours.peek(address);
  if (there === undefined && (flags & NLM_F.CREATE) === 0) return new Refusal(Errno.ENOENT);
  if (there !== undefined && (flags & NLM_F.EXCL) !== 0) return new Refusal(Errno.EEXIST);
  const state = request.u16(8);
  if ((state & NUD.NOARP) !== 0) return unsupported("no neighbours without ARP");
  const mac = about.mac ?? (there === undefined || !isKnown(there) ? undefined : there.mac);
  if ((state & VALID) !== 0 && mac === undefined) {
    return new Refusal(Errno.EINVAL, "No link layer address given");
  }
  const { neighbours } = nic;
  let entry: Neighbour;
  if (mac === undefined || (state & VALID) === 0) {
    if (there !== undefined) neighbours.remove(address);
    entry = neighbours.entry(address);
  } else if ((state & NUD.PERMANENT) !== 0) {
    if (there?.state !== "permanent" && permanent(nic) >= MAX_PERMANENT_NEIGHBOURS) {
      return full(network, "neighbours");
    }
    entry = neighbours.setPermanent(address, mac, network.now);
  } else {
    const reachable = (state & NUD.REACHABLE) !== 0;
    entry = neighbours.set(address, mac, reachable ? "reachable" : "stale", network.now);
  }
  entry.router = (request.u8(10) & NTF.ROUTER) !== 0;
  return undefined;
}

function isKnown({ state }: Neighbour): boolean {
  return state !== "failed" && state !== "incomplete";
}

function permanent(nic: Nic): number {
  let count = 0;
  for (const { state } of nic.neighbours.all()) if (state === "permanent") count++;
  return count;
}

/** Carries out RTM_DELNEIGH. */
export function deleteNeighbour(request: Request, network: ChangeableNetwork): Refusal | undefined {
  const about = subject(request, network);
  if (about instanceof Refusal) return about;
  return about.nic.neighbours.remove(about.address) ? undefined : new Refusal(Errno.ENOENT);
}
