/**
 * gvproxy's configuration file (YAML, `-config` of its versions after 0.8.1) as assignments of `serve`.
 *
 * ```yaml
 * listen: [unix:///run/api.sock]             # and services, log-level, log-file, pid-file
 * interfaces: {qemu: unix:///run/vm.sock}    # vpnkit, qemu, bess, stdio, vfkit
 * forwards: [{socket: …, dest: …, user: …, identity: …}]
 * stack:
 *   subnet: 192.168.127.0/24                 # and mtu, gatewayIP, deviceIP, hostIP, gatewayMacAddress, …
 *   forwards: {"127.0.0.1:2222": 192.168.127.2:22}
 *   dns: [{name: containers.internal., records: [{name: gateway, ip: 192.168.127.1}]}]
 * ```
 *
 * With a file gvproxy forgets its default zones, forwards and leases, and so does `serve`; the command line wins over the file.
 * gvproxy passes over keys that it does not know; here they are mistakes, as in every file.
 *
 * @module
 */

import { Collector, type FileContents } from "./document.ts";
import type { JsonMember, JsonNode } from "./json_reader.ts";
import { lineIndex } from "./json_reader.ts";
import { nearest } from "./nearest.ts";
import { SERVE_SCOPE } from "./serve_flags.ts";
import { readYaml, YamlError } from "./yaml_reader.ts";

/** What one key comes to. */
type Reader = (file: GvproxyFile, member: JsonMember) => void;
type Readers = Readonly<Record<string, Reader>>;

const LOG_LEVELS = ["panic", "fatal", "error", "warn", "warning", "info", "debug", "trace"];
/** Search domains that DHCP gives: more have no room in an answer. */
const SEARCH_MAX = 6;

/** Reads a file; what is wrong with it is part of the answer. */
export function readGvproxyFile(path: string, text: string): FileContents {
  const file = new GvproxyFile(path, text);
  let documents: readonly JsonNode[];
  try {
    documents = readYaml(text);
  } catch (error) {
    if (!(error instanceof YamlError)) throw error;
    file.problem(error.at, `not YAML: ${error.message}`);
    return file.into;
  }
  file.assign("serve.gvproxy", path, 0);
  const [root, more] = documents;
  if (more !== undefined) file.problem(more.at, "a second document");
  if (root !== undefined) file.members(root, TOP, "");
  return file.into;
}

class GvproxyFile {
  readonly into: Collector;
  readonly #place: ReturnType<typeof lineIndex>;
  readonly #path: string;

  constructor(path: string, text: string) {
    this.into = new Collector(path);
    this.#path = path;
    this.#place = lineIndex(text);
  }

