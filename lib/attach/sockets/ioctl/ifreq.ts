/**
 * Interface ioctls on a `struct ifreq`, as functions of what the stack tells (netdevice(7); `dev_ioctl` and
 * `devinet_ioctl` of the kernel).
 *
 * @module
 */

import { AF } from "../../../host/constants.ts";
import { Errno } from "../../../host/errno.ts";
import { textAt } from "../../../host/memory.ts";
import { IFREQ_SIZE } from "../../../host/structs.ts";
import type { AddressFacts, NicFacts } from "../../../stack/facts.ts";
import { IpAddress } from "../../../stack/wire/address.ts";
import { flagsOf, hardwareTypeOf, TX_QUEUE_LENGTH } from "../netlink/link.ts";

/** `SIOC…` (`linux/sockios.h`). */
export const SIOC = {
  ADDRT: 0x890b,
  DELRT: 0x890c,
  GIFNAME: 0x8910,
  GIFCONF: 0x8912,
  GIFFLAGS: 0x8913,
  SIFFLAGS: 0x8914,
  GIFADDR: 0x8915,
  SIFADDR: 0x8916,
  GIFDSTADDR: 0x8917,
  GIFBRDADDR: 0x8919,
  SIFBRDADDR: 0x891a,
  GIFNETMASK: 0x891b,
  SIFNETMASK: 0x891c,
  GIFMETRIC: 0x891d,
  GIFMTU: 0x8921,
  SIFMTU: 0x8922,
  SIFNAME: 0x8923,
  SIFHWADDR: 0x8924,
  GIFHWADDR: 0x8927,
  GIFSLAVE: 0x8929,
  GIFINDEX: 0x8933,
  GIFPFLAGS: 0x8935,
  DIFADDR: 0x8936,
  GIFTXQLEN: 0x8942,
  SIFTXQLEN: 0x8943,
  ETHTOOL: 0x8946,
  GMIIPHY: 0x8947,
  GMIIREG: 0x8948,
  GSKNS: 0x894c,
  GARP: 0x8954,
  GIFMAP: 0x8970,
  GHWTSTAMP: 0x89b1,
} as const;

/** Offset of what is asked for, behind the name. */
const VALUE = 16;
const NAME_SIZE = 16;

/** They work on IPv4 sockets; on others nobody knows them. */
const IPV4_ONLY: ReadonlySet<number> = new Set([
  SIOC.GIFADDR,
  SIOC.GIFDSTADDR,
  SIOC.GIFBRDADDR,
  SIOC.GIFNETMASK,
]);

/** Commands that change something, and that are carried out for who may administer the network. */
const CHANGES: ReadonlySet<number> = new Set([
  ...[SIOC.ADDRT, SIOC.DELRT, SIOC.SIFFLAGS, SIOC.SIFADDR, SIOC.SIFBRDADDR, SIOC.SIFNETMASK, SIOC.SIFMTU],
  ...[SIOC.SIFNAME, SIOC.SIFHWADDR, SIOC.DIFADDR, SIOC.SIFTXQLEN],
]);

/**
 * Others that do: those of groups, ARP and RARP entries, bridges, bonds and time stamps. Nobody may, and gets EPERM before
 * anything is looked at.
 */
const FORBIDDEN: ReadonlySet<number> = new Set([
  ...[
    0x8918,
    0x891e,
    0x8930,
    0x8931,
    0x8932,
    0x8934,
    0x8937,
    0x8941,
    0x8949,
    SIOC.GSKNS,
    0x8953,
    0x8955,
    0x8971,
  ],
  ...[0x8990, 0x8991, 0x8992, 0x8995, 0x89a0, 0x89a1, 0x89a2, 0x89a3, 0x89b0],
]);

/** Looked up in the drivers, which have none of it. */
const UNSUPPORTED: ReadonlySet<number> = new Set([
  SIOC.ETHTOOL,
  SIOC.GMIIPHY,
  SIOC.GMIIREG,
  SIOC.GHWTSTAMP,
  0x8993,
  0x8994,
]);

/** What to do with a command on an interface. */
export type Verdict = "ifreq" | "ifconf" | "change" | number;

/** `ifreq`, `ifconf`: the answer is in one; `change`: for who may administer the network; a number: fails with that errno; undefined: no command for interfaces. */
export function verdictOn(command: number, domain: number): Verdict | undefined {
  if (command === SIOC.GIFCONF) return "ifconf";
  if (CHANGES.has(command)) return "change";
  if (FORBIDDEN.has(command)) return Errno.EPERM;
  if (IPV4_ONLY.has(command)) return domain === AF.INET ? "ifreq" : Errno.ENOTTY;
  switch (command) {
    case SIOC.GIFNAME:
    case SIOC.GIFFLAGS:
    case SIOC.GIFMETRIC:
    case SIOC.GIFMTU:
    case SIOC.GIFHWADDR:
    case SIOC.GIFSLAVE:
    case SIOC.GIFINDEX:
    case SIOC.GIFTXQLEN:
    case SIOC.GIFMAP:
      return "ifreq";
    case SIOC.GIFPFLAGS:
      return domain === AF.INET ? Errno.EINVAL : Errno.ENOTTY;
    case SIOC.GARP:
      return domain === AF.INET ? Errno.ENXIO : Errno.ENOTTY;
  }
  if (UNSUPPORTED.has(command)) return "ifreq";
  return command >= SIOC.GIFNAME ? Errno.ENOTTY : undefined;
}

