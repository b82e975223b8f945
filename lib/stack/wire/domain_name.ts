/**
 * Lists of domain names, as options carry them: labels of RFC 1035 section 3.1, one name after the other.
 *
 * DHCP compresses them (RFC 3397), router advertisements do not and pad with zeros (RFC 8106 section 5.2). What is read ends
 * in files such as resolv.conf, so a name that holds anything but letters, digits, hyphens and underscores is left out.
 *
 * @module
 */

/** Names taken from one list; what comes after is ignored, as resolvers did for long with more than six. */
export const MAX_DOMAIN_NAMES = 16;

/** Longest name as text, without the dot of the root (RFC 1035 section 2.3.4). */
const NAME_MAX = 253;
const LABEL_MAX = 63;
const POINTER = 0xc0;

/** Whether `text` is a name that may be written to a file or a message: labels of letters, digits, `-` and `_`. */
export function isDomainName(text: string): boolean {
  return text.length <= NAME_MAX &&
    /^[a-z0-9_](?:[a-z0-9_-]{0,62})(?:\.[a-z0-9_](?:[a-z0-9_-]{0,62}))*$/i.test(text);
}

/**
 * Reads names until the bytes end, or until one of them cannot be understood: what came before it counts. Pointers lead
 * backwards, within `bytes`.
 */
export function parseDomainNames(bytes: Uint8Array): string[] {
  const names: string[] = [];
  let at = 0;
  while (at < bytes.length && names.length < MAX_DOMAIN_NAMES) {
    const name = readName(bytes, at);
    if (name === undefined) break;
    at = name.end;
    if (isDomainName(name.text)) names.push(name.text);
  }
  return names;
}

interface ReadName {
  readonly text: string;
  /** Where the next name begins. */
  readonly end: number;
}

function readName(bytes: Uint8Array, from: number): ReadName | undefined {
  let text = "";
  let at = from;
  /** Where the name ends in its own place, once a pointer has led away. */
  let end: number | undefined;
  /** Every pointer must lead further back than the last: so there are no loops. */
  let lowest = from;
  for (;;) {
    if (at >= bytes.length) return undefined;
    const length = bytes[at]!;
    if (length === 0) return { text, end: end ?? at + 1 };
    if (length >= POINTER) {
      if (at + 1 >= bytes.length) return undefined;
      const target = (length & 0x3f) << 8 | bytes[at + 1]!;
      if (target >= lowest) return undefined;
      end ??= at + 2;
      lowest = at = target;
      continue;
    }
    if (length > LABEL_MAX || at + 1 + length > bytes.length || text.length + 1 + length > NAME_MAX) {
      return undefined;
    }
    if (text !== "") text += ".";
    for (let i = at + 1; i <= at + length; i++) text += String.fromCharCode(bytes[i]!);
    at += 1 + length;
  }
}

/** The bytes of `names`, uncompressed. Names must be {@linkcode isDomainName}. */
export function domainNameBytes(names: readonly string[]): Uint8Array<ArrayBuffer> {
  const bytes: number[] = [];
  for (const name of names) {
    if (!isDomainName(name)) throw new RangeError(`Cannot write "${name}": it is not a domain name`);
    for (const label of name.split(".")) {
      bytes.push(label.length);
      for (let i = 0; i < label.length; i++) bytes.push(label.charCodeAt(i));
    }
    bytes.push(0);
  }
  return Uint8Array.from(bytes);
}
