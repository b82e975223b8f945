/**
 * The text of one flag → its value. What depends on other flags is in validate.ts.
 *
 * @module
 */

import { IpAddress } from "../stack/wire/address.ts";
import { type InterfaceAddress, parseCidr } from "./cidr.ts";
import { type ExternalNetwork, parseExternalNetwork } from "./external_network.ts";
import type { FlagKind, FlagName, FLAGS, FlagSpec } from "./flag_table.ts";
import { parseBool, parseUint } from "./go_flags.ts";
import { parsePublish, type Publish } from "./publish.ts";
import type { ApiListen } from "./settings.ts";

/** The text is not a value of the flag. `why` completes `invalid value "X" for flag --NAME: `. */
export class Refusal {
  constructor(readonly why: string, readonly hint?: string) {}
}

/** An external network of the operator's; one whose name is empty gets one by its place. */
interface NamelessNetwork {
  readonly network: ExternalNetwork;
  readonly warnings: readonly string[];
}

/** One reader per kind of flag. */
const READERS = {
  "boolean": (text: string): boolean | Refusal =>
    parseBool(text) ?? new Refusal("parse error", "true or false"),
  "auto-boolean": (text: string): boolean | undefined | Refusal =>
    text === "auto" ? undefined : parseBool(text) ?? new Refusal("parse error", "auto, true or false"),
  "uint": (text: string): bigint | Refusal => {
    const value = parseUint(text);
    return typeof value === "bigint" ? value : new Refusal(value, "a plain integer, without a unit");
  },
  "choice": (text: string): string | Refusal => text,
  "text": (text: string): string | undefined | Refusal => text === "" ? undefined : text,
  "cidr4": (text: string) => readCidr(text, 4),
  "cidr6": (text: string) => readCidr(text, 6),
  "ip4": (text: string) => readAddress(text, 4),
  "ip6": (text: string) => readAddress(text, 6),
  "ip": (text: string) => readAddress(text, undefined),
  "mac": readMac,
  "publish": (text: string): readonly Publish[] | Refusal => {
    const published = parsePublish(text);
    return typeof published === "string" ? new Refusal(published) : published;
  },
  "annotation": (text: string): readonly [key: string, value: string] | Refusal => {
    const equals = text.indexOf("=");
    return equals < 1 ? new Refusal("want KEY=VALUE") : [text.slice(0, equals), text.slice(equals + 1)];
  },
  "network": (text: string): NamelessNetwork | Refusal => {
    const read = parseExternalNetwork(text, "", true);
    return "network" in read ? read : new Refusal(read.message, read.hint);
  },
  "api": readApi,
  "id": readId,
} as const satisfies Record<FlagKind, (text: string) => unknown>;

type SpecOf<Name extends FlagName> = Extract<(typeof FLAGS)[number], { readonly name: Name }>;
type ReadOf<Kind extends FlagKind> = Exclude<ReturnType<(typeof READERS)[Kind]>, Refusal>;

/** The type of a flag's value; a repeatable flag has one for each time it is given. */
export type ValueOf<Name extends FlagName> = SpecOf<Name> extends
  { readonly kind: "choice"; readonly choices: readonly (infer Choice)[] } ? Choice
  : ReadOf<SpecOf<Name>["kind"]>;

/** What is wrong with the text of a flag. */
export interface BadValue {
  readonly message: string;
  /** The part of `message` that does not repeat the flag and its text. */
  readonly why: string;
  readonly hint?: string;
}

/** Reads the text of a flag. */
export function parseValue(flag: FlagSpec, text: string): { readonly value: unknown } | BadValue {
  if (flag.choices !== undefined) {
    // As in runsc, an empty --host-uds is the first choice, `none`.
    if (text === "" && flag.name === "host-uds") return { value: "none" };
    if (flag.choices.includes(text)) return { value: text };
    const why = `invalid ${flag.noun} ${JSON.stringify(text)}`;
    return { message: why, why, hint: `one of ${flag.choices.join(", ")}` };
  }
  const value: unknown = READERS[flag.kind](text);
  if (!(value instanceof Refusal)) return { value };
  const what = flag.kind === "boolean" || flag.kind === "auto-boolean" ? "boolean value" : "value";
  const message = `invalid ${what} ${JSON.stringify(text)} for flag --${flag.name}: ${value.why}`;
  const { why, hint } = value;
  return hint === undefined ? { message, why } : { message, why, hint };
}

function readCidr(text: string, family: 4 | 6): InterfaceAddress | Refusal {
  const cidr = parseCidr(text);
  if (typeof cidr === "string") return new Refusal(cidr);
  return cidr.address.family === family ? cidr : new Refusal(`not an IPv${family} address`);
}

function readAddress(text: string, family: 4 | 6 | undefined): IpAddress | Refusal {
  const address = IpAddress.parse(text);
  if (address === undefined) return new Refusal("not an IP address");
  return family === undefined || address.family === family
    ? address
    : new Refusal(`not an IPv${family} address`);
}

function readMac(text: string): string | undefined | Refusal {
  if (text === "random" || text === "") return undefined;
  if (!/^[0-9a-fA-F]{2}([:-][0-9a-fA-F]{2}){5}$/.test(text)) {
    return new Refusal("not a hardware address", "six bytes as 02:00:00:00:00:01");
  }
  const mac = text.toLowerCase().replaceAll("-", ":");
  // IEEE 802: the lowest bit of the first byte marks a group; an interface is never a group.
  if ((parseInt(mac.slice(0, 2), 16) & 1) === 1) {
    return new Refusal("a group address cannot be an interface's");
  }
  return mac === "00:00:00:00:00:00" ? new Refusal("all zero") : mac;
}

function readApi(text: string): ApiListen | Refusal {
  if (text === "unix" || text === "off") return { kind: text };
  const match = /^(?:\[([^\]]*)\]|([^:]*)):([0-9]{1,5})$/.exec(text);
  if (match === null) return new Refusal("must be unix, off or HOST:PORT");
  const [, bracketed, plain, digits] = match;
  const host = bracketed ?? plain ?? "";
  const port = Number(digits);
  if (port > 65535) return new Refusal(`port ${digits} is not a number from 0 to 65535`);
  if (host !== "localhost" && IpAddress.parse(host) === undefined) {
    return new Refusal(`host "${host}" is neither an IP address nor localhost`);
  }
  return { kind: "tcp", host, port };
}

function readId(text: string): string | undefined | Refusal {
  if (text === "random" || text === "") return undefined;
  // It becomes the name of a socket, whose path is short by nature (108 bytes).
  if (/^[A-Za-z0-9][A-Za-z0-9_.-]{0,39}$/.test(text)) return text;
  return new Refusal(
    "must be 1 to 40 letters, digits, dots, dashes and underscores, a letter or digit first",
  );
}
