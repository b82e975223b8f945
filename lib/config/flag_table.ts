/**
 * Every flag, once. The parser, the configuration files, `help`, `config show` and docs/flags.md all read this table.
 *
 * @module
 */

/** How the text of a flag is read; see parse_value.ts. */
export type FlagKind =
  | "boolean"
  | "auto-boolean"
  | "uint"
  | "choice"
  | "text"
  | "cidr4"
  | "cidr6"
  | "ip4"
  | "ip6"
  | "ip"
  | "mac"
  | "publish"
  | "annotation"
  | "network"
  | "api"
  | "id";

/** Which heading of the help text a flag stands under. */
export type FlagGroup =
  | "Network"
  | "Interface"
  | "Queueing and offloads"
  | "Access"
  | "Logs"
  | "Configuration"
  | "Control"
  | "Program";

/** One flag. */
export interface FlagSpec {
  readonly name: string;
  /** One-letter name. */
  readonly short?: string;
  readonly kind: FlagKind;
  /** What the command line would have to say; empty if nothing. */
  readonly default: string;
  readonly choices?: readonly string[];
  /** `invalid NOUN "X"`. */
  readonly noun?: string;
  readonly placeholder?: string;
  readonly repeatable?: true;
  /** `do`: only after the command `do`. */
  readonly scope: "global" | "do";
  /** Makes no sense inside a configuration file. */
  readonly commandLineOnly?: true;
  readonly group: FlagGroup;
  /** One sentence, no full stop. */
  readonly help: string;
}

