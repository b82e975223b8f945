/**
 * Reads the body of a write: a small JSON object with known keys.
 *
 * @module
 */

import type { Context } from "hono";
import { ApiError } from "./errors.ts";

/** Bytes of a request's body. */
export const BODY_LIMIT = 16 * 1024;

/** The object in the body. Throws `invalid-request` if it is something else or has a key that is not in `keys`. */
export async function readObject(
  c: Context,
  keys: readonly string[],
): Promise<Readonly<Record<string, unknown>>> {
  let value: unknown;
  try {
    value = await c.req.json();
  } catch {
    throw new ApiError("invalid-request", "Cannot read the body: it is not JSON");
  }
  if (typeof value !== "object" || value === null || Array.isArray(value)) {
    throw new ApiError("invalid-request", "Cannot read the body: it must be a JSON object");
  }
  for (const key of Object.keys(value)) {
    if (keys.includes(key)) continue;
    throw new ApiError(
      "invalid-request",
      `Cannot use key ${JSON.stringify(key)}: known keys are ${keys.join(", ")}`,
    );
  }
  return value as Record<string, unknown>;
}