/** Answers a command in place, in the `IFREQ_SIZE` bytes of `view`. Returns an errno, 0 for success. */
export function answerIfreq(command: number, nics: readonly NicFacts[], view: DataView<ArrayBuffer>): number {
  const bytes = new Uint8Array(view.buffer, view.byteOffset, IFREQ_SIZE);
  if (command === SIOC.GIFNAME) {
    const index = view.getInt32(VALUE, true);
    const found = nics.find((nic) => nic.index === index);
    if (found === undefined) return Errno.ENODEV;
    bytes.fill(0, 0, NAME_SIZE);
    new TextEncoder().encodeInto(found.name, bytes.subarray(0, NAME_SIZE - 1));
    return 0;
  }
  bytes[NAME_SIZE - 1] = 0;
  // `eth0:1` was an interface once; the part behind the colon still names a label.
  const name = textAt(bytes, 0, NAME_SIZE).split(":")[0];
  const nic = nics.find((one) => one.name === name);
  if (nic === undefined) return Errno.ENODEV;
  switch (command) {
    case SIOC.GIFFLAGS:
      view.setInt16(VALUE, flagsOf(nic), true);
      return 0;
    case SIOC.GIFMETRIC:
      view.setInt32(VALUE, 0, true);
      return 0;
    case SIOC.GIFMTU:
      view.setInt32(VALUE, nic.mtu, true);
      return 0;
    case SIOC.GIFINDEX:
      view.setInt32(VALUE, nic.index, true);
      return 0;
    case SIOC.GIFTXQLEN:
      view.setInt32(VALUE, nic.txQueueLength ?? TX_QUEUE_LENGTH, true);
      return 0;
    case SIOC.GIFMAP:
      bytes.fill(0, VALUE, IFREQ_SIZE);
      return 0;
    case SIOC.GIFHWADDR:
      bytes.fill(0, VALUE, IFREQ_SIZE);
      view.setUint16(VALUE, hardwareTypeOf(nic), true);
      for (const [i, part] of nic.mac.split(":").entries()) bytes[VALUE + 2 + i] = parseInt(part, 16);
      return 0;
    case SIOC.GIFSLAVE:
      return Errno.EINVAL;
    case SIOC.GIFADDR:
    case SIOC.GIFDSTADDR:
    case SIOC.GIFBRDADDR:
    case SIOC.GIFNETMASK:
      return answerAddress(command, nic, view);
    default:
      return Errno.EOPNOTSUPP;
  }
}

/** The first IPv4 address of an interface, and what belongs to it. */
function answerAddress(command: number, nic: NicFacts, view: DataView): number {
  const entry = nic.addresses.find(({ family }) => family === 4);
  if (entry === undefined) return Errno.EADDRNOTAVAIL;
  let word: number;
  if (command === SIOC.GIFNETMASK) word = entry.prefixLength === 0 ? 0 : -1 << (32 - entry.prefixLength);
  else if (command === SIOC.GIFBRDADDR) word = wordOf(entry.broadcast);
  else word = wordOf(entry.local);
  writeAddress(view, VALUE, word);
  return 0;
}

function wordOf(text: string | undefined): number {
  return text === undefined ? 0 : IpAddress.parse(text)?.d ?? 0;
}

/** A `struct sockaddr_in` without a port. */
function writeAddress(view: DataView, at: number, word: number): void {
  view.setUint16(at, AF.INET, true);
  view.setUint16(at + 2, 0);
  view.setInt32(at + 4, word);
  view.setInt32(at + 8, 0);
  view.setInt32(at + 12, 0);
}

/** What SIOCGIFCONF lists: one `struct ifreq` for each IPv4 address. */
export function interfaceList(nics: readonly NicFacts[]): Uint8Array<ArrayBuffer> {
  const entries: [NicFacts, AddressFacts][] = [];
  for (const nic of nics) {
    for (const entry of nic.addresses) if (entry.family === 4) entries.push([nic, entry]);
  }
  const bytes = new Uint8Array(entries.length * IFREQ_SIZE);
  const view = new DataView(bytes.buffer);
  for (const [i, [nic, entry]] of entries.entries()) {
    const at = i * IFREQ_SIZE;
    new TextEncoder().encodeInto(nic.name, bytes.subarray(at, at + NAME_SIZE - 1));
    writeAddress(view, at + VALUE, wordOf(entry.local));
  }
  return bytes;
}
