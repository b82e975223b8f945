/**
 * Who has which UDP port in the sandbox, and who may share it (`udp_lib_lport_inuse`).
 *
 * The stack's own table would do for a single owner of a port; the rules of `SO_REUSEADDR` and `SO_REUSEPORT` are those of
 * the socket API, and live here.
 *
 * @module
 */

import type { Stack } from "../../../stack/stack.ts";
import type { IpAddress } from "../../../stack/wire/address.ts";

/** What the rules look at. */
export interface PortHolder {
  /** Undefined: every address of the families that it hears. */
  readonly holdsAddress: IpAddress | undefined;
  readonly hearsV4: boolean;
  readonly hearsV6: boolean;
  readonly reuseAddress: boolean;
  readonly reusePort: boolean;
  /** Name of the interface that it is bound to. */
  readonly device: string | undefined;
  /** The guest has closed it and we have not heard yet: let go. True: it was so. */
  letGo(): boolean;
}

/** Linux' `ip_local_port_range`. */
const FIRST_EPHEMERAL = 32_768, LAST_EPHEMERAL = 60_999;

/** The ports of one stack. */
export class UdpPorts<T extends PortHolder = PortHolder> {
  readonly #holders = new Map<number, T[]>();
  readonly #random: () => number;

  constructor(random: () => number) {
    this.#random = random;
  }

  /** Those of `stack`; always the same. */
  static of<T extends PortHolder>(stack: Stack): UdpPorts<T> {
    let ports = tables.get(stack);
    if (ports === undefined) tables.set(stack, ports = new UdpPorts(() => stack.random()));
    return ports as unknown as UdpPorts<T>;
  }

  /** Whoever has the port. */
  holders(port: number): readonly T[] {
    return this.#holders.get(port) ?? [];
  }

  /**
   * Gives `port` to `holder`; 0 for any that is free.
   *
   * @returns the port; 0: it is taken, or all are
   */
  claim(holder: T, port: number): number {
    const chosen = port === 0 ? this.#ephemeral(holder) : this.#free(holder, port) ? port : 0;
    if (chosen === 0) return 0;
    const holders = this.#holders.get(chosen);
    if (holders === undefined) this.#holders.set(chosen, [holder]);
    else holders.push(holder);
    return chosen;
  }

  release(holder: T, port: number): void {
    const holders = this.#holders.get(port);
    const at = holders?.indexOf(holder) ?? -1;
    if (holders === undefined || at < 0) return;
    holders.splice(at, 1);
    if (holders.length === 0) this.#holders.delete(port);
  }

  #free(holder: T, port: number): boolean {
    for (const other of [...this.holders(port)]) {
      if (other !== holder && inTheWay(holder, other) && !other.letGo()) return false;
    }
    return true;
  }

  #ephemeral(holder: T): number {
    const range = LAST_EPHEMERAL - FIRST_EPHEMERAL + 1;
    const start = (this.#random() >>> 0) % range;
    for (let i = 0; i < range; i++) {
      const port = FIRST_EPHEMERAL + (start + i) % range;
      // Nobody shares a port that he did not ask for.
      if (this.holders(port).length === 0) return port;
    }
    for (let i = 0; i < range; i++) if (this.#free(holder, FIRST_EPHEMERAL + i)) return FIRST_EPHEMERAL + i;
    return 0;
  }
}

const tables = new WeakMap<Stack, UdpPorts>();

/** Whether two sockets cannot both have one port. */
export function inTheWay(a: PortHolder, b: PortHolder): boolean {
  if (a.device !== undefined && b.device !== undefined && a.device !== b.device) return false;
  if ((a.reuseAddress && b.reuseAddress) || (a.reusePort && b.reusePort)) return false;
  const one = a.holdsAddress, other = b.holdsAddress;
  if (one !== undefined && other !== undefined) return one.equals(other);
  if (one !== undefined) return one.family === 4 ? b.hearsV4 : b.hearsV6;
  if (other !== undefined) return other.family === 4 ? a.hearsV4 : a.hearsV6;
  return (a.hearsV4 && b.hearsV4) || (a.hearsV6 && b.hearsV6);
}
