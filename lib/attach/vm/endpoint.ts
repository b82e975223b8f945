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
 * @module
 */

import { NO_WIRE_OFFLOAD, type WireOffload } from "../../link/offload.ts";
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

const UNIX = /^(unixgram|unixstream|unixpacket|vpnkit\+unix):(?:\/\/)?(.*)$/;
const TCP = /^(qemu|vpnkit)\+tcp:\/\/(.*):([0-9]{1,5})$/;

/** Reads one URL; a string says what is wrong with it. */
export function parseVmEndpoint(url: string, offload = NO_WIRE_OFFLOAD): VmEndpoint | string {
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
