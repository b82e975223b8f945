/**
 * External networks: interfaces of the guest whose frames travel to a provider (passt, gvproxy, vmnet-helper, …) over
 * a unix socket. One is a list of `key=value` fields, as in nerdbox's annotations:
 *
 * ```text
 *  io.containerd.nerdbox.network.0: socket=/run/passt.sock,mode=unixstream,mac=02:00:00:00:00:01,dhcp=true
 * ```
 *
 * | field      | value                                                                       |
 * | ---------- | --------------------------------------------------------------------------- |
 * | `socket`   | path of the provider's socket; required                                     |
 * | `mode`     | `unixstream` (length + frame) or `unixgram` (a frame per datagram); required |
 * | `mac`      | the interface's hardware address, no group address; required                |
 * | `addr`     | CIDR, at most one per family                                                |
 * | `dhcp`     | boolean; not together with `addr`                                           |
 * | `features` | names of virtio-net features joined by `\|`                                 |
 * | `vfkit`    | boolean: `VFKT` is said first; only `unixgram`                              |
 * | `vnet_hdr` | boolean: each frame has a virtio-net header                                 |
 *
 * There is neither quoting nor trimming. Rules and messages are nerdbox's, whose users configure both programs with
 * one annotation; where its messages leave a question open, a hint answers it.
 *
 * @module
 */

import { IpAddress } from "../stack/wire/address.ts";
import { DEFAULT_PREFIX, formatCidr, type InterfaceAddress, whyUnfit } from "./cidr.ts";
import { parseBool } from "./go_flags.ts";

/** One interface to a provider. */
export interface ExternalNetwork {
  /** Suffix of the annotation, or `name` of the operator's. */
  readonly name: string;
  /** Path of the provider's socket. */
  readonly socket: string;
  readonly transport: "unixgram" | "unixstream";
  /** `aa:bb:cc:dd:ee:ff`, lower case. */
  readonly mac: string;
  /** At most one per family; none with `dhcp`. Neither: the interface carries frames only. */
  readonly addresses: readonly InterfaceAddress[];
  readonly dhcp: boolean;
  /** Bits of virtio-net features, {@linkcode VIRTIO_NET_FEATURES}. */
  readonly features: number;
  readonly vfkit: boolean;
  readonly vnetHeader: boolean;
}

/** What became of the fields of one network. */
export type NetworkReading =
  | { readonly network: ExternalNetwork; readonly warnings: readonly string[] }
  | { readonly message: string; readonly hint?: string };

/** Networks of one guest: a descriptor and an interface each. */
export const MAX_EXTERNAL_NETWORKS = 16;
/** unix(7): `sun_path` with its NUL. */
const MAX_SOCKET_PATH = 107;

/** Virtual I/O Device (VIRTIO) 1.2 section 5.1.3: the features that are about checksums and segmentation. */
export const VIRTIO_NET_FEATURES: ReadonlyMap<string, number> = new Map([
  ["VIRTIO_NET_F_CSUM", 1 << 0],
  ["VIRTIO_NET_F_GUEST_CSUM", 1 << 1],
  ["VIRTIO_NET_F_GUEST_TSO4", 1 << 7],
  ["VIRTIO_NET_F_GUEST_TSO6", 1 << 8],
  ["VIRTIO_NET_F_GUEST_UFO", 1 << 10],
  ["VIRTIO_NET_F_HOST_TSO4", 1 << 11],
  ["VIRTIO_NET_F_HOST_TSO6", 1 << 12],
  ["VIRTIO_NET_F_HOST_UFO", 1 << 14],
]);

/** A field is wrong. */
class FieldError {
  constructor(readonly message: string, readonly hint?: string) {}
}

/** How features are written. */
export const FEATURE_NAMES = `names joined by |: ${[...VIRTIO_NET_FEATURES.keys()].join(", ")}`;

/** The bits of names joined by `|`; or the first name that is none. */
export function parseFeatures(text: string): number | string {
  let features = 0;
  for (const name of text.split("|")) {
    const bit = VIRTIO_NET_FEATURES.get(name);
    if (bit === undefined) return name;
    features |= bit;
  }
  return features;
}

