/**
 * The Internet checksum by vector instructions: a WebAssembly module of one function, assembled here by hand.
 *
 * ```text
 *   sum(at, end)          bytes [at, end) of the memory, as if `at` were even → the sum of RFC 1071, folded to 16 bits
 *     while 64 are left   four vectors: 8 words of 16 bits each, added in pairs to 4 lanes of 32 bits
 *     while 16 are left   one vector
 *     lanes → one word; then what is left by 4, 2 and 1 bytes
 *     fold, swap          words were read little-endian: RFC 1071 section 2 (B)
 * ```
 *
 * No carry is lost below 128 KiB: so many words of 16 bits are less than 2³² together.
 *
 * Opcodes are those of the WebAssembly core specification 2.0, chapter 5 ("Binary Format").
 *
 * @module
 */

/** Longest range that `sum` is right for. */
export const VECTOR_SUM_MAX = 131_072;
/** Names of the memory that the module imports and of the function that it exports. */
export const IMPORTED = { module: "stack", memory: "memory" } as const, EXPORTED = "sum";

/** Bytes of code. A nested list is its bytes in a row, so that instructions can be written one in another. */
type Code = readonly (number | Code)[];

const I32 = 0x7f, V128 = 0x7b;
/** Parameters, then locals. */
const AT = 0, END = 1, REST = 2, SUM = 3, LANES = [4, 5, 6, 7] as const;
const VECTOR = 16;

/** LEB128, signed as constants are; numbers up to 63 have the same bytes unsigned. */
function signed(value: number): number[] {
  const low = value & 0x7f, rest = value >> 7;
  const last = rest === 0 && (low & 0x40) === 0 || rest === -1 && (low & 0x40) !== 0;
  return last ? [low] : [low | 0x80, ...signed(rest)];
}

function unsigned(value: number): number[] {
  return value < 0x80 ? [value] : [value & 0x7f | 0x80, ...unsigned(value >>> 7)];
}

const get = (local: number): Code => [0x20, local];
const set = (local: number, value: Code): Code => [value, 0x21, local];
const constant = (value: number): Code => [0x41, signed(value)];
const binary = (opcode: number) => (a: Code, b: Code): Code => [a, b, opcode];
const add = binary(0x6a), sub = binary(0x6b), and = binary(0x71), or = binary(0x72);
const shl = binary(0x74), shr = binary(0x76), below = binary(0x49); // the unsigned ones
/** Loads from `AT + offset`; 0: no alignment is promised. */
const load32 = (): Code => [get(AT), 0x28, 0, 0];
const load16 = (): Code => [get(AT), 0x2f, 0, 0];
const load8 = (): Code => [get(AT), 0x2d, 0, 0];
const loadVector = (offset: number): Code => [get(AT), 0xfd, 0x00, 0, unsigned(offset)];
const addPairs = (vector: Code): Code => [vector, 0xfd, unsigned(0x7f)]; // i32x4.extadd_pairwise_i16x8_u
const addLanes = (a: Code, b: Code): Code => [a, b, 0xfd, unsigned(0xae)]; // i32x4.add
const lane = (vector: number, i: number): Code => [get(vector), 0xfd, 0x1b, i]; // i32x4.extract_lane

const forward = (bytes: number): Code => set(AT, add(get(AT), constant(bytes)));
const plus = (value: Code): Code => set(SUM, add(get(SUM), value));
const when = (condition: Code, body: Code): Code => [condition, 0x04, 0x40, body, 0x0b];
/** Repeats `body`, which goes forward by so many bytes, while as many are left. */
const whileLeft = (bytes: number, body: Code): Code => [
  [0x02, 0x40, 0x03, 0x40],
  [below(sub(get(END), get(AT)), constant(bytes)), 0x0d, 1],
  [body, forward(bytes)],
  [0x0c, 0, 0x0b, 0x0b],
];
const addVector = (to: number, offset: number): Code =>
  set(to, addLanes(get(to), addPairs(loadVector(offset))));
const fold: Code = set(SUM, add(and(get(SUM), constant(0xffff)), shr(get(SUM), constant(16))));

const SUM_BODY: Code = [
  whileLeft(4 * VECTOR, LANES.map((to, i) => addVector(to, i * VECTOR))),
  whileLeft(VECTOR, addVector(LANES[0], 0)),
  LANES.slice(1).map((other) => set(LANES[0], addLanes(get(LANES[0]), get(other)))),
  [0, 1, 2, 3].map((i) => plus(lane(LANES[0], i))),
  fold,
  whileLeft(4, [
    set(REST, load32()),
    plus(add(and(get(REST), constant(0xffff)), shr(get(REST), constant(16)))),
  ]),
  when(below(constant(1), sub(get(END), get(AT))), [plus(load16()), forward(2)]),
  when(below(get(AT), get(END)), plus(load8())),
  fold,
  fold,
  or(shl(and(get(SUM), constant(0xff)), constant(8)), shr(get(SUM), constant(8))),
  0x0b,
];

const vector = (...items: readonly Code[]): Code => [unsigned(items.length), items];
const sized = (code: Code): Code => {
  const bytes = flat(code);
  return [unsigned(bytes.length), bytes];
};
const section = (id: number, content: Code): Code => [id, sized(content)];
const name = (text: string): Code => vector(...[...text].map((letter) => [letter.charCodeAt(0)]));

function flat(code: Code): number[] {
  return code.flatMap((part) => typeof part === "number" ? [part] : flat(part));
}

/** The module, for a memory of exactly so many pages of 64 KiB. */
export function vectorSumModule(pages: number): Uint8Array<ArrayBuffer> {
  const locals = vector([2, I32], [LANES.length, V128]);
  return Uint8Array.from(flat([
    [0x00, 0x61, 0x73, 0x6d, 1, 0, 0, 0],
    section(1, vector([0x60, vector([I32], [I32]), vector([I32])])),
    section(
      2,
      vector([name(IMPORTED.module), name(IMPORTED.memory), 2, 1, unsigned(pages), unsigned(pages)]),
    ),
    section(3, vector([0])),
    section(7, vector([name(EXPORTED), 0, 0])),
    section(10, vector(sized([locals, SUM_BODY]))),
  ]));
}
