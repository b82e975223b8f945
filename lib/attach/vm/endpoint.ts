/**
 * Where guests are waited for: the URLs of `--listen`.
 *
 * ```text
 *   unixgram:///run/vm.sock      a frame per datagram: vfkit, libkrun, QEMU -netdev dgram
 *   unixstream:///run/vm.sock    frames behind their length: passt's clients, QEMU -netdev stream
 *   unixpacket:///run/vm.sock    a frame per sequenced packet: bess
 *   qemu+tcp://127.0.0.1:1234    unixstream's frames over TCP
 * ```
 *
 * @module
 */

import { NO_WIRE_OFFLOAD, type WireOffload } from "../../link/offload.ts";
import { IpAddress } from "../../stack/wire/address.ts";

/** A place to listen at. */
export type VmEndpoint =
  & (
    | { readonly kind: "unixgram" | "unixstream" | "unixpacket"; readonly path: string }
    | { readonly kind: "tcp"; readonly address: string; readonly port: number }
  )
  & { readonly offload: WireOffload };

const UNIX = /^(unixgram|unixstream|unixpacket):(?:\/\/)?(.*)$/;
const TCP = /^qemu\+tcp:\/\/(.*):([0-9]{1,5})$/;

/** Reads one URL; a string says what is wrong with it. */
export function parseVmEndpoint(url: string, offload = NO_WIRE_OFFLOAD): VmEndpoint | string {
  const unix = UNIX.exec(url);
  if (unix !== null) {
    const path = unix[2]!;
    if (path === "") return "it names no socket";
    if (path.includes("\0")) return "the path holds a NUL";
    return { kind: unix[1] as "unixgram" | "unixstream" | "unixpacket", path, offload };
  }
  const tcp = TCP.exec(url);
  if (tcp === null) {
    return "want unixgram://PATH, unixstream://PATH, unixpacket://PATH or qemu+tcp://HOST:PORT";
  }
  const host = tcp[1]!.replace(/^\[(.*)\]$/, "$1");
  const address = host === "" || host === "*" ? "0.0.0.0" : host === "localhost" ? "127.0.0.1" : host;
  const port = Number(tcp[2]);
  if (IpAddress.parse(address) === undefined) return `"${host}" is not an IP address`;
  if (port > 65_535) return `port ${port} is not one`;
  return { kind: "tcp", address, port, offload };
}
