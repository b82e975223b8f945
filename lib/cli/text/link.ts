/**
 * Interfaces and addresses as `ip link` and `ip addr` print them, without the blanks that they leave at line ends.
 *
 * @module
 */

import type { AddressInfoJson, AddressJson } from "../../control/render/address.ts";
import { FOREVER } from "../../control/render/address.ts";
import type { LinkJson, StatsJson } from "../../control/render/link.ts";

/** `ip link`, or `ip -s link` if the links carry their counters. */
export function formatLinks(links: readonly LinkJson[]): string {
  return links.map((link) => {
    const stats = link.stats64 === undefined ? "" : formatStats(link.stats64);
    return `${head(link)}\n    ${hardware(link)}\n${stats}`;
  }).join("");
}

/** `ip addr`. */
export function formatAddresses(entries: readonly AddressJson[]): string {
  return entries.map((entry) => {
    const link = entry.link_type === undefined ? "" : `    ${hardware(entry)}\n`;
    return `${head(entry)}\n${link}${entry.addr_info.map(formatAddress).join("")}`;
  }).join("");
}

/** `ip -br link`. */
export function formatBriefLinks(links: readonly LinkJson[]): string {
  return links.map((link) => `${brief(link)} ${link.address} <${link.flags.join(",")}>\n`).join("");
}

/** `ip -br addr`. */
export function formatBriefAddresses(entries: readonly AddressJson[]): string {
  return entries.map((entry) => {
    const addresses = entry.addr_info.map(({ local, prefixlen }) => `${local}/${prefixlen}`);
    return `${[brief(entry), ...addresses].join(" ").trimEnd()}\n`;
  }).join("");
}

function brief({ ifname, operstate }: AddressJson | LinkJson): string {
  return `${ifname.padEnd(16)} ${operstate.padEnd(14)}`;
}

/** `2: eth0: <BROADCAST,MULTICAST,UP,LOWER_UP> mtu 65520 qdisc pfifo state UP group default qlen 1000`. */
function head(link: AddressJson & Partial<Pick<LinkJson, "linkmode">> | LinkJson): string {
  const words = [`${link.ifindex}: ${link.ifname}: <${link.flags.join(",")}>`, `mtu ${link.mtu}`];
  if (link.qdisc !== undefined) words.push(`qdisc ${link.qdisc}`);
  words.push(`state ${link.operstate}`);
  if (link.linkmode !== undefined) words.push(`mode ${link.linkmode}`);
  if (link.group !== undefined) words.push(`group ${link.group}`);
  words.push(`qlen ${link.txqlen}`);
  return words.join(" ");
}

function hardware(link: Partial<Pick<LinkJson, "link_type" | "address" | "broadcast">>): string {
  return `link/${link.link_type} ${link.address} brd ${link.broadcast}`;
}

function formatAddress(info: AddressInfoJson): string {
  const words = [info.family, `${info.local}/${info.prefixlen}`];
  if (info.broadcast !== undefined) words.push("brd", info.broadcast);
  words.push("scope", info.scope);
  if (info.secondary) words.push("secondary");
  if (info.label !== undefined) words.push(info.label);
  const lifetimes = `valid_lft ${lifetime(info.valid_life_time)} preferred_lft ${
    lifetime(info.preferred_life_time)
  }`;
  return `    ${words.join(" ")}\n       ${lifetimes}\n`;
}

function lifetime(seconds: number): string {
  return seconds === FOREVER ? "forever" : `${seconds}sec`;
}

/** Least widths of the columns: iproute2 begins with those of its widest headings. */
const WIDTHS = [10, 7, 6, 7, 7, 7];

function formatStats({ rx, tx }: StatsJson): string {
  const received = [rx.bytes, rx.packets, rx.errors, rx.dropped, rx.over_errors, rx.multicast];
  const sent = [tx.bytes, tx.packets, tx.errors, tx.dropped, tx.carrier_errors, tx.collisions];
  const widths = WIDTHS.map((width, i) => Math.max(width, `${received[i]}`.length, `${sent[i]}`.length));
  const row = (cells: readonly (string | number)[]) =>
    cells.map((cell, i) => String(cell).padStart(widths[i] ?? 0)).join(" ");
  // The first column's heading shares its place with the name of the direction.
  const heading = (way: "RX" | "TX", names: readonly string[]) => `    ${way}: ${row(names).slice(4)}\n`;
  return heading("RX", ["bytes", "packets", "errors", "dropped", "missed", "mcast"]) +
    `    ${row(received)}\n` +
    heading("TX", ["bytes", "packets", "errors", "dropped", "carrier", "collsns"]) + `    ${row(sent)}\n`;
}
