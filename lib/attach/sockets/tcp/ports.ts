/**
 * Who has bound which port: the rules of `inet_csk_bind_conflict`.
 *
 * The stack knows connections and listeners; a socket that is bound and nothing else exists only here. Two bindings of
 * one port get along if their addresses do not overlap, if both have `SO_REUSEADDR` and neither listens, or if both
 * have `SO_REUSEPORT`.
 *
 * @module
 */

import { EPHEMERAL_FIRST, EPHEMERAL_LAST } from "../../../stack/tcp/ports.ts";
import type { IpAddress } from "../../../stack/wire/address.ts";

/** Who has bound a port. */
export interface BindingOwner {
  /**
   * Looks whether the guest has closed the socket. A close is an event, which may still be on its way while the guest's next
   * call is answered; then the binding is removed.
   */
  settle(): void;
}

/** What one socket has bound. */
export interface Binding {
  readonly owner: BindingOwner;
  /** Unspecified: any address of its family. */
  readonly address: IpAddress;
  readonly port: number;
  /** An IPv6 socket that takes IPv6 only. */
  readonly v6Only: boolean;
  readonly reuseAddress: boolean;
  readonly reusePort: boolean;
  /** It listens, so that `SO_REUSEADDR` does not help any more. */
  readonly listening: boolean;
}

/** A connection that lives in the stack, perhaps without a socket any more. */
export interface LivingConnection {
  readonly localAddress: IpAddress;
  readonly localPort: number;
}

const RANGE = EPHEMERAL_LAST - EPHEMERAL_FIRST + 1;
/** Ports between two choices, at most (RFC 6056's `N`). */
const LONGEST_STEP = 4;

/** Bindings of one guest. */
export class PortTable {
  readonly #bindings = new Map<number, Set<Binding>>();
  readonly #random: () => number;
  readonly #living: () => Iterable<LivingConnection>;
  #next: number;

  /** @param living the stack's connections */
  constructor(random: () => number, living: () => Iterable<LivingConnection>) {
    this.#random = random;
    this.#living = living;
    this.#next = (random() >>> 0) % RANGE;
  }

  add(binding: Binding): void {
    const others = this.#bindings.get(binding.port);
    if (others === undefined) this.#bindings.set(binding.port, new Set([binding]));
    else others.add(binding);
  }

  remove(binding: Binding): void {
    const others = this.#bindings.get(binding.port);
    if (others === undefined) return;
    others.delete(binding);
    if (others.size === 0) this.#bindings.delete(binding.port);
  }

  /** Whether any socket is bound to this port. */
  isBound(port: number): boolean {
    return this.#bindings.has(port);
  }

  /** Whether `binding` collides with another; `itself` does not count. */
  conflicts(binding: Binding, itself?: Binding): boolean {
    for (const other of this.#bindings.get(binding.port) ?? []) {
      if (other === itself || !overlap(binding, other)) continue;
      if (binding.reusePort && other.reusePort) continue;
      if (binding.reuseAddress && other.reuseAddress && !other.listening) continue;
      other.owner.settle();
      if (this.#bindings.get(binding.port)?.has(other) === true) return true;
    }
    if (binding.reuseAddress || itself !== undefined || this.#bindings.has(binding.port)) return false;
    // Connections that nobody holds any more keep their port, TIME-WAIT among them.
    for (const { localAddress, localPort } of this.#living()) {
      if (localPort === binding.port && covers(binding, localAddress)) return true;
    }
    return false;
  }

  /** Has listeners on a port that the guest has closed go away now. */
  settleListeners(port: number): void {
    for (const binding of this.#bindings.get(port) ?? []) if (binding.listening) binding.owner.settle();
  }

  /**
   * A port that nobody has bound and for which `isFree`; 0 when there is none. The walk is RFC 6056 section 3.3.5: a random
   * step each time, so that it is not foreseen and yet comes back late to a port that was just given up.
   */
  pick(isFree: (port: number) => boolean): number {
    for (let tries = 0; tries < RANGE; tries++) {
      const port = EPHEMERAL_FIRST + (this.#next + tries) % RANGE;
      if (this.#bindings.has(port) || !isFree(port)) continue;
      this.#next = (port - EPHEMERAL_FIRST + 1 + (this.#random() >>> 0) % LONGEST_STEP) % RANGE;
      return port;
    }
    return 0;
  }

  /** An ephemeral port for `bind` with port 0; 0 when there is none. */
  pickForBind(): number {
    const taken = new Set<number>();
    for (const { localPort } of this.#living()) taken.add(localPort);
    return this.pick((port) => !taken.has(port));
  }
}

function covers(binding: Binding, address: IpAddress): boolean {
  if (!binding.address.isUnspecified()) return binding.address.equals(address);
  return binding.address.family === address.family || (binding.address.family === 6 && !binding.v6Only);
}

function overlap(a: Binding, b: Binding): boolean {
  if (a.address.isUnspecified()) return b.address.isUnspecified() ? bothAny(a, b) : covers(a, b.address);
  return b.address.isUnspecified() ? covers(b, a.address) : a.address.equals(b.address);
}

function bothAny(a: Binding, b: Binding): boolean {
  return covers(a, b.address) || covers(b, a.address);
}
