/**
 * The interface that a request names.
 *
 * @module
 */

import type { NicFacts } from "../engine/messages.ts";
import { ApiError } from "./errors.ts";

/** The interface of that name. Throws an {@linkcode ApiError} `unknown-device` that names those that there are. */
export function findDevice(nics: readonly NicFacts[], device: string): NicFacts {
  const nic = nics.find((candidate) => candidate.name === device);
  if (nic !== undefined) return nic;
  const names = nics.map((candidate) => candidate.name).join(", ");
  throw new ApiError("unknown-device", `Cannot find device ${JSON.stringify(device)}: there are ${names}`);
}
