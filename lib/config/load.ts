/**
 * Configuration files → assignments. Reading is somebody else's: the caller hands in `readText`.
 *
 * @module
 */

import { Collector, type FileContents } from "./document.ts";
import { type Assignment, ConfigError, type Problem } from "./origin.ts";

/** How to read files, and which runtime of Docker's is meant. */
export interface LoadOptions {
  readonly runtime?: string | undefined;
  /** The text of a file; rejects or throws with the system's reason. */
  readText(path: string): string | Promise<string>;
}

/** Reads one file; what is wrong with it is part of the answer. */
export async function loadFile(path: string, options: LoadOptions): Promise<FileContents> {
  const format = /\.(json|toml)$/.exec(path)?.[1];
  const into = new Collector(path);
  if (format === undefined) {
    into.problem(undefined, "cannot tell its format", "name it .json or .toml");
    return into;
  }
  let text: string;
  try {
    text = await options.readText(path);
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error);
    into.problem(undefined, `cannot be read: ${why.replace(`Cannot read ${path}: `, "")}`);
    return into;
  }
  // Parsers are loaded when they are needed: most runs have no file at all.
  if (format === "json") return (await import("./file_json.ts")).readJsonFile(path, text, options.runtime);
  return (await import("./file_toml.ts")).readTomlFile(path, text);
}

/** Reads files in order. Throws {@linkcode ConfigError} with the problems of all of them. */
export async function loadFiles(
  paths: readonly string[],
  options: LoadOptions,
): Promise<{ readonly assignments: readonly Assignment[]; readonly ignored: readonly string[] }> {
  const assignments: Assignment[] = [];
  const ignored: string[] = [];
  const problems: Problem[] = [];
  for (const path of paths) {
    const contents = await loadFile(path, options);
    assignments.push(...contents.assignments);
    ignored.push(...contents.ignored);
    problems.push(...contents.problems);
  }
  if (problems.length > 0) throw new ConfigError(problems);
  return { assignments, ignored };
}
