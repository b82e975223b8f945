/**
 * Regular expressions over names, matched in time that grows with the product of both lengths and no faster: who adds a zone
 * and who asks for a name may be hostile, and JavaScript's own engine backtracks without bound.
 *
 * Theory of operation. The syntax is that of Go's `regexp` (RE2), which gvproxy's users write, as far as it makes sense for
 * names: no classes of Unicode, no flags. An expression becomes a program for Thompson's machine (R. Cox, "Regular
 * Expression Matching: the Virtual Machine Approach"), which is in a set of states at a time.
 *
 * ```text
 *   a     char a                  e*    L: split M, N    M: e, jump L    N:
 *   e|f   split M, N   M: e, jump P   N: f   P:         e{2,}   e, e, e*
 * ```
 *
 * @module
 */

/** Longest program, instructions; a pattern that needs more is refused. */
export const MAX_STATES = 1_024;
const MAX_REPEAT = 1_000, MAX_DEPTH = 32;

/** What an instruction does. `match` ends a program. */
type Instruction =
  | { readonly do: "char"; readonly set: Uint8Array }
  | { readonly do: "split"; first: number; second: number }
  | { readonly do: "jump"; to: number }
  | { readonly do: Assertion }
  | { readonly do: "match" };
type Assertion = "begin" | "end" | "word-boundary" | "no-word-boundary";

type Node =
  | { readonly kind: "set"; readonly set: Uint8Array }
  | { readonly kind: "assertion"; readonly what: Assertion }
  | { readonly kind: "sequence" | "choice"; readonly items: readonly Node[] }
  | { readonly kind: "repeat"; readonly item: Node; readonly min: number; readonly max: number };

const DIGIT = setOf((code) => code >= 48 && code <= 57);
const WORD = setOf((code) => DIGIT[code] === 1 || (code | 32) >= 97 && (code | 32) <= 122 || code === 95);
const SPACE = setOf((code) => code === 32 || code >= 9 && code <= 13 && code !== 11);
const ANY = setOf((code) => code !== 10);
const ESCAPED: Readonly<Record<string, Uint8Array>> = {
  d: DIGIT,
  D: inverse(DIGIT),
  w: WORD,
  W: inverse(WORD),
  s: SPACE,
  S: inverse(SPACE),
  n: single(10),
  r: single(13),
  t: single(9),
};
const ASSERTIONS: Readonly<Record<string, Assertion>> = {
  A: "begin",
  z: "end",
  b: "word-boundary",
  B: "no-word-boundary",
};

/** A compiled expression. */
export class NamePattern {
  readonly #program: Instruction[] = [];

