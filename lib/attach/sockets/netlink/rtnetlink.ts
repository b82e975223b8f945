/**
 * `NETLINK_ROUTE`: which function answers which request (`rtnetlink_rcv_msg` of the kernel).
 *
 * @module
 */

import { AF } from "../../../host/constants.ts";
import { Errno } from "../../../host/errno.ts";
import type { StackFacts } from "../../../stack/facts.ts";
import { dumpAddresses, getAddress } from "./address.ts";
import { dumpInet6Links, dumpLinks, getLink } from "./link.ts";
import { dumpNeighbours, getNeighbour } from "./neighbour.ts";
import { RTM } from "./numbers.ts";
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

/** Carries out a request that changes something; undefined: done. */
export type Change = (request: Request) => Refusal | undefined;

/** Answers one request of at least the first type of rtnetlink. */
export function answerRoute(
  request: Request,
  facts: NetworkFacts,
  out: ReplyWriter,
  change?: Change,
): Outcome {
  const { type, family } = request;
  if (type > RTM.MAX) return refused(Errno.EOPNOTSUPP);
  if (request.length < 1) return SILENCE;
  // NEW, DEL, GET and SET alternate. Only who may administer the network may do more than look.
  if (((type - RTM.BASE) & 3) !== 2) {
    if (change === undefined) return refused(Errno.EPERM);
    return { refusal: change(request), dump: false, apart: false };
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
