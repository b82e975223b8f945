/**
 * What is known about a datagram that waits in the guest's queue, beside its bytes.
 *
 * @module
 */

import { type AddressWords, SocketAddress } from "../../../host/structs.ts";

/** One entry of an {@linkcode Inbox}. Reused: valid until the inbox is asked for the next. */
export class Arrival {
  /** Bytes of the datagram. */
  length = 0;
  /** An empty message of ours that makes the guest look: an error waits. */
  marker = false;
  readonly source = new SocketAddress();
  readonly destination = new SocketAddress();
  /** Of the interface that it came by. */
  interfaceIndex = 0;
  hopLimit = 0;
  trafficClass = 0;
  /** When it came, microseconds since 1970. */
  time = 0;

  /** Takes over what `other` says. */
  copy(other: Arrival): this {
    this.length = other.length;
    this.marker = other.marker;
    this.source.set(other.source, other.source.port, other.source.scope);
    this.destination.set(other.destination, other.destination.port);
    this.interfaceIndex = other.interfaceIndex;
    this.hopLimit = other.hopLimit;
    this.trafficClass = other.trafficClass;
    this.time = other.time;
    return this;
  }

  /** Takes over the two addresses; a link-local source is named with the interface. */
  between(
    source: AddressWords,
    sourcePort: number,
    destination: AddressWords,
    destinationPort: number,
  ): this {
    const linkLocal = source.family === 6 && (source.a >>> 22) === 0x3fa;
    this.source.set(source, sourcePort, linkLocal ? this.interfaceIndex : 0);
    this.destination.set(destination, destinationPort);
    return this;
  }
}
