/**
 * The flags of `sluice serve`: ours, and gvproxy's.
 *
 * @module
 */

import { DEFAULT_SUBNET, DEFAULT_SUBNET6, LEASE_TIME } from "../config/serve.ts";
import type { CommandFlag } from "./command.ts";

const text = (name: string, placeholder: string, help: string, repeatable = false): CommandFlag => ({
  name,
  kind: "text",
  placeholder,
  help,
  ...(repeatable ? { repeatable } : {}),
});

/** Flags of gvproxy that ask for what we do not do, and what to do instead. */
export const UNSUPPORTED: Readonly<Record<string, string>> = {
  "listen-vpnkit": "HyperKit's protocol is not spoken; use -listen-qemu or -listen-vfkit",
  "listen-stdio": "frames over standard input are not read; use -listen-qemu",
  "forward-sock": "sockets are not forwarded over ssh; publish a port, or run ssh -L",
  "forward-dest": "sockets are not forwarded over ssh; publish a port, or run ssh -L",
  "forward-user": "sockets are not forwarded over ssh; publish a port, or run ssh -L",
  "forward-identity": "sockets are not forwarded over ssh; publish a port, or run ssh -L",
  "notification": "nothing is notified; /v1/events tells what happens",
  "ec2-metadata-access": "169.254.0.0/16 is never reached",
};

/** In the order of the help text. */
export const serveFlags: readonly CommandFlag[] = [
  text("listen", "URL", "wait for guests at unixgram://, unixstream://, unixpacket:// or qemu+tcp://", true),
  text(
    "subnet",
    "CIDR",
    `the guests' IPv4 network; its first address is the gateway (default ${DEFAULT_SUBNET})`,
  ),
  text("subnet6", "CIDR", `the guests' IPv6 network, a /64 (default ${DEFAULT_SUBNET6})`),
  text("lease", "MAC=ADDR", "give this guest always this address", true),
  text("lease-time", "SECONDS", `how long a lease holds (default ${LEASE_TIME})`),
  text("dns-record", "NAME=ADDR", "answer this name with this address", true),
  text("pid-file", "FILE", "write the process id here"),
  text("log-file", "FILE", "write the log here"),
  text("ready-fd", "N", "write one byte to this descriptor when it works"),
  text(
    "listen-qemu",
    "URL",
    "gvproxy's: unix://PATH is unixstream://PATH, tcp://HOST:PORT is qemu+tcp://",
    true,
  ),
  text("listen-vfkit", "URL", "gvproxy's: unixgram://PATH", true),
  text("listen-bess", "URL", "gvproxy's: unixpacket://PATH", true),
  text("services", "URL", "gvproxy's: its HTTP API; as is --listen with unix:// or tcp://", true),
  text("ssh-port", "PORT", "gvproxy's: leads to port 22 of the first guest; -1 is off"),
  ...Object.keys(UNSUPPORTED).map((name) => ({
    ...text(name, "…", "gvproxy's: not supported"),
    ...(name === "ec2-metadata-access" ? { kind: "boolean" as const } : {}),
  })),
];
