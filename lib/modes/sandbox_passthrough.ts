/**
 * Mode `sandbox-passthrough`: attachment `tap`, uplink `gateway`. Needs no privilege.
 *
 * ```text
 *   guest's kernel ── eth0 (TAP) ── pump ── NIC eth0 of our stack ── gateway ── sockets of the host
 *   10.0.2.100                              10.0.2.2, 10.0.2.3
 * ```
 *
 * Our NIC is promiscuous (whatever the guest sends to anywhere is ours to answer) and spoofing (we answer as whoever
 * it was sent to): what gVisor calls a gateway.
 *
 * @module
 */

import { attachTap } from "../attach/tap/attach.ts";
import type { Publish } from "../uplink/gateway/config.ts";
import { Gateway } from "../uplink/gateway/gateway.ts";
import { createQdisc } from "../stack/qdisc/qdisc.ts";
import { IpAddress } from "../stack/wire/address.ts";
import { MacAddress } from "../stack/wire/ethernet.ts";
import type { ModeContext, ModeSession, PublishText } from "./mode.ts";

/** The gateway's hardware address: locally administered, and the same in every sandbox, as nobody else is on the wire. */
const GATEWAY_MAC = "5a:94:ef:e4:0c:dd";

/** An address that the configuration has validated already. */
function address(text: string): IpAddress {
  const parsed = IpAddress.parse(text);
  if (parsed === undefined) throw new RangeError(`Cannot use address "${text}": it is not an IP address`);
  return parsed;
}

function publishOf(text: PublishText): Publish {
  const { protocol, hostPort, guestPort, hostAddress } = text;
  const base = { protocol, hostPort, guestPort };
  return hostAddress === undefined ? base : { ...base, hostAddress: address(hostAddress) };
}

/** Starts `sandbox-passthrough`. */
export function startSandboxPassthrough(context: ModeContext): ModeSession {
  const { config, reactor, pool, stack, log } = context;
  const tap = attachTap(context);
  const nic = stack.addNic({
    name: "eth0",
    mac: MacAddress.parse(GATEWAY_MAC)!,
    mtu: config.mtu,
    capabilities: tap.link.capabilities,
    qdisc: createQdisc({ ...config.qdisc, mtu: config.mtu, gsoMaxSize: tap.link.capabilities.gsoMaxSize }),
    promiscuous: true,
    spoofing: true,
    learnNeighbours: true,
  });
  nic.addAddress(address(config.gateway), config.address.prefixLength);
  nic.addAddress(address(config.gateway6), config.address6.prefixLength);
  if (config.dns !== config.gateway) nic.addAddress(address(config.dns), config.address.prefixLength);

  const gateway = new Gateway({
    stack,
    nic,
    reactor,
    pool,
    log,
    config: {
      gateway4: address(config.gateway),
      gateway6: address(config.gateway6),
      dns4: address(config.dns),
      guest4: address(config.address.address),
      guest6: address(config.address6.address),
      resolvers: config.resolvers.map(({ address: text, port }) => ({ address: address(text), port })),
      hostLoopback: config.hostLoopback,
      publish: config.publish.map(publishOf),
    },
  });
  gateway.start();
  tap.pumpTo(nic);

  return {
    pollAt: () => gateway.pollAt(),
    poll: (now) => gateway.poll(now),
    flush: (now) => tap.flush(now),
    go: () => tap.go(),
    flows: () => gateway.flows(),
    forwards: () => gateway.forwards(),
    counters: () => gateway.counters(),
    publish: (forward) => gateway.publish(publishOf(forward)),
    unpublish: (forward) => gateway.unpublish(publishOf(forward)),
    stop: () => {
      gateway.stop();
      tap.close();
    },
  };
}