/** In the order of the help text. */
export const FLAGS = [
  {
    name: "network",
    kind: "choice",
    choices: ["none", "host", "sandbox", "sandbox-passthrough", "tsi"],
    noun: "network type",
    default: "sandbox-passthrough",
    placeholder: "MODE",
    scope: "global",
    group: "Network",
    help: "the guest's network: none, host, sandbox, sandbox-passthrough or tsi",
  },
  {
    name: "attach",
    kind: "choice",
    choices: ["sockets", "tap"],
    noun: "attachment",
    default: "sockets",
    placeholder: "KIND",
    scope: "global",
    group: "Network",
    help: "how the guest's traffic gets in: sockets or tap",
  },
  {
    name: "rootless",
    kind: "auto-boolean",
    default: "auto",
    scope: "global",
    group: "Network",
    help: "assert that no privilege is used; an error if the mode needs some",
  },
  {
    name: "force",
    kind: "boolean",
    default: "false",
    scope: "global",
    group: "Network",
    help: "with --network=sandbox: take the interfaces of the machine's own network namespace, too",
  },
  {
    name: "publish",
    short: "p",
    kind: "publish",
    default: "",
    placeholder: "[ADDR:]HOSTPORT:GUESTPORT[/tcp|udp]",
    repeatable: true,
    scope: "global",
    group: "Network",
    help:
      "let a port of the host lead to a port of the guest; ranges as 8000-8010:9000-9010; with serve [GUESTADDR:]GUESTPORT",
  },
  {
    name: "external-network",
    kind: "network",
    default: "",
    placeholder: "socket=PATH,mode=MODE,mac=MAC[,…]",
    repeatable: true,
    scope: "global",
    group: "Network",
    help: "an interface whose frames travel to a network provider over a unix socket",
  },
  {
    name: "address-wait",
    kind: "uint",
    default: "15",
    placeholder: "SECONDS",
    scope: "global",
    group: "Network",
    help: "how long the program waits for the addresses of external networks, 1 to 3600",
  },
  {
    name: "publish-all",
    kind: "boolean",
    default: "false",
    scope: "global",
    group: "Network",
    help: "with network=tsi: every port that the guest binds is bound on the host as named",
  },
  {
    name: "tsi-handoff",
    kind: "boolean",
    default: "false",
    scope: "global",
    group: "Network",
    help: "with network=tsi: TCP sockets of the guest are the host's own, at the kernel's speed",
  },
  {
    name: "host-loopback",
    kind: "boolean",
    default: "false",
    scope: "global",
    group: "Network",
    help:
      "the gateway address reaches the host's 127.0.0.1 and ::1; with network=tsi they are reached unless false",
  },
  {
    name: "address",
    kind: "cidr4",
    default: "10.0.2.100/24",
    placeholder: "ADDR/LEN",
    scope: "global",
    group: "Interface",
    help: "the guest's IPv4 address",
  },
  {
    name: "address6",
    kind: "cidr6",
    default: "fd00::64/64",
    placeholder: "ADDR/LEN",
    scope: "global",
    group: "Interface",
    help: "the guest's IPv6 address",
  },
  {
    name: "gateway",
    kind: "ip4",
    default: "10.0.2.2",
    placeholder: "ADDR",
    scope: "global",
    group: "Interface",
    help: "the guest's IPv4 router; in another --address network its address + 2",
  },
  {
    name: "gateway6",
    kind: "ip6",
    default: "fd00::2",
    placeholder: "ADDR",
    scope: "global",
    group: "Interface",
    help: "the guest's IPv6 router; in another --address6 network its address + 2",
  },
  {
    name: "dns",
    kind: "ip",
    default: "10.0.2.3",
    placeholder: "ADDR",
    scope: "global",
    group: "Interface",
    help: "where the guest finds its name server; in another --address network its address + 3",
  },
  {
    name: "mtu",
    kind: "uint",
    default: "65520",
    placeholder: "BYTES",
    scope: "global",
    group: "Interface",
    help: "largest IP packet of the guest's interface, 1280 to 65521; serve has 1500",
  },
  {
    name: "mac",
    kind: "mac",
    default: "random",
    placeholder: "MAC",
    scope: "global",
    group: "Interface",
    help: "hardware address of the guest's interface; random is locally administered",
  },
  {
    name: "qdisc",
    kind: "choice",
    choices: ["none", "fifo", "tbf"],
    noun: "qdisc",
    default: "fifo",
    placeholder: "KIND",
    scope: "global",
    group: "Queueing and offloads",
    help: "queueing discipline of every interface but loopback, egress: none, fifo or tbf",
  },
  {
    name: "qdisc-tbf-rate",
    kind: "uint",
    default: "0",
    placeholder: "BYTES/S",
    scope: "global",
    group: "Queueing and offloads",
    help: "egress rate in bytes per second with --qdisc=tbf, a plain integer",
  },
  {
    name: "qdisc-tbf-burst",
    kind: "uint",
    default: "0",
    placeholder: "BYTES",
    scope: "global",
    group: "Queueing and offloads",
    help: "depth of the bucket in bytes with --qdisc=tbf, a plain integer",
  },
  {
    name: "gso",
    kind: "boolean",
    default: "true",
    scope: "global",
    group: "Queueing and offloads",
    help: "segmentation offload on links that have it",
  },
  {
    name: "software-gso",
    kind: "boolean",
    default: "true",
    scope: "global",
    group: "Queueing and offloads",
    help: "64 KiB super-packets inside the stack, cut at the link",
  },
  {
    name: "tx-checksum-offload",
    kind: "auto-boolean",
    default: "auto",
    scope: "global",
    group: "Queueing and offloads",
    help: "leave the checksums of sent packets to the link",
  },
  {
    name: "rx-checksum-offload",
    kind: "auto-boolean",
    default: "auto",
    scope: "global",
    group: "Queueing and offloads",
    help: "trust the link with the checksums of received packets",
  },
  {
    name: "host-uds",
    kind: "choice",
    choices: ["none", "open", "create", "all"],
    noun: "host UDS type",
    default: "none",
    placeholder: "ACCESS",
    scope: "global",
    group: "Access",
    help: "unix sockets of the host that the guest may use, with --attach=sockets: none, open, create or all",
  },
  {
    name: "net-raw",
    kind: "boolean",
    default: "false",
    scope: "global",
    group: "Access",
    help: "raw and packet sockets for the guest, with --attach=sockets",
  },
  {
    name: "debug",
    kind: "boolean",
    default: "false",
    scope: "global",
    group: "Logs",
    help: "more detail in the log",
  },
  {
    name: "debug-log",
    kind: "text",
    default: "",
    placeholder: "FILE",
    scope: "global",
    group: "Logs",
    help: "where the log goes; stderr if not set, which has warnings and errors in any case",
  },
  {
    name: "log-format",
    kind: "choice",
    choices: ["text", "json"],
    noun: "log format",
    default: "text",
    placeholder: "FORMAT",
    scope: "global",
    group: "Logs",
    help: "format of the debug log: text or json",
  },
  {
    name: "log-packets",
    kind: "boolean",
    default: "false",
    scope: "global",
    group: "Logs",
    help: "one line per packet on the debug log",
  },
  {
    name: "pcap-log",
    kind: "text",
    default: "",
    placeholder: "FILE",
    scope: "global",
    group: "Logs",
    help: "write every packet to FILE as pcapng; - is stdout, which should then be nobody else's",
  },
  {
    name: "config",
    kind: "text",
    default: "",
    placeholder: "FILE",
    repeatable: true,
    commandLineOnly: true,
    scope: "global",
    group: "Configuration",
    help: "read flags from a .json or .toml file; later wins",
  },
  {
    name: "runtime",
    kind: "text",
    default: "",
    placeholder: "NAME",
    commandLineOnly: true,
    scope: "global",
    group: "Configuration",
    help: "with Docker's daemon.json as --config: read runtimes.NAME.runtimeArgs",
  },
  {
    name: "annotation",
    kind: "annotation",
    default: "",
    placeholder: "KEY=VALUE",
    repeatable: true,
    scope: "global",
    group: "Configuration",
    help: "an annotation of the container or pod",
  },
  {
    name: "bundle",
    kind: "text",
    default: "",
    placeholder: "DIR",
    scope: "global",
    group: "Configuration",
    help: "read annotations from the config.json of an OCI bundle",
  },
  {
    name: "pod",
    kind: "text",
    default: "",
    placeholder: "FILE",
    scope: "global",
    group: "Configuration",
    help: "read annotations from a Kubernetes pod manifest, YAML or JSON",
  },
  {
    name: "allow-flag-override",
    kind: "boolean",
    default: "false",
    scope: "global",
    group: "Configuration",
    help: "let annotations set any flag, upward too",
  },
  {
    name: "strict",
    kind: "boolean",
    default: "false",
    scope: "global",
    group: "Configuration",
    help: "a flag of runsc that means nothing here is an error",
  },
  {
    name: "api",
    kind: "api",
    default: "unix",
    placeholder: "unix|HOST:PORT|off",
    scope: "global",
    group: "Control",
    help: "where the control API listens; TCP needs a bearer token",
  },
  {
    name: "api-allow-remote",
    kind: "boolean",
    default: "false",
    scope: "global",
    group: "Control",
    help: "--api may name an address that is not a loopback address",
  },
  {
    name: "api-token-file",
    kind: "text",
    default: "",
    placeholder: "FILE",
    scope: "global",
    group: "Control",
    help: "read the token of a TCP control API from FILE instead of printing a new one once",
  },
  {
    name: "id",
    kind: "id",
    default: "random",
    placeholder: "NAME",
    scope: "global",
    group: "Control",
    help: "name of this instance for ls, ip, tc, ss and capture",
  },
  {
    name: "cwd",
    kind: "text",
    default: "",
    placeholder: "DIR",
    scope: "do",
    group: "Program",
    help: "start the program in DIR",
  },
] as const satisfies readonly FlagSpec[];

/** Every flag's long name. */
export type FlagName = (typeof FLAGS)[number]["name"];

const BY_NAME: ReadonlyMap<string, FlagSpec> = new Map(
  (FLAGS as readonly FlagSpec[]).flatMap((flag): [string, FlagSpec][] =>
    flag.short === undefined ? [[flag.name, flag]] : [[flag.name, flag], [flag.short, flag]]
  ),
);

/** The flag with this long or one-letter name. */
export function findFlag(name: string): FlagSpec | undefined {
  return BY_NAME.get(name);
}

/** Takes no value of its own on a command line. */
export function isSwitch(flag: FlagSpec): boolean {
  return flag.kind === "boolean" || flag.kind === "auto-boolean";
}
