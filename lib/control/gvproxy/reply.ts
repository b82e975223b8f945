/**
 * Answers in gvproxy's manner, which is that of Go's net/http: a line of text, JSON without a type of its own, and
 * errors that are the text of a Go error.
 *
 * @module
 */

import type { Context } from "hono";

/** A request that cannot be carried out: the text is the body. */
export class Refusal extends Error {
  constructor(readonly status: 400 | 500 | 501, message: string) {
    super(message);
  }
}

/** The fields of a posted object. */
export type Fields = Readonly<Record<string, unknown>>;

const TEXT = "text/plain; charset=utf-8";

/** What was asked for. */
export function answer(c: Context, value: unknown): Response {
  return c.body(`${JSON.stringify(value)}\n`, 200, { "content-type": TEXT });
}

/** What `http.Error` writes. */
export function refuse(c: Context, status: 400 | 404 | 500 | 501, text: string): Response {
  return c.body(`${text}\n`, status, { "content-type": TEXT, "x-content-type-options": "nosniff" });
}

/** The object of a POST; of its keys the case says nothing, as in Go. */
export async function posted(c: Context): Promise<Fields> {
  if (c.req.method !== "POST") throw new Refusal(400, "post only");
  try {
    const value: unknown = await c.req.json();
    if (isObject(value)) return lowerCased(value);
    if (value === null) return {};
  } catch {
    // Said below.
  }
  throw new Refusal(400, "the body is not a JSON object");
}

/** Whether `value` is a JSON object. */
export function isObject(value: unknown): value is Fields {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** The same with keys in lower case. */
export function lowerCased(fields: Fields): Fields {
  return Object.fromEntries(Object.entries(fields).map(([key, value]) => [key.toLowerCase(), value]));
}

/** A field that is a text, or absent. */
export function textOf(fields: Fields, name: string): string {
  const value = fields[name] ?? "";
  if (typeof value !== "string") throw new Refusal(400, `${name} is not a string`);
  return value;
}

/** Waits for what the engine was asked; its refusal is one of the request, in `wordsOf`'s words. */
export async function carriedOut(
  asked: Promise<unknown>,
  wordsOf: (message: string) => string = (message) => message,
): Promise<void> {
  try {
    await asked;
  } catch (error) {
    throw new Refusal(500, wordsOf(error instanceof Error ? error.message : String(error)));
  }
}
