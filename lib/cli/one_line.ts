/**
 * Messages are one line, whatever was in the names and files they speak of.
 *
 * @module
 */

/** Line breaks with their indentation become a space; other control characters, which a terminal would obey, `\xNN`. */
export function oneLine(text: string): string {
  return text.trim().replaceAll(/\s*[\r\n]\s*/g, " ")
    .replaceAll(/\p{Cc}/gu, (character) => `\\x${character.charCodeAt(0).toString(16).padStart(2, "0")}`);
}
