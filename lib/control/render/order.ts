/**
 * Prefixes as text: the order in which the kernel dumps its routing tables, which is the order that `ip route` shows.
 *
 * @module
 */

import type { RouteFacts } from "../../engine/messages.ts";

interface Prefix {
  /** Fixed-width hexadecimal, so that text order is numeric order. */
  readonly key: string;
  readonly length: number;
}

/** Compares two routes of one family as a dump of the kernel's table would list them. */
export function compareRoutes(a: RouteFacts, b: RouteFacts): number {
  const left = prefixOf(a);
  const right = prefixOf(b);
  // IPv6's tree is walked children first: what contains another prefix comes after it, the default route last.
  if (a.family === 6 && left.length !== right.length) {
    if (contains(left, right)) return 1;
    if (contains(right, left)) return -1;
  }
  if (left.key !== right.key) return left.key < right.key ? -1 : 1;
  // IPv4's trie is walked by key; under one key the longest prefix is first.
  if (left.length !== right.length) return right.length - left.length;
  return a.metric - b.metric;
}

/** Whether two addresses of one family share their first `length` bits. */
export function sameNetwork(a: string, b: string, length: number): boolean {
  const [left, right] = [a, b].map((address) => address.includes(":") ? hexV6(address) : hexV4(address));
  return contains({ key: left!, length }, { key: right!, length: Infinity });
}

function prefixOf({ destination, family }: RouteFacts): Prefix {
  if (destination === "default") return { key: "0".repeat(family === 4 ? 8 : 32), length: 0 };
  const [address = "", length] = destination.split("/");
  return {
    key: family === 4 ? hexV4(address) : hexV6(address),
    length: length === undefined ? (family === 4 ? 32 : 128) : Number(length),
  };
}

function contains(outer: Prefix, inner: Prefix): boolean {
  if (outer.length >= inner.length) return false;
  const digits = outer.length >> 2;
  if (outer.key.slice(0, digits) !== inner.key.slice(0, digits)) return false;
  const rest = outer.length & 3;
  if (rest === 0) return true;
  const difference = parseInt(outer.key[digits] ?? "0", 16) ^ parseInt(inner.key[digits] ?? "0", 16);
  return difference >> (4 - rest) === 0;
}

function hexV4(address: string): string {
  return address.split(".").map((byte) => hex(Number(byte), 2)).join("");
}

function hexV6(address: string): string {
  const [head = "", tail] = address.split("::");
  const left = groups(head);
  if (tail === undefined) return left.join("");
  const right = groups(tail);
  return [...left, ...new Array<string>(Math.max(0, 8 - left.length - right.length)).fill("0000"), ...right]
    .join("");
}

function groups(text: string): string[] {
  return text.split(":").filter((group) => group !== "").flatMap((group) => {
    if (!group.includes(".")) return [group.padStart(4, "0")];
    const v4 = hexV4(group);
    return [v4.slice(0, 4), v4.slice(4)];
  });
}

function hex(value: number, digits: number): string {
  return value.toString(16).padStart(digits, "0");
}
