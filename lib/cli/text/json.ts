/**
 * JSON as iproute2 prints it: one line, or indented with `-p`.
 *
 * @module
 */

/** One value and a line end. */
export function formatJson(value: unknown, pretty = false): string {
  return `${JSON.stringify(value, null, pretty ? 4 : undefined)}\n`;
}
