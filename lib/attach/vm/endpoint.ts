/**
 * Where guests are waited for: the URLs of `--listen`.
 *
 * ```text
 *   unixgram:///run/vm.sock       a frame per datagram: vfkit, libkrun, QEMU -netdev dgram
 *   unixstream:///run/vm.sock     frames behind their length: passt's clients, QEMU -netdev stream
 *   unixpacket:///run/vm.sock     a frame per sequenced packet: bess
 *   qemu+tcp://127.0.0.1:1234     unixstream's frames over TCP
 *   vpnkit+unix:///run/vm.sock    HyperKit: VPNKit's handshake, then frames behind a length of 16 bits
 *   vpnkit+tcp://127.0.0.1:1234   the same over TCP
 * ```
 *
 * Behind each may stand what its guests were told of virtio-net, in the words that their own configuration has (nerdbox's
 * annotation, libkrun's `krun_add_net_unixgram`):
 *
 * ```text
 *   unixgram:///run/vm.sock,features=VIRTIO_NET_F_GUEST_CSUM|VIRTIO_NET_F_GUEST_TSO4,vnet_hdr=true
 * ```
 *
 * @module
 */

import { FEATURE_NAMES, parseFeatures } from "../../config/external_network.ts";
import { parseBool } from "../../config/go_flags.ts";
import {
  DRIVER_FEATURES,
  NO_WIRE_OFFLOAD,
  offloadOf,
  VNET_HEADER_V1,
  WIRE_CAPABILITIES,
  type WireOffload,
} from "../../link/offload.ts";
import { IpAddress } from "../../stack/wire/address.ts";

/**
 * What guests speak on a stream: frames behind 32 bits of length, frames behind 16 bits, and those after VPNKit's handshake.
 * The names are gvproxy's.
 */
export type StreamProtocol = "qemu" | "hyperkit" | "vpnkit";

/** A place to listen at. Streams without a protocol are `qemu`. */
export type VmEndpoint =
  & (
    | { readonly kind: "unixgram" | "unixpacket"; readonly path: string }
    | { readonly kind: "unixstream"; readonly path: string; readonly protocol?: StreamProtocol }
    | {
      readonly kind: "tcp";
      readonly address: string;
      readonly port: number;
      readonly protocol?: StreamProtocol;
    }
  )
  & { readonly offload: WireOffload };

const { checksums, tcp4, tcp6 } = DRIVER_FEATURES;
const LONG = tcp4 | tcp6;
/** What `--enable-checksum-offload` and `--enable-tso` say of all guests. */
export const CHECKSUM_FEATURES = checksums, TSO_FEATURES = checksums | LONG;

/** Largest MTU whose frames fit a stream with their virtio-net header. */
export const VNET_MTU_MAX: number = WIRE_CAPABILITIES.gsoMaxSize;

const UNIX = /^(unixgram|unixstream|unixpacket|vpnkit\+unix):(?:\/\/)?(.*)$/;
const TCP = /^(qemu|vpnkit)\+tcp:\/\/(.*):([0-9]{1,5})$/;

/**
 * Reads one URL; a string says what is wrong with it.
 *
 * @param common features of all guests
 */
export function parseVmEndpoint(text: string, common: number): VmEndpoint | string {
  const at = text.search(/,(features|vnet_hdr)=/);
  const url = at < 0 ? text : text.slice(0, at);
  // HyperKit's guests were never offered any.
  if (at >= 0 && text.startsWith("vpnkit+")) return `HyperKit's guests have no ${text.slice(at + 1)}`;
  const offload = text.startsWith("vpnkit+")
    ? NO_WIRE_OFFLOAD
    : parseOffload(at < 0 ? [] : text.slice(at + 1).split(","), common);
  if (typeof offload === "string") return offload;
  const unix = UNIX.exec(url);
  if (unix !== null) {
    const path = unix[2]!;
    if (path === "") return "it names no socket";
    if (path.includes("\0")) return "the path holds a NUL";
    const rest = { path, offload };
    if (unix[1] === "vpnkit+unix") return { kind: "unixstream", ...rest, protocol: "vpnkit" };
    return { kind: unix[1] as "unixgram" | "unixstream" | "unixpacket", ...rest };
  }
  const tcp = TCP.exec(url);
  if (tcp === null) {
    return "want unixgram://PATH, unixstream://PATH, unixpacket://PATH, qemu+tcp://HOST:PORT, vpnkit+unix://PATH " +
      "or vpnkit+tcp://HOST:PORT";
  }
  const host = tcp[2]!.replace(/^\[(.*)\]$/, "$1");
  const address = host === "" || host === "*" ? "0.0.0.0" : host === "localhost" ? "127.0.0.1" : host;
  const port = Number(tcp[3]);
  if (IpAddress.parse(address) === undefined) return `"${host}" is not an IP address`;
  if (port > 65_535) return `port ${port} is not one`;
  return { kind: "tcp", address, port, offload, ...(tcp[1] === "vpnkit" ? { protocol: "vpnkit" } : {}) };
}

/** A stream socket with a name of our own choice. */
export function streamAt(path: string, protocol: StreamProtocol): VmEndpoint {
  return { kind: "unixstream", path, protocol, offload: NO_WIRE_OFFLOAD };
}

/** What guests take, by the fields of their configuration; a string says what is wrong with those. */
function parseOffload(fields: readonly string[], common: number): WireOffload | string {
  let features = common;
  let header = false;
  for (const field of fields) {
    const value = field.slice(field.indexOf("=") + 1);
    if (field.startsWith("vnet_hdr=")) {
      const parsed = parseBool(value);
      if (parsed === undefined) return `vnet_hdr is true or false, not "${value}"`;
      header = parsed;
    } else if (field.startsWith("features=")) {
      const parsed = parseFeatures(value);
      if (typeof parsed === "string") return `unknown feature "${parsed}" (${FEATURE_NAMES})`;
      // Virtual I/O Device (VIRTIO) 1.2 section 5.1.3.1.
      if ((parsed & LONG) !== 0 && (parsed & checksums) === 0) {
        return "a guest with VIRTIO_NET_F_GUEST_TSO4 or TSO6 has VIRTIO_NET_F_GUEST_CSUM, too";
      }
      features |= parsed;
    } else return `unknown field "${field}" (features=, vnet_hdr=)`;
  }
  return offloadOf(features, DRIVER_FEATURES, header ? VNET_HEADER_V1 : 0);
}
