/**
 * The result of all configuration: one frozen object, one typed field per flag.
 *
 * Made only by `resolve()`; nothing below the command line knows where a value came from.
 *
 * @module
 */

import type { IpAddress } from "../stack/wire/address.ts";
import type { InterfaceAddress } from "./cidr.ts";
import type { ExternalNetwork } from "./external_network.ts";
import type { Publish } from "./publish.ts";

/** `--network`. */
export type NetworkMode = "none" | "host" | "sandbox" | "sandbox-passthrough" | "tsi";
/** `--attach`. */
export type AttachKind = "sockets" | "tap";
/** `--qdisc`. */
export type QdiscKind = "none" | "fifo" | "tbf";
/** `--host-uds`, from strict to lax. */
export type HostUds = "none" | "open" | "create" | "all";
/** `--log-format`. */
export type LogFormat = "text" | "json";

/** `--api`: where the control API listens. */
export type ApiListen =
  | { readonly kind: "off" }
  | { readonly kind: "unix" }
  /** `host` is an IP address in text form, or `localhost`. */
  | { readonly kind: "tcp"; readonly host: string; readonly port: number };

/** Everything a user can say. `undefined` means that the program decides (`auto`, `random`, or not wanted). */
export interface Settings {
  readonly network: NetworkMode;
  readonly attach: AttachKind;
  /** true: it is an error if the mode needs a privilege. */
  readonly rootless: boolean | undefined;
  /** Drive the interfaces even of the machine's own network namespace. */
  readonly force: boolean;

  readonly qdisc: QdiscKind;
  /** Bytes per second; 0 is not set. */
  readonly qdiscTbfRate: number;
  /** Bytes; 0 is not set. */
  readonly qdiscTbfBurst: number;
  readonly gso: boolean;
  readonly softwareGso: boolean;
  readonly txChecksumOffload: boolean | undefined;
  readonly rxChecksumOffload: boolean | undefined;

  readonly address: InterfaceAddress;
  readonly address6: InterfaceAddress;
  readonly gateway: IpAddress;
  readonly gateway6: IpAddress;
  readonly dns: IpAddress;
  /** Bytes of an IP packet. */
  readonly mtu: number;
  /** Lower-case, colon-separated; undefined: random, locally administered. */
  readonly mac: string | undefined;
  /** Ranges expanded, in the order given. */
  readonly publish: readonly Publish[];
  /** Interfaces to network providers: the operator's as written, then the tenant's by their suffixes. */
  readonly networks: readonly ExternalNetwork[];
  /** Seconds that the program waits for the addresses of those. */
  readonly addressWait: number;
  /** With `tsi`: ports that the guest binds are bound on the host, whatever `publish` says. */
  readonly publishAll: boolean;
  /** With `tsi`: the guest's TCP sockets are the host's own. */
  readonly tsiHandoff: boolean;
  readonly hostLoopback: boolean;
  readonly hostUds: HostUds;
  readonly netRaw: boolean;

  readonly logPackets: boolean;
  readonly pcapLog: string | undefined;
  readonly debug: boolean;
  readonly debugLog: string | undefined;
  readonly logFormat: LogFormat;

  /** Files, in the order given. */
  readonly config: readonly string[];
  /** Which runtime of a Docker `daemon.json`. */
  readonly runtime: string | undefined;
  /** As given; recorded. */
  readonly annotations: Readonly<Record<string, string>>;
  readonly bundle: string | undefined;
  readonly pod: string | undefined;
  readonly allowFlagOverride: boolean;
  readonly strict: boolean;

  readonly api: ApiListen;
  readonly apiAllowRemote: boolean;
  readonly apiTokenFile: string | undefined;
  readonly id: string | undefined;
  /** Where `do` starts the program; undefined: here. */
  readonly cwd: string | undefined;
}