interface Draft {
  name?: string;
  socket?: string;
  transport?: ExternalNetwork["transport"];
  mac?: string;
  readonly addresses: InterfaceAddress[];
  dhcp: boolean;
  features: number;
  vfkit: boolean;
  vnetHeader: boolean;
  readonly warnings: string[];
}

type FieldReader = (draft: Draft, value: string) => FieldError | undefined;

/** A field that is repeated is set again; only `addr` adds up. */
const FIELDS: Readonly<Record<string, FieldReader>> = {
  socket: (draft, value) => {
    const bytes = new TextEncoder().encode(value).length;
    if (bytes > MAX_SOCKET_PATH) {
      return new FieldError(`socket path is too long: ${bytes} bytes, the limit is ${MAX_SOCKET_PATH}`);
    }
    if (value.includes("\0")) return new FieldError("socket path holds a NUL byte");
    draft.socket = value;
  },
  mode: (draft, value) => {
    if (value !== "unixgram" && value !== "unixstream") {
      return new FieldError(`invalid network mode: ${value}`, "unixgram or unixstream");
    }
    draft.transport = value;
  },
  mac: readMac,
  addr: readAddress,
  dhcp: readBool("dhcp", "DHCP"),
  features: (draft, value) => {
    const features = parseFeatures(value);
    if (typeof features === "string") {
      return new FieldError(`parsing features: unknown feature: ${features}`, FEATURE_NAMES);
    }
    draft.features = features;
  },
  vfkit: readBool("vfkit", "vfkit"),
  vnet_hdr: readBool("vnetHeader", "vnet_hdr"),
};

/** Reads the fields of one network. With `mayName`, a field `name` overrules `fallbackName`. */
export function parseExternalNetwork(text: string, fallbackName: string, mayName = false): NetworkReading {
  const draft: Draft = {
    addresses: [],
    dhcp: false,
    features: 0,
    vfkit: false,
    vnetHeader: false,
    warnings: [],
  };
  const wrong = readFields(draft, text, mayName) ?? whyIncomplete(draft, text);
  if (wrong !== undefined) {
    const { message, hint } = wrong;
    return hint === undefined ? { message } : { message, hint };
  }
  const { addresses, dhcp, features, vfkit, vnetHeader, warnings } = draft;
  const { name = fallbackName, socket, transport, mac } = draft as Required<Draft>;
  return {
    network: { name, socket, transport, mac, addresses, dhcp, features, vfkit, vnetHeader },
    warnings,
  };
}

/** Order of two suffixes: numbers first and by value, then all others by their letters. */
export function compareNetworkNames(a: string, b: string): number {
  const [x, y] = [a, b].map((name) => /^[0-9]+$/.test(name) ? name.replace(/^0+(?=.)/, "") : undefined);
  if (x !== undefined && y !== undefined && x !== y) return x.length - y.length || (x < y ? -1 : 1);
  if ((x === undefined) !== (y === undefined)) return x === undefined ? 1 : -1;
  return a < b ? -1 : a > b ? 1 : 0;
}

function readFields(draft: Draft, text: string, mayName: boolean): FieldError | undefined {
  for (const field of text.split(",")) {
    const equals = field.indexOf("=");
    if (equals < 0 || equals === field.length - 1) {
      return new FieldError(`invalid network field: ${field}`, "fields are key=value, joined by commas");
    }
    const [key, value] = [field.slice(0, equals), field.slice(equals + 1)];
    if (key === "name" && mayName) {
      draft.name = value;
      continue;
    }
    if (!Object.hasOwn(FIELDS, key)) {
      const hint = key.trim() === key ? `one of ${Object.keys(FIELDS).join(", ")}` : "no spaces around it";
      return new FieldError(`unknown network field: ${key}`, hint);
    }
    const wrong = FIELDS[key]!(draft, value);
    if (wrong !== undefined) return wrong;
  }
  return undefined;
}

