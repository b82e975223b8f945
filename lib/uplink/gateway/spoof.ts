/**
 * As whom a client of the host appears to the guest.
 *
 * @module
 */

import type { AddressWords } from "../../host/structs.ts";
import type { Nic } from "../../stack/nic.ts";
import { IpAddress } from "../../stack/wire/address.ts";
import type { GatewayConfig } from "./config.ts";

/** The guest's end, and the address that a client has there. */
export interface Spoof {
  readonly guest: IpAddress;
  /** The client's own, or the gateway's. */
  readonly client: IpAddress;
  /** The client's own port, or 0: any. */
  readonly port: number;
}

/**
 * How a client of the host appears to the guest: as itself, unless the guest could not answer it there. The host's
 * loopback is not the guest's; an address on the guest's own link (or the guest's own) would be answered past us; and a
 * client of the family that the guest does not have comes from the gateway.
 *
 * @param named which guest, if there are several
 */
export function spoofOf(
  client: IpAddress,
  port: number,
  config: Pick<GatewayConfig, "gateway4" | "gateway6" | "guest4" | "guest6">,
  nic: Pick<Nic, "onLink">,
  named?: IpAddress,
): Spoof | undefined {
  if (named !== undefined) {
    config = named.family === 4
      ? { gateway4: config.gateway4, guest4: named }
      : { gateway6: config.gateway6, guest6: named };
  }
  const guest = client.family === 4 ? config.guest4 : config.guest6;
  const gateway = client.family === 4 ? config.gateway4 : config.gateway6;
  if (guest === undefined || gateway === undefined) {
    const otherGuest = client.family === 4 ? config.guest6 : config.guest4;
    const otherGateway = client.family === 4 ? config.gateway6 : config.gateway4;
    if (otherGuest === undefined || otherGateway === undefined) return undefined;
    return { guest: otherGuest, client: otherGateway, port: 0 };
  }
  const strange = client.isLoopback() || client.isUnspecified() || client.isLinkLocal() ||
    nic.onLink(client) ||
    client.equals(guest);
  return strange ? { guest, client: gateway, port: 0 } : { guest, client, port };
}

/** An address as lib/host gives it, as one of the stack's. */
export function ipAddressOf({ family, a, b, c, d }: AddressWords): IpAddress {
  return new IpAddress(family, a, b, c, d);
}
