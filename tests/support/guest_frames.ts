/**
 * What a guest says in its first second, as bytes, and what it is told.
 *
 * @module
 */

import { onesComplementSum } from "../../lib/stack/wire/checksum.ts";
import { hex } from "./bytes.ts";

const BROADCAST = "ffffffffffff";

function plain(mac: string): string {
  return mac.replaceAll(":", "");
}

function address(text: string): string {
  return text.split(".").map((part) => Number(part).toString(16).padStart(2, "0")).join("");
}

/** ARP, Request who-has `target` tell `sender`. */
export function arpRequest(mac: string, sender: string, target: string): Uint8Array {
  const own = `${plain(mac)}${address(sender)}`;
  return hex(`${BROADCAST} ${plain(mac)} 0806 0001 0800 0604 0001 ${own} 000000000000 ${address(target)}`);
}

/** A DISCOVER that asks for nothing in particular, and for an answer to everybody. */
export function dhcpDiscover(mac: string): Uint8Array {
  const options = "63825363 350101 ff";
  const bootp = `01010600 00001234 0000 8000 ${"00".repeat(16)} ${plain(mac)} ${
    "00".repeat(10 + 192)
  } ${options}`;
  const payload = hex(bootp);
  const udp = `0044 0043 ${word(8 + payload.length)} 0000`;
  return packet(mac, BROADCAST, "0.0.0.0", "255.255.255.255", 17, hex(`${udp} ${bootp}`));
}

/** An ICMP echo request to who has the hardware address `to`. */
export function echoRequest(mac: string, to: string, from: string, target: string): Uint8Array {
  const message = hex("0800 0000 0007 0001 6162636465666768");
  checksum(message, 2, 0, message.length);
  return packet(mac, to, from, target, 1, message);
}

/** What an OFFER says that both servers should agree on; undefined: it is none. */
export function dhcpOffer(frame: Uint8Array): Readonly<Record<string, string>> | undefined {
  const BOOTP = 14 + 20 + 8, OPTIONS = BOOTP + 240;
  if (frame[12] !== 8 || frame[23] !== 17 || frame[BOOTP] !== 2) return undefined;
  const text = (from: number, to: number) => frame.subarray(from, to).join(".");
  const facts: Record<string, string> = { address: text(BOOTP + 16, BOOTP + 20) };
  const WANTED = [1, 3, 6, 26, 51, 53, 54];
  for (let at = OPTIONS; at < frame.length && frame[at] !== 0xff; at += 2 + frame[at + 1]!) {
    if (WANTED.includes(frame[at]!)) facts[frame[at]!] = text(at + 2, at + 2 + frame[at + 1]!);
  }
  return facts;
}

function packet(
  mac: string,
  to: string,
  from: string,
  target: string,
  protocol: number,
  payload: Uint8Array,
): Uint8Array {
  const header = hex(
    `4500 ${word(20 + payload.length)} 0001 0000 40 ${protocol.toString(16).padStart(2, "0")} 0000 ${
      address(from)
    } ${address(target)}`,
  );
  checksum(header, 10, 0, 20);
  return Uint8Array.from([...hex(`${to} ${plain(mac)} 0800`), ...header, ...payload]);
}

function checksum(bytes: Uint8Array, at: number, from: number, to: number): void {
  const view = new DataView(bytes.buffer);
  view.setUint16(at, ~onesComplementSum(view, from, to, 0) & 0xffff);
}

function word(value: number): string {
  return value.toString(16).padStart(4, "0");
}
