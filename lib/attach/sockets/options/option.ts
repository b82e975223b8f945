/**
 * What a socket option is: data, so that the tables read like the manual pages.
 *
 * Three kinds, and the table of the documentation is made of them: *real* options change what the stack does; *stored*
 * ones are remembered and given back, because on this stack they have nothing to act on; *refused* ones fail as on a
 * kernel that was built without them.
 *
 * @module
 */

import { Errno } from "../../../host/errno.ts";

/** What became of an option: see the module's comment. */
export type OptionKind = "real" | "stored" | "refused";

/** What an option must know of the socket that it is one of. */
export interface OptionOwner {
  readonly domain: number;
  readonly type: number;
  readonly protocol: number;
  /** Values that were set, or inherited. */
  readonly values: OptionValues;
  /** `SO_ERROR`: the pending error, which this clears; 0: none. */
  takeError(): number;
  /** Nobody has heard of the error that was taken. */
  putErrorBack(errno: number): void;
  /** `SO_ACCEPTCONN`. */
  readonly listening: boolean;
  /** Bound, or connected: too late for some options. */
  readonly bound: boolean;
  /** Connected: some answers exist only now. */
  readonly connected: boolean;
  /** Whether the stack has an interface of that name. */
  hasInterface(name: string): boolean;
  /** `SO_PEERNAME`: writes a socket address, returns its length, or −errno. */
  peerName?(view: DataView): number;
  /** `TCP_INFO` and its like: writes at most `view.byteLength` bytes, returns how many; 0 for a socket without. */
  describe(view: DataView): number;
  /** Path MTU towards the peer, in bytes; 0: not known. Absent: {@linkcode describe} tells. */
  pathMtu?(): number;
  /** The values of `level` and `name` have just been set: act on it. Returns an errno, 0 for none. */
  changed(level: number, name: number): number;
}

/** Values that differ from their defaults. */
export class OptionValues {
  #numbers: Map<number, number> | undefined;

  get(level: number, name: number): number | undefined {
    return this.#numbers?.get(level * 4096 + name);
  }

  set(level: number, name: number, value: number): void {
    (this.#numbers ??= new Map()).set(level * 4096 + name, value);
  }

  delete(level: number, name: number): void {
    this.#numbers?.delete(level * 4096 + name);
  }

  /** What has been set, in the order of first setting. */
  *names(): Generator<readonly [level: number, name: number]> {
    for (const key of this.#numbers?.keys() ?? []) yield [Math.floor(key / 4096), key % 4096];
  }

  /** Takes over everything: what an accepted socket does with its listener's. */
  copyFrom(other: OptionValues): void {
    if (other.#numbers !== undefined) this.#numbers = new Map(other.#numbers);
  }
}

/** An option whose value is a C `int`. */
export interface IntOption {
  readonly form: "int";
  readonly kind: OptionKind;
  readonly initial: number | ((owner: OptionOwner) => number);
  /** What is stored for a given value, or −errno less {@linkcode REFUSED}; absent: read only. */
  accept?(value: number, owner: OptionOwner): number;
  /** What `set` fails with when there is no `accept`. */
  readonly setErrno: number;
  /** The value as `get` shows it; absent: what was stored. */
  get?(owner: OptionOwner): number;
}

/** An option whose value is a structure or text. */
export interface BytesOption {
  readonly form: "bytes";
  readonly kind: OptionKind;
  /** Writes the value; returns its length, or −errno. `room` is what the caller has room for. */
  read(owner: OptionOwner, view: DataView<ArrayBuffer>, room: number): number;
  /** Takes a value of `length` bytes; returns an errno, 0 for none. */
  write?(owner: OptionOwner, view: DataView<ArrayBuffer>, length: number): number;
  readonly setErrno: number;
}

/** An option that fails. */
export interface RefusedOption {
  readonly form: "refused";
  readonly kind: "refused";
  readonly getErrno: number;
  readonly setErrno: number;
}

export type SocketOption = IntOption | BytesOption | RefusedOption;

/** Options of one level by number. */
export type OptionTable = Readonly<Record<number, SocketOption>>;

/** Offset that tells a refusal from a stored negative value. */
const REFUSAL = -(2 ** 40);

/** What {@linkcode IntOption.accept} returns to fail with `errno`. */
export function refusal(errno: number): number {
  return REFUSAL - errno;
}

/** The errno of a refusal; 0 for a value. */
export function refusedWith(result: number): number {
  return result <= REFUSAL ? REFUSAL - result : 0;
}

/** On or off: any value but 0 is on. */
export function flag(kind: OptionKind, initial = 0): IntOption {
  return { form: "int", kind, initial, setErrno: 0, accept: (value) => value === 0 ? 0 : 1 };
}

/** Any number from `least` to `most`; others fail with EINVAL. */
export function int(kind: OptionKind, initial: number, least = -(2 ** 31), most = 2 ** 31 - 1): IntOption {
  const accept = (value: number) => value < least || value > most ? refusal(Errno.EINVAL) : value;
  return { form: "int", kind, initial, setErrno: 0, accept };
}

/** Can be read only; setting it is as unknown as Linux says it is. */
export function readOnly(initial: number | ((owner: OptionOwner) => number)): IntOption {
  return { form: "int", kind: "real", initial, setErrno: Errno.ENOPROTOOPT };
}

/** Fails, by default as an option that nobody knows. */
export function refused(getErrno: number = Errno.ENOPROTOOPT, setErrno: number = getErrno): RefusedOption {
  return { form: "refused", kind: "refused", getErrno, setErrno };
}
