/**
 * The host's network as a guest sees it, for tests.
 *
 * @module
 */

import { HostNetwork, type ImpersonationConfig } from "../../../../lib/attach/sockets/impersonate/network.ts";
import { ip } from "../../../support/two_stacks.ts";

/** One with a loopback and two resolvers, on which nothing is published. */
export function hostNetwork(config: Partial<ImpersonationConfig> = {}): HostNetwork {
  return new HostNetwork({
    hostLoopback: true,
    publishAll: false,
    publish: [],
    resolvers: [{ address: ip("127.0.0.53"), port: 53 }, { address: ip("169.254.1.1"), port: 53 }],
    handoff: false,
    controlPort: 0,
    maxSockets: 4,
    ...config,
  });
}
