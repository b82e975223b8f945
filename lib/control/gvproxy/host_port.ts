/**
 * `HOST:PORT` as Go's net package splits it, with its errors: programs that drive gvproxy show them to people.
 *
 * @module
 */

/** An address in two; an IPv6 address has no brackets. */
export interface HostPort {
  readonly host: string;
  readonly port: string;
}

/** `net.SplitHostPort`; a string says what is wrong. */
export function splitHostPort(text: string): HostPort | string {
  const wrong = (why: string) => text === "" ? why : `address ${text}: ${why}`;
  const colon = text.lastIndexOf(":");
  if (colon < 0) return wrong("missing port in address");
  const port = text.slice(colon + 1);
  if (text.startsWith("[")) {
    const close = text.indexOf("]");
    if (close < 0) return wrong("missing ']' in address");
    if (close + 1 === text.length) return wrong("missing port in address");
    if (close + 1 !== colon) {
      return wrong(text[close + 1] === ":" ? "too many colons in address" : "missing port in address");
    }
    return { host: text.slice(1, close), port };
  }
  const host = text.slice(0, colon);
  if (host.includes(":")) return wrong("too many colons in address");
  if (host.includes("[") || host.includes("]")) {
    return wrong(`unexpected '${host.includes("[") ? "[" : "]"}' in address`);
  }
  return { host, port };
}

/** `strconv.Atoi`; a string says what is wrong. */
export function decimal(text: string): number | string {
  return /^[+-]?[0-9]{1,15}$/.test(text)
    ? Number(text)
    : `strconv.Atoi: parsing ${JSON.stringify(text)}: invalid syntax`;
}

/** What `net.Listen` says of a port that it cannot use; undefined: it can. */
export function whyNoPort(protocol: "tcp" | "udp", port: string): string | undefined {
  if (!/^[0-9]+$/.test(port)) return `listen ${protocol}: lookup ${protocol}/${port}: unknown port`;
  const isPort = Number(port) > 0 && Number(port) < 65_536;
  return isPort ? undefined : `listen ${protocol}: address ${port}: invalid port`;
}
