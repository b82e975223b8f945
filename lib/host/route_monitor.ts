/**
 * Tells that interfaces or addresses of this network namespace have changed; what has, is for the listener to look up.
 *
 * @module
 */

import { AF, SOCK } from "./constants.ts";
import { check } from "./errno.ts";
import { NativeMemory } from "./memory.ts";
import { bind, close, recv, socket } from "./sys.ts";

const RTMGRP_LINK = 1, RTMGRP_IPV4_IFADDR = 0x10, RTMGRP_IPV6_IFADDR = 0x100;
const SOCKADDR_NL = 12;
/** Messages passed over in one call; more wake us again. */
const BATCH = 64;

/** A netlink socket that hears of changes. */
export class RouteMonitor {
  /** Polls readable when something has changed. */
  readonly fd: number;
  readonly #memory = new NativeMemory(16_384);

  /** Hears of what changes from now on. Throws {@linkcode SystemError}. */
  constructor() {
    this.fd = check(socket(AF.NETLINK, SOCK.RAW | SOCK.NONBLOCK | SOCK.CLOEXEC, 0), "watch interfaces");
    const { view, address } = this.#memory;
    view.setUint16(0, AF.NETLINK, true);
    view.setUint32(8, RTMGRP_LINK | RTMGRP_IPV4_IFADDR | RTMGRP_IPV6_IFADDR, true);
    try {
      check(bind(this.fd, address, SOCKADDR_NL), "watch interfaces");
    } catch (error) {
      close(this.fd);
      throw error;
    }
  }

  /** Passes over what has been heard. An overflow (ENOBUFS) is a change, too, and clears itself so. */
  drain(): void {
    for (let i = 0; i < BATCH; i++) {
      if (recv(this.fd, this.#memory.address, this.#memory.bytes.length, 0) <= 0) return;
    }
  }

  close(): void {
    close(this.fd);
  }
}