function whyIncomplete(draft: Draft, text: string): FieldError | undefined {
  if (draft.socket === undefined || draft.transport === undefined || draft.mac === undefined) {
    return new FieldError("missing required field(s): endpoint, mode, mac", "the endpoint is socket=PATH");
  }
  if (draft.dhcp && draft.addresses.length > 0) {
    return new FieldError(`invalid network ${JSON.stringify(text)}: cannot specify both addr and dhcp`);
  }
  if (draft.vfkit && draft.transport === "unixstream") {
    return new FieldError(
      `invalid network ${JSON.stringify(text)}: vfkit needs mode=unixgram`,
      "vfkit's greeting is a datagram",
    );
  }
  return undefined;
}

/** Go's `net.ParseMAC`: colons or dashes between bytes, or dots between pairs; of its three lengths, only six bytes. */
function readMac(draft: Draft, value: string): FieldError | undefined {
  const digits = value.replaceAll(/[:.-]/g, "").toLowerCase();
  const shape = /^[0-9a-f]{2}((:[0-9a-f]{2})+|(-[0-9a-f]{2})+)$|^[0-9a-f]{4}(\.[0-9a-f]{4})+$/i;
  if (!shape.test(value) || ![12, 16, 40].includes(digits.length)) {
    return new FieldError(
      `parsing MAC address: address ${value}: invalid MAC address`,
      "six bytes as 02:00:00:00:00:01",
    );
  }
  // An EUI-64 or an InfiniBand address would be cut silently: an interface of Ethernet has six bytes.
  if (digits.length !== 12) return new FieldError(`invalid MAC address: ${digits.length / 2} bytes, not 6`);
  if ((parseInt(digits.slice(0, 2), 16) & 1) === 1) {
    return new FieldError("invalid MAC address: multicast bit is set");
  }
  draft.mac = digits.replaceAll(/..(?=.)/g, "$&:");
  return undefined;
}

/** Go's `netip.ParsePrefix`, but a missing mask gets the usual one: nerdbox's own example has none. */
function readAddress(draft: Draft, value: string): FieldError | undefined {
  const fail = (why: string, hint?: string) =>
    new FieldError(`parsing address: netip.ParsePrefix(${JSON.stringify(value)}): ${why}`, hint);
  const slash = value.lastIndexOf("/");
  const text = slash < 0 ? value : value.slice(0, slash);
  if (text.includes("%")) return fail("IPv6 zones cannot be present in a prefix");
  const address = IpAddress.parse(text);
  if (address === undefined) {
    return fail(`ParseAddr(${JSON.stringify(text)}): unable to parse IP`, "as 192.168.127.2/24");
  }
  const { family } = address;
  let prefixLength = DEFAULT_PREFIX[family];
  if (slash < 0) draft.warnings.push(`addr=${value} has no mask; /${prefixLength} is assumed`);
  else {
    const bits = value.slice(slash + 1);
    if (!/^(0|[1-9][0-9]*)$/.test(bits)) return fail(`bad bits after slash: ${JSON.stringify(bits)}`);
    if (bits.length > 3 || Number(bits) > (family === 4 ? 32 : 128)) {
      return fail("prefix length out of range");
    }
    prefixLength = Number(bits);
  }
  const cidr = { address, prefixLength };
  const unfit = whyUnfit(cidr, address);
  if (unfit !== undefined) {
    return new FieldError(`parsing address: ${formatCidr(cidr)} cannot be the guest's address: ${unfit}`);
  }
  if (draft.addresses.some((other) => other.address.family === family)) {
    return new FieldError(`multiple IPv${family} addresses specified`);
  }
  draft.addresses.push(cidr);
  return undefined;
}

function readBool(field: "dhcp" | "vfkit" | "vnetHeader", noun: string): FieldReader {
  return (draft, value) => {
    const parsed = parseBool(value);
    if (parsed === undefined) {
      return new FieldError(
        `parsing ${noun} field: strconv.ParseBool: parsing ${JSON.stringify(value)}: invalid syntax`,
        "true or false",
      );
    }
    draft[field] = parsed;
    return undefined;
  };
}
