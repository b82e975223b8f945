/**
 * Classic BPF programs, for seccomp and for sockets: a small assembler (`linux/filter.h`, `linux/seccomp.h`).
 *
 * A program looks at one `struct seccomp_data`: the call's number, the architecture, six 64-bit arguments. Jumps go
 * forwards only, at most 255 instructions for a conditional one, so each rule is a block of its own that falls through
 * to the next.
 *
 * @module
 */

import { ARCH, AUDIT_ARCH_OF } from "./arch.ts";
import { NativeMemory } from "./memory.ts";

/** What a call may come to. */
export const SeccompAction = {
  allow: 0x7fff0000,
  /** Ask the supervisor. */
  notify: 0x7fc00000,
  kill: 0x80000000,
  /** Fails with this errno. */
  errno: (errno: number): number => 0x00050000 | (errno & 0xffff),
} as const;

/** The x32 ABI shares the architecture and sets this bit in the number. */
const X32_BIT = 0x40000000;

const OFFSET_NUMBER = 0, OFFSET_ARCH = 4, OFFSET_ARGUMENTS = 16;
const LOAD = 0x20, AND = 0x54, JUMP_EQUAL = 0x15, JUMP_GREATER_EQUAL = 0x35, RETURN = 0x06;

/** A condition on one argument. */
export type ArgumentTest =
  /** The low 32 bits are one of these: an `int` in C, whose upper half is undefined. */
  | { readonly argument: number; readonly oneOf: readonly number[] }
  /** The low 32 bits, masked, are this. */
  | { readonly argument: number; readonly mask: number; readonly value: number }
  /** A pointer that is not NULL: either half has a bit. */
  | { readonly argument: number; readonly present: true };

/** What becomes of one system call. The first case whose test holds decides; a case without one always holds. */
export interface SyscallRule {
  readonly number: number;
  readonly cases: readonly { readonly when?: ArgumentTest; readonly then: number }[];
}

/** One instruction of classic BPF. */
export type Instruction = readonly [code: number, jumpTrue: number, jumpFalse: number, k: number];

function load(offset: number): Instruction {
  return [LOAD, 0, 0, offset];
}

function answer(action: number): Instruction {
  return [RETURN, 0, 0, action];
}

/** Instructions that return `then` if the test holds, and fall through if not. */
function testCase(when: ArgumentTest | undefined, then: number): Instruction[] {
  if (when === undefined) return [answer(then)];
  const low = OFFSET_ARGUMENTS + 8 * when.argument;
  if ("oneOf" in when) {
    const { oneOf } = when;
    return [
      load(low),
      ...oneOf.map((value, i): Instruction => {
        const toAnswer = oneOf.length - 1 - i;
        return [JUMP_EQUAL, toAnswer, i === oneOf.length - 1 ? 1 : 0, value];
      }),
      answer(then),
    ];
  }
  if ("mask" in when) {
    return [load(low), [AND, 0, 0, when.mask], [JUMP_EQUAL, 0, 1, when.value], answer(then)];
  }
  return [load(low), [JUMP_EQUAL, 0, 2, 0], load(low + 4), [JUMP_EQUAL, 1, 0, 0], answer(then)];
}

/** The program: foreign architectures and numbers get `foreign`, calls without a rule `otherwise`. */
export function seccompProgram(
  rules: readonly SyscallRule[],
  foreign: number,
  otherwise: number = SeccompAction.allow,
): readonly Instruction[] {
  const program: Instruction[] = [
    load(OFFSET_ARCH),
    [JUMP_EQUAL, 1, 0, AUDIT_ARCH_OF[ARCH]],
    answer(foreign),
    load(OFFSET_NUMBER),
    [JUMP_GREATER_EQUAL, 0, 1, X32_BIT],
    answer(foreign),
  ];
  for (const { number, cases } of rules) {
    const body = cases.flatMap(({ when, then }) => testCase(when, then));
    // A rule whose every case may fail to hold ends with the general answer: the number is not in the register then.
    if (cases.at(-1)?.when !== undefined) body.push(answer(otherwise));
    program.push([JUMP_EQUAL, 0, body.length, number], ...body);
  }
  program.push(answer(otherwise));
  return program;
}

/** The program in memory, as a `struct sock_fprog` at `address`. */
export function assembleProgram(program: readonly Instruction[]): NativeMemory {
  const HEADER = 16;
  const memory = new NativeMemory(HEADER + 8 * program.length);
  const { view } = memory;
  view.setUint16(0, program.length, true);
  memory.setPointer(8, memory.address + HEADER);
  program.forEach(([code, jumpTrue, jumpFalse, k], i) => {
    if (jumpTrue > 255 || jumpFalse > 255) {
      throw new RangeError("Cannot assemble a filter: a jump is too long");
    }
    const at = HEADER + 8 * i;
    view.setUint16(at, code, true);
    view.setUint8(at + 2, jumpTrue);
    view.setUint8(at + 3, jumpFalse);
    view.setUint32(at + 4, k, true);
  });
  return memory;
}
