/**
 * The gateway's end of the guest's wire: an interface of a stack, and the uplink behind it.
 *
 * The interface is promiscuous (whatever the guest sends to anywhere is ours to answer) and spoofing (we answer as
 * whoever it was sent to): what gVisor calls a gateway.
 *
 * @module
 */

import type { PublishedPort } from "../stack/facts.ts";
import type { LinkCapabilities } from "../stack/link/link.ts";
import type { Nic, NicOptions } from "../stack/nic.ts";
import { createQdisc, type Qdisc } from "../stack/qdisc/qdisc.ts";
import type { Stack } from "../stack/stack.ts";
import { IpAddress } from "../stack/wire/address.ts";
import { MacAddress } from "../stack/wire/ethernet.ts";
import type { GatewayConfig, Publish } from "../uplink/gateway/config.ts";
import { Gateway } from "../uplink/gateway/gateway.ts";
import type { ModeContext, ModeSession } from "./mode.ts";

/** The gateway's hardware address: locally administered, and the same in every sandbox, as nobody else is on the wire. */
const GATEWAY_MAC = "5a:94:ef:e4:0c:dd";

/** An address that the configuration has validated already. */
export function address(text: string): IpAddress {
  const parsed = IpAddress.parse(text);
  if (parsed === undefined) throw new RangeError(`Cannot use address "${text}": it is not an IP address`);
  return parsed;
}

function publishOf(text: PublishedPort): Publish {
  const { protocol, hostPort, hostPath, guestPort, hostAddress, guestAddress } = text;
  const base = {
    protocol,
    hostPort,
    guestPort,
    ...(guestAddress === undefined ? {} : { guestAddress: address(guestAddress) }),
    ...(hostPath === undefined ? {} : { hostPath }),
  };
  return hostAddress === undefined ? base : { ...base, hostAddress: address(hostAddress) };
}

/** The queueing discipline that the configuration asks for. */
export function configuredQdisc(context: ModeContext, capabilities: LinkCapabilities): Qdisc {
  const { qdisc, mtu } = context.config;
  return createQdisc({ ...qdisc, mtu, gsoMaxSize: capabilities.gsoMaxSize });
}

/**
 * Adds the gateway's interface to `stack`.
 *
 * @param inbound shapes what the guest sends, where the guest's own interface does not
 */
export function addGatewayNic(
  { config }: ModeContext,
  stack: Stack,
  capabilities: LinkCapabilities,
  inbound?: Qdisc,
  options: Pick<NicOptions, "qdisc" | "ready" | "routerAdvertisement" | "coalesce" | "showWire"> & {
    readonly mac?: MacAddress;
  } = {},
): Nic {
  const nic = stack.addNic({
    name: "eth0",
    mac: MacAddress.parse(GATEWAY_MAC)!,
    mtu: config.mtu,
    capabilities,
    ...(inbound === undefined ? {} : { inbound }),
    promiscuous: true,
    spoofing: true,
    learnNeighbours: true,
    coalesce: capabilities.gsoMaxSize === 0,
    ...options,
  });
  nic.addAddress(address(config.gateway), config.address.prefixLength);
  nic.addAddress(address(config.gateway6), config.address6.prefixLength);
  for (const dns of config.dns.map(address)) {
    const { prefixLength } = dns.family === 4 ? config.address : config.address6;
    if (!nic.owns(dns)) nic.addAddress(dns, prefixLength);
  }
  return nic;
}

/** The uplink, started. Throws for a port that cannot be published. */
export function startGateway(
  { config, reactor, pool, log }: ModeContext,
  stack: Stack,
  nic: Nic,
  more: Pick<
    GatewayConfig,
    "closedPorts" | "guestEndpoint" | "host4" | "inMemory" | "links" | "tenantOf" | "zones"
  > = {},
): Gateway {
  const dns = config.dns.map(address);
  const gateway = new Gateway({
    stack,
    nic,
    reactor,
    pool,
    log,
    config: {
      gateway4: address(config.gateway),
      gateway6: address(config.gateway6),
      dns4: dns.find(({ family }) => family === 4),
      dns6: dns.find(({ family }) => family === 6),
      guest4: address(config.address.address),
      guest6: address(config.address6.address),
      resolvers: config.resolvers.map(({ address: text, port }) => ({ address: address(text), port })),
      hostLoopback: config.hostLoopback,
      publish: config.publish.map(publishOf),
      ...more,
    },
  });
  gateway.start();
  return gateway;
}

/** What every session with a gateway answers alike. */
export function gatewayAnswers(
  gateway: Gateway,
): Pick<ModeSession, "unfinished" | "flows" | "forwards" | "counters" | "publish" | "unpublish"> {
  return {
    unfinished: () => gateway.unfinished(),
    flows: () => gateway.flows(),
    forwards: () => gateway.forwards(),
    counters: () => gateway.counters(),
    publish: (forward) => gateway.publish(publishOf(forward)),
    unpublish: (forward) => gateway.unpublish(publishOf(forward)),
  };
}
