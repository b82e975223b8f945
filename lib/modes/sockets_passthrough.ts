/**
 * Mode `sandbox-passthrough` on attachment `sockets`: two stacks in one loop.
 *
 * The guest's stack is the one that the engine polls and shows; the gateway's is ours to drive. The wire between hands
 * frames over as they are, super-packets with partial checksums whose payload is a reference to what the sender queued.
 * Nothing is copied, and yet it is TCP on both sides: what `ss`, captures, qdiscs and counters tell is true.
 *
 * @module
 */

import { attachSockets } from "../attach/sockets/attach.ts";
import { randomWord } from "../host/random.ts";
import { carryBetween, type WireEnd } from "../link/nic_wire.ts";
import type { LinkCapabilities } from "../stack/link/link.ts";
import { memoryWire } from "../stack/link/memory.ts";
import type { Nic } from "../stack/nic.ts";
import { Stack } from "../stack/stack.ts";
import { earlier } from "../stack/time.ts";
import { ANY4, ANY6 } from "../stack/wire/address.ts";
import { MacAddress } from "../stack/wire/ethernet.ts";
import { addGatewayNic, address, configuredQdisc, gatewayAnswers, startGateway } from "./gateway_end.ts";
import type { ModeConfig, ModeContext, ModeSession } from "./mode.ts";

/** The guest's hardware address, unless the user names one. */
const GUEST_MAC = "5a:94:ef:e4:0c:ee";
/** Longest super-packet of the wire. */
const GSO_MAX_SIZE = 65_536;
/** Frames, their answers, and the answers to those, in one turn. */
const ROUNDS = 8;

/** Starts it. */
export function startSocketsPassthrough(context: ModeContext): ModeSession {
  const { config, pool, stack } = context;
  const capabilities = capabilitiesOf(config);
  const [guestLink, gatewayLink] = memoryWire({ mtu: config.mtu, capabilities, share: true }, pool);
  const guestNic = addGuestNic(context, capabilities);
  const far = new Stack({ random: randomWord, pool });
  const nic = addGatewayNic(context, far, capabilities);
  const guest: WireEnd = {
    nic: guestNic,
    link: guestLink,
  };
  const uplink: WireEnd = { nic, link: gatewayLink };
  const attachment = attachSockets(context);
  const gateway = startGateway(context, far, nic, {
    inMemory: true,
    guestEndpoint: (local, port, remote, remotePort) =>
      stack.udp.endpointFor(local, port, remote, remotePort),
  });
  if (!config.ownNetwork) {
    // Without a mount namespace the guest reads the host's resolv.conf, which may name a resolver on the host's loopback.
    for (const resolver of config.resolvers.map((one) => address(one.address))) {
      if (resolver.isLoopback()) gateway.serveDns(stack, stack.loopback, resolver);
    }
  }

  return {
    ...gatewayAnswers(gateway),
    pollAt: () => earlier(earlier(far.pollAt(), gateway.pollAt()), attachment.pollAt()),
    poll: (now) => {
      gateway.poll(now);
      attachment.poll(now);
    },
    flush: (now) => {
      for (let round = 0; round < ROUNDS; round++) {
        far.poll(now);
        if (carryBetween(guest, uplink, now) === 0 && far.pollAt() > now) return;
        // What came in may have to be answered by observers of either side before more is sent.
        stack.poll(now);
      }
    },
    go: () => attachment.go(),
    stop: () => {
      gateway.stop();
      attachment.close();
    },
  };
}

/** A wire that is none: nothing is summed, nothing is cut, unless flags ask for it. */
function capabilitiesOf({ gso, txChecksumOffload, rxChecksumOffload }: ModeConfig): LinkCapabilities {
  return {
    txChecksum: txChecksumOffload,
    rxChecksum: rxChecksumOffload,
    gsoMaxSize: gso && txChecksumOffload ? GSO_MAX_SIZE : 0,
  };
}

/** The interface that the guest sees, with its addresses and default routes. */
function addGuestNic(context: ModeContext, capabilities: LinkCapabilities): Nic {
  const { config, stack } = context;
  const nic = stack.addNic({
    name: "eth0",
    mac: MacAddress.parse(config.mac ?? GUEST_MAC)!,
    mtu: config.mtu,
    capabilities,
    softwareGso: config.softwareGso,
    qdisc: configuredQdisc(context, capabilities),
    learnNeighbours: true,
  });
  nic.addAddress(address(config.address.address), config.address.prefixLength);
  nic.addAddress(address(config.address6.address), config.address6.prefixLength);
  stack.routes.add({ destination: ANY4, prefixLength: 0, nic, gateway: address(config.gateway) });
  stack.routes.add({ destination: ANY6, prefixLength: 0, nic, gateway: address(config.gateway6) });
  return nic;
}
