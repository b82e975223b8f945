/**
 * Names that the guest gives: of interfaces, and of addresses (`eth0:1`).
 *
 * A kernel takes any bytes. Ours are shown to the operator, on terminals, in metrics and in logs, so they are printable ASCII.
 *
 * @module
 */

import { Errno } from "../../../../host/errno.ts";
import { Refusal } from "../request.ts";

/** Bytes of a name with its NUL (`IFNAMSIZ`). */
const NAME_SIZE = 16;

/** Why an interface cannot have this name (`dev_valid_name`); undefined: it can. */
export function invalidName(name: string): Refusal | undefined {
  const bad = name === "." || name === ".." || /[/:]/.test(name);
  return invalidLabel(name) ?? (bad ? new Refusal(Errno.EINVAL) : undefined);
}

/** Why an address cannot have this label; undefined: it can. */
export function invalidLabel(label: string): Refusal | undefined {
  if (label.length >= NAME_SIZE) return new Refusal(Errno.ERANGE);
  return /^[!-~]+$/.test(label) ? undefined : new Refusal(Errno.EINVAL, "sluice: names are printable ASCII");
}
