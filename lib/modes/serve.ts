/**
 * Mode `serve`: virtual machines behind a switch, whose uplink is `gateway`. Needs no privilege.
 *
 * ```text
 *   QEMU, libkrun, vfkit … ── socket ── port ─┐
 *   QEMU …                 ── socket ── port ─┼─ switch ── NIC of our stack ── gateway ── sockets of the host
 *                                             │            192.168.127.1, fd00::1; DHCP, DNS, router advertisements
 * ```
 *
 * @module
 */

import { attachVms } from "../attach/vm/attach.ts";
import { WIRE_CAPABILITIES } from "../link/offload.ts";
import { FairRing } from "../stack/fair_ring.ts";
import { NO_OFFLOAD } from "../stack/link/link.ts";
import { earlier, type Instant, later, SECOND } from "../stack/time.ts";
import { IpAddress } from "../stack/wire/address.ts";
import { MacAddress } from "../stack/wire/ethernet.ts";
import { broadcastOf, prefixOf } from "../stack/ip/routes.ts";
import { DhcpService } from "../uplink/gateway/dhcp.ts";
import { DnsZones } from "../uplink/gateway/dns_zones.ts";
import { BoundedLog } from "./bounded_log.ts";
import { addGatewayNic, address, configuredQdisc, gatewayAnswers, startGateway } from "./gateway_end.ts";
import type { ModeContext, ModeSession, ServeConfig } from "./mode.ts";

/** Between unasked router advertisements: RFC 4861 section 6.2.1 has 200 to 600 s, and 16 s for the first three. */
const ADVERTISE_EVERY = 300 * SECOND, ADVERTISE_FIRST = 16 * SECOND, FIRST_ADVERTISEMENTS = 3;

/** Lines about guests at once: as many as may go together when somebody ends all of them. */
const LINES = 64;

/** Starts `serve`. */
export function startServe(context: ModeContext): ModeSession {
  const { config, stack, reactor, pool, log } = context;
  const serve = config.serve;
  if (serve === undefined) throw new RangeError("Cannot serve: no sockets are named");
  // Machines verify checksums, and it is us who make them.
  pool.useVectors();
  const ready = new FairRing();
  // A shaper counts the very bytes that the wires carry: then it is the interface that cuts.
  const offload = config.qdisc.kind === "tbf" ? NO_OFFLOAD : WIRE_CAPABILITIES;
  const nic = addGatewayNic(context, stack, offload, undefined, {
    qdisc: configuredQdisc(context, offload),
    coalesce: true,
    showWire: true,
    ready,
    routerAdvertisement: advertisementOf(context),
    ...(serve.gatewayMac === undefined ? {} : { mac: MacAddress.parse(serve.gatewayMac)! }),
  });
  const host4 = serve.hostAddress === undefined ? undefined : address(serve.hostAddress);
  if (host4 !== undefined && !nic.owns(host4)) nic.addAddress(host4, config.address.prefixLength);
  const now = () => reactor.now() as Instant;
  const guestLog = new BoundedLog(log, "guests", now, LINES);
  const guestOf = (mac: MacAddress) => vms.switch.ownerOf(mac);
  const scratch = IpAddress.v4(0);
  const isUsed = (one: number, mac: MacAddress) => {
    scratch.d = one;
    const user = vms.switch.portOf(scratch);
    return user >= 0 && user !== guestOf(mac);
  };
  const dhcp = new DhcpService(stack, nic, { ...dhcpOptions(context, serve), guestOf, isUsed }, now());
  const vms = attachVms({
    reactor,
    pool,
    mtu: config.mtu,
    endpoints: serve.listen,
    vpnkitMacs: new Map(
      Object.entries(serve.vpnkitMacs ?? {}).map(([uuid, mac]) => [uuid, MacAddress.parse(mac)!]),
    ),
    merging: { mac: nic.mac, trusted: true, enabled: () => !nic.observed },
    log: (level, text) => guestLog.write(level, text),
    owners: {
      isOurs: (one) => nic.owns(one),
      isAnothers: (one, high, low) => one.family === 4 && dhcp.server.isAnothers(one, high, low, now()),
      isTheirs: (one, high, low) => one.family === 4 && dhcp.server.isTheirs(one, high, low, now()),
    },
    hold: (one, held) => ready.hold(one, held),
  });
  stack.tenants.of = (one) => vms.switch.portOf(one);
  vms.switch.join({
    mac: nic.mac,
    ingress: (frame, at) => nic.ingress(frame, at),
  });
  const zones = new DnsZones(serve.zones);
  const gateway = started(() =>
    startGateway(context, stack, nic, {
      host4,
      links: [config.address, config.address6].map((one) => ({ ...one, address: address(one.address) })),
      tenantOf: (one) => vms.switch.portOf(one),
      zones,
      closedPorts: serve.closedPorts,
    }), () => vms.close());

  let advertiseAt = now();
  let advertised = 0;
  return {
    ...gatewayAnswers(gateway),
    counters: () => ({
      ...vms.counters(),
      ...gateway.counters(),
      "serve.log-lines-left-out": guestLog.suppressed,
    }),
    pollAt: () => earlier(advertiseAt, earlier(gateway.pollAt(), vms.pollAt())),
    poll: (at) => {
      gateway.poll(at);
      vms.poll(at);
      if (at < advertiseAt) return;
      stack.advertiseRouter(nic, at);
      advertiseAt = later(at, ++advertised <= FIRST_ADVERTISEMENTS ? ADVERTISE_FIRST : ADVERTISE_EVERY);
    },
    serving: () => ({
      leases: Object.fromEntries(
        [...dhcp.server.pool.leases(now())].map((
          lease,
        ) => [`${IpAddress.v4(lease.address)}`, `${lease.mac}`]),
      ),
      fixed: Object.fromEntries(serve.leases.map(({ mac, address: text }) => [text, mac])),
      gateway: { address: config.gateway, mac: `${nic.mac}` },
      guests: vms.switch.ports(),
      zones: zones.all(),
      device: config.address.address,
    }),
    addZone: (zone) => zones.add(zone),
    flush: (at) => vms.flush(nic, at),
    go: () => {},
    stop: () => {
      gateway.stop();
      dhcp.close();
      vms.close();
    },
  };
}

function started<T>(start: () => T, undo: () => void): T {
  try {
    return start();
  } catch (error) {
    undo();
    throw error;
  }
}

function advertisementOf({ config }: ModeContext) {
  const { address6, gateway6, mtu } = config;
  return {
    prefix: prefixOf(address(address6.address), address6.prefixLength),
    prefixLength: address6.prefixLength,
    mtu,
    rdnss: [address(gateway6)],
  };
}

function dhcpOptions({ config, stack }: ModeContext, serve: ServeConfig) {
  const { prefixLength } = config.address;
  const gateway = address(config.gateway);
  const network = prefixOf(gateway, prefixLength).d;
  const broadcast = broadcastOf(gateway, prefixLength)?.d;
  const host = serve.hostAddress === undefined ? [] : [address(serve.hostAddress).d];
  return {
    server: gateway,
    router: gateway,
    dns: config.dns.map(address).filter(({ family }: IpAddress) => family === 4),
    prefixLength,
    mtu: config.mtu,
    leaseTime: serve.leaseTime,
    searchDomains: serve.searchDomains,
    counters: stack.counters,
    first: network + 1,
    last: (broadcast ?? network + 2) - 1,
    reserved: [gateway.d, ...host],
    fixed: serve.leases.map(({ mac, address: text }) => ({
      mac: MacAddress.parse(mac)!,
      address: address(text).d,
    })),
  };
}
