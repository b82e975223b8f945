/**
 * Messages are one line, whatever was in the names and files they speak of.
 *
 * @module
 */

/** Longer lines are cut: what they quote may be of any length. */
const MAX_LENGTH = 2000;

/** Line breaks with their indentation become a space; other control characters, which a terminal would obey, `\xNN`. */
export function oneLine(text: string): string {
  if (text.length > MAX_LENGTH) return oneLine(`${text.slice(0, MAX_LENGTH - 1)}…`);
  return text.trim().replaceAll(/\s*[\r\n]\s*/g, " ")
    .replaceAll(/\p{Cc}/gu, (character) => `\\x${character.charCodeAt(0).toString(16).padStart(2, "0")}`);
}
