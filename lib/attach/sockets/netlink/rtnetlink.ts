/**
 * `NETLINK_ROUTE`: which function answers which request (`rtnetlink_rcv_msg` of the kernel).
 *
 * @module
 */

import { AF } from "../../../host/constants.ts";
import { Errno } from "../../../host/errno.ts";
import type { StackFacts } from "../../../stack/facts.ts";
import type { IpAddress } from "../../../stack/wire/address.ts";
import { dumpAddresses, getAddress } from "./address.ts";
import { dumpInet6Links, dumpLinks, getLink } from "./link.ts";
import { dumpNeighbours, getNeighbour } from "./neighbour.ts";
import { IFA, RTM } from "./numbers.ts";
import { dumpQdiscs, getQdisc } from "./qdisc.ts";
import type { ReplyWriter } from "./reply_writer.ts";
import { Refusal, type Request } from "./request.ts";
import { dumpRoutes } from "./route.ts";
import { getRoute } from "./route_get.ts";
import { dumpRules } from "./rule.ts";

/** What the tables tell. */
export type NetworkFacts = Pick<StackFacts, "nics" | "routes" | "neighbours">;

/** Writes the messages that answer a request. */
export type Answer = (request: Request, facts: NetworkFacts, out: ReplyWriter) => Refusal | undefined;

/** How one kind of object is asked for. */
interface Handlers {
  /** One object; absent: EOPNOTSUPP. */
  readonly get?: Answer;
  readonly dump?: Answer;
  /**
   * The families whose dump ends in the datagram of its last message; the others' end comes in one of its own. (The older
   * dump functions of the kernel return a length until there is nothing left, the newer ones say at once that they are done.)
   */
  readonly together?: readonly number[];
}

/** Answers a dump of something of which there is nothing. */
const nothing: Answer = () => undefined;

const HANDLERS: Readonly<Record<number, Handlers>> = {
  [RTM.GETLINK]: { get: getLink, dump: (...all) => links(...all), together: [AF.INET6] },
  [RTM.GETADDR]: { get: getAddress, dump: dumpAddresses, together: [AF.INET6] },
  [RTM.GETROUTE]: { get: getRoute, dump: dumpRoutes },
  [RTM.GETNEIGH]: { get: getNeighbour, dump: dumpNeighbours, together: [AF.UNSPEC, AF.INET, AF.INET6] },
  [RTM.GETRULE]: { dump: dumpRules, together: [AF.UNSPEC, AF.INET, AF.INET6] },
  [RTM.GETQDISC]: { get: getQdisc, dump: dumpQdiscs },
  [RTM.GETTCLASS]: { dump: nothing },
  [RTM.GETTFILTER]: { dump: nothing },
  [RTM.GETNSID]: { dump: nothing },
  [RTM.GETNEXTHOP]: { dump: nothing },
};

function links(request: Request, facts: NetworkFacts, out: ReplyWriter): Refusal | undefined {
  return (request.family === AF.INET6 ? dumpInet6Links : dumpLinks)(request, facts, out);
}

/** What came of a request. */
export interface Outcome {
  readonly refusal?: Refusal | undefined;
  /** It was a dump, so the answer ends with NLMSG_DONE, or with what went wrong in it. */
  readonly dump: boolean;
  /** The end goes into a datagram of its own. */
  readonly apart: boolean;
}

const SILENCE: Outcome = { dump: false, apart: false };

function refused(errno: number): Outcome {
  return { refusal: new Refusal(errno), dump: false, apart: false };
}

/** Gives the loopback an address; returns an errno, 0 for none. */
export type AddAddress = (address: IpAddress, prefixLength: number) => number;

const IFF_UP = 1;

/**
 * Who has made a network namespace gives its loopback an address and sets it up, as bubblewrap does. Ours is up from the
 * beginning, with the addresses that the kernel gives it when it comes up, and stays up.
 *
 * @returns an errno, 0 for none
 */
function furnish(request: Request, facts: NetworkFacts, add: AddAddress | undefined): number {
  // The index is at the same place in `struct ifinfomsg` and `struct ifaddrmsg`.
  if (facts.nics.length !== 1 || request.u32(4) !== 1) return Errno.EPERM;
  if (request.type === RTM.NEWLINK) {
    const flags = request.u32(8), change = request.u32(12);
    return (change & IFF_UP) !== 0 && (flags & IFF_UP) === 0 ? Errno.EPERM : 0;
  }
  if (request.type !== RTM.NEWADDR || add === undefined) return Errno.EPERM;
  const attributes = request.attributes(8);
  const address = request.addressOf(attributes.get(IFA.LOCAL) ?? attributes.get(IFA.ADDRESS));
  if (address === undefined || (address.family === 4 ? AF.INET : AF.INET6) !== request.family) {
    return Errno.EINVAL;
  }
  return add(address, request.u8(1));
}

/** Answers one request of at least the first type of rtnetlink. */
export function answerRoute(
  request: Request,
  facts: NetworkFacts,
  out: ReplyWriter,
  add?: AddAddress,
): Outcome {
  const { type, family } = request;
  if (type > RTM.MAX) return refused(Errno.EOPNOTSUPP);
  if (request.length < 1) return SILENCE;
  // NEW, DEL, GET and SET alternate. Only who may administer the network may do more than look.
  if (((type - RTM.BASE) & 3) !== 2) {
    const errno = furnish(request, facts, add);
    return errno === 0 ? SILENCE : refused(errno);
  }
  const handlers = HANDLERS[type];
  if (!request.isDump) {
    return handlers?.get === undefined
      ? refused(Errno.EOPNOTSUPP)
      : { refusal: handlers.get(request, facts, out), dump: false, apart: false };
  }
  if (handlers?.dump === undefined) return refused(Errno.EOPNOTSUPP);
  const refusal = handlers.dump(request, facts, out);
  return { refusal, dump: true, apart: refusal === undefined && !handlers.together?.includes(family) };
}
