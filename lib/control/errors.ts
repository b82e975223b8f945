/**
 * What the API answers when it cannot do what it was asked: a status and `{"code","detail"}`.
 *
 * @module
 */

import type { Context } from "hono";
import { EngineRefusal } from "../engine/messages.ts";

/** Every code of the API's own, and its HTTP status. */
export const STATUS = {
  "invalid-request": 400,
  "unauthorized": 401,
  "exceeds-ceiling": 403,
  "forbidden-host": 403,
  "forbidden-origin": 403,
  "forbidden-page": 403,
  "not-found": 404,
  "unknown-device": 404,
  "method-not-allowed": 405,
  "not-shaped": 409,
  "body-too-large": 413,
  "unsupported-media-type": 415,
  "internal": 500,
  "engine-unavailable": 503,
  "too-many-subscribers": 503,
  "engine-timeout": 504,
} as const;

/** A code of {@linkcode STATUS}. */
export type ApiErrorCode = keyof typeof STATUS;

/**
 * The status of the engine's refusals, by code: its own, or the system's. A refusal with another code is a conflict with
 * what runs.
 */
const REFUSAL_STATUS: Readonly<Record<string, 400 | 403 | 404 | 409 | 501 | 503 | 504>> = {
  "invalid": 400,
  "denied": 403,
  "not-found": 404,
  "in-use": 409,
  "unsupported": 501,
  "too-many-captures": 503,
  "gone": 503,
  "timed-out": 504,
  "EACCES": 403,
  "EPERM": 403,
  "EADDRNOTAVAIL": 400,
};

/** Thrown by handlers; {@linkcode answerError} turns it into a response. */
export class ApiError extends Error {
  override readonly name: string = "ApiError";
  constructor(readonly code: ApiErrorCode, detail: string) {
    super(detail);
  }
}

/** The body of every error. */
export interface ErrorJson {
  readonly code: string;
  readonly detail: string;
}

/** An error of the API's own as a response. */
export function refuse(c: Context, code: ApiErrorCode, detail: string): Response {
  return c.json({ code, detail } satisfies ErrorJson, STATUS[code]);
}

/** Whatever a handler threw as a response. Unexpected errors say nothing about our insides to the client. */
export function answerError(error: Error, c: Context): Response {
  if (error instanceof ApiError) return refuse(c, error.code, error.message);
  if (error instanceof EngineRefusal) {
    const body: ErrorJson = { code: error.code, detail: error.message };
    return c.json(body, REFUSAL_STATUS[error.code] ?? 409);
  }
  return refuse(c, "internal", "Cannot answer: an internal error, see the log");
}
