/**
 * JSON (RFC 8259) with the place of every value, which `JSON.parse` does not tell, and the same message on every
 * engine. A repeated name is an error: two settings of one flag in one file are a mistake.
 *
 * @module
 */

/** A place in a text, both counted from one; columns are UTF-16 units. */
export interface Position {
  readonly line: number;
  readonly column: number;
}

/** A value and where it begins. */
export type JsonNode =
  & { readonly at: number }
  & (
    | { readonly kind: "string"; readonly text: string }
    /** `text` as written: big integers keep every digit. */
    | { readonly kind: "number"; readonly text: string }
    | { readonly kind: "boolean"; readonly value: boolean }
    | { readonly kind: "null" }
    | { readonly kind: "array"; readonly items: readonly JsonNode[] }
    | { readonly kind: "object"; readonly members: readonly JsonMember[] }
  );

/** One name of an object and its value. */
export interface JsonMember {
  readonly name: string;
  readonly at: number;
  readonly value: JsonNode;
}

/** Not JSON. */
export class JsonSyntaxError extends SyntaxError {
  override readonly name: string = "JsonSyntaxError";
  constructor(message: string, readonly at: number) {
    super(message);
  }
}

/** Deeper nesting is refused rather than recursed into. */
const MAX_DEPTH = 64;

/** Reads a whole document. Throws {@linkcode JsonSyntaxError}. */
export function readJson(text: string): JsonNode {
  const reader = new Reader(text);
  const value = reader.value(0);
  reader.space();
  if (reader.at < text.length) throw reader.unexpected("the end");
  return value;
}

/** Line and column of an index. */
export function positionAt(text: string, at: number): Position {
  const before = text.slice(0, at);
  const line = before.split("\n").length;
  return { line, column: at - before.lastIndexOf("\n") };
}

/** {@linkcode positionAt} for many places of one text. */
export function lineIndex(text: string): (at: number) => Position {
  const starts = [0];
  for (let at = text.indexOf("\n"); at >= 0; at = text.indexOf("\n", at + 1)) starts.push(at + 1);
  return (at) => {
    let [low, high] = [0, starts.length];
    while (high - low > 1) {
      const middle = (low + high) >> 1;
      if (starts[middle]! <= at) low = middle;
      else high = middle;
    }
    return { line: low + 1, column: at - starts[low]! + 1 };
  };
}

class Reader {
  at = 0;

  constructor(readonly text: string) {
    if (text.startsWith("\ufeff")) this.at = 1;
  }

  space(): void {
    while (/[ \t\r\n]/.test(this.text[this.at] ?? "")) this.at++;
  }

  unexpected(wanted: string): JsonSyntaxError {
    const found = this.text[this.at];
    const what = found === undefined ? "the end" : JSON.stringify(found);
    return new JsonSyntaxError(`expected ${wanted}, found ${what}`, this.at);
  }

  value(depth: number): JsonNode {
    this.space();
    const at = this.at;
    if (depth > MAX_DEPTH) throw new JsonSyntaxError(`nested deeper than ${MAX_DEPTH}`, at);
    switch (this.text[at]) {
      case "{":
        return { at, kind: "object", members: this.members(depth) };
      case "[":
        return { at, kind: "array", items: this.items(depth) };
      case '"':
        return { at, kind: "string", text: this.string() };
    }
    const word = this.match(/true|false|null/y);
    if (word !== undefined) {
      return word === "null" ? { at, kind: "null" } : { at, kind: "boolean", value: word === "true" };
    }
    const number = this.match(/-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][-+]?[0-9]+)?/y);
    if (number !== undefined) return { at, kind: "number", text: number };
    throw this.unexpected("a value");
  }

  items(depth: number): JsonNode[] {
    const items: JsonNode[] = [];
    this.at++;
    this.space();
    if (this.skip("]")) return items;
    for (;;) {
      items.push(this.value(depth + 1));
      this.space();
      if (this.skip("]")) return items;
      if (!this.skip(",")) throw this.unexpected('"," or "]"');
    }
  }

  members(depth: number): JsonMember[] {
    const members: JsonMember[] = [];
    const names = new Set<string>();
    this.at++;
    this.space();
    if (this.skip("}")) return members;
    for (;;) {
      this.space();
      const at = this.at;
      if (this.text[at] !== '"') throw this.unexpected("a name in double quotes");
      const name = this.string();
      if (names.has(name)) throw new JsonSyntaxError(`the name ${JSON.stringify(name)} is repeated`, at);
      names.add(name);
      this.space();
      if (!this.skip(":")) throw this.unexpected('":"');
      members.push({ name, at, value: this.value(depth + 1) });
      this.space();
      if (this.skip("}")) return members;
      if (!this.skip(",")) throw this.unexpected('"," or "}"');
    }
  }

  string(): string {
    const at = this.at;
    // deno-lint-ignore no-control-regex
    const quoted = this.match(/"(?:[^"\\\u0000-\u001f]|\\(?:["\\\/bfnrt]|u[0-9a-fA-F]{4}))*"/y);
    if (quoted !== undefined) return JSON.parse(quoted) as string;
    throw new JsonSyntaxError("a string does not end, or holds a control character or an unknown escape", at);
  }

  skip(character: string): boolean {
    if (this.text[this.at] !== character) return false;
    this.at++;
    return true;
  }

  match(pattern: RegExp): string | undefined {
    pattern.lastIndex = this.at;
    const found = pattern.exec(this.text)?.[0];
    if (found !== undefined) this.at += found.length;
    return found;
  }
}
