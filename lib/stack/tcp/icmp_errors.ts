/**
 * ICMP errors as the user of a connection sees them (Linux' `icmp_err_convert`).
 *
 * @module
 */

import type { TcpError, TcpIcmpError } from "./events.ts";

/** The error that each kind stands for. Too big is no error, but news about the path. */
export const ICMP_ERROR: Readonly<Record<Exclude<TcpIcmpError, "packet-too-big">, TcpError>> = {
  "network-unreachable": "network-unreachable",
  "host-unreachable": "host-unreachable",
  "protocol-unreachable": "refused",
  "port-unreachable": "refused",
  "admin-prohibited": "host-unreachable",
  "source-route-failed": "host-unreachable",
  "time-exceeded": "host-unreachable",
  "parameter-problem": "host-unreachable",
};