  /** @throws {RangeError} for what is no expression, or too much of one */
  constructor(text: string) {
    emit(this.#program, new Parser(text).parse(), { left: 4 * MAX_STATES });
    this.#program.push({ do: "match" });
  }

  /** Instructions: what a match costs per character. */
  get size(): number {
    return this.#program.length;
  }

  /** Whether `text`, of codes to 255, has a part that matches. */
  test(text: string): boolean {
    let now = new States(this.#program, text), next = new States(this.#program, text);
    for (let at = 0; at <= text.length; at++) {
      if (now.enter(0, at) || now.matched) return true;
      const code = text.charCodeAt(at);
      for (let i = 0; i < now.count; i++) {
        const pc = now.list[i]!;
        const instruction = this.#program[pc]!;
        if (instruction.do === "char" && at < text.length && instruction.set[code] === 1) {
          if (next.enter(pc + 1, at + 1)) return true;
        }
      }
      now.clear();
      [now, next] = [next, now];
    }
    return false;
  }
}

/** A set of states: instructions that wait for a character. */
class States {
  readonly list: Int32Array;
  count = 0;
  matched = false;
  readonly #program: readonly Instruction[];
  readonly #text: string;
  readonly #seen: Uint8Array;
  readonly #stack: number[] = [];

  constructor(program: readonly Instruction[], text: string) {
    this.#program = program;
    this.#text = text;
    this.list = new Int32Array(program.length);
    this.#seen = new Uint8Array(program.length);
  }

  /** Adds what can be reached from `pc` without a character. True: the match. */
  enter(pc: number, at: number): boolean {
    const stack = this.#stack;
    stack.push(pc);
    while (stack.length > 0) {
      pc = stack.pop()!;
      if (this.#seen[pc] === 1) continue;
      this.#seen[pc] = 1;
      const instruction = this.#program[pc]!;
      if (instruction.do === "match") this.matched = true;
      else if (instruction.do === "char") this.list[this.count++] = pc;
      else if (instruction.do === "jump") stack.push(instruction.to);
      else if (instruction.do === "split") stack.push(instruction.second, instruction.first);
      else if (holds(instruction.do, this.#text, at)) stack.push(pc + 1);
    }
    return this.matched;
  }

  clear(): void {
    this.count = 0;
    this.matched = false;
    this.#seen.fill(0);
  }
}

function holds(what: Assertion, text: string, at: number): boolean {
  if (what === "begin") return at === 0;
  if (what === "end") return at === text.length;
  const isWord = (index: number) => WORD[text.charCodeAt(index)] === 1;
  const isBoundary = isWord(at - 1) !== isWord(at);
  return isBoundary === (what === "word-boundary");
}

/** Appends the instructions of a node. `budget` bounds the work, which nothing else does for repetitions of nothing. */
function emit(program: Instruction[], node: Node, budget: { left: number }): void {
  if (program.length > MAX_STATES || budget.left-- <= 0) throw new RangeError("too long");
  switch (node.kind) {
    case "set":
      program.push({ do: "char", set: node.set });
      break;
    case "assertion":
      program.push({ do: node.what });
      break;
    case "sequence":
      for (const item of node.items) emit(program, item, budget);
      break;
    case "choice": {
      const jumps: { to: number }[] = [];
      node.items.forEach((item, i) => {
        if (i === node.items.length - 1) return emit(program, item, budget);
        const split = { do: "split" as const, first: program.length + 1, second: 0 };
        program.push(split);
        emit(program, item, budget);
        const jump = { do: "jump" as const, to: 0 };
        program.push(jump);
        jumps.push(jump);
        split.second = program.length;
      });
      for (const jump of jumps) jump.to = program.length;
      break;
    }
    case "repeat": {
      for (let i = 0; i < node.min; i++) emit(program, node.item, budget);
      const optional = node.max === Infinity ? 1 : node.max - node.min;
      const splits: { second: number }[] = [];
      for (let i = 0; i < optional; i++) {
        const at = program.length;
        const split = { do: "split" as const, first: at + 1, second: 0 };
        program.push(split);
        splits.push(split);
        emit(program, node.item, budget);
        if (node.max === Infinity) program.push({ do: "jump", to: at });
      }
      for (const split of splits) split.second = program.length;
    }
  }
}

/** Text → nodes. */
class Parser {
  readonly #text: string;
  #at = 0;
  #depth = 0;

  constructor(text: string) {
    this.#text = text;
  }

  parse(): Node {
    const node = this.#choice();
    if (this.#at < this.#text.length) throw new RangeError("unexpected )");
    return node;
  }

  #choice(): Node {
    if (++this.#depth > MAX_DEPTH) throw new RangeError("nested too deep");
    const items = [this.#sequence()];
    while (this.#take("|")) items.push(this.#sequence());
    this.#depth--;
    return items.length === 1 ? items[0]! : { kind: "choice", items };
  }

  #sequence(): Node {
    const items: Node[] = [];
    while (this.#at < this.#text.length && this.#peek() !== "|" && this.#peek() !== ")") {
      items.push(this.#repeated(this.#atom()));
    }
    return { kind: "sequence", items };
  }

  #repeated(item: Node): Node {
    const counted = /^\{([0-9]{1,4})(,?)([0-9]{0,4})\}/.exec(this.#text.slice(this.#at, this.#at + 12));
    let min: number, max: number;
    if (this.#take("*")) [min, max] = [0, Infinity];
    else if (this.#take("+")) [min, max] = [1, Infinity];
    else if (this.#take("?")) [min, max] = [0, 1];
    else if (counted !== null) {
      this.#at += counted[0].length;
      min = Number(counted[1]);
      max = counted[2] === "" ? min : counted[3] === "" ? Infinity : Number(counted[3]);
      if (min > MAX_REPEAT || (max !== Infinity && (max > MAX_REPEAT || max < min))) {
        throw new RangeError("bad repetition");
      }
    } else return item;
    // As little as possible or as much: whether there is a match is the same.
    this.#take("?");
    if (/^[*+?]/.test(this.#peek())) throw new RangeError("nothing to repeat");
    return { kind: "repeat", item, min, max };
  }

  #atom(): Node {
    const character = this.#next();
    switch (character) {
      case "(":
        return this.#group();
      case "[":
        return { kind: "set", set: this.#class() };
      case ".":
        return { kind: "set", set: ANY };
      case "^":
        return { kind: "assertion", what: "begin" };
      case "$":
        return { kind: "assertion", what: "end" };
      case "*":
      case "+":
      case "?":
        throw new RangeError("nothing to repeat");
      case "\\": {
        const what = ASSERTIONS[this.#peek()];
        if (what === undefined) return { kind: "set", set: this.#escape() };
        this.#at++;
        return { kind: "assertion", what };
      }
    }
    return { kind: "set", set: single(character.charCodeAt(0)) };
  }

  #group(): Node {
    const prefix = /^\?(?::|P?<[A-Za-z_][A-Za-z0-9_]*>)/.exec(this.#text.slice(this.#at, this.#at + 64));
    if (prefix !== null) this.#at += prefix[0].length;
    else if (this.#peek() === "?") throw new RangeError("unknown kind of group");
    const node = this.#choice();
    if (!this.#take(")")) throw new RangeError("missing )");
    return node;
  }

  #class(): Uint8Array {
    const negated = this.#take("^");
    const set = new Uint8Array(256);
    for (let first = true; first || this.#peek() !== "]"; first = false) {
      const from = this.#member();
      if (this.#peek() !== "-" || this.#text[this.#at + 1] === "]") {
        from.forEach((has, code) => has === 1 && (set[code] = 1));
        continue;
      }
      this.#at++;
      const low = from.indexOf(1), high = this.#member().indexOf(1);
      if (high < low) throw new RangeError("bad range");
      set.fill(1, low, high + 1);
    }
    this.#at++;
    return negated ? inverse(set) : set;
  }

  #member(): Uint8Array {
    const character = this.#next();
    return character === "\\" ? this.#escape() : single(character.charCodeAt(0));
  }

  #escape(): Uint8Array {
    const character = this.#next();
    const known = ESCAPED[character];
    if (known !== undefined) return known;
    if (character === "x") {
      const digits = /^[0-9A-Fa-f]{2}/.exec(this.#text.slice(this.#at, this.#at + 2));
      if (digits === null) throw new RangeError("bad escape");
      this.#at += 2;
      return single(parseInt(digits[0], 16));
    }
    if (/[A-Za-z0-9]/.test(character)) throw new RangeError(`\\${character} is not known`);
    return single(character.charCodeAt(0));
  }

  #peek(): string {
    return this.#text[this.#at] ?? "";
  }

  #next(): string {
    if (this.#at >= this.#text.length) throw new RangeError("ends too early");
    return this.#text[this.#at++]!;
  }

  #take(character: string): boolean {
    if (this.#peek() !== character) return false;
    this.#at++;
    return true;
  }
}

function setOf(has: (code: number) => boolean): Uint8Array {
  return Uint8Array.from({ length: 256 }, (_, code) => has(code) ? 1 : 0);
}

function single(code: number): Uint8Array {
  return setOf((other) => other === code);
}

function inverse(set: Uint8Array): Uint8Array {
  return set.map((has) => 1 - has);
}
