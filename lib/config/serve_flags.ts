/**
 * The flags of `sluice serve`: ours, and gvproxy's. A configuration file has them in its table `serve`.
 *
 * @module
 */

import { MacAddress } from "../stack/wire/mac_address.ts";
import { nearest } from "./nearest.ts";
import {
  DEFAULT_SUBNET,
  DEFAULT_SUBNET6,
  LEASE_TIME,
  parseRecord,
  parseSshPort,
  parseVpnkitMac,
  servedNetwork,
  servedNetwork6,
} from "./serve.ts";

/** A flag of `serve` only. */
export interface ServeFlag {
  readonly name: string;
  readonly kind: "boolean" | "text";
  readonly placeholder?: string;
  readonly repeatable?: boolean;
  readonly help: string;
}

/** Before the name of a flag in an assignment: other commands pass it over. */
export const SERVE_SCOPE = "serve.";

const text = (name: string, placeholder: string, help: string, repeatable = false): ServeFlag => ({
  name,
  kind: "text",
  placeholder,
  help,
  ...(repeatable ? { repeatable } : {}),
});

/** Flags of gvproxy that ask for what we do not do, and what to do instead. */
export const UNSUPPORTED: Readonly<Record<string, string>> = {
  "ec2-metadata-access": "169.254.0.0/16 is never reached",
};

/** In the order of the help text. */
export const serveFlags: readonly ServeFlag[] = [
  text(
    "listen",
    "URL",
    "wait for guests at unixgram://, unixstream://, unixpacket:// or qemu+tcp://[,features=…][,vnet_hdr=true], " +
      "vpnkit+unix:// or vpnkit+tcp://",
    true,
  ),
  text(
    "subnet",
    "CIDR",
    `the guests' IPv4 network; its first address is the gateway (default ${DEFAULT_SUBNET})`,
  ),
  text("subnet6", "CIDR", `the guests' IPv6 network, a /64 (default ${DEFAULT_SUBNET6})`),
  text("lease", "MAC=ADDR", "give this guest always this address", true),
  text("lease-time", "SECONDS", `how long a lease holds (default ${LEASE_TIME})`),
  text("dns-record", "NAME=ADDR", "answer this name with this address", true),
  {
    name: "enable-tso",
    kind: "boolean",
    help:
      "vmnet-helper's: guests take TCP of 64 KiB in one frame, as libkrun's do with GUEST_TSO4 and GUEST_TSO6",
  },
  {
    name: "enable-checksum-offload",
    kind: "boolean",
    help: "vmnet-helper's: guests take unfinished checksums; only frames with vnet_hdr can say so",
  },
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
  text(
    "listen-vpnkit",
    "URL",
    "gvproxy's: unix://PATH is vpnkit+unix://PATH, tcp://HOST:PORT is vpnkit+tcp://",
    true,
  ),
  text("listen-stdio", "WORD", "gvproxy's: standard input and output are a guest's wire, whatever the word"),
  text("gatewayIP", "ADDR", "gvproxy's: the gateway, if it is not the first address of the subnet"),
  text("deviceIP", "ADDR", "gvproxy's: the first guest, if it is not the second"),
  text("hostIP", "ADDR", "gvproxy's: the host's loopback, if it is not the last"),
  text("notification", "URL", "gvproxy's: tell who listens at unix://PATH when guests can come, come and go"),
  text("pcap", "FILE", "gvproxy's: as --pcap-log"),
  { name: "version", kind: "boolean", help: "gvproxy's: print the version" },
  text("services", "URL", "gvproxy's: its HTTP API; as is --listen with unix:// or tcp://", true),
  text("ssh-port", "PORT", "gvproxy's: leads to port 22 of the first guest; -1 is off"),
  text(
    "forward-sock",
    "PATH",
    "gvproxy's: a unix socket that leads into the guest, by the machine's ssh",
    true,
  ),
  text("forward-dest", "PATH", "gvproxy's: the guest's socket behind it", true),
  text("forward-user", "USER", "gvproxy's: who logs in there", true),
  text("forward-identity", "FILE", "gvproxy's: the private key for that", true),
  ...Object.keys(UNSUPPORTED).map((name) => ({
    ...text(name, "…", "gvproxy's: not supported"),
    ...(name === "ec2-metadata-access" ? { kind: "boolean" as const } : {}),
  })),
];

/** Flags that are about one start. */
const COMMAND_LINE_ONLY: readonly string[] = ["ready-fd", "version"];

/** A flag that a file may set, or why it may not. */
export function serveFlagOfFile(name: string): ServeFlag | { readonly why: string; readonly hint?: string } {
  const flag = serveFlags.find((one) => one.name === name);
  const unsupported = UNSUPPORTED[name];
  if (unsupported !== undefined) return { why: `"${name}" is not supported: ${unsupported}` };
  if (flag !== undefined && !COMMAND_LINE_ONLY.includes(name)) return flag;
  if (flag !== undefined) return { why: `"${name}" cannot be set in a file`, hint: `only --${name}` };
  const names = serveFlags.map((one) => one.name).filter((one) => UNSUPPORTED[one] === undefined);
  const near = nearest(name, names);
  const why = `unknown key "${name}" in [serve]`;
  return near === undefined ? { why } : { why, hint: `did you mean "${near}"?` };
}

/** What is wrong with a value, as far as it can be told alone; undefined: nothing. */
export function whyNotServed(name: string, value: string): string | undefined {
  const parsed = PARSERS[name]?.(value);
  return typeof parsed === "string" ? `serve.${name}: ${JSON.stringify(value)}: ${parsed}` : undefined;
}

const PARSERS: Readonly<Record<string, (text: string) => unknown>> = {
  "subnet": servedNetwork,
  "subnet6": servedNetwork6,
  "dns-record": parseRecord,
  "ssh-port": parseSshPort,
  "vpnkit-mac": parseVpnkitMac,
  "gateway-mac": (value) => {
    const mac = MacAddress.parse(value);
    return mac === undefined || mac.isMulticast() || mac.isZero() ? "no address of an interface" : undefined;
  },
  "lease-time": (value) => Number(value) >= 60 ? undefined : "want a number of seconds from 60",
};