  problem(at: number, message: string, hint?: string): void {
    this.into.problem(this.#place(at), message, hint);
  }

  assign(flag: string, text: string, at: number): void {
    const origin = { kind: "file", path: this.#path, ...this.#place(at) } as const;
    this.into.assignments.push({ flag, text, origin });
  }

  /** Reads the members of a mapping, each as its name says. */
  members(node: JsonNode, readers: Readers, within: string): void {
    if (node.kind === "null") return;
    if (node.kind !== "object") return this.problem(node.at, `${within || "the file"} must be a mapping`);
    for (const member of node.members) {
      const reader = Object.hasOwn(readers, member.name) ? readers[member.name] : undefined;
      if (reader !== undefined) {
        reader(this, member);
        continue;
      }
      const near = nearest(member.name, Object.keys(readers));
      this.problem(
        member.at,
        `unknown key "${member.name}"${within && ` in ${within}`}`,
        near === undefined ? undefined : `did you mean "${near}"?`,
      );
    }
  }

  /** The text of a string or a number; "" is as good as absent. */
  text({ name, value }: JsonMember): string {
    if (value.kind === "string" || value.kind === "number") return value.text;
    if (value.kind !== "null") this.problem(value.at, `"${name}" must be a string`);
    return "";
  }

  isTrue({ name, value }: JsonMember): boolean {
    if (value.kind === "boolean") return value.value;
    if (value.kind !== "null") this.problem(value.at, `"${name}" must be true or false`);
    return false;
  }

  items({ name, value }: JsonMember): readonly JsonNode[] {
    if (value.kind === "array") return value.items;
    if (value.kind !== "null") this.problem(value.at, `"${name}" must be a list`);
    return [];
  }

  /** The strings of a list. */
  texts(member: JsonMember): readonly string[] {
    return this.items(member).map((value) => this.text({ name: member.name, at: value.at, value }));
  }

  /** The pairs of a mapping from strings to strings. */
  pairs({ name, value }: JsonMember): readonly (readonly [key: string, text: string, at: number])[] {
    if (value.kind === "object") return value.members.map((one) => [one.name, this.text(one), one.at]);
    if (value.kind !== "null") this.problem(value.at, `"${name}" must be a mapping`);
    return [];
  }

  /** A mapping of strings as an object, whose other members are mistakes. */
  strings(node: JsonNode, names: readonly string[], within: string): Readonly<Record<string, string>> {
    const found: Record<string, string> = {};
    const readers = Object.fromEntries(names.map((name): [string, Reader] => [
      name,
      (_, member) => void (found[name] = this.text(member)),
    ]));
    this.members(node, readers, within);
    return found;
  }
}

/** The value is that of a flag. */
function flag(name: string): Reader {
  return (file, member) => {
    const text = file.text(member);
    if (text !== "") file.assign(name, text, member.at);
  };
}

const ofServe = (name: string): Reader => flag(SERVE_SCOPE + name);

/** Asks, when it is true, for what is not done. */
function refused(why: string): Reader {
  return (file, member) => {
    if (file.isTrue(member)) file.problem(member.at, `"${member.name}" is not supported: ${why}`);
  };
}

const NO_METADATA = refused("169.254.0.0/16 is never reached");

const INTERFACES: Readers = Object.fromEntries(
  ["vpnkit", "qemu", "bess", "stdio", "vfkit"].map((name) => [name, ofServe(`listen-${name}`)]),
);

const TOP: Readers = {
  "listen": (file, member) => {
    for (const url of file.texts(member)) file.assign("serve.listen", url, member.at);
  },
  "log-level": (file, member) => {
    const level = file.text(member).toLowerCase();
    if (level === "debug" || level === "trace") file.assign("debug", "true", member.at);
    else if (level !== "" && !LOG_LEVELS.includes(level)) {
      file.problem(member.at, `"${level}" is no log level`, `want one of ${LOG_LEVELS.join(", ")}`);
    }
  },
  "stack": (file, { value }) => file.members(value, STACK, "stack"),
  "interfaces": (file, { value }) => file.members(value, INTERFACES, "interfaces"),
  "forwards": (file, member) => {
    const names = ["socket", "dest", "user", "identity"];
    for (const item of file.items(member)) {
      const fields = file.strings(item, names, "forwards");
      // All or none, or they would be another forward's.
      for (const name of names) {
        const flag = `serve.forward-${name === "socket" ? "sock" : name}`;
        if (fields[name]) file.assign(flag, fields[name], item.at);
        else file.problem(item.at, `a forward without "${name}"`);
      }
    }
  },
  "pid-file": ofServe("pid-file"),
  "log-file": ofServe("log-file"),
  "services": ofServe("services"),
  "ec2-metadata-access": NO_METADATA,
  "notification": (file, member) => {
    // gvproxy has a path here, and a URL on its command line.
    const text = file.text(member);
    if (text !== "") {
      file.assign("serve.notification", text.startsWith("/") ? `unix://${text}` : text, member.at);
    }
  },
};

const STACK: Readers = {
  "debug": (file, member) => {
    if (file.isTrue(member)) file.assign("log-packets", "true", member.at);
  },
  "capture-file": flag("pcap-log"),
  "mtu": (file, member) => {
    const text = file.text(member);
    if (text !== "" && text !== "0") file.assign("mtu", text, member.at);
  },
  "subnet": ofServe("subnet"),
  "gatewayIP": ofServe("gatewayIP"),
  "deviceIP": ofServe("deviceIP"),
  "hostIP": ofServe("hostIP"),
  "subnetIPv6": ofServe("subnet6"),
  "gatewayIPv6": ofServe("gatewayIPv6"),
  "gatewayMacAddress": ofServe("gateway-mac"),
  "dns": (file, member) => {
    for (const item of file.items(member)) {
      file.assign("serve.zone", JSON.stringify(zone(file, item)), item.at);
    }
  },
  "dnsSearchDomains": (file, member) => {
    const domains = file.texts(member);
    if (domains.length > SEARCH_MAX) file.problem(member.at, `more than ${SEARCH_MAX} search domains`);
    for (const domain of domains) {
      if (/^[a-z0-9_-]{1,63}(\.[a-z0-9_-]{1,63})*\.?$/i.test(domain) && domain.length < 254) {
        file.assign("serve.search", domain.replace(/\.$/, ""), member.at);
      } else file.problem(member.at, `"${domain}" is no domain`);
    }
  },
  "forwards": (file, member) => {
    for (const [local, remote, at] of file.pairs(member)) {
      const [, udp, host] = /^(udp:)?(.*)$/.exec(local)!;
      file.assign("publish", `${host!.replace(/^:/, "")}:${remote}/${udp === undefined ? "tcp" : "udp"}`, at);
    }
  },
  "nat": (file, member) => {
    const pairs = file.pairs(member);
    if (pairs.length > 1 || pairs.some(([, to]) => to !== "127.0.0.1")) {
      file.problem(member.at, "nat: one address that leads to 127.0.0.1 is supported, and no other");
    } else for (const [from, , at] of pairs) file.assign("serve.nat", from, at);
  },
  "gatewayVirtualIPs": (file, member) => {
    for (const text of file.texts(member)) file.assign("serve.virtual-ip", text, member.at);
  },
  "dhcpStaticLeases": (file, member) => {
    for (const [address, mac, at] of file.pairs(member)) file.assign("serve.lease", `${mac}=${address}`, at);
  },
  "vpnKitUUIDMacAddresses": (file, member) => {
    for (const [uuid, mac, at] of file.pairs(member)) {
      file.assign("serve.vpnkit-mac", `${uuid.toLowerCase()}=${mac}`, at);
    }
  },
  "ec2MetadataAccess": NO_METADATA,
  "blockAllOutbound": refused("guests reach what the host reaches"),
};

/** A zone as gvproxy's API has it, in our case of letters. */
function zone(file: GvproxyFile, node: JsonNode): unknown {
  const records: Readonly<Record<string, string>>[] = [];
  const found: Record<string, unknown> = { name: "", records };
  file.members(node, {
    "name": (_, member) => void (found["name"] = file.text(member)),
    "records": (_, member) => {
      for (const item of file.items(member)) {
        const { name = "", ...rest } = file.strings(item, ["name", "ip", "regexp"], "dns.records");
        if (rest["ip"] === undefined) file.problem(item.at, 'a record without "ip"');
        records.push({ name, ...rest });
      }
    },
    "defaultIP": (_, member) => {
      const ip = file.text(member);
      if (ip !== "") found["defaultIp"] = ip;
    },
  }, "dns");
  return found;
}
