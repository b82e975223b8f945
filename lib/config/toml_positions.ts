/**
 * Where each key of a TOML document stands. The parser tells positions only for errors of its own.
 *
 * Works on documents that the parser has accepted, so it only needs to know where values end: strings of four kinds,
 * brackets, comments.
 *
 * @module
 */

import { type Position, positionAt } from "./json_reader.ts";

/** The parts of a key as one string. */
export function pathOf(...parts: readonly string[]): string {
  return parts.join("\0");
}

/** Position of every `key =` outside inline tables, and of every `[table]`, by {@linkcode pathOf}; the first wins. */
export function locateKeys(toml: string): ReadonlyMap<string, Position> {
  const places = new Map<string, Position>();
  let table: readonly string[] = [];
  let at = 0;
  const note = (path: readonly string[], where: number) => {
    const key = pathOf(...path);
    if (!places.has(key)) places.set(key, positionAt(toml, where));
  };
  while (at < toml.length) {
    const blank = matchAt(/[ \t\r\n\ufeff]+|#[^\n]*/y, toml, at);
    if (blank > 0) {
      at += blank;
      continue;
    }
    const brackets = matchAt(/\[\[?/y, toml, at);
    const start = at + brackets;
    const { parts, end } = readKey(toml, start);
    if (brackets > 0) {
      table = parts;
      note(table, start);
      at = end + matchAt(/[ \t]*\]\]?/y, toml, end);
    } else {
      note([...table, ...parts], start);
      at = endOfValue(toml, end);
    }
    // Never stand still, whatever the text.
    if (at <= start) at = start + 1;
  }
  return places;
}

const STRING = /"""(?:[^\\]|\\[^])*?"{3,5}|'''[^]*?'{3,5}|"(?:[^"\\\n]|\\.)*"|'[^'\n]*'/y;

function readKey(toml: string, from: number): { parts: string[]; end: number } {
  const parts: string[] = [];
  let at = from;
  for (;;) {
    at += matchAt(/[ \t]*/y, toml, at);
    const quoted = /["']/.test(toml[at] ?? "");
    const length = matchAt(quoted ? STRING : /[A-Za-z0-9_-]+/y, toml, at);
    if (length === 0) return { parts, end: at };
    const text = toml.slice(at, at + length);
    parts.push(text[0] === '"' ? unquote(text) : quoted ? text.slice(1, -1) : text);
    at += length;
    const dot = matchAt(/[ \t]*\./y, toml, at);
    if (dot === 0) return { parts, end: at };
    at += dot;
  }
}

/** TOML's escapes are JSON's and `\e`, `\x`, `\U`; keys with those are found under their written form. */
function unquote(text: string): string {
  try {
    return JSON.parse(text) as string;
  } catch {
    return text.slice(1, -1);
  }
}

/** One past the line on which the value of a key ends. */
function endOfValue(toml: string, from: number): number {
  let depth = 0;
  for (let at = from; at < toml.length;) {
    const skipped = matchAt(STRING, toml, at) || matchAt(/#[^\n]*/y, toml, at);
    if (skipped > 0) {
      at += skipped;
      continue;
    }
    const character = toml[at++];
    if (character === "[" || character === "{") depth++;
    else if (character === "]" || character === "}") depth--;
    else if (character === "\n" && depth <= 0) return at;
  }
  return toml.length;
}

function matchAt(pattern: RegExp, text: string, at: number): number {
  pattern.lastIndex = at;
  return pattern.exec(text)?.[0].length ?? 0;
}
