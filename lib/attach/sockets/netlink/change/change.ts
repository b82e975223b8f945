/**
 * Which function carries out which changing request of rtnetlink.
 *
 * @module
 */

import { Errno } from "../../../../host/errno.ts";
import { RTM } from "../numbers.ts";
import { Refusal, type Request } from "../request.ts";
import { deleteAddress, newAddress } from "./address.ts";
import { deleteLink, setLink } from "./link.ts";
import { deleteNeighbour, newNeighbour } from "./neighbour.ts";
import { type ChangeableNetwork, unsupported } from "./network.ts";
import { deleteRoute, newRoute } from "./route.ts";

/** Carries out a request of who has the right to it; undefined: done. */
export function changeNetwork(request: Request, network: ChangeableNetwork): Refusal | undefined {
  switch (request.type) {
    case RTM.NEWADDR:
      return newAddress(request, network);
    case RTM.DELADDR:
      return deleteAddress(request, network);
    case RTM.NEWROUTE:
      return newRoute(request, network);
    case RTM.DELROUTE:
      return deleteRoute(request, network);
    case RTM.NEWNEIGH:
      return newNeighbour(request, network);
    case RTM.DELNEIGH:
      return deleteNeighbour(request, network);
    case RTM.NEWLINK:
      return setLink(request, network, true);
    case RTM.SETLINK:
      return setLink(request, network, false);
    case RTM.DELLINK:
      return deleteLink(request, network);
    case RTM.NEWQDISC:
    case RTM.DELQDISC:
      return new Refusal(Errno.EPERM, "sluice: queueing disciplines are the operator's");
    default:
      return unsupported("addresses, links, neighbours and routes are all that can be changed");
  }
}
