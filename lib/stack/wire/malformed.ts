/**
 * Why a packet was not understood. A reason is a string literal: it costs nothing to return, the compiler knows all of
 * them, and it is the last part of the name of the counter to bump.
 *
 * @module
 */

/** Every reason, so that counters can be made before the first packet. */
export const MALFORMED = [
  /** The bytes end before the header does, or before the length that the header promises. */
  "truncated",
  /** A length field that contradicts itself or the header it counts. */
  "bad-length",
  /** A header length (IHL, TCP data offset) below the minimum or beyond the packet. */
  "bad-header-length",
  /** Another version than the EtherType says. */
  "bad-version",
  "bad-checksum",
  /** An IPv4 or IPv6 option whose length does not fit, or that demands that the packet be discarded. */
  "bad-option",
  /** More options in one IPv6 header than `MAX_OPTIONS` in `ipv6.ts`. */
  "too-many-options",
  /** LSRR or SSRR (RFC 7126 section 4.3 and 4.4: drop). */
  "source-route",
  /** An IPv6 routing header with segments left (RFC 5095 for type 0). */
  "routing-header",
  /** An IPv6 extension header in a place where none may be. */
  "bad-extension-header",
  /** More IPv6 extension headers than `MAX_EXTENSION_HEADERS` in `ipv6.ts`. */
  "too-many-extension-headers",
  /** A fragment that reaches beyond 65535 bytes, or an inner one that is not a multiple of 8 bytes. */
  "bad-fragment",
  /** Port 0 where a port must be. */
  "port-zero",
  /** IEEE 802.3 length instead of an EtherType. */
  "not-ethernet-2",
  /** A group address as Ethernet source. */
  "bad-source-mac",
  /** A hardware or protocol type that we do not speak (ARP). */
  "unsupported",
  /** A message type that we do not speak (ICMP). */
  "unknown-type",
  /** A neighbour discovery message that RFC 4861 sections 6.1 and 7.1 tell us to discard. */
  "bad-neighbour-discovery",
] as const;

/** One of {@linkcode MALFORMED}. */
export type Malformed = typeof MALFORMED[number];
